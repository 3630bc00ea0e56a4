#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hyperv-daemons do not keep the guest from running; extlinux starts it.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin hyperv
guest_before
guest_prepare
guest_after virtio-blk
guest_end

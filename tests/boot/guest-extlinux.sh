#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# extlinux, disks by sdX on its command line and in fstab, dracut, netplan.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin extlinux-dracut
guest_before
guest_prepare
guest_after virtio-blk
guest_said cmdline | grep -q 'root=UUID=' || fail "command line: $(guest_said cmdline)"
guest_end

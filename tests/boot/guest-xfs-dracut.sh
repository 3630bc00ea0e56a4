#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root on XFS whose initramfs dracut made for its VMware host: it cannot start from virtio, and
# does after preparing, with NetworkManager's static address.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin xfs-dracut
guest_before
guest_prepare
guest_after virtio-blk
guest_said root | grep -q '^/dev/vda1 xfs' || fail "root: $(guest_said root)"
guest_end

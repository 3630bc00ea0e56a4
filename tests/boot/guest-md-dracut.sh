#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# RAID1 of two disks, dracut, GRUB on UEFI with blank variables, networkd.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin md-dracut
guest_before
guest_prepare
guest_after virtio-scsi
guest_said root | grep -q '^/dev/md.* ext4' || fail "root: $(guest_said root)"
guest_end

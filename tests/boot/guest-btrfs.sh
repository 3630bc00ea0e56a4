#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root in a btrfs subvolume beside /home and /var/log, GRUB on UEFI with blank variables, networkd.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin btrfs-networkd
guest_before
guest_prepare
guest_after virtio-blk
guest_said root | grep -q 'btrfs .*subvol=/@' || fail "root: $(guest_said root)"
guest_said mount | grep -q '^/home .*btrfs' || fail "/home: $(guest_said mount)"
guest_end

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# btrfs subvolumes and dracut's initramfs for one host, GRUB on BIOS, ifupdown; onto NVMe.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin btrfs-dracut
guest_before
guest_prepare
guest_after nvme
guest_said root | grep -q '^/dev/nvme0n1p1.* btrfs .*subvol=/@' || fail "root: $(guest_said root)"
guest_end

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="btrfs subvolumes, dracut for this host only, GRUB on BIOS, ifupdown"
initramfs=dracut
storage=btrfs
loader=grub-bios
network=ifupdown

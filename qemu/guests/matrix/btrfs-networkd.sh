# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="btrfs subvolumes, initramfs-tools MODULES=dep, GRUB on UEFI, networkd"
initramfs="initramfs-tools"
storage=btrfs
loader=grub-uefi
network=networkd

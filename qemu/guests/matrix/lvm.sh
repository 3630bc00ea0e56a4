# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="LVM root, separate /boot, initramfs-tools MODULES=dep, GRUB on BIOS, NetworkManager"
initramfs="initramfs-tools"
storage=lvm
loader=grub-bios
network=networkmanager

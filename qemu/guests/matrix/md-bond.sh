# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="md RAID1 of two disks, initramfs-tools MODULES=dep, GRUB on BIOS, bond and VLAN by ifupdown"
initramfs="initramfs-tools"
storage=md
loader=grub-bios
network=bond

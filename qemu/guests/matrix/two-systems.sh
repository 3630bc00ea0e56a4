# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="two systems on one disk, the first is the default boot entry; initramfs-tools, GRUB on BIOS, ifupdown"
initramfs="initramfs-tools"
storage=ext4
loader=grub-bios
network=ifupdown
second=1
disk_mib=2600

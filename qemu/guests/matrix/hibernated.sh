# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="hibernated: a swsusp image in the swap, ext4, initramfs-tools MODULES=dep, GRUB on BIOS, netplan"
initramfs="initramfs-tools"
storage=ext4
loader=grub-bios
network=netplan

# The signature a suspended kernel leaves at the end of the swap's first page; the old one is kept
# ten bytes before it (kernel/power/swap.c).
guest_last()
{
	printf 'SWAPSPACE2S1SUSPEND\0' | dd of=/dev/sda2 bs=1 seek=$((4096 - 20)) conv=notrunc status=none
	blkid -p /dev/sda2
}

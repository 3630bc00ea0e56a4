# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="/boot of its own with 1 MB free, initramfs-tools MODULES=dep, GRUB on BIOS, ifupdown"
initramfs="initramfs-tools"
storage=ext4
loader=grub-bios
network=ifupdown
boot_part=1

guest_last()
{
	# %a, not %f: ext4 keeps some blocks back from root, too.
	fallocate -l $(($(stat -f -c '%a * %S' /boot) - (1 << 20))) /boot/old-kernels.tar
}

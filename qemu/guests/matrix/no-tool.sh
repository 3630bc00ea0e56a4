# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="no initramfs tool at all: an image made elsewhere, GRUB on BIOS, ext4 by sdX names, ifupdown"
initramfs="initramfs-tools"
storage=ext4
loader=grub-bios
network=ifupdown
names=sd

# An appliance whose builder took its tools along.
guest_last()
{
	dpkg --purge --force-depends initramfs-tools initramfs-tools-core
	rm -rf /etc/initramfs-tools /usr/share/initramfs-tools /var/lib/initramfs-tools
	! command -v update-initramfs
}

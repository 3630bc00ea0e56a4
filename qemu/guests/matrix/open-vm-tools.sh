# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="open-vm-tools under a metapackage, ext4 by sdX names, GRUB on UEFI, NetworkManager"
initramfs="initramfs-tools"
storage=ext4
loader=grub-uefi
network=networkmanager
names=sd
extra=open-vm-tools

guest_files()
{
	mkdir -p "$work/meta/DEBIAN"
	cat >"$work/meta/DEBIAN/control" <<-'CONTROL'
		Package: server-meta
		Version: 1.0
		Architecture: all
		Maintainer: nobody <nobody@localhost>
		Depends: open-vm-tools
		Description: everything that a server of ours has
	CONTROL
	dpkg-deb --root-owner-group -b "$work/meta" "$1/tmp/server-meta.deb"
	chroot "$1" dpkg -i /tmp/server-meta.deb
	rm "$1/tmp/server-meta.deb"
}

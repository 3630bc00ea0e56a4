#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest installed for UEFI without the fallback loader gets it, with the Secure Boot chain; undo takes
# it away. The ESP is ext2 here, as a host's kernel may have no FAT; the loader files are the same.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
esp_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002
mkdir -p "$work/tree/boot/efi" "$work/esp/EFI/debian"
echo "UUID=$esp_uuid /boot/efi ext2 umask=0077 0 1" >>"$work/tree/etc/fstab"
sed -i 's|^/dev/sda1|/dev/sda2|' "$work/tree/etc/fstab"
sed -i 's|/dev/sda1|/dev/sda2|' "$work/tree/boot/grub/grub.cfg" "$work/tree/etc/default/grub"
for name in shimx64 grubx64 mmx64; do
	echo "$name" >"$work/esp/EFI/debian/$name.efi"
done
truncate -s 80M "$work/disk"
printf 'label: gpt\nstart=2048,size=8192,type=uefi\nstart=10240,size=147456,type=linux\n' | sfdisk -q "$work/disk"
mke2fs -q -F -t ext2 -U "$esp_uuid" -d "$work/esp" -E offset=1048576,root_owner=0:0 "$work/disk" 4096
mke2fs -q -F -t ext4 -U "$uuid" -d "$work/tree" -E offset=5242880,root_owner=0:0 "$work/disk" 73728

esp()
{
	debugfs -R "$1" "$work/disk?offset=1048576" 2>"$work/debugfs.log"
}

inspect
is '.facts.firmware == "uefi" and .facts.loader.esp == "/boot/efi"'
is '[.plan[] | select(.step == "efi-fallback") | .path] == ["/boot/efi/EFI/BOOT/grubx64.efi",
	"/boot/efi/EFI/BOOT/mmx64.efi", "/boot/efi/EFI/BOOT/BOOTX64.EFI"]'
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '[.changes[].path] | index("/boot/efi/EFI/BOOT/BOOTX64.EFI")'
[ "$(esp 'cat /EFI/BOOT/BOOTX64.EFI')" = shimx64 ] || fail "BOOTX64.EFI is not shim"
[ "$(esp 'cat /EFI/BOOT/grubx64.efi')" = grubx64 ] || fail "no GRUB beside shim"
prepare
is '.plan == []'
prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
if esp 'stat /EFI/BOOT' | grep -q Inode; then fail "undo left EFI/BOOT"; fi

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tools of a guest see the firmware that it was made for, whatever this machine has: in a BIOS guest
# none, as grub-mkconfig and dracut would write what the other kind needs; in a UEFI guest this machine's.
# The disks that grub-pc was told of are not guessed outside the target.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
# shellcheck disable=SC2016 # for the inner shell
unshare -m --propagation private sh -c 'mount -t sysfs sysfs "$1" && ls "$1/firmware"' sh "$work" >"$work/own" ||
	skip "no sysfs"
[ -s "$work/own" ] || skip "this machine's kernel shows nothing of its firmware"

# view: what the tool's hook saw
view()
{
	sed -n 's|.*view: /sys/firmware/||p' "$work/prepare.log" | LC_ALL=C sort >"$work/view"
	[ -s "$work/view" ] || fail "the hook was not run: $(cat "$work/prepare.log")"
}

phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks" "$work/tree/var/cache/debconf"
echo 'for f in /sys/firmware/*; do echo "view: $f"; done' >"$work/tree/etc/initramfs-tools/hooks/view"
printf 'Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/disk/by-id/scsi-36000c29f\nOwners: grub-pc\n\n' \
	>"$work/tree/var/cache/debconf/config.dat"
pack
prepare
[ "$status" = 0 ] || fail "BIOS: exit status $status"
is '.facts.firmware == "bios"'
view
[ "$(cat "$work/view")" = '*' ] || fail "tools of a BIOS guest see firmware: $(cat "$work/view")"
is '.skipped | any(.step == "debconf" and (.why | test("the target.s disk names are not known here")))'
[ "$(show /var/cache/debconf/config.dat | grep ^Value)" = "Value: /dev/disk/by-id/scsi-36000c29f" ] ||
	fail "grub-pc's answer was guessed"

# The ESP is ext2 here, as a host's kernel may have no FAT.
esp_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002
mkdir -p "$work/tree/boot/efi" "$work/esp/EFI/debian"
echo "UUID=$esp_uuid /boot/efi ext2 umask=0077 0 1" >>"$work/tree/etc/fstab"
sed -i 's|/dev/sda1|/dev/sda2|' "$work/tree/etc/fstab" "$work/tree/boot/grub/grub.cfg" "$work/tree/etc/default/grub"
for name in shimx64 grubx64; do echo "$name" >"$work/esp/EFI/debian/$name.efi"; done
disk_is_free
rm "$work/disk"
truncate -s 80M "$work/disk"
printf 'label: gpt\nstart=2048,size=8192,type=uefi\nstart=10240,size=147456,type=linux\n' | sfdisk -q "$work/disk"
mke2fs -q -F -t ext2 -U "$esp_uuid" -d "$work/esp" -E offset=1048576,root_owner=0:0 "$work/disk" 4096
mke2fs -q -F -t ext4 -U "$uuid" -d "$work/tree" -E offset=5242880,root_owner=0:0 "$work/disk" 73728
prepare
[ "$status" = 0 ] || fail "UEFI: exit status $status"
is '.facts.firmware == "uefi"'
view
diff "$work/own" "$work/view" >"$work/diff.log" || fail "tools of a UEFI guest do not see this machine's firmware"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# qemu/prepare --nvram over a small phony UEFI guest: a boot entry for its loader is in the VM's
# variables afterwards, a second run finds it there and adds none (OVMF deletes entries that are not
# in QEMU's boot order), and without the option none is written. What is wrong
# with a command line is said before anything starts.
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires busybox sfdisk mke2fs mkfs.fat mmd mcopy strings
boot_begin

# As tests/cases/prepare-uefi.sh, with an ESP of FAT.
tests/data/phony-debian "$dir/tree"
mkdir -p "$dir/tree/boot/efi"
echo "UUID=5C12-0A01 /boot/efi vfat umask=0077 0 1" >>"$dir/tree/etc/fstab"
sed -i 's|/dev/sda1|/dev/sda2|' "$dir"/tree/{etc/fstab,boot/grub/grub.cfg,etc/default/grub}
truncate -s 112M "$dir/disk.raw"
printf 'label: gpt\nstart=2048,size=73728,type=uefi\nstart=75776,size=147456,type=linux\n' |
	sfdisk -q "$dir/disk.raw"
truncate -s 36M "$dir/esp"
mkfs.fat -F 32 -i 5C120A01 "$dir/esp" >"$dir/mkfs.log" 2>&1
mmd -i "$dir/esp" ::EFI ::EFI/debian
for name in shimx64 grubx64 mmx64; do
	echo "$name" | mcopy -i "$dir/esp" - "::EFI/debian/$name.efi"
done
dd if="$dir/esp" of="$dir/disk.raw" bs=1M seek=1 conv=notrunc status=none
mke2fs -q -F -t ext4 -U 6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0001 -d "$dir/tree" \
	-E offset=38797312,root_owner=0:0 "$dir/disk.raw" 73728
cp "$dir/disk.raw" "$dir/other.raw"

# prepare NAME ARGUMENT...
prepare()
{
	local name=$1 status=0
	shift

	qemu/prepare --dir "$dir/$name" --firmware uefi --limit $((200 * scale / 4)) \
		--report "$dir/$name.json" "$@" 2>"$dir/$name.log" || status=$?
	[ "$status" = 0 ] || fail "$name: exit status $status: $(tail -n 3 "$dir/$name.log")"
}
entries() { strings -el "$1" | grep -cF 'EFI\debian\shimx64.efi' || :; }
is() { jq -e "$2" "$dir/$1.json" >"$dir/jq.log" || fail "$1: not $2: $(jq -c '{verdict, plan, warnings}' "$dir/$1.json")"; }

cp "$qemu_ovmf/OVMF_VARS_4M.fd" "$dir/vars.fd"
[ "$(entries "$dir/vars.fd")" = 0 ] || fail "pristine variables name the guest's loader"
prepare first --nvram "$dir/vars.fd" "$dir/disk.raw"
is first '.verdict == "boots" and any(.plan[]; .kind == "nvram")'
[ "$(entries "$dir/vars.fd")" -ge 1 ] || fail "there is no boot entry for the guest's loader"
mcopy -n -i "$dir/disk.raw@@1M" ::EFI/BOOT/BOOTX64.EFI "$dir/fallback" && grep -qx shimx64 "$dir/fallback" ||
	fail "no fallback loader"
prepare second --nvram "$dir/vars.fd" "$dir/disk.raw"
is second '.plan == [] and .verdict == "boots"'
prepare without "$dir/other.raw"
is without '.verdict == "boots" and all(.plan[]; .kind != "nvram")'
[ "$(entries "$dir/without/vars.fd")" = 0 ] || fail "an entry that nobody asked for"

# refused REGEX ARGUMENT...: status 2, and no machine was made.
refused()
{
	local re=$1 status=0
	shift

	qemu/prepare --dir "$dir/refused" "$@" >"$dir/refused.log" 2>&1 || status=$?
	[ $status = 2 ] || fail "$*: exit status $status"
	grep -q -- "$re" "$dir/refused.log" || fail "$*: $(cat "$dir/refused.log")"
	[ ! -e "$dir/refused" ] || fail "$*: something was started"
}
refused 'needs --firmware uefi' --nvram "$dir/vars.fd" "$dir/disk.raw"
refused 'bios or uefi' --firmware both "$dir/disk.raw"
refused 'no such disk image' "$dir/none.raw"
refused 'no such folder' --virtio-win "$dir/none" "$dir/disk.raw"
refused 'no such file' --key "$dir/none" "$dir/disk.raw"
refused 'OLD=NEW' --nic 52:54:00:12:34:56 "$dir/disk.raw"
refused 'prepare \[OPTION' --key
refused 'prepare \[OPTION'
rm -f "$dir"/*.raw "$dir/esp"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The firmware that a guest was installed for, with traces of the other: GRUB's folder for BIOS, or a BIOS
# boot partition, that an earlier installation left do not make a UEFI guest one for BIOS. With all
# that BIOS needs it is one for both.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
esp_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002

# made ESP-FILES...: a GPT with an ESP (ext2, as a host's kernel may have no FAT), a BIOS boot partition, a root.
made()
{
	rm -rf "$work/esp" "$work/disk"
	mkdir -p "$work/tree/boot/efi" "$work/esp/EFI/debian"
	for name; do
		echo "$name" >"$work/esp/EFI/debian/$name"
	done
	truncate -s 90M "$work/disk"
	printf 'label: gpt\nstart=2048,size=8192,type=uefi\nstart=10240,size=2048,type=21686148-6449-6E6F-744E-656564454649
start=12288,size=147456,type=linux\n' | sfdisk -q "$work/disk"
	mke2fs -q -F -t ext2 -U "$esp_uuid" -d "$work/esp" -E offset=1048576,root_owner=0:0 "$work/disk" 4096
	mke2fs -q -F -t ext4 -U "$uuid" -d "$work/tree" -E offset=6291456,root_owner=0:0 "$work/disk" 73728
}
core() { printf 'R\350\050\001' | dd of="$work/disk" bs=512 seek=10240 conv=notrunc status=none; }
firmware() { # WANTED: for a VM that is not known
	inspect
	[ "$status" = 0 ] || fail "inspect: exit status $status"
	is --arg f "$1" '.facts.firmware == $f'
}
here() { # WANTED: for a VM with the firmware of this machine
	jq -n --arg disk "$work/disk" '{version: 1, migration: "case", mode: "prepare", finish: "poweroff",
		prepare: {dry_run: true}, drives: [{target: {device: $disk}}]}' >"$work/job.json"
	run_job 240
	[ "$(jq -r .prepare.facts.firmware "$work/result.json")" = "$1" ] || fail "in this machine: not $1"
}
mine=bios
[ ! -d /sys/firmware/efi ] || mine=uefi

phony
printf 'UUID=%s / ext4 defaults 0 1\nUUID=%s /boot/efi ext2 umask=0077 0 1\n' $uuid $esp_uuid >"$work/tree/etc/fstab"
sed -i "s|/dev/sda1|UUID=$uuid|" "$work/tree/boot/grub/grub.cfg" "$work/tree/etc/default/grub"
made shimx64.efi grubx64.efi
firmware uefi # an empty BIOS boot partition
core
here uefi # GRUB's core, and none of its modules
mkdir -p "$work/tree/boot/grub/i386-pc"
made shimx64.efi grubx64.efi
here uefi # its modules, and an empty partition
firmware uefi
is '[.plan[].step] | index("efi-fallback")'
core
firmware uefi # both: what the VM has
is '[.plan[].step] | index("efi-fallback")'
here $mine
made readme.txt
core
firmware bios # no loader on the ESP

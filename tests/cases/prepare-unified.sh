#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel in a unified image on the ESP is recognised, and its verdict is by what is in that image:
# with virtio drivers it boots; without them, or with a root of the old hardware in it, it does not,
# the reason says why, and neither the image nor anything else is written.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires python3 cpio

without=()
esp_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002

# unified ROOT DRIVER...: the guest, its only kernel in an image with these drivers
unified()
{
	local root=$1 name
	shift

	phony
	rm -rf "$work/esp" "$work/initrd" "$work/tree/boot"
	mkdir -p "$work/tree/boot/efi" "$work/esp/EFI/Linux" "$work/esp/EFI/BOOT" "$work/esp/loader" \
		"$work/initrd/lib/modules/$kernel/kernel/drivers"
	printf 'UUID=%s / ext4 defaults 0 1\nUUID=%s /boot/efi ext2 umask=0077 0 1\n' "$uuid" "$esp_uuid" \
		>"$work/tree/etc/fstab"
	echo 'timeout 3' >"$work/esp/loader/loader.conf"
	echo loader >"$work/esp/EFI/BOOT/BOOTX64.EFI"
	for name in "${without[@]}"; do
		rm -r "$work/esp/$name"
	done
	for name; do
		echo x >"$work/initrd/lib/modules/$kernel/kernel/drivers/$name.ko"
	done
	(cd "$work/initrd" && find . | cpio -o -H newc --quiet) >"$work/initrd.img"
	echo "root=$root quiet" >"$work/cmdline"
	printf '%s' "$kernel" >"$work/uname"
	echo kernel >"$work/vmlinuz"
	tests/data/make-uki "$work/esp/EFI/Linux/debian-1.efi" ".osrel=$work/tree/etc/os-release" \
		".cmdline=$work/cmdline" ".uname=$work/uname" ".linux=$work/vmlinuz" ".initrd=$work/initrd.img"
	truncate -s 80M "$work/disk"
	printf 'label: gpt\nstart=2048,size=8192,type=uefi\nstart=10240,size=147456,type=linux\n' |
		sfdisk -q "$work/disk"
	mke2fs -q -F -t ext2 -U "$esp_uuid" -d "$work/esp" -E offset=1048576,root_owner=0:0 "$work/disk" 4096
	mke2fs -q -F -t ext4 -U "$uuid" -d "$work/tree" -E offset=5242880,root_owner=0:0 "$work/disk" 73728
}

all=(virtio_pci virtio_ring virtio_blk virtio_scsi sd_mod)
unified "UUID=$uuid" "${all[@]}"
inspect --nic "$nic"
is --arg version "$kernel" '[.facts.kernels[] | select(.unified)] | length == 1 and (.[0] |
	.version == $version and .image == "/boot/efi/EFI/Linux/debian-1.efi" and .bootable and
	(.in_initrd | index("virtio_blk")))'
is '.verdict != "does-not-boot" and ([.plan[] | select(.step == "initramfs")] == [])'

# Consoles in the image are told of, with the line that has the right ones.
unified "UUID=$uuid console=hvc0" "${all[@]}"
inspect
is --arg line "root=UUID=$uuid console=tty0 quiet" '.warnings |
	any(test("debian-1.efi: the consoles of its command line are not edited.*\"\($line)\" into /etc/kernel/cmdline"))'
unified "UUID=$uuid" "${all[@]}"
inspect --console=serial
is --arg line "root=UUID=$uuid console=tty0 console=ttyS0,115200 quiet" '.warnings | any(contains($line))'
inspect
is '[.warnings[] | select(test("consoles"))] == []'

unified "UUID=$uuid" vmw_pvscsi
inspect
is '.verdict == "does-not-boot" and any(.because[]; test("debian-1.efi lacks virtio_blk, and unified.*: on the source put virtio_pci virtio_blk .* into /etc/initramfs-tools/modules and run update-initramfs -u -k 6.1.0-42-amd64 and kernel-install .*copy again$"))'
sha256sum "$work/disk" >"$work/before.sum"
prepare
[ "$status" = 7 ] || fail "exit status $status, not 7"
is '.error.code == "PREP_UNSUPPORTED" and .changes == [] and (.error.text | test("on the source put .*kernel-install add"))'
sha256sum --quiet -c "$work/before.sum" || fail "a guest without hope was written to"

unified /dev/sda2 "${all[@]}"
inspect
is '.verdict == "does-not-boot" and any(.because[]; test("names its root /dev/sda2.*write root=UUID=.* into /etc/kernel/cmdline"))'

# No file of a loader: firmware starts the image itself, or systemd-boot does without loader.conf. The
# firmware of the target has no entry for it, so it gets a fallback; the newest image is that.
without=(loader EFI/BOOT)
unified "UUID=$uuid" "${all[@]}"
inspect --nic "$nic"
is '.facts.loader.kind == "unified" and .verdict == "boots-after-preparation"'
offset=1048576
prepare
[ "$status" = 0 ] || fail "no loader: exit status $status, $(jq -c .error "$work/report.json")"
is '.verdict == "boots" and any(.plan[]; .from == "/boot/efi/EFI/Linux/debian-1.efi" and
	.path == "/boot/efi/EFI/BOOT/BOOTX64.EFI")'
debugfs -R "dump /EFI/BOOT/BOOTX64.EFI $work/fallback" "$work/disk?offset=$offset" 2>"$work/debugfs.log"
cmp "$work/fallback" "$work/esp/EFI/Linux/debian-1.efi" || fail "the fallback is another image"
prepare
is '.plan == [] and .changes == []'
unified "UUID=$uuid" vmw_pvscsi
inspect
is '.verdict == "does-not-boot" and any(.because[]; test("debian-1.efi lacks virtio_blk"))'
without=(loader)
unified "UUID=$uuid" "${all[@]}"
debugfs -w -R 'mkdir /EFI/systemd' "$work/disk?offset=$offset" >"$work/debugfs.log" 2>&1
inspect --nic "$nic"
is '.facts.loader.kind == "systemd-boot" and .verdict != "does-not-boot"'

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What real servers have: folders nested beyond any limit, more kernels' modules than an update leaves,
# /boot behind dozens of lines of fstab, an initramfs that is nearly all hole, a volume of data that no
# inventory needs, more drives than 32. None of it is a failure, and what is not looked at is told.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

boot_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f00b0 srv_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f00a0
phony
mkdir -p "$work/tree/home"
# 40 older kernels, whose names come first, as folders that an update left.
for i in $(seq 10 49); do
	mkdir -p "$work/tree/lib/modules/5.10.0-$i-amd64/kernel"
done
# Another /boot than the one that the root has below its mount point, behind 70 lines.
mkdir -p "$work/boot" "$work/tree/srv" "$work/tree/mnt"
cp -a "$work/tree/boot/." "$work/boot"
rm -r "$work/tree/boot"
mkdir "$work/tree/boot"
{
	echo "UUID=$uuid / ext4 defaults 0 1"
	for i in $(seq 70); do
		echo "/dev/mapper/data-$i /mnt/$i xfs nofail 0 0"
	done
	echo "UUID=$boot_uuid /boot ext4 defaults 0 2"
	echo "UUID=$srv_uuid /srv ext4 defaults 0 2"
} >"$work/tree/etc/fstab"
# An old rescue image: 100 GB of nothing behind its first bytes.
mkdir -p "$work/tree/lib/modules/4.0.0-rescue/kernel"
echo kernel >"$work/boot/vmlinuz-4.0.0-rescue"
truncate -s 100G "$work/boot/initrd.img-4.0.0-rescue"
# Its tool of old touches the data, too.
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
echo 'echo touched >/srv/touched' >"$work/tree/etc/initramfs-tools/hooks/touch"

truncate -s 100M "$work/disk"
printf 'label: dos\nstart=2048, size=131072, type=83, bootable\nstart=133120, size=32768, type=83\nstart=165888, type=83\n' |
	sfdisk -q "$work/disk"
mke2fs -q -F -t ext4 -U "$uuid" -d "$work/tree" -E offset=1048576,root_owner=0:0 "$work/disk" 65536
mke2fs -q -F -t ext4 -U "$boot_uuid" -E offset=68157440,root_owner=0:0 "$work/disk" 16384
mkdir -p "$work/mnt"
# A thousand folders, one in the other, are beyond mke2fs.
unshare -m --propagation private bash -c '
	set -euo pipefail
	mount -o loop,offset=68157440,sizelimit=16777216 "$1/disk" "$1/mnt"
	cp -a --sparse=always "$1/boot/." "$1/mnt/"
	umount "$1/mnt"
	mount -o loop,offset=1048576,sizelimit=67108864 "$1/disk" "$1/mnt"
	cd "$1/mnt/home"
	python3 -c "
import os
for i in range(1000):
    os.mkdir(\"deep\")
    os.chdir(\"deep\")"' deep "$work" 2>"$work/mkdir.log" || fail "folders: $(tail -n 1 "$work/mkdir.log")"
mke2fs -q -F -t ext4 -U "$srv_uuid" -E offset=84934656,root_owner=0:0 "$work/disk" 16384

# 39 drives more, with nothing on them.
drives=()
for i in $(seq 39); do
	truncate -s 1M "$work/empty-$i"
	drives+=("$work/empty-$i")
done
all() { # COMMAND [OPTION...]
	status=0
	disk_is_free
	"$worker" "$1" --json "${@:2}" "$work/disk" "${drives[@]}" >"$work/report.json" 2>"$work/prepare.log" ||
		status=$?
}
all inspect
[ "$status" = 0 ] || fail "inspect: exit status $status, $(jq -c .error "$work/report.json")"
is --arg k $kernel '.facts.kernels | any(.version == $k and .bootable)'
is '.warnings | any(test("initrd.img-4.0.0-rescue.* it is not read"))'
all prepare --nic "$nic"
[ "$status" = 0 ] || fail "prepare: exit status $status, $(jq -c .error "$work/report.json")"
is --arg i "/boot/initrd.img-$kernel" '.changes | any(.path == $i)'
is '.skipped | any(.step == "inventory" and (.why | test("^/srv is a volume of its own")))'
is '.skipped | any(.step == "inventory" and (.why | test("too deep")))'
is '.changes | any(.path == "/srv/touched") | not'

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which disk is which. Names of several buses in one guest mean the drives that the source called so;
# where that is not known they are never a choice: the mount is marked nofail and told, the root is
# refused. Two file systems with one UUID or label are refused where the guest cannot do without, else told.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

# A second disk with one file system and no system.
data_disk() { # FILE UUID LABEL
	truncate -s 24M "$1"
	printf 'label: dos\nstart=2048, type=83\n' | sfdisk -q "$1"
	mke2fs -q -F -t ext4 -E offset=1048576 -U "$2" -L "$3" "$1" 20000
}
data=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f00aa
both() { # COMMAND [OPTION...]: the worker over the guest's disk and the other one
	status=0
	disk_is_free
	wait_for 20 eval '! losetup -j "$work/data" | grep -q .'
	"$worker" "$1" --json "${@:2}" "$work/disk" "$work/data" >"$work/report.json" \
		2>"$work/prepare.log" || status=$?
}
# by_job FIRST SECOND: the disk and the other one are prepared in place, called so by the source.
by_job() {
	jq -n --arg a "$1" --arg b "$2" --arg disk "$work/disk" --arg data "$work/data" '{version: 1,
		migration: "case", mode: "prepare", finish: "poweroff", drives:
		[{source: $a, target: {device: $disk}}, {source: $b, target: {device: $data}}]}' >"$work/job.json"
	run_job 240
	[ "$status" = 0 ] || fail "job: exit status $status: $(jq -c .err "$work/result.json")"
	jq .prepare "$work/result.json" >"$work/report.json"
}
fstab() { show /etc/fstab; }

# The root is on NVMe, and sda is another disk.
phony
sed -i 's#/dev/sda1#/dev/nvme0n1p1#' "$work/tree/boot/grub/grub.cfg"
printf '/dev/nvme0n1p1 / ext4 defaults 0 1\n/dev/sda1 /srv ext4 defaults 0 2\n' >"$work/tree/etc/fstab"
mkdir -p "$work/tree/srv"
pack
cp "$work/disk" "$work/disk.nvme"
data_disk "$work/data" $data data
by_job nvme0n1 sda
[ "$(fstab)" = "UUID=$uuid / ext4 defaults 0 1
UUID=$data /srv ext4 defaults 0 2" ] || fail "by the source's names: $(fstab)"

# The source calls the second one otherwise: sda was not copied.
cp "$work/disk.nvme" "$work/disk"
by_job nvme0n1 sdb
[ "$(fstab)" = "UUID=$uuid / ext4 defaults 0 1
/dev/sda1 /srv ext4 defaults,nofail 0 2" ] || fail "not copied: $(fstab)"
is '.warnings | any(test("fstab: /dev/sda1 .* is on none of the copied drives"))'

# No names are known, so that either disk may be either: the root is never guessed.
cp "$work/disk.nvme" "$work/disk"
both inspect
is '.verdict == "does-not-boot" and (.because | any(test("root=/dev/nvme0n1p1 may be on several of the copied drives")))'
both prepare --nic "$nic"
expect PREP_STACK 7
is '.changes == []'
# With a root that has a name, the other one is told and does not hold up the start.
phony
sed -i "s#/dev/sda1#UUID=$uuid#" "$work/tree/boot/grub/grub.cfg"
printf 'UUID=%s / ext4 defaults 0 1\n/dev/sda1 /srv ext4 defaults 0 2\n/dev/nvme0n1p1 none swap sw 0 0\n' $uuid \
	>"$work/tree/etc/fstab"
pack
both prepare --nic "$nic"
[ "$status" = 0 ] || fail "ambiguous mount: exit status $status"
fstab | has -x '/dev/sda1 /srv ext4 defaults,nofail 0 2' || fail "an ambiguous mount: $(fstab)"
is '.warnings | any(test("fstab: /dev/sda1 .*/srv.* may be on several of the copied drives"))'

# The loader starts another volume than the one that holds the system.
phony
sed -i "s#/dev/sda1#UUID=$data#" "$work/tree/boot/grub/grub.cfg"
pack
both inspect
is '.verdict == "does-not-boot" and (.because | any(test("root=UUID='$data' is another volume")))'
both prepare
expect PREP_STACK 7
is '.changes == []'

# A second file system with the root's UUID, by a copy on the source.
phony
sed -i "s#/dev/sda1#UUID=$uuid#" "$work/tree/boot/grub/grub.cfg"
printf 'UUID=%s / ext4 defaults 0 1\n' $uuid >"$work/tree/etc/fstab"
pack
data_disk "$work/data" $uuid data
both inspect
is '.verdict == "does-not-boot" and (.because | any(test("root=UUID='$uuid' is the name of several volumes")))'
both prepare
expect PREP_STACK 7
# Two with one label: for a mount that the system needs, and for another one.
phony
mkdir -p "$work/tree/srv"
printf 'LABEL=twice /boot ext4 defaults 0 1\n' >>"$work/tree/etc/fstab"
pack
truncate -s 48M "$work/data"
printf 'label: dos\nstart=2048, size=40000, type=83\nstart=43008, size=40000, type=83\n' | sfdisk -q "$work/data"
mke2fs -q -F -t ext4 -E offset=1048576 -L twice "$work/data" 20000
mke2fs -q -F -t ext4 -E offset=22020096 -L twice "$work/data" 20000
both inspect
expect PREP_STACK 7
is '.error.text | test("/boot: LABEL=twice is the name of several volumes")'
sed -i 's# /boot # /srv #' "$work/tree/etc/fstab"
pack
both inspect
[ "$status" = 0 ] || fail "two with one label: exit status $status"
is '.warnings | any(test("LABEL=twice .*/srv.* is the name of several volumes"))'

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Power-off in order: a filesystem on device-mapper on loop on a filesystem of a disk, held open by
# a process that ignores TERM, and a RAID array of loop devices. All of it goes, and what was
# written is on the disk.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
requires mkfs.fat fsck.fat mtype

truncate -s 64M "$dir/disk"
mkfs.fat -n OUTER "$dir/disk" >"$dir/mkfs.log"
truncate -s 8M "$dir/inner"
mkfs.fat -n INNER "$dir/inner" >"$dir/mkfs.log"
mcopy -i "$dir/disk" "$dir/inner" ::inner.img

boot_worker <<'END'
set -e
mkdir -p /mnt/outer /mnt/inner
mount -t vfat /dev/vda /mnt/outer
losetup $(losetup -f) /mnt/outer/inner.img
dmsetup create top --table "0 $(blockdev --getsz /dev/loop0) linear /dev/loop0 0"
mount -t vfat /dev/mapper/top /mnt/inner
for i in 1 2; do
	dd if=/dev/zero of=/mnt/outer/m$i bs=1M count=4
	losetup $(losetup -f) /mnt/outer/m$i
done
mdadm --create /dev/md0 --run --metadata=1.2 --level=1 --raid-devices=2 /dev/loop1 /dev/loop2
cat /proc/mdstat
echo written-last >/mnt/inner/file
(trap '' TERM; cd /mnt/inner; exec sleep 900 </mnt/inner/file) &
tell written /dev/vda
tell finish poweroff
END
qemu_machine 128
qemu_disk "$dir/disk"
boot_kernel
boot_run 60 || fail "the machine did not power off"

expect_off guest-shutdown
expect_serial '^md0 : active raid1 loop2\[1\] loop1\[0\]'
expect_serial 'power-off: ready'
expect_no_serial 'stays|making it read-only|no answer|does not end'
mcopy -o -i "$dir/disk" ::inner.img "$dir/inner"
[ "$(mtype -i "$dir/inner" ::file)" = written-last ] || fail "the file is not on the disk"
# Status 0: clean, not even marked as mounted.
fsck.fat -n "$dir/disk" >"$dir/fsck" || fail "the outer filesystem is not clean: $(cat "$dir/fsck")"
fsck.fat -n "$dir/inner" >"$dir/fsck" || fail "the inner filesystem is not clean: $(cat "$dir/fsck")"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk with ext4 and XFS, both mounted and mostly empty, but every block of the disk written before: the
# server reads and sends what is used and serves the rest as zeroes. The copy has clean file
# systems with the same files, and keeps partition table, boot area and gaps. --all-blocks and
# --freeze never read everything.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires losetup partx sfdisk mke2fs e2fsck mkfs.xfs xfs_repair /usr/bin/python3
[ "$(id -u)" = 0 ] || skip "needs root for a loop device"
grep -qw xfs /proc/filesystems || skip "this kernel has no XFS"

mib=1024
head -c ${mib}M /dev/zero | tr '\0' o >"$work/disk" # old content everywhere
printf 'label: gpt\nstart=4096, size=768000\nstart=780288, size=1310720\n' | sfdisk -q "$work/disk"
printf 'in the gap' | dd of="$work/disk" bs=512 seek=775000 conv=notrunc status=none
loop=$(losetup -f --show "$work/disk") || skip "no loop device to be had"
cleanup_fn 'partx -d "$loop"; losetup -d "$loop"'
partx -a "$loop" # a kernel that reads no partition tables takes the partitions from it
[ -b "${loop}p2" ] || skip "this kernel makes no partitions of loop devices"
mke2fs -q -F -E nodiscard -t ext4 "${loop}p1"
mkfs.xfs -q -K -f "${loop}p2"
for i in 1 2; do
	mkdir -p "$work/mnt$i" "$work/copy$i"
	mount "${loop}p$i" "$work/mnt$i"
	cleanup_fn "wait_for 20 umount $work/mnt$i"
	cleanup_fn "fsfreeze -u $work/mnt$i 2>$work/fsfreeze.out"
	head -c 20M /dev/urandom >"$work/mnt$i/gone"
	cp -r "$top/worker" "$work/mnt$i/"
	head -c 9M /dev/urandom >"$work/mnt$i/data"
	sync
	rm "$work/mnt$i/gone"
	(cd "$work/mnt$i" && find . -type f -exec sha256sum {} + | sort) >"$work/files$i"
done

reader() { "$top/tests/cases/drive-second-reader.py" "$port" "$@"; }
up() {
	port=$(free_port)
	start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --grace 250 "$@"
	wait_for 10 listens "$port"
}
read_mib() { awk '{ print int($3 / 2048) }' "/sys/block/${loop#/dev/}/stat"; }
copy() { # to disk2; sets what was read from the source, in MiB
	local before
	before=$(read_mib)
	"$worker" copy --allow-plain --verify=full --json "tw://127.0.0.1:$port/sda" "$work/disk2" \
		>"$work/copy.json" 2>"$work/copy.log" || fail "copy: $(tail -n 2 "$work/copy.log")"
	read=$(($(read_mib) - before))
}

# The second reader asks for everything, and may come back: the file systems stay still for the copy.
up
reader read sda "$work/disk3" >"$work/reader.log"
copy
grep -Eq 'drive sda: [6-9][0-9]{2} of 1024 MiB are not used' "$work/server.log" ||
	fail "the log does not tell the gain: $(grep 'drive sda' "$work/server.log")"
# Metadata, two logs, the files; read once more to verify.
[ $read -lt 400 ] || fail "$read of $mib MiB were read for $(du -sm "$work/mnt1" | cut -f1) MiB of files on each"
echo "read $read MiB of $mib; $(tail -n 1 "$work/copy.json")"

[ "$(tr -cd o <"$work/disk2" | wc -c)" -lt $((200 << 20)) ] || fail "old content was copied"
cmp "$work/disk2" "$work/disk3" || fail "READ and EXTENTS do not tell the same"
[ "$(dd if="$work/disk2" bs=512 skip=775000 count=1 status=none | head -c 10)" = "in the gap" ] ||
	fail "the gap between the partitions was not kept"
cmp -n $((4096 * 512)) "$work/disk" "$work/disk2" || fail "table and boot area were not kept"
cmp -i $((2091008 * 512)) "$work/disk" "$work/disk2" || fail "the end of the disk was not kept"
stop server
loop2=$(losetup -f --show "$work/disk2")
cleanup_fn 'partx -d "$loop2"; losetup -d "$loop2"'
partx -a "$loop2"
e2fsck -fn "${loop2}p1" >"$work/fsck.log" 2>&1 || fail "ext4 is not clean: $(tail -n 5 "$work/fsck.log")"
# A frozen XFS leaves a record in its log on purpose: mounting replays it.
for i in 1 2; do
	opts=rw
	[ $i = 1 ] || opts=rw,nouuid
	mount -o $opts "${loop2}p$i" "$work/copy$i"
	cleanup_fn "umount $work/copy$i"
	(cd "$work/copy$i" && find . -type f -exec sha256sum {} + | sort) >"$work/files.copy$i"
	cmp "$work/files$i" "$work/files.copy$i" || fail "files of partition $i differ"
	umount "$work/copy$i"
	cleanups=("${cleanups[@]:0:${#cleanups[@]}-1}")
done
# A program in a mount namespace of its own, as other tests start them, may still have the mount.
is_clean() { xfs_repair -n "${loop2}p2" >"$work/repair.log" 2>&1; }
wait_for 20 is_clean

# All of it: old content, too.
up --all-blocks
copy
[ $read -ge $mib ] || fail "--all-blocks: only $read MiB were read"
stop server
[ "$(tr -cd o <"$work/disk2" | wc -c)" -gt $((700 << 20)) ] || fail "--all-blocks: not the old content"
# A live state is never thinned out: what is free now may be a file in a second.
up --freeze never
before=$(read_mib)
reader read sda "$work/disk3" >"$work/reader.log"
[ $(($(read_mib) - before)) -ge $mib ] || fail "blocks were skipped of a live file system"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

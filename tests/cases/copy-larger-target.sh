#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Targets that are not like the source's disk. What an earlier use left at the end of a larger one
# is gone, and the second copy of the GPT is there, in a plain copy and in a job; a disk whose sectors
# are not those that the partition table counts in is refused before a byte is written anywhere.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires sfdisk blkid losetup
[ "$(id -u)" = 0 ] || skip "needs root for loop devices"
attach() { # FILE [OPTION...]: sets loop
	loop=$(losetup -f --show "${@:2}" "$1")
	cleanup_fn "losetup -d $loop"
}

# old_disk FILE MIB: was a member of an array (md 0.90, whose superblock is at the end) and had a GPT.
old_disk() {
	truncate -s "$2M" "$1"
	printf 'label: gpt\nsize=2M\n' | sfdisk -q "$1"
	python3 - "$1" <<-'END'
		import struct, sys
		with open(sys.argv[1], "r+b") as disk:
		    disk.seek((disk.seek(0, 2) & ~0xffff) - 0x10000)
		    disk.write(struct.pack("<8I", 0xa92b4efc, 0, 90, 0, 0, 4711, 0, 1))
	END
	[ "$(blkid -p -o value -s TYPE "$1")" = linux_raid_member ] || fail "the old disk is none of an array"
}
# as_new FILE: nothing of it is found any more, and the table is that of a disk of this size.
as_new() {
	[ -z "$(blkid -p -o value -s TYPE "$1")" ] || fail "the old array is still found on $1"
	[ "$(blkid -p -o value -s PTUUID "$1")" = 12345678-1234-1234-1234-123456789abc ] || fail "not the drive's table"
	sfdisk --verify "$1" >"$work/verify" 2>&1 || fail "sfdisk finds: $(cat "$work/verify")"
	! grep -i 'backup\|corrupt\|mismatch' "$work/verify" || fail "not the table of this disk"
	sfdisk -d "$1" | has 'last-lba: '$(($(stat -c %s "$1") / 512 - 34))
	# Within the drive only the header of the first copy and the protective entry are others.
	{ cmp -l -n "$(stat -c %s "$work/sda")" "$work/sda" "$1" || :; } | awk '$1 <= 446 || ($1 > 462 && $1 <= 512) || $1 > 1024' \
		>"$work/other"
	[ ! -s "$work/other" ] || fail "$1 differs from the source at $(head -n 1 "$work/other")"
}

make_disk "$work/sda" 16 1
printf 'label: gpt\nlabel-id: 12345678-1234-1234-1234-123456789abc\nsize=8M, type=U\nsize=4M\n' |
	sfdisk -q "$work/sda"
old_disk "$work/plain" 24
"$worker" copy --verify=full "file:$work/sda" "$work/plain" >"$work/copy.log" 2>&1
as_new "$work/plain"

old_disk "$work/by-job" 24
attach "$work/by-job"
job "file:$work" "[$(drive sda "$loop")]"
run_job
expect success NONE 0
blockdev --flushbufs "$loop"
as_new "$work/by-job"

# Sectors of 4096 bytes: the second of two drives, and the first one stays as it was.
make_disk "$work/sdb" 4 2
new_target "$work/first" 4
new_target "$work/4kn" 24
attach "$work/4kn" -b 4096
job "file:$work" "[$(drive sdb "$work/first"), $(drive sda "$loop")]"
run_job
expect failed DISK_SECTOR 5
untouched "$work/first"
untouched "$work/4kn"
status=0
"$worker" copy "file:$work/sda" "$loop" >"$work/copy.log" 2>&1 || status=$?
[ "$status" = 5 ] && has DISK_SECTOR "$work/copy.log" || fail "copied to a disk of other sectors"
untouched "$work/4kn"

# A table of 4096 fits there, and does not fit a disk of 512.
truncate -s 16M "$work/sdc"
attach "$work/sdc" -b 4096
printf 'label: gpt\nsize=8M\n' | sfdisk -q "$loop"
from=$loop
attach "$work/4kn" -b 4096
"$worker" copy --verify=full "file:$from" "$loop" >"$work/copy.log" 2>&1 || fail "not copied to the same sectors"
sfdisk --verify "$loop" >"$work/verify" 2>&1 || fail "sfdisk finds: $(cat "$work/verify")"
new_target "$work/512" 24
attach "$work/512"
"$worker" copy "file:$from" "$loop" >"$work/copy.log" 2>&1 && fail "a table of 4096 was copied to 512"
has DISK_SECTOR "$work/copy.log"
untouched "$work/512"

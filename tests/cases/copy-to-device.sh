#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Block devices: an odd number of sectors, old content under zeroes, a device that is larger and
# keeps what lies behind the drive but for a MiB at both ends of it; write-protected, mounted and held devices, and a file that a mounted one stands on, are
# refused before a byte is written.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
[ "$(id -u)" = 0 ] || skip "needs root for loop devices"
losetup -f >"$work/losetup.log" 2>&1 || skip "no loop devices here: $(cat "$work/losetup.log")"

attach() { # FILE [OPTION...]: sets loop
	local file=$1
	shift
	loop=$(losetup -f --show "$@" "$file")
	cleanup_fn "losetup -d $loop"
}
make_source "$work/src" 30 512
nbd -r file "$work/src"

head -c $((40 << 20)) /dev/zero | tr '\0' x >"$work/disk"
attach "$work/disk"
good --verify=full "$uri" "$loop"
cmp -n $(((30 << 20) + 512)) "$work/src" "$loop"
tail -c $(((10 << 20) - 512)) "$work/disk" >"$work/behind"
{ head -c 1M /dev/zero; head -c $(((8 << 20) - 512)) /dev/zero | tr '\0' x; head -c 1M /dev/zero; } |
	cmp - "$work/behind" || fail "something else is behind the drive's end"
root=$(value root_hash)

printf y | dd of="$work/disk" bs=1 seek=7000000 conv=notrunc status=none
printf z | dd of="$work/disk" bs=1 seek=$(((30 << 20) + 100)) conv=notrunc status=none
blockdev --flushbufs "$loop"
good --delta --verify=full "$uri" "$loop"
cmp -n $(((30 << 20) + 512)) "$work/src" "$loop"
[ "$(value root_hash)" = "$root" ] || fail "another root hash"
[ "$(value bytes_written)" -le $((2 << 20)) ] || fail "$(value bytes_written) bytes written"

# The device has exactly the odd size of the drive.
head -c $(((30 << 20) + 512)) /dev/urandom >"$work/exact"
attach "$work/exact"
good --verify=full "$uri" "$loop"
cmp "$work/src" "$work/exact"

truncate -s 30M "$work/smaller"
attach "$work/smaller"
bad DISK_SMALL "$uri" "$loop"
cp "$work/exact" "$work/ro"
attach "$work/ro" -r
bad DISK_RO "$uri" "$loop"
cmp "$work/exact" "$work/ro"

truncate -s 40M "$work/fs"
mke2fs -q -F -t ext4 "$work/fs"
cp "$work/fs" "$work/fs.before"
attach "$work/fs"
mkdir "$work/mnt"
if mount -o ro,noload "$loop" "$work/mnt" 2>"$work/mount.log"; then
	cleanup_fn "umount $work/mnt"
	bad DISK_BUSY "$uri" "$loop"
	bad DISK_BUSY "$uri" "$work/fs" # the file below it
	cmp "$work/fs" "$work/fs.before" || fail "a mounted device was written to"
else
	echo "mount is not possible here: $(cat "$work/mount.log")"
fi

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Drives whose size is no multiple of 512, 4096, the leaf, the request or the unit, from a file
# and over NBD, into files and a longer file, whose end is cleared.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"

for size in 0 1 511 512 4097 65537 1048575 1048576 1048577 3000001 67108863 67108865; do
	head -c $size /dev/urandom >"$work/src"
	rm -f "$work/dst" "$work/dst2"
	good --verify=full "file:$work/src" "$work/dst"
	cmp "$work/src" "$work/dst" || fail "file of $size bytes"
	nbd -r file "$work/src"
	head -c $((size + 5000)) /dev/zero | tr '\0' x >"$work/dst2"
	good --verify=full "$uri" "$work/dst2"
	stop nbdkit
	cmp -n $size "$work/src" "$work/dst2" || fail "NBD export of $size bytes"
	[ "$(tail -c 5000 "$work/dst2" | tr -d '\0' | wc -c)" = 0 ] ||
		fail "$size: bytes behind the drive's end were kept"
	[ "$(stat -c %s "$work/dst2")" = $((size + 5000)) ] || fail "$size: length changed"
done

head -c 100000 /dev/urandom >"$work/src"
nbd -r file "$work/src"
if [ "$(id -u)" = 0 ] && losetup -f >"$work/losetup.log" 2>&1; then
	truncate -s 65536 "$work/small"
	loop=$(losetup -f --show "$work/small")
	cleanup_fn "losetup -d $loop"
	bad DISK_SMALL "$uri" "$loop"
	cmp -n 65536 "$work/small" /dev/zero || fail "a target that is too small was written to"
fi

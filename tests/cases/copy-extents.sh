#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Only ZERO is zeroes: a hole without it is read. Zero extents are not read at all, old content of
# the target does not shine through, and a TiB of emptiness is not read, either.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
# Data under "hole" (2-3 MiB) must arrive; data under "zero" (5-6 MiB) was declared zero.
printf '0 2M\n2M 1M hole\n3M 2M\n5M 1M hole,zero\n6M 1M zero\n7M 1M\n' >"$work/extents"
head -c 8M /dev/urandom >"$work/src"
nbd -r --filter=log --filter=extentlist file "$work/src" extentlist="$work/extents" \
	logfile="$work/nbd.requests"
head -c 8M /dev/urandom >"$work/dst"
good "$uri" "$work/dst"
stop nbdkit
cp "$work/src" "$work/expected"
dd if=/dev/zero of="$work/expected" bs=1M seek=5 count=2 conv=notrunc status=none
cmp "$work/expected" "$work/dst"
python3 - "$work/nbd.requests" <<'END'
import re, sys
for line in open(sys.argv[1]):
	m = re.search(r' Read .*offset=(0x[0-9a-f]+) count=(0x[0-9a-f]+)', line)
	if not m:
		continue
	off, count = (int(x, 16) for x in m.groups())
	if off < 7 << 20 and off + count > 5 << 20:
		sys.exit(f"a zero extent was read: {line}")
	if off % 512 or count > 1 << 20:
		sys.exit(f"misaligned or too large: {line}")
END

nbd -r sparse-random size=2M percent=50
rm "$work/dst"
good "$uri" "$work/dst"
stop nbdkit

nbd -r sparse-random size=1T percent=0
copy_limit=250 good "$uri" null:
[ "$(value bytes_zero)" = $(((1 << 40) - (1 << 20))) ] || fail "$(value bytes_zero) zeroes"
# Were it read, it would take days.
echo "1 TiB of emptiness: $(value seconds) s"
stop nbdkit

# Sizes around 2^32.
for size in 4294967295 4294967296 4294967297 4294967808; do
	rm -f "$work/dst" "$work/big"
	truncate -s $size "$work/big"
	printf 'around the edge' | dd of="$work/big" bs=1 seek=4294967280 conv=notrunc status=none
	nbd -r file "$work/big"
	good "$uri" "$work/dst"
	stop nbdkit
	cmp "$work/big" "$work/dst" || fail "size $size"
done

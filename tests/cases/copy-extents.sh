#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Only ZERO is zeroes: a hole without it is read. Zero extents are not read at all, old content of
# the target does not shine through; a TiB of emptiness is not read, either, and all connections ask
# about it at once.
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

nbd -r --filter=log sparse-random size=1T percent=0 logfile="$work/nbd.status"
copy_limit=250 good "$uri" null:
[ "$(value bytes_zero)" = $(((1 << 40) - (1 << 20))) ] || fail "$(value bytes_zero) zeroes"
# Were it read, it would take days.
echo "1 TiB of emptiness: $(value seconds) s"
stop nbdkit
awk '/ Extents /{ if (++n > most) most = n } /\.\.\.Extents /{ n-- } END { exit most < 2 }' \
	"$work/nbd.status" || fail "block status was asked one at a time"

# More extents than one answer is taken of, over several questions; each a leaf of data.
truncate -s 1280M "$work/many"
python3 - "$work/many" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
	for off in range(3 << 19, 1280 << 20, 1 << 19):
		f.seek(off)
		f.write(off.to_bytes(8, "big") * 512)
END
nbd -r file "$work/many"
rm -f "$work/dst"
good "$uri" "$work/dst"
stop nbdkit
cmp "$work/many" "$work/dst"
[ "$(value bytes_data)" = $(((2557 << 16) + (1 << 20))) ] || fail "$(value bytes_data) bytes of data"
rm "$work/many"

# same_data A B: equal, of which only what is not a hole is read.
same_data() {
	python3 - "$1" "$2" <<'END'
import os, sys
fds = [os.open(p, os.O_RDONLY) for p in sys.argv[1:]]
if os.fstat(fds[0]).st_size != os.fstat(fds[1]).st_size:
	sys.exit("the sizes differ")
for fd in fds:
	at = 0
	while True:
		try:
			at = os.lseek(fd, at, os.SEEK_DATA)
		except OSError:  # a hole up to the end
			break
		end = os.lseek(fd, at, os.SEEK_HOLE)
		while at < end:
			n = min(1 << 20, end - at)
			if os.pread(fds[0], n, at) != os.pread(fds[1], n, at):
				sys.exit(f"they differ within {n} bytes at {at}")
			at += n
END
}

# Sizes around 2^32.
for size in 4294967295 4294967296 4294967297 4294967808; do
	rm -f "$work/dst" "$work/big"
	truncate -s $size "$work/big"
	printf 'around the edge' | dd of="$work/big" bs=1 seek=4294967280 conv=notrunc status=none
	nbd -r file "$work/big"
	good "$uri" "$work/dst"
	stop nbdkit
	same_data "$work/big" "$work/dst" || fail "size $size"
done

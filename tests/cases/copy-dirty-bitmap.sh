#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A delta by qemu's dirty bitmap reads what is dirty, and little else; when the bitmap is wrong,
# samples tell and everything is compared. A delta without changes is not an error.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires qemu-io
make_source "$work/src" 128
qemu-img convert -q -f raw -O qcow2 "$work/src" "$work/disk.qcow2"
qemu-img bitmap --add --enable "$work/disk.qcow2" b0
qemu-img convert -q -O raw "$work/disk.qcow2" "$work/dst"
qemu-io -c 'write -q -P 5 5M 128k' -c 'write -q -P 6 70M 64k' -c 'write -q -z 33M 1M' \
	"$work/disk.qcow2" >"$work/qemu-io.log"

serve_qcow2() {
	start qemu-nbd qemu-nbd -r -t -e 8 -f qcow2 -B b0 -k "$work/q.sock" "$work/disk.qcow2"
	wait_for 10 test -S "$work/q.sock"
}
serve_qcow2
good --delta --bitmap b0 "nbd+unix:///?socket=$work/q.sock" "$work/dst"
wire=$(value bytes_wire)
# 192 KiB are dirty; samples of 1 % and the first MiB come with it.
[ "$wire" -le $((8 << 20)) ] || fail "$wire bytes came over the wire"
stop qemu-nbd
qemu-img convert -q -O raw "$work/disk.qcow2" "$work/now"
cmp "$work/now" "$work/dst"

# A target that the tracker knows nothing of: it is different where the bitmap says "clean".
head -c 128M /dev/zero | tr '\0' x >"$work/dst"
serve_qcow2
good --delta --bitmap b0 "nbd+unix:///?socket=$work/q.sock" "$work/dst"
grep -q 'missed a change' "$work/copy.log" || fail "the bitmap was believed"
cmp "$work/now" "$work/dst"

good --delta "nbd+unix:///?socket=$work/q.sock" "$work/dst"
[ "$(value bytes_written)" -le $((2 << 20)) ] || fail "equal data was written again"
cmp "$work/now" "$work/dst"

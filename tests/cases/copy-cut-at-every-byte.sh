#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 1200
# The line is cut after each byte of a short session. In the first connection, which only asks for
# the size, that is a named failure; in the one that copies it is mended without a word.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
head -c $(((1 << 20) + 3000)) /dev/urandom >"$work/src"
nbd -r file "$work/src"
echo "0 0 0" >"$work/orders"
start proxy python3 tests/cases/copy-cut-proxy.py "$work/cut.sock" "$sock" "$work/orders"
wait_for 10 test -S "$work/cut.sock"
uri="nbd+unix:///?socket=$work/cut.sock"

# How long both sessions are is found out: until the cut is beyond the end, or in mere data.
cut() { # K N
	echo "$((++runs)) $1 $2" >"$work/orders.new"
	mv "$work/orders.new" "$work/orders"
	rm -f "$work/dst"
	copy --connections 1 "$uri" "$work/dst"
}
runs=0
refused=0
for ((n = 0; n < 1000; n++)); do
	cut 1 $n
	[ $status != 0 ] || break
	[ "$(value 'errors[0].code')" = SRC_EOF ] || fail "cut at $n: $(value 'errors[0].code')"
	[ ! -e "$work/dst" ] || fail "cut at $n: a target was made"
	refused=$((refused + 1))
done
[ $refused -gt 60 ] && [ $refused -lt 1000 ] || fail "$refused cuts in the handshake"

mended=0
for ((n = 0; n < refused + 120; n++)); do
	cut 2 $n
	[ $status = 0 ] || fail "cut at $n: $(value 'errors[0].text')"
	cmp "$work/src" "$work/dst" || fail "cut at $n"
	[ "$(value retries)" -gt 0 ] && mended=$((mended + 1))
done
[ $mended -ge $((refused + 100)) ] || fail "only $mended cuts were noticed"

# Behind the 3000 bytes comes the first MiB.
for n in 6000 20000 262144 262400 1048000; do
	cut 2 "$n"
	[ $status = 0 ] || fail "cut of the first MiB at $n: $(value 'errors[0].text')"
	cmp "$work/src" "$work/dst" || fail "cut of the first MiB at $n"
	grep -q 'again in 1 s' "$work/copy.log" || fail "the cut of the first MiB at $n was not noticed"
done

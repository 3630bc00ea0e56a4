#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every NBD server and every way it can answer gives the same bytes: nbdkit with structured and
# simple replies and without extents, qemu-nbd, nbd-server; over TCP and a Unix socket.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires nbd-server
make_source "$work/src" 24 0

same() { # NAME URI
	rm -f "$work/dst"
	good --verify=full "$2" "$work/dst"
	cmp "$work/src" "$work/dst" || fail "$1: not the same bytes"
	[ "$(value bytes_total)" = "$((24 << 20))" ] || fail "$1: bytes_total"
	[ "$(value retries)" = 0 ] || fail "$1: retries"
	roots+=" $(value root_hash)"
}

roots=
for options in "" "--no-sr" "--filter=noextents" "--filter=noparallel" \
	"--filter=multi-conn --filter=fua" "-e x"; do
	export=
	[ "$options" != "-e x" ] || export=x
	# shellcheck disable=SC2086 # several words
	nbd -r $options file "$work/src"
	same "nbdkit $options" "nbd+unix:///$export?socket=$sock"
	stop nbdkit
done

start qemu-nbd qemu-nbd -r -t -e 8 -f raw -k "$work/q.sock" "$work/src"
wait_for 10 test -S "$work/q.sock"
same qemu-nbd "nbd+unix:///?socket=$work/q.sock"
stop qemu-nbd

port=$(free_port)
nbd-server -C /dev/null -r -p "$work/nbd-server.pid" "127.0.0.1@$port" "$work/src"
cleanup_fn 'kill "$(cat "$work/nbd-server.pid")"'
wait_for 10 listens "$port"
same nbd-server "nbd://127.0.0.1:$port/"

[ "$(tr ' ' '\n' <<<"$roots" | sort -u | grep -c .)" = 1 ] || fail "root hashes differ:$roots"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An NBD server that lies: each lie ends in a code, without a crash, a hang or a released first
# MiB; lies that are only unusual do no harm. tests/COMPLIANCE.md tells which
# known bugs are behind them.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
copy_limit=120

evil() {
	rm -f "$sock" "$work/dst"
	start evil python3 tests/cases/copy-evil-server.py "$sock" "$1"
	wait_for 10 test -S "$sock"
}
check_head() {
	[ ! -e "$work/dst" ] || head_held "$work/dst" || fail "$1: first MiB released"
}

for lie in long-option-reply wrong-option endless-meta bad-block-size zero-extent outside wrap twice \
	overlap missing nothing too-long huge-chunk big-hole empty-hole short-hole wrong-cookie \
	wrong-magic unknown-chunk long-error simple-reply; do
	evil $lie
	copy "$uri" "$work/dst"
	[ "$(value 'errors[0].code')" = SRC_PROTO ] || fail "$lie: $(value 'errors[0].code') $(value 'errors[0].text')"
	check_head $lie
	stop evil
done
for lie in negative-size huge-size; do
	evil $lie
	bad SRC_SIZE "$uri" "$work/dst"
	[ ! -e "$work/dst" ] || fail "$lie: a target was made"
	stop evil
done
evil before-tls
printf 'u:%064d\n' 7 >"$work/psk"
bad SRC_TLS "nbds+unix:///?socket=$sock&tls-psk-file=$work/psk" "$work/dst"
stop evil

head -c 4M /dev/zero | tr '\0' '\253' >"$work/expected"
for lie in none long-extent no-status empty-status status-without-chunk; do
	evil $lie
	if [ $lie = empty-status ]; then
		bad SRC_PROTO "$uri" "$work/dst"
	else
		good "$uri" "$work/dst"
		cmp "$work/expected" "$work/dst" || fail "$lie"
	fi
	stop evil
done
evil odd-extents
good "$uri" "$work/dst"
stop evil

# An error of an unknown kind is an error: refused, and never zeroes in its place.
evil unknown-error-chunk
bad SRC_READ "$uri" "$work/dst"

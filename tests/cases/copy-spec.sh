#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the NBD specification tells clients to do and to bear, by a server that checks each message and
# answers out of order, in parts, with flags and informations of the future, with less than it was asked
# for. Whoever is refused leaves with a word. COMPLIANCE.md lists the sentences.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 5
cp "$work/src" "$work/odd"
printf 'a tail of 20 bytes..' >>"$work/odd"

log=$work/spec.log
printf structured >"$work/mode"
: >"$log"
start spec python3 tests/cases/copy-spec-server.py "$sock" "$log" "$work/mode" "$work/odd"
wait_for 20 test -S "$sock"

spec() { printf %s "$1" >"$work/mode"; rm -f "$work/dst"; : >"$log"; } # MODE
# ended MODE WORD: every connection with that word.
all_over() { [ "$(grep -c ^begin "$log")" = "$(grep -c ^end "$log")" ]; }
ended() {
	wait_for 20 all_over
	! grep BAD "$log" || fail "$1: a rule was broken"
	! grep ^end "$log" | grep -v "^end $2\$" || fail "$1: a connection did not end with $2"
}

for mode in structured no-sizes unknown-flags extended no-meta meta-error status-error simple no-go \
	no-go-zeroes blocks; do
	image=$work/odd
	[ $mode != blocks ] || image=$work/src
	spec $mode
	good --verify=full "nbd+unix:///a%20name?socket=$sock" "$work/dst"
	cmp "$image" "$work/dst" || fail "$mode"
	[ "$(value retries)" = 0 ] || fail "$mode: $(value retries) retries"
	ended $mode disc
done

# An error is that request's alone: the connection goes on, and what came with it is not used.
for mode in error-then-data error-offset error-unknown-value error-unknown-kind extended-error; do
	spec $mode
	good "$uri" "$work/dst"
	cmp "$work/odd" "$work/dst" || fail "$mode"
	[ "$(value retries)" -ge 1 ] || fail "$mode: no retry"
	ended $mode disc
done
# One that shuts down is left, and come back to.
spec shutdown
good "$uri" "$work/dst"
cmp "$work/odd" "$work/dst" || fail "after a shutdown"
ended shutdown disc

while read -r mode code; do
	spec "$mode"
	bad "$code" "$uri" "$work/dst"
	ended "$mode" abort
	[ ! -e "$work/dst" ] || fail "$mode: a target was made"
done <<-END
	go-unknown SRC_NO_DRIVE
	go-policy SRC_AUTH
	go-invalid SRC_NO_DRIVE
	go-odd-error SRC_NO_DRIVE
	go-block-size SRC_NO_DRIVE
	go-tls SRC_TLS
	go-shutdown SRC_EOF
	structured-shutdown SRC_EOF
END
# The drive is there, what was wanted of it is not; TLS is wanted and not to be had.
spec structured
bad SRC_NO_DRIVE --delta --bitmap b0 "$uri" "$work/dst"
ended bitmap disc
printf 'u:%064d\n' 7 >"$work/psk"
spec structured
bad SRC_TLS "nbds+unix:///?socket=$sock&tls-psk-file=$work/psk" "$work/dst"
ended tls abort

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Block size limits of a server are kept: a policy that refuses what does not fit is never met.
# A server that takes one connection only is used with one.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 20

for limits in "4096 65536 65536" "512 4096 32768" "65536 65536 262144" "4096 131072 4294967295"; do
	read -r min preferred max <<<"$limits"
	nbd -r --filter=blocksize-policy file "$work/src" blocksize-minimum="$min" \
		blocksize-preferred="$preferred" blocksize-maximum="$max" blocksize-error-policy=error
	rm -f "$work/dst"
	good --verify=full "$uri" "$work/dst"
	cmp "$work/src" "$work/dst" || fail "$limits"
	[ "$(value retries)" = 0 ] || fail "$limits: a request was refused"
	stop nbdkit
done

nbd -r --filter=limit file "$work/src" limit=1
rm -f "$work/dst"
good "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
stop nbdkit

# Without the multi-conn flag there is one connection at a time.
nbd -r --filter=log --filter=multi-conn file "$work/src" multi-conn-mode=disable \
	logfile="$work/nbd.requests"
rm -f "$work/dst"
good "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
# One for the copy, and after it one for the first MiB.
n=$(grep -o 'connection=[0-9]* Read' "$work/nbd.requests" | sort -u | wc -l)
[ "$n" = 2 ] || fail "$n connections read"

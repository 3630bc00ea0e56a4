#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where nbdcopy stops at the first error this engine asks again: random EIO, EINVAL, ENOMEM and
# ESHUTDOWN, an outage of two seconds, block status that fails. The bytes are right in the end.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 48

same() {
	cmp "$work/src" "$work/dst" || fail "$1: not the same bytes"
	rm -f "$work/dst"
}

# Errors come by chance: runs are made until one was hit by some, which ten without any would
# miss once in ten thousand times.
for e in EIO ENOMEM EINVAL; do
	nbd -r --filter=error file "$work/src" error=$e error-pread-rate=5%
	for try in 1 2 3 4 5 6 7 8 9 10; do
		good "$uri" "$work/dst"
		same "$e"
		[ "$(value retries)" = 0 ] || break
	done
	[ "$(value retries)" -gt 0 ] || fail "$e: nothing was retried in $try runs"
	stop nbdkit
done

# A server that says it shuts down, and does (nbdkit 1.32 dies of it), comes back each time.
nbd -r --filter=error file "$work/src" error=ESHUTDOWN error-pread-rate=2%
good "$uri" "$work/dst"
same ESHUTDOWN
stop nbdkit

nbd -r --filter=error file "$work/src" error=EIO error-extents-rate=100%
good "$uri" "$work/dst"
same "block status"
grep -q 'without extents' "$work/copy.log" || fail "no word about the missing extents"
stop nbdkit

nbd -r --filter=error --filter=rate file "$work/src" rate=64M error=EIO error-pread-rate=100% \
	error-file="$work/outage"
(sleep 0.4; touch "$work/outage"; sleep 2; rm "$work/outage") &
good "$uri" "$work/dst"
wait $!
same outage
stop nbdkit

# What cannot be read at all is a named failure, and nothing that boots is left.
nbd -r --filter=error file "$work/src" error=EIO error-pread-rate=100%
bad SRC_READ "$uri" "$work/dst"
head_held "$work/dst" || fail "the first MiB was released"

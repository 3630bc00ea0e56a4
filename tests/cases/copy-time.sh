#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Time: 50 ms of latency are hidden, a bandwidth limit is kept, a source that stalls is SRC_SLOW
# after --stall, progress lines tell durable bytes, and resident memory stays below 48 MB.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires /usr/bin/time

nbd -r --filter=delay pattern size=256M rdelay=50ms
good "$uri" null:
echo "256 MiB at 50 ms: $(value seconds) s"
# One request after the other would take 51 s; a machine with nothing else to do needs 3.
jq -e '.seconds < 30' "$work/copy.json" >"$work/jq.log" || fail "latency: $(value seconds) s"
stop nbdkit

nbd -r pattern size=20M
good --bandwidth 5M "$uri" null:
jq -e '.seconds > 3' "$work/copy.json" >"$work/jq.log" ||
	fail "20 MiB at 5 MiB/s took $(value seconds) s"
stop nbdkit

# Held in the middle: this copy would take ten minutes.
nbd -r --filter=pause --filter=rate pattern size=512M pause-control="$work/pause" rate=8M
wait_for 10 test -S "$work/pause"
(wait_for 60 test -e "$work/dst"; printf p | socat -t 1 - "UNIX-CONNECT:$work/pause" >"$work/socat.log") &
bad SRC_SLOW --stall 4 "$uri" "$work/dst"
wait $!
printf r | socat -t 1 - "UNIX-CONNECT:$work/pause" >"$work/socat.log"
stop nbdkit
rm -f "$work/dst"

nbd -r --filter=rate pattern size=64M rate=160M
good --progress "$uri" "$work/dst"
grep -qE '^progress copy [0-9]+% [0-9]+ of 64 MiB durable, [0-9.]+ MiB/s' "$work/copy.log" ||
	fail "no progress lines"
stop nbdkit

# The fast build: with ASan memory means nothing.
fast=build/fast/worker
[ -x $fast ] || fail "no $fast: make $fast"
nbd -r pattern size=1G
/usr/bin/env time -f %M -o "$work/rss" $fast copy "$uri" "$work/dst"
[ "$(cat "$work/rss")" -le 49152 ] || fail "resident memory: $(cat "$work/rss") KiB"

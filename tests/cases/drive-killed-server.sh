#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 600
# kill -9 of source-server at 50 random points of a copy, counted in bytes on the line (TW_POINTS
# and TW_SEED choose others), and a new one: the copy goes on by itself, or ends with a documented
# code and its next run continues; the target is byte for byte the source. Sanitized and release
# programs in turn.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires python3

seed=${TW_SEED:-$RANDOM}
echo "seed $seed"
# Two units of the journal, data in both, and an odd end.
truncate -s 72M "$work/src"
for at in 0 1 40 63 70; do
	head -c 1M /dev/urandom | dd of="$work/src" bs=1M seek=$at conv=notrunc status=none
done
head -c 777 /dev/urandom >>"$work/src"
python3 tests/cases/drive-kill.py server "$work/src" "$work" "${TW_POINTS:-50}" "$seed" \
	"$programs" "${TW_PROGRAMS:-$top/build/worker}"

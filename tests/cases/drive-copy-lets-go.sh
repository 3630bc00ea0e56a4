#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A copy that ends early lets the source go first: at a cancel in the middle and while the head is
# fetched, and when it fails because the target is full. Nobody waits for the grace time.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"

mounted 48M
head -c 30M /dev/urandom >"$work/mnt/data"
sync
port=$(free_port)
mkdir "$work/state"
start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --grace 2000 \
	--state-dir "$work/state"
wait_for 10 listens "$port"
# Journals are of one state, and that ends with the freeze: whoever gave the folder is told.
grep -q -e '--state-dir: .* compares it all again' "$work/server.log" || fail "not a word about --state-dir"
writes() { touch "$work/mnt/late" & writer=$!; }
blocked() { sleep 0.3; kill -0 $writer 2>"$work/kill.err"; }
copy() { # OPTIONS...
	: >"$work/copy.log"
	start copy "$worker" copy --allow-plain --job-id j "$@" "tw://127.0.0.1:$port/sda" "$work/dst"
}
frozen() { [ "$(grep -c 'file systems frozen' "$work/server.log")" -ge "$1" ]; }

copy --bandwidth 1M
wait_for 20 frozen 1
wait_for 20 test -s "$work/dst"
writes
blocked || fail "not frozen: this test shows nothing"
kill -TERM "${started[copy]}"
wait $writer
status=0
wait "${started[copy]}" || status=$?
unset 'started[copy]'
[ $status = 8 ] || fail "exit status $status: $(cat "$work/copy.log")"

# It fails by itself: the target's file system has no room.
mkdir "$work/small"
mount -t tmpfs -o size=4M tmpfs "$work/small"
cleanup_fn 'umount "$work/small"'
status=0
"$worker" copy --allow-plain "tw://127.0.0.1:$port/sda" "$work/small/dst" >"$work/full.log" 2>&1 || status=$?
[ $status = 5 ] || fail "exit status $status: $(cat "$work/full.log")"
frozen 2 || fail "it failed before it read"
writes
wait $writer

# It is resumed: what the journal of the first copy says is of a time that is gone.
copy --resume --verify=full
status=0
wait "${started[copy]}" || status=$?
unset 'started[copy]'
[ $status = 0 ] || fail "the copy after that: $(tail -n 3 "$work/copy.log")"
wait_for 20 touch "$work/mnt/after"
e2fsck -fn "$work/dst" >"$work/fsck.log" || fail "the copy is not clean: $(tail -n 3 "$work/fsck.log")"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A paused job lets the source's file systems go on at once, and tells since when they stood still.
# When it is resumed all drives are compared again, so that all of them are of one time: one that was
# copied before the pause has what was written in it. A cancelled job lets go, too.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
# shellcheck source=tests/cases/job-lib.bash
. tests/cases/job-lib.bash
requires jq openssl ss debugfs e2fsck

mounted 24M
head -c 12M /dev/urandom >"$work/mnt/data"
sync
make_disk "$work/sdb" 24 1
port=$(free_port)
start server "$server" --drive "sda=$loop" --drive "sdb=$work/sdb" --listen "127.0.0.1:$port" --allow-plain --grace 2000
wait_for 20 listens "$port"
boss
job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta"), $(drive sdb "$work/tb")]"
jq '.source += {allow_plain: true, stall_s: 200} | .bandwidth = "4M" | .verify = "none"' \
	"$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
boss_job .

tell() { # VERB [ARGUMENT]
	id=$("$controller" command --state "$work/boss" m-1 "$@")
	"$controller" wait --state "$work/boss" m-1 --for "command=$id" --timeout 60 >"$work/done" ||
		fail "$*: $("$controller" show --state "$work/boss" m-1 --json | jq -c .commands)"
}
run() {
	: >"$work/run.log"
	"$worker" run --job "$work/job.json" --result "$work/result.json" >"$work/run.log" 2>&1 &
	runner=$!
	cleanup_fn "if kill -0 $runner 2>&-; then kill -9 $runner; fi"
}
writes() { touch "$work/mnt/$1" & writer=$!; }
blocked() { sleep 0.3; kill -0 $writer 2>"$work/kill.err"; }

run
wait_for 60 grep -q 'COPY copy: sdb' "$work/run.log"
wait_for 20 test -s "$work/tb"
grep -q "stand still since 20..-..-..T..:..:..Z" "$work/run.log" || fail "not told: $(grep -i still "$work/run.log")"
writes in-the-pause
blocked || fail "not frozen: this test shows nothing"
tell pause
wait $writer
wait_for 20 grep -q 'still done: the source stood still for' "$work/run.log"
tell resume
tell throttle 500M
status=0
wait $runner || status=$?
[ $status = 0 ] || fail "exit status $status: $(tail -n 3 "$work/run.log")"
touch "$work/mnt/after"
e2fsck -fn "$work/ta" >"$work/fsck.log" || fail "sda is not clean: $(tail -n 3 "$work/fsck.log")"
debugfs -R 'stat /in-the-pause' "$work/ta" 2>&1 | has Inode: || fail "sda is of before the pause, sdb of after it"
cmp "$work/sdb" "$work/tb"
jq -e '.source_still_seconds > 0' "$work/result.json" >"$work/jq.log" || fail "the result does not tell how long"
[ "$(grep -c 'still: the source' "$work/run.log")" = 2 ] || fail "told $(grep -c 'still: the source' "$work/run.log") times"
"$controller" show --state "$work/boss" m-1 --json >"$work/show.json"

jq 'del(.controller) | .migration = "m-2" | .bandwidth = "1M"' "$work/job.json" >"$work/alone.json"
mv "$work/alone.json" "$work/job.json"
rm -f "$work/ta" "$work/tb" "$work/result.json"
run
wait_for 60 grep -q 'stand still since' "$work/run.log"
writes at-the-end
blocked || fail "not frozen"
kill -TERM $runner
wait $writer
status=0
wait $runner || status=$?
[ $status = 8 ] || fail "exit status $status: $(tail -n 3 "$work/run.log")"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

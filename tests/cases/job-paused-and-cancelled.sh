#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an operator does in the middle of a job, by the controller and by a signal: a pause stops the
# bytes and a resume lets them go on; a cancel and a SIGTERM end the job in order, with a target that
# cannot start. The job that is started again then continues and ends with the same bytes.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires jq openssl ss

make_disk "$work/sda" 96 1
port=$(free_port)
start server "$server" --drive "sda=$work/sda" --listen "127.0.0.1:$port" --allow-plain
wait_for 20 listens "$port"
boss
job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta")]"
jq '.source += {allow_plain: true, stall_s: 200} | .bandwidth = "1M" | .verify = "none"' \
	"$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
boss_job

tell() { # VERB [ARGUMENT]
	id=$("$controller" command --state "$work/boss" m-1 "$@")
	"$controller" wait --state "$work/boss" m-1 --for "command=$id" --timeout 60 >"$work/done" ||
		fail "$*: $("$controller" show --state "$work/boss" m-1 --json | jq -c .commands)"
}
arrived() { stat -c %b "$work/ta"; }
moves() { [ "$(arrived)" -gt "$1" ]; }
start_job() { # In the background; 96 s at its own rate.
	: >"$work/run.log"
	"$worker" run --job "$work/job.json" --result "$work/result.json" >"$work/run.log" 2>&1 &
	runner=$!
	cleanup_fn "if kill -0 $runner 2>&-; then kill -9 $runner; fi"
}
ended() { # how the job ended: cancelled, the target not able to start
	status=0
	wait $runner || status=$?
	[ $status = 8 ] || fail "exit status $status: $(tail -n 2 "$work/run.log")"
	jq -e '.verdict == "cancelled" and .code == "CANCELLED" and .touched and
		(.drives[0] | .committed | not)' "$work/result.json" >"$work/jq.log" ||
		fail "result: $(jq -c '{verdict, code, touched, drives}' "$work/result.json")"
	head_held "$work/ta" || fail "the first MiB was released"
}
copying() { grep -q 'COPY.*copy' "$work/run.log" && [ -s "$work/ta" ]; }

start_job
wait_for 20 copying
wait_for 20 moves 8192
tell pause
grep -q ' PAUSED' "$work/run.log" || fail "no line about the pause: $(tail -n 2 "$work/run.log")"
# What was asked for before comes; then nothing does.
before=-1
quiet() {
	local now
	now=$(arrived)
	sleep 3
	before=$(arrived)
	[ "$now" = "$before" ]
}
wait_for 10 quiet
tell resume
wait_for 20 moves "$before"
tell cancel
ended

jq 'del(.controller)' "$work/job.json" >"$work/alone.json"
mv "$work/alone.json" "$work/job.json"
had=$(arrived)
start_job
wait_for 20 grep -q 'COPY.*copy' "$work/run.log"
wait_for 20 moves "$had"
kill -TERM $runner
ended

jq 'del(.bandwidth)' "$work/job.json" >"$work/fast.json"
mv "$work/fast.json" "$work/job.json"
run_job
expect success NONE 0
cmp "$work/sda" "$work/ta"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

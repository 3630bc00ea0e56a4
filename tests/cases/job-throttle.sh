#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller's throttle reaches the source in the middle of a copy: the server keeps the limit, for
# all connections of the worker, and forgets it when told so. At the job's own rate the copy would
# not end before this test's deadline.
# limit: 400
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires jq openssl ss

make_disk "$work/sda" 8 1
port=$(free_port)
start server "$server" --drive "sda=$work/sda" --listen "127.0.0.1:$port" --allow-plain
wait_for 20 listens "$port"
boss
job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta")]"
jq '.source += {allow_plain: true, connections: 3, stall_s: 120} | .bandwidth = "16K" | .verify = "none"' \
	"$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
boss_job
run_job &
runner=$!

limited() { grep -q "limit of $1 bytes/s" "$work/server.log"; }
throttle() { # RATE BYTES
	id=$("$controller" command --state "$work/boss" m-1 throttle "$1")
	"$controller" wait --state "$work/boss" m-1 --for "command=$id" --timeout 30 >"$work/done" ||
		fail "throttle $1: $("$controller" show --state "$work/boss" m-1 --json | jq -c .commands)"
	wait_for 30 limited "$2"
}
wait_for 30 limited 16384
throttle 32K 32768
[ "$(stat -c %s "$work/ta")" -gt 0 ] || fail "no target"
! cmp -s "$work/sda" "$work/ta" || fail "all is copied at 32 KiB/s: no limit was kept"
throttle 0 0
wait $runner
status=0 # of the subshell; the result tells
expect success NONE 0
cmp "$work/sda" "$work/ta"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

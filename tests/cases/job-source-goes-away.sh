#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The source goes away in the middle: when it comes back soon the job goes on and succeeds; when
# it does not, the job fails with a code, the target does not look finished, and the same job
# started again completes it.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 24 1
port=$(free_port)
start_source() { # RATE, in bits a second
	start nbd nbdkit -f -p "$port" -i 127.0.0.1 --filter=rate file "$work/sda" rate="$1"
	wait_for 10 listens "$port"
}
stop_source() { stop nbd -KILL; }
copying() { grep -q 'COPY.*copy' "$work/run.log" && [ -s "$work/target" ]; }

start_source 8M
job "nbd://127.0.0.1:$port" "[$(drive sda "$work/target")]"
cp "$work/job.json" "$work/soon.json"
jq '.source.stall_s = 100' "$work/soon.json" >"$work/job.json"
run_job &
runner=$!
wait_for 20 copying
stop_source
wait_for 20 grep -q ': connection [0-9]*: ' "$work/run.log"
start_source 1G
wait "$runner"
status=0
expect success NONE 0
cmp "$work/sda" "$work/target"

stop_source
start_source 8M
rm "$work/target" "$work/result.json"
cp "$work/soon.json" "$work/job.json"
: >"$work/run.log"
run_job &
runner=$!
wait_for 20 copying
stop_source
wait "$runner"
code=$(jq -r .code "$work/result.json")
case $code in
SRC_EOF | SRC_SLOW | SRC_CONNECT) ;;
*) fail "code $code" ;;
esac
jq -e '.verdict == "failed" and .touched and .err.retryable' "$work/result.json" >"$work/jq.log" ||
	fail "not retryable"
cmp -n 4096 "$work/target" /dev/zero || fail "the target looks bootable"

start_source 1G
run_job
expect success NONE 0
cmp "$work/sda" "$work/target"

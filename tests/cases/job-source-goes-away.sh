#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The source goes away in the middle: when it comes back soon the job goes on and succeeds; when
# it does not, the job fails with a code, the target does not look finished, and the same job
# started again completes it.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 24 1
port=$(free_port)
start_source() {
	start nbd nbdkit -f -p "$port" -i 127.0.0.1 --filter=rate file "$work/sda" rate=40M
	wait_for 10 listens "$port"
}
stop_source() { stop nbd -KILL; }
copying() { grep -q 'COPY.*copy' "$work/run.log" && [ -s "$work/target" ]; }

start_source
job "nbd://127.0.0.1:$port" "[$(drive sda "$work/target")]"
run_job &
runner=$!
wait_for 20 copying
sleep 1
stop_source
sleep 2
start_source
wait "$runner"
status=0
expect success NONE 0
cmp "$work/sda" "$work/target"

rm "$work/target" "$work/result.json"
: >"$work/run.log"
run_job &
runner=$!
wait_for 20 copying
sleep 1
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

start_source
run_job
expect success NONE 0
cmp "$work/sda" "$work/target"

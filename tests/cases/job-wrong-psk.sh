#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The source's key differs: SRC_AUTH, no second try, the target as it was.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 2 1
new_target "$work/target" 2
echo "m-1:ffffffffffffffffffffffffffffffff" >"$work/psk"
port=$(free_port)
start server "$server" --drive "sda=$work/sda,format=raw" --listen "127.0.0.1:$port" \
	--psk-file "$work/psk"
wait_for 10 listens "$port"
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
run_job
expect failed SRC_AUTH 4
untouched "$work/target"
jq -e '.err.retryable | not' "$work/result.json" >"$work/jq.log"

# With the right key the same target is copied; a drive that is not served is named.
echo "$psk" >"$work/psk"
stop server
start server "$server" --drive "sda=$work/sda,format=raw" --listen "127.0.0.1:$port" \
	--psk-file "$work/psk"
wait_for 10 listens "$port"
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target"), $(drive sdb "$work/second")]"
run_job
expect failed SRC_NO_DRIVE 4
untouched "$work/target"
[ ! -e "$work/second" ]
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
run_job
expect success NONE 0
cmp "$work/sda" "$work/target"

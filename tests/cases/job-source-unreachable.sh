#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nobody listens at the source's port: SRC_CONNECT, the target as it was.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

new_target "$work/target" 2
port=$(free_port)
for url in "tws://127.0.0.1:$port" "nbd://127.0.0.1:$port"; do
	job "$url" "[$(drive sda "$work/target")]"
	run_job
	expect failed SRC_CONNECT 4
	untouched "$work/target"
done
jq -e '.err.retryable and (.touched | not) and .failed_in == "READY"' "$work/result.json" \
	>"$work/jq.log" || fail "the result does not say that a retry makes sense"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller dies in the middle of a copy: the bytes go on, and when it does not come back
# the result stays beside the job, not acknowledged, with the copy complete.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq openssl sfdisk ss

controller=$top/build/controller/controller
make_disk "$work/source.raw" 64
serve "$work/source.raw"
make_target 64
boss_port=$(free_port)
start controller "$controller" serve --state "$work/state" --listen "127.0.0.1:$boss_port"
wait_for 20 grep -q '^pin ' "$work/controller.log"
job '.bandwidth = "2M" | .report_deadline_s = 5'
"$controller" job new --state "$work/state" --template "$work/job.json" --migration m-1 \
	--url "https://127.0.0.1:$boss_port/v1" >"$work/new.json"
mv "$work/new.json" "$work/job.json"

# Gone as soon as the copy has begun; it takes eight seconds more at least.
(
	until grep -q 'COPY drives' "$work/run.log"; do sleep 0.1; done
	kill -9 "${started[controller]}"
) &
run_job 200
[ "$status" -eq 0 ] || fail "the job failed: $(jq -c .err "$work/result.json")"
kill -0 "${started[controller]}" 2>&- && fail "the controller was not killed"
[ "$(jq -r '"\(.verdict) \(.acknowledged)"' "$work/result.json")" = "success false" ] ||
	fail "result.json: $(jq -c '{verdict, acknowledged}' "$work/result.json")"
cmp "$work/source.raw" "$work/target.raw" || fail "the copy differs"

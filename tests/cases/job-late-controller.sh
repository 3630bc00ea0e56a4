#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nobody answers while the worker registers: the job fails untouched, and its result is offered until
# the deadline. A controller that comes back within it gets the result and all that happened before
# the registration, in order and with the time at which it happened.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq openssl sfdisk ss

controller=$top/build/controller/controller
make_disk "$work/source.raw" 16
serve "$work/source.raw"
make_target 16
boss_port=$(free_port)
boss() { : >"$work/controller$1.log"; start "controller$1" "$controller" serve --state "$work/state" --listen "127.0.0.1:$boss_port"; }
boss 1
wait_for 20 grep -q '^pin ' "$work/controller1.log"
job '.report_deadline_s = 120'
"$controller" job new --state "$work/state" --template "$work/job.json" --migration m-1 \
	--url "https://127.0.0.1:$boss_port/v1" >"$work/new.json"
stop controller1
jq '.controller.register_window_s = 2' "$work/new.json" >"$work/job.json"

# It comes back when the worker has given its registration up, not before.
(
	until grep -q 'CTL_UNREACHABLE: ' "$work/run.log" && [ -s "$work/result.json" ]; do sleep 0.1; done
	cp "$work/result.json" "$work/before.json"
	touch "$work/gave-up"
) &
: >"$work/run.log"
run_job 250 &
runner=$!
wait_for 120 test -e "$work/gave-up"
jq -e '.verdict == "failed" and .code == "CTL_UNREACHABLE" and .failed_in == "REGISTER" and
	(has("acknowledged") | not)' "$work/before.json" >"$work/jq.log" ||
	fail "the first result: $(cat "$work/before.json")"
boss 2
wait $runner
status=3
expect_code CTL_UNREACHABLE
expect_untouched
[ "$(jq .acknowledged "$work/result.json")" = true ] || fail "the result was not acknowledged"
"$controller" wait --state "$work/state" m-1 --for result --timeout 20 >"$work/stored.json"
[ "$(jq -r .code "$work/stored.json")" = CTL_UNREACHABLE ] || fail "the controller has another result"
"$controller" events --state "$work/state" m-1 >"$work/events"
jq -es '[.[].event | select(.type == "tw.state.v1").data.state] - ["OFF"] ==
	["BOOT", "CONFIG", "REGISTER", "FAILED", "REPORT"]' "$work/events" >"$work/jq.log" ||
	fail "states: $(jq -c .event.data.state "$work/events" | tr '\n' ' ')"
jq -es '[.[].event | select(.source | startswith("/workers/")).data.monotonic_ms] | . == sort' \
	"$work/events" >"$work/jq.log" || fail "the events are not in the order of their times"
jq -es '[.[].event | select(.type == "tw.error.v1").data.err] | length == 1 and
	.[0].code == "CTL_UNREACHABLE" and (.[0].hint | length > 0)' "$work/events" >"$work/jq.log" ||
	fail "the failure itself was not told"

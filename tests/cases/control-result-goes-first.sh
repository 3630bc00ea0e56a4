#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A controller that cannot take what is in front of the result, a log or journals or events, and asks
# to come back in five minutes, has the result all the same, after two failures; one that cannot take
# the result either for a while still hears heartbeats.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

start_controller
start_proxy

# told NAME COMMAND...: with this in front, the failure's result arrives within its deadline.
told() {
	new_migration "m-$1"
	start_driver --timeout 5
	expect ok announce
	expect ok state COPY
	expect ok "${@:2}"
	expect "ok then *" report 60 '{"verdict":"failed"}'
	end_driver
	ctl wait "$migration" --for result --timeout 20 >"$work/told.json"
	[ "$(jq -r .verdict "$work/told.json")" = failed ] || fail "$1: $(cat "$work/told.json")"
}

echo "999 PUT /logs/ status 503/300" >"$work/faults"
told logs sleep 1
[ "$(grep -c 'the result goes first' "$work/driver.log")" = 1 ] || fail "no word about the log"
! ctl log "$migration" | has /worker- || fail "the log arrived: nothing was spoiled"

echo "999 PUT /journals/ status 500/300" >"$work/faults"
told journals journal 0 first

# Whatever fails in front: events too, from the moment on when the job ends.
new_migration m-events
: >"$work/faults"
start_driver --timeout 5
expect ok announce
expect ok state COPY
wait_for 20 eval 'ctl events "$migration" | has COPY'
echo "999 POST /events status 502/300" >"$work/faults"
expect "ok then *" report 60 '{"verdict":"failed"}'
end_driver

# The result fails for a while, too: the session stays alive, and it comes in the end.
new_migration m-all
cat >"$work/faults" <<-X
	999 PUT /logs/ status 503/300
	4 PUT /result status 503/0
X
start_driver --timeout 5
expect ok announce
expect ok state REPORT
expect "ok then *" report 60 '{"verdict":"failed"}'
end_driver

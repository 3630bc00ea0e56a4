#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lost requests, lost and cut answers, 503 with Retry-After, slow, huge and senseless answers: the
# worker tries again, and everything arrives exactly once.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

start_controller
new_migration m-faults
start_proxy
cat >"$work/faults" <<-X
	1 POST /register drop-request
	1 POST /register drop-reply
	1 POST /register status 503
	1 POST /events drop-reply
	1 POST /events huge
	1 POST /events status 503
	1 POST /events cut
	1 POST /events garbage
	1 POST /events delay 1.5
	1 POST /heartbeat garbage
	2 GET /commands garbage
	1 GET /commands drop-reply
	1 PUT /logs/ drop-reply
	1 PUT /logs/ garbage
	1 PUT /journals/ drop-reply
	1 PUT /journals/ status 503
	1 PUT /journals/ garbage
	1 GET /journals/ garbage
	1 GET /journals/ huge
	1 PUT /result drop-request
	1 PUT /result drop-reply
	1 PUT /result huge
	1 PUT /result garbage
X
start_driver --timeout 5
expect ok announce
expect ok state COPY
for i in 1 2 3 4 5 6 7; do
	expect ok error SRC_EOF "failure $i"
	expect ok sleep 600
done
# A journal replaces the one before it, whatever became of that.
expect ok journal 3 first
expect ok journal 3 second
expect "error CTL_PROTO *" kept 3
expect "error CTL_PROTO *" kept 3
expect "ok " kept 4
for ((i = 0; i < 600; i++)); do
	kept=$(say kept 3)
	[ "$kept" != "ok second" ] || break
	expect ok sleep 100
done
[ "$kept" = "ok second" ] || fail "the journal is: $kept"
id=$(ctl command "$migration" pause)
expect "ok command * $id *" command 60
expect ok "done" "$id"
expect "ok then *" report 60 '{"verdict":"failed"}'
end_driver

check_sequences
n=$(ctl events "$migration" | jq -r '.event | select(.type == "tw.error.v1") | .data.err.text' |
	sort -u | wc -l)
[ "$n" = 7 ] || fail "$n failures of 7"
[ "$(ctl show "$migration" --json | jq '.workers | length')" = 1 ] || fail "more than one worker"
ctl wait "$migration" --for "command=$id" --timeout 20
ctl log "$migration" | has /worker- || fail "no log after a failure"
grep -q "more than 1048576 bytes" "$work/driver.log" || fail "a huge answer was taken"

# A controller that keeps none is asked once; everything else goes on.
new_migration m-keeps-none
echo "9 PUT /journals/ status 404" >"$work/faults"
start_driver
expect ok announce
expect ok journal 0 first
wait_for 20 grep -q "keeps no journals" "$work/driver.log"
expect ok journal 0 second
expect ok state COPY
expect "ok then *" report 60 '{"verdict":"failed"}'
end_driver
[ "$(grep -c "keeps no journals" "$work/driver.log")" = 1 ] || fail "it was asked again"
[ "$(ctl events "$migration" | jq -r '.event.type' | grep -c '^tw.state.v1')" -ge 1 ] || fail "no events"

# At the registration a senseless or huge answer is final: this is no controller.
new_migration m-nonsense
for action in garbage huge; do
	echo "1 POST /register $action" >"$work/faults"
	answer=$(drive <<<announce)
	[[ $answer == "error CTL_PROTO "* ]] || fail "$action: $answer"
done

# What the controller asks for is waited for.
new_migration m-busy
echo "1 POST /register status 503/4" >"$work/faults"
: >"$work/driver.log"
[ "$(drive <<<announce)" = ok ] || fail "not registered: $(tail -n 1 "$work/driver.log")"
[ "$(sed -nE 's/^\[ *([0-9]+)\..*POST \/register: [0-9]+$/\1/p' "$work/driver.log" |
	awk 'NR == 1 { a = $1 } END { print ($1 - a >= 3) }')" = 1 ] || fail "Retry-After is not waited for"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every command arrives long before anybody would ask again, and both its answers get back; what is not known is rejected; a
# pause and a limit hold over a restart of the worker and of the controller.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

status() { ctl show "$migration" --json | jq -r ".commands[] | select(.id == \"$1\") | .status"; }
has_status() { [ "$(status "$1")" = "$2" ]; }

start_controller
port=${url##*:}
port=${port%/v1}
new_migration m-commands
start_driver
expect ok announce
expect "ok none" command 1

for verb in pause resume cancel retry poweroff hold; do
	id=$(ctl command "$migration" $verb)
	expect "ok command * $id 0" command 20
	wait_for 5 has_status "$id" accepted
	expect ok "done" "$id"
	ctl wait "$migration" --for "command=$id" --timeout 20
	has_status "$id" "done" || fail "$verb: $(status "$id")"
done
id=$(ctl command "$migration" retry)
expect "ok command * $id 0" command 20
expect ok failed "$id"
wait_for 5 has_status "$id" failed
ctl show "$migration" --json | jq -e '.commands[-1].err.code == "DISK_IO"' >"$work/jq.log" ||
	fail "the failure's code is lost"

# A worker of another version has told what it knows: nothing else is sent to it.
state_sql "UPDATE worker SET facts = json_set(facts, '\$.commands', json('[\"pause\"]'))"
! ctl command "$migration" retry 2>"$work/refused" || fail "sent what the worker does not know"
grep -q "retry: the worker of $migration does not know that command" "$work/refused" ||
	fail "$(cat "$work/refused")"
state_sql "UPDATE worker SET facts = json_remove(facts, '\$.commands')"
id=$(ctl command "$migration" retry) # an older one does not tell
expect "ok command * $id 0" command 20
expect ok "done" "$id"

# Not known here, but perhaps to a newer controller; and a throttle without its argument.
for verb in dance throttle; do
	state_sql "INSERT INTO command (id, migration, verb, args, created_ms)
		VALUES ('c-$verb', '$migration', '$verb', '{}', 0)"
	ctl wait "$migration" --for "command=c-$verb" --timeout 20
	has_status "c-$verb" rejected || fail "$verb: $(status "c-$verb")"
done
expect "ok none" command 1

id=$(ctl command "$migration" collect_logs)
ctl wait "$migration" --for "command=$id" --timeout 20
log=$(ctl log "$migration" | grep /worker-)
ctl log "$migration" "$log" | has 'command pause' || fail "the log does not tell of the pause"

for command in pause "throttle 50M"; do
	# shellcheck disable=SC2086 # verb and argument
	id=$(ctl command "$migration" $command)
	expect "ok command * $id *" command 20
	expect ok "done" "$id"
	ctl wait "$migration" --for "command=$id" --timeout 20
done
end_driver
kill -9 "$controller_pid"
wait "$controller_pid" 2>"$work/wait.log" || :
start_controller "$port"
start_driver
expect ok announce
expect "ok command 3 .policy-throttle 52428800" command 1
expect "ok command 1 .policy-pause 0" command 1
expect ok "done" .policy-pause

# An operator's hold decides what the machine does at the end (2 = hold).
expect "ok then 2" report 60 '{"verdict":"success"}'
id=$(ctl command "$migration" poweroff)
expect "ok command * $id 0" command 20
expect ok "done" "$id"
end_driver
ctl job close "$migration"
if ctl command "$migration" pause 2>"$work/over.log"; then
	fail "a command to a closed migration"
fi

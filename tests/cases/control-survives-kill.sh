#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller is killed (-9) again and again while events pour in: none is lost, none is double,
# a registration gets the same answer as before, and the result arrives.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

boot=11111111-2222-3333-4444-555555555555
register() {
	curl -sk --pinnedpubkey "$pin" -H 'Content-Type: application/json' "$url/register" -d "{
		\"enroll_token\":\"$token\",\"boot_id\":\"$boot\",\"migration_id\":\"$migration\",
		\"nonce\":\"00000000000000000000000000000001\",\"facts\":{}}" |
		jq -c '{worker_id, session_token}'
}

start_controller
port=${url##*:}
port=${port%/v1}
new_migration m-kill
before=$(register)
[[ $before == *session_token*:\"* ]] || fail "registration: $before"

# A second one on the same port would take half of the connections.
if timeout 60 "$controller" serve --state "$work/second" --listen "127.0.0.1:$port" \
	>"$work/second.log" 2>&1; then
	fail "two controllers on one port"
fi
grep -q 'already in use' "$work/second.log" || fail "no reason is given"

start_driver --boot-id $boot
expect ok announce
printf 'flood 3000\n' >&7 # 3 s
for pause in 0.3 0.2 0.5 0.1 0.4; do
	sleep $pause
	kill -9 "$controller_pid"
	wait "$controller_pid" 2>"$work/wait.log" || :
	sleep 0.3
	start_controller "$port"
done
IFS= read -r answer <&8
[ "$answer" = ok ] || fail "flood: $answer"
expect "ok then *" report 60 '{"verdict":"failed"}'
end_driver

check_sequences
n=$(ctl events "$migration" | jq -r '.event.data.text' | grep -c '^flood ')
[ "$n" = 3000 ] || fail "$n events of 3000"
after=$(register)
[ "$before" = "$after" ] || fail "another answer after the restart: $after"

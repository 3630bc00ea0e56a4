#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A reboot registers anew and replaces the older boot; a closed migration cancels its worker; after a
# success nobody can register again, so that a clone is never copied over.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

one=aaaaaaaa-0000-0000-0000-000000000001
two=aaaaaaaa-0000-0000-0000-000000000002
three=aaaaaaaa-0000-0000-0000-000000000003
lease=2
start_controller

new_migration m-reboot
start_driver --boot-id $one
expect ok announce
expect ok state COPY
[ "$(drive --boot-id $two <<<announce)" = ok ] || fail "the second boot"
ctl wait "$migration" --for event=reboot --timeout 20
expect "ok command 4 .gone 0" command 60
expect "error CTL_GONE *" report 60 '{"verdict":"cancelled"}'
expect "ok none" command 0
end_driver
[[ $(drive --boot-id $one <<<announce) == "error CTL_GONE "* ]] || fail "the first boot is back"

# The second boot ended without a word.
ctl wait "$migration" --boot 2 --for event=lease_lost --timeout 60
start_driver --boot-id $two
expect ok announce
found() { ctl show "$migration" --json | jq -e '.workers[1].lost == false' >"$work/jq.log"; }
wait_for 10 found
end_driver

# A failure may be repeated, a success not.
[[ $(drive --boot-id $two <<<$'announce\nreport 60 {"verdict":"failed"}') == *"ok then 0" ]] ||
	fail "report of a failure"
[[ $(drive --boot-id $three <<<$'announce\nreport 60 {"verdict":"success"}') == *"ok then 0" ]] ||
	fail "report of a success"
ctl wait "$migration" --boot 3 --for result --timeout 20 | has success || fail "no result"
for boot in $two $three aaaaaaaa-0000-0000-0000-000000000004; do
	[[ $(drive --boot-id $boot <<<announce) == "error CTL_GONE "* ]] ||
		fail "registered after the success"
done

new_migration m-closed --then reboot
start_driver
expect ok announce
ctl job close "$migration"
expect "ok command 4 .gone 0" command 60
expect "error CTL_GONE *" report 60 '{"verdict":"cancelled"}'
end_driver

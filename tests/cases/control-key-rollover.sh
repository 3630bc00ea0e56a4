#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller changes its key in the middle of a migration: a job with the pins of both keys goes
# on, nothing is lost, and its result is taken; a job with the old one only waits and then says
# CTL_PIN; a job made after the change needs the new pin only.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

# A second identity, made beforehand.
next=$("$controller" pin --state "$work/next")
start_controller
port=${url##*:}
port=${port%/v1}
[ "$next" != "$pin" ] || fail "the keys are the same"
new_migration m-roll --next-pin "$next"
jq -e --arg one "$pin" --arg two "$next" '.controller.pins == [$one, $two]' "$work/job.json" \
	>"$work/jq.log" || fail "the job's pins are $(jq -c .controller.pins "$work/job.json")"

start_driver --pin "$next"
expect ok announce
expect ok state COPY
expect ok error SRC_EOF "before"
ctl wait "$migration" --for event=error --timeout 20
old=$pin

end "$controller_pid"
expect ok error SRC_SLOW "while it is away"
for file in "$work"/next/*.pem; do
	cp "$file" "$state/${file##*/}"
done
start_controller "$port"
[ "$pin" = "$next" ] || fail "the controller has not taken the new key"
expect ok error SRC_READ "after"
id=$(ctl command "$migration" pause)
expect "ok command * $id *" command 60
expect ok "done" "$id"
expect "ok then *" report 60 '{"verdict":"failed"}'
end_driver
check_sequences
for code in SRC_EOF SRC_SLOW SRC_READ; do
	ctl events "$migration" | jq -es --arg code "$code" 'any(.[]; .event.data.err.code? == $code)' \
		>"$work/jq.log" || fail "the event of $code is lost"
done
[ "$(ctl show "$migration" --json | jq '.workers | length')" = 1 ] || fail "more than one worker"

# Who has the old pin only is not let down silently, and tells the stranger nothing.
new_migration m-old
answer=$(pin=$old; drive <<<announce)
[[ $answer == "error CTL_PIN "* ]] || fail "the old pin alone: $answer"
new_migration m-new
[ "$(drive <<<announce)" = ok ] || fail "the new pin alone"

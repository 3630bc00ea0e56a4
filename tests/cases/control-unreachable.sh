#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nobody there: the registration window and the report's deadline hold, and what happened meanwhile
# arrives when the controller is back.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

start_controller
port=${url##*:}
port=${port%/v1}
new_migration m-away
kill -9 "$controller_pid"
wait "$controller_pid" 2>"$work/wait.log" || :

# What does not end in its time ends by the limit of `drive`, without the answer.
start=$(date +%s%3N)
answer=$(drive --window 3 <<<$'announce\nreport 2 {"verdict":"failed"}')
[[ $answer == "error CTL_UNREACHABLE "*$'\n'"error CTL_UNREACHABLE "* ]] || fail "$answer"
took=$(($(date +%s%3N) - start))
[ $took -ge 4900 ] || fail "gave up after $took ms"

# Who ends the worker does not wait for either.
answer=$(drive <<<$'alarm 1\nannounce')
[[ $answer == *"error CANCELLED "* ]] || fail "announce does not listen: $answer"

# The controller appears within the window.
(sleep 1.5; exec "$controller" serve --state "$state" --listen "127.0.0.1:$port" \
	>"$work/late.out" 2>"$work/late.log") 7>&- 8<&- &
late=$!
cleanup_fn "end $late"
start_driver --window 100
expect ok state NET
expect ok announce

# It goes away; the job goes on, and its calls do not wait.
kill -9 $late
wait $late 2>"$work/wait.log" || :
start=$SECONDS
for i in 1 2 3; do
	expect ok state COPY
	expect ok error SRC_EOF "failure $i"
done
for i in $(seq 1 50); do
	expect ok progress 0 50 "$i"
done
# A second for each of them, were they waited for.
[ $((SECONDS - start)) -le 30 ] || fail "events held the job up"
expect "error CTL_UNREACHABLE *" report 2 '{"verdict":"failed"}'
start_controller "$port"
expect "ok then 0" report 60 '{"verdict":"failed","note":"second try"}'
kill -9 "$controller_pid"
wait "$controller_pid" 2>"$work/wait.log" || :
expect ok alarm 1
expect "error CTL_UNREACHABLE *" report 600 '{"verdict":"failed","note":"third try"}'
end_driver
start_controller "$port"
check_sequences
ctl events "$migration" | jq -es '[.[] | .event | select(.type == "tw.error.v1")] | length == 3' \
	>"$work/jq.log" || fail "failures are lost"
ctl events "$migration" | jq -es '[.[] | .event | select(.type == "tw.disk.progress.v1") |
	.data.progress.flushed] | length < 25 and last == 50' >"$work/jq.log" ||
	fail "progress was not coalesced"
ctl show "$migration" --json | jq -e '.workers[0].result.doc.note == "second try"' \
	>"$work/jq.log" || fail "not the last result"

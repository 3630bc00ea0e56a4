#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Strangers at the controller, and workers that want too much: connections without a token do not keep
# a worker out and end after their time; bodies are read when their token was right; what a migration
# leaves is bounded, and its result arrives; its token is for so many boots; all addresses are IPv6's, too.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"
requires ss

"$controller" serve --state "$state" --listen ":0" >"$work/controller.out" 2>"$work/controller.log" &
controller_pid=$!
cleanup_fn "end $controller_pid"
wait_for 10 grep -q ^pin "$work/controller.out"
port=$(sed -n 's/^url .*:\([0-9]*\)\/v1$/\1/p' "$work/controller.out")
pin=$(sed -n 's/^pin //p' "$work/controller.out")
wants() { tests/cases/control-strangers.py "$port" "$migration" "$token" "$1"; }

for host in 127.0.0.1 '[::1]'; do
	got=$(curl -sk --pinnedpubkey "$pin" -o "$work/reply" -w '%{http_code}' "https://$host:$port/v1/none")
	[ "$got" = 404 ] || fail "$host: $got"
done
! ctl job new --template <(echo '{"version":1}') --migration m-none >"$work/none" 2>&1 ||
	fail "a job without an address was made"

# 250 connections that show no token.
start strangers /usr/bin/python3 tests/cases/drive-strangers.py "$port" 250
wait_for 60 grep -q 'connected 250' "$work/strangers.log"
[ "$(ss -Htn state established "sport = :$port" | wc -l)" -ge 8 ] || fail "the strangers are gone already"
url=https://127.0.0.1:$port/v1
new_migration m-1 --url "$url"
wants bodies
drive >"$work/answers" <<-X
	state NET
	announce
X
[ "$(grep -c '^ok' "$work/answers")" = 2 ] || fail "a worker among strangers: $(cat "$work/answers")"
wait_for 60 grep -q 'ended 250' "$work/strangers.log"

wants slow
new_migration m-2 --url "$url"
wants connections
new_migration m-3 --url "$url"
wants boots

new_migration m-4 --url "$url"
mkfifo "$work/go"
wants leave <"$work/go" >"$work/leave.out" 2>"$work/leave.log" &
leaving=$!
exec 9>"$work/go"
wait_for 60 grep -q full "$work/leave.out"
state_sql "UPDATE usage SET bytes = $((256 << 20)) - 1000 WHERE migration = 'm-4'"
echo >&9
wait $leaving || fail "above the limit: $(cat "$work/leave.log")"
[ "$(ctl events m-4 | grep -c 'tw.limit.v1')" = 1 ] || fail "the limit was not told once: $(ctl events m-4)"
[ "$(ctl show m-4 --json | jq -r '.workers[0].state')" = VERIFY ] || fail "what is not kept is not heard"

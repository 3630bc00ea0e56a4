#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Wrong tokens, and tokens of other migrations, are refused at once. No log shows a token.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

start_controller
new_migration m-other
other=$token
new_migration m-token
real=$token
for token in "$other" 0123456789abcdef0123456789abcdef; do
	answer=$(drive <<<announce)
	[[ $answer == "error CTL_AUTH "* ]] || fail "$answer"
done
! grep -q 'trying again' "$work/driver.log" || fail "a wrong token was tried again"
token=$real
[ "$(drive <<<announce)" = ok ] || fail "the real token"

# A session that the controller has forgotten (its secret is new): the worker registers again by
# itself, once, and loses nothing.
port=${url##*:}
port=${port%/v1}
start_driver
expect ok announce
expect ok state READY
kill "$controller_pid"
wait "$controller_pid" || fail "the controller did not end in order"
head -c 32 /dev/urandom >"$state/secret"
start_controller "$port"
expect ok state COPY
expect "ok then *" report 60 '{"verdict":"success"}'
end_driver
check_sequences
grep -q ": 401.*(CTL_LEASE); registering again" "$work/driver.log" ||
	fail "the session was not refused as CTL_LEASE, so nothing was tested"

for secret in "$other" "$real"; do
	if grep -q "$secret" "$work"/*.log; then
		fail "a token is in a log"
	fi
	if grep -qaF "$secret" "$state"/state.db*; then
		fail "a token is in the state"
	fi
done

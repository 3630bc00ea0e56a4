#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A controller with another key is refused at once and learns nothing, not even the token.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

start_controller
new_migration m-pin
start_proxy
pin=sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
answer=$(drive <<<announce)
[[ $answer == "error CTL_PIN "* ]] || fail "$answer"
! grep -q 'trying again' "$work/driver.log" || fail "a wrong pin was tried again"
[ ! -s "$work/record" ] || fail "a request reached the server"

# Keys of other kinds, each behind a certificate that ran out in 2001.
for kind in "rsa --bits 2048" "ecdsa --curve secp384r1"; do
	start_controller
	# shellcheck disable=SC2086 # type and options
	start_proxy $kind
	[ "$(drive <<<announce)" = ok ] || fail "a key of type $kind"
done
real=$pin
pin=sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

# Any of several pins is enough, and a report after the refusal says the same.
answer=$(drive --pin "$real" <<<announce)
[ "$answer" = ok ] || fail "second pin: $answer"
answer=$(drive <<<$'announce\nreport 30 {"verdict":"failed"}' | tail -n 1)
[[ $answer == "error CTL_PIN "* ]] || fail "$answer"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-server is killed in the middle of a copy and comes back behind a forwarder that accepts
# connections all the while, with its drives in another order: the copy goes on by itself and ends
# with the right drive.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires socat jq cmp openssl ss

head -c 48M /dev/urandom >"$work/a"
head -c 48M /dev/urandom >"$work/b"
(umask 077; echo "u:$(openssl rand -hex 32)" >"$work/psk")
port=$(free_port)
up() { # DRIVE...
	start server "$server" --listen "127.0.0.1:$port" --psk-file "$work/psk" --freeze never "$@"
	wait_for 20 listens "$port"
}

up --drive "a=$work/a" --drive "b=$work/b"
front=$(free_port)
start forward socat "TCP-LISTEN:$front,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$port"
wait_for 20 listens "$front"

start copy timeout 250 "$worker" copy --json --bandwidth 4M \
	"tws://127.0.0.1:$front/b?psk-file=$work/psk" "$work/dst"
copy=${started[copy]}
# In the middle: a part has arrived, and the end is far away. Then it meets a line that opens and
# closes at once.
wait_for 30 cmp -s -i 2M -n 2M "$work/b" "$work/dst"
stop server -KILL
refused() { [ "$(grep -c ': connection [0-9]*: ' "$work/copy.log")" -ge 6 ]; } # its four connections, and more
wait_for 20 refused
up --drive "b=$work/b" --drive "a=$work/a"
wait "$copy" || fail "the copy ended with $?: $(tail -n 2 "$work/copy.log")"
cmp "$work/b" "$work/dst" || fail "the target is not drive b"
[ "$(tail -n 1 "$work/copy.log" | jq .retries)" -gt 0 ] || fail "nothing was cut: the test shows nothing"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

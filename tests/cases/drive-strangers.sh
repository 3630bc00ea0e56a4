#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Connections that never show a key: 200 of them, open and silent, or one byte now and then, in clear or
# in a TLS handshake. The worker copies beside them; each ends after its time; and a source that has no
# place is asked again. All addresses are those of IPv6, too.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires /usr/bin/python3 ss jq

make_disk "$work/src" 8
port=$(free_port)
psk=tester:$(openssl rand -hex 32)
(umask 077; echo "$psk" >"$work/psk")
start server "$server" --drive "sda=$work/src" --listen ":$port" --psk-file "$work/psk"
wait_for 10 listens "$port"
open_now() { ss -Htn state established "sport = :$port" | wc -l; }
copies() { # URI
	rm -f "$work/dst"
	"$worker" copy --json --connections 8 "$1" "$work/dst" >"$work/copy.json" 2>"$work/copy.log" ||
		fail "$1: $(tail -n 2 "$work/copy.log")"
	cmp "$work/src" "$work/dst"
}
copies "tws://127.0.0.1:$port/sda?psk-file=$work/psk"

start strangers /usr/bin/python3 tests/cases/drive-strangers.py "$port" 200
wait_for 30 grep -q 'connected 200' "$work/strangers.log"
[ "$(open_now)" -ge 8 ] || fail "$(open_now) connections: the strangers are gone already"
copies "tws://127.0.0.1:$port/sda?psk-file=$work/psk"
copies "tws://[::1]:$port/sda?psk-file=$work/psk"
grep -q ']:[0-9]*: job' "$work/server.log" || fail "nothing came by IPv6"

# None is there longer than its time, however often it sends.
wait_for 30 grep -q 'ended 200' "$work/strangers.log"
# Whoever speaks in clear is told why, before the close.
grep -q 'told [1-9]' "$work/strangers.log" || fail "no BYE came: $(cat "$work/strangers.log")"

# A source with no place left, or that hangs up, is asked again; the text says what it may be.
stop server
for kind in busy mute; do
	start $kind /usr/bin/python3 tests/cases/drive-strangers.py "$port" $kind
	wait_for 10 listens "$port"
	! "$worker" copy --json "tws://127.0.0.1:$port/sda?psk-file=$work/psk" "$work/new" \
		>"$work/copy.json" 2>"$work/copy.log" || fail "copied from nobody"
	[ "$(jq -r '.errors[0] | .code, .retryable' "$work/copy.json" | xargs)" = "SRC_EOF true" ] ||
		fail "$kind: $(jq -c '.errors[0]' "$work/copy.json")"
	grep -qE 'too many connections|does it expect TLS' "$work/copy.log" ||
		fail "unclear: $(tail -n 2 "$work/copy.log")"
	stop $kind
done
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-server is killed in the middle of a copy and comes back behind a forwarder that accepts
# connections all the while, with its drives in another order: the copy goes on by itself and ends
# with the right drive.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires socat jq cmp

head -c 48M /dev/urandom >"$work/a"
head -c 48M /dev/urandom >"$work/b"
echo "u:$(openssl rand -hex 32)" >"$work/psk"
port=$((20000 + RANDOM % 20000))
front=$((port + 1))

serve_drives() {
	build/host/source-server --listen "127.0.0.1:$port" --psk-file "$work/psk" --freeze never \
		"$@" 2>>"$work/server.log" &
	server=$!
}
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>&-; }
cleanup_fn() { kill "$server" "$forward" 2>&-; }
trap 'cleanup_fn; rm -rf "$work"' EXIT

serve_drives --drive "a=$work/a" --drive "b=$work/b"
until answers; do sleep 0.1; done
socat "TCP-LISTEN:$front,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$port" 2>>"$work/socat.log" &
forward=$!
until (exec 3<>"/dev/tcp/127.0.0.1/$front") 2>&-; do sleep 0.1; done

timeout 120 "$worker" copy --json --bandwidth 8M "tws://127.0.0.1:$front/b?psk-file=$work/psk" \
	"$work/dst" >"$work/copy.json" 2>"$work/copy.log" &
copy=$!
sleep 2.5
kill -9 "$server"
wait "$server" 2>&- || :
sleep 2
serve_drives --drive "b=$work/b" --drive "a=$work/a"
wait "$copy" || fail "the copy ended with $?: $(tail -n 2 "$work/copy.log")"
cmp "$work/b" "$work/dst" || fail "the target is not drive b"
[ "$(jq .retries "$work/copy.json")" -gt 0 ] || fail "nothing was cut: the test shows nothing"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An image file that is cut short while it is served: never a clone with zeroes for its tail, and
# never a server that cannot be ended. Cut at a block, where its end looks like a hole, and within one.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

head -c 32M /dev/urandom >"$work/whole"
ended() { ! kill -0 "${started[$1]}" 2>"$work/kill.out"; }

for size in $((16 << 20)) 20000001 4095; do
	cp "$work/whole" "$work/img"
	port=$(free_port)
	start server "$server" --drive "sda=$work/img" --listen "127.0.0.1:$port" --allow-plain
	wait_for 10 listens "$port"
	truncate -s "$size" "$work/img"
	status=0
	"$worker" copy --json --verify none --allow-plain "tw://127.0.0.1:$port/sda" "$work/dst" \
		>"$work/copy.json" 2>"$work/copy.log" || status=$?
	[ "$status" != 0 ] || fail "cut to $size: copied with success"
	tail -n 1 "$work/copy.json" | jq -e '.errors[0].code | test("^SRC_")' >"$work/jq.log" ||
		fail "cut to $size: $(tail -n 1 "$work/copy.json")"
	kill "${started[server]}"
	wait_for 20 ended server
	stop server
	rm -f "$work/dst"
done

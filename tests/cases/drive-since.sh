#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A delta since a state that the source still has reads samples only, by the kernel's count of the
# server's reads; since another one it compares everything, and so it does when a sample shows that the
# target is not what it was said to be.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq ss

head -c 48M /dev/urandom >"$work/src"
port=$(free_port)
start server "$server" --drive "sda=$work/src" --listen "127.0.0.1:$port" --allow-plain
wait_for 20 listens "$port"

reads() { awk '/^rchar/ { print $2 }' "/proc/${started[server]}/io"; }
# copy OPTIONS...: sets `read`, MiB that the server read for it
copy() {
	before=$(reads)
	"$worker" copy --json --allow-plain --verify=none "$@" "tw://127.0.0.1:$port/sda" "$work/dst" \
		>"$work/copy.json" 2>"$work/copy.log" || fail "copy: $(tail -n 2 "$work/copy.log")"
	read=$((($(reads) - before) >> 20))
	cmp "$work/src" "$work/dst"
}
state() { jq -r .source_state "$work/copy.json"; }

copy
[ $read -ge 47 ] || fail "a full copy read $read MiB: this test counts wrong"
first=$(state)
[ -n "$first" ] || fail "no source_state"
copy --delta --since "$first"
[ $read -le 16 ] || fail "$read of 48 MiB were read although nothing changed"
[ "$(state)" = "$first" ] || fail "the state is $(state), not $first"
copy --delta
[ $read -ge 47 ] || fail "a delta without --since read $read MiB"

# It changed; what changed the source cannot tell.
printf x | dd of="$work/src" bs=1 seek=$((30 << 20)) conv=notrunc status=none
copy --delta --since "$first"
[ $read -ge 47 ] || fail "$read MiB were read: more than is known was believed"
grep -q 'cannot tell what changed since' "$work/copy.log" || fail "no word about it"
[ "$(state)" != "$first" ] || fail "the state did not change"

# Somebody wrote to all of the target meanwhile.
head -c 48M /dev/zero | tr '\0' x >"$work/dst"
copy --delta --since "$(state)"

status=0
"$worker" copy --since "$first" "tw://127.0.0.1:$port/sda" "$work/dst" >"$work/out" 2>"$work/copy.log" || status=$?
[ $status = 2 ] || fail "--since without --delta: exit status $status"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

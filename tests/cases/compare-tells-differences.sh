#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# worker compare finds every leaf that differs, at the beginning, in holes and at an odd end, and neighbours
# as one range; the same for a source-server, of which only hashes come, over NBD and from a file. It
# writes nothing, and what lies behind the source's end does not count.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 40 777
cp "$work/src" "$work/dst"
printf 'behind the end' >>"$work/dst"
cp "$work/dst" "$work/dst.before"
port=$(free_port)
start server "$server" --drive "sda=$work/src" --listen "127.0.0.1:$port" --allow-plain
wait_for 10 listens "$port"
nbd -r file "$work/src"

# compared STATUS [OPTION...]: by all three ways, with the same answer in $work/told.
compared() {
	local want=$1 from
	shift
	for from in "tw://127.0.0.1:$port/sda" "$uri" "file:$work/src"; do
		status=0
		"$worker" compare --allow-plain "$@" "$from" "$work/dst" >"$work/told" 2>"$work/compare.log" || status=$?
		[ $status = "$want" ] || fail "$from: exit status $status, not $want: $(cat "$work/compare.log")"
		! grep -qE 'AddressSanitizer|runtime error' "$work/compare.log" || fail "sanitizer report"
		[ "$from" = "tw://127.0.0.1:$port/sda" ] || cmp "$work/told" "$work/told.first" ||
			fail "$from tells something else"
		cp "$work/told" "$work/told.first"
	done
	cmp "$work/dst" "$work/dst.before" || fail "the target was written to"
}

compared 0
[ ! -s "$work/told" ] || fail "equal, but: $(cat "$work/told")"

leaf=$((64 << 10))
# Two neighbours in the first MiB, one in a hole, the short one at the end.
for at in $leaf $((3 * leaf - 1)) $((10 << 20)) $(((40 << 20) + 776)); do
	printf '\201' | dd of="$work/dst" bs=1 seek=$at conv=notrunc status=none
done
cp "$work/dst" "$work/dst.before"
compared 6
diff - "$work/told" <<-END || fail "other ranges"
	differs $leaf $((2 * leaf))
	differs $((10 << 20)) $leaf
	differs $((40 << 20)) 777
END
grep -q 'VERIFY_HASH: .* 4 of 641 leaves' "$work/compare.log" || fail "$(cat "$work/compare.log")"
json() { # SOURCE
	"$worker" compare --json --allow-plain "$1" "$work/dst" >"$work/told" 2>"$work/compare.log" || status=$?
	[ $status = 6 ] || fail "exit status $status, not 6"
}
json "$uri"
jq -e --argjson leaf $leaf '.bytes_wire >= 641 * $leaf / 4 and .different == 4 and .leaves == 641 and .code == "VERIFY_HASH" and
	.ranges == [[$leaf, 2 * $leaf], [160 * $leaf, $leaf], [640 * $leaf, 777]]' "$work/told" >"$work/jq.log" ||
	fail "JSON: $(cat "$work/told")"
# Only hashes come from a source-server: 641 of 16 bytes.
json "tw://127.0.0.1:$port/sda"
jq -e '.different == 4 and .bytes_wire < 50000' "$work/told" >"$work/jq.log" || fail "JSON: $(cat "$work/told")"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work/server.log" || fail "sanitizer report"

truncate -s 1M "$work/dst"
status=0
"$worker" compare "$uri" "$work/dst" >"$work/told" 2>"$work/compare.log" || status=$?
[ $status = 5 ] && grep -q 'DISK_SMALL' "$work/compare.log" || fail "short target: $status, $(cat "$work/compare.log")"
status=0
"$worker" compare "$uri" >"$work/told" 2>"$work/compare.log" || status=$?
[ $status = 2 ] || fail "one word: exit status $status"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the job says of a target decides what is believed of it. Prepared, booted or unknown: all of it is
# compared, so that what its guest has written is found wherever it is, and what is equal does not come
# over the line again. Pristine: nothing is compared, everything comes.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 24 1
truncate -s 200M "$work/sda"
(umask 077; echo "$psk" >"$work/psk")
port=$(free_port)
start server "$server" --drive "sda=$work/sda" --listen "127.0.0.1:$port" --psk-file "$work/psk"
wait_for 10 listens "$port"

n=0
# copied FIELDS: a migration of its own; sets wire and equal of its drive.
copied() {
	job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
	n=$((n + 1))
	jq ".migration = \"m-$n\" | .verify = \"none\" | .drives[0] |= (. + ($1))" "$work/job.json" >"$work/job.tmp"
	mv "$work/job.tmp" "$work/job.json"
	run_job
	expect success NONE 0
	cmp "$work/sda" "$work/target" || fail "$1: the target differs"
	wire=$(jq '.drives[0].copy.bytes_wire' "$work/result.json")
	equal=$(jq '.drives[0].copy.bytes_equal' "$work/result.json")
}

copied '{}'
[ "$wire" -ge $((22 << 20)) ] || fail "only $wire bytes came for a new target"
for state in prepared booted unknown; do
	# Within data, far from it, and over the partition table.
	for at in $((11 << 20)) $((150 << 20)) 500; do
		printf 'a guest was here' | dd of="$work/target" bs=1 seek=$at conv=notrunc status=none
	done
	copied "{target_state: \"$state\"}"
	[ "$wire" -le $((2 << 20)) ] || fail "$state: $wire bytes came for a leaf of noise"
	[ "$equal" -ge $((22 << 20)) ] || fail "$state: only $equal bytes were equal"
done
copied '{target_state: "pristine"}'
[ "$wire" -ge $((22 << 20)) ] || fail "pristine: only $wire bytes came"
[ "$equal" = 0 ] || fail "pristine: $equal bytes were compared"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

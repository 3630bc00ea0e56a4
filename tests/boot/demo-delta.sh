#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo in two phases: the drive is copied while the source works on it, files change, and after
# the confirmation only the difference comes over; the clone starts with what changed. It fails
# when the second run sends much of the first again, or when the clone has the older files.
# limit: 3000
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires qemu-system-x86_64 socat jq mmdebstrap

qemu/migrate --firmware bios --delta
demo=build/demo/debian12-bios-delta
[ -s $demo/comparison.txt ] || fail "no comparison was left"
for phase in one two; do
	grep -q '^volume success, channel OFF, controller success, monitor guest-shutdown$' \
		$demo/phase-$phase/verdict || fail "phase $phase: $(cat $demo/phase-$phase/verdict)"
done
[ "$(jq 'has("prepare")' $demo/phase-one/result.json)" = false ] ||
	fail "phase one prepared the disk that phase two compares"
[ "$(jq -r .drives[0].copy.bytes_equal $demo/phase-two/result.json)" -gt 0 ] ||
	fail "phase two found nothing equal"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One bad sector does not end a migration that allows for some: what cannot be read, also within the
# first MiB, is zeroes at the target, and the result names the ranges and warns, also when everything
# is verified. Without the key, or with more than it allows, the job fails and nothing can start.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires nbdkit

make_disk "$work/src" 8 1
sock=$work/nbd.sock
# Sectors 100 and 8000-8015 cannot be read.
start nbdkit nbdkit -f -U "$sock" -r eval get_size="stat -c %s $work/src" pread="
	end=\$((\$4 + \$3))
	if { [ \$4 -lt \$((101 * 512)) ] && [ \$end -gt \$((100 * 512)) ]; } ||
		{ [ \$4 -lt \$((8016 * 512)) ] && [ \$end -gt \$((8000 * 512)) ]; }; then
		echo EIO bad sector >&2; exit 1
	fi
	dd if=$work/src iflag=skip_bytes,count_bytes skip=\$4 count=\$3 bs=64k status=none"
wait_for 10 test -S "$sock"

# copied FILTER: the job, changed so, over a target that holds something.
copied() {
	job "nbd+unix:///?socket=$sock" "[$(drive sda "$work/ta")]"
	jq ".source.stall_s = 60 | $1" "$work/job.json" >"$work/job.tmp"
	mv "$work/job.tmp" "$work/job.json"
	rm -f "$work/result.json"
	new_target "$work/ta" 8
	run_job
}
cp "$work/src" "$work/expected"
zero() { dd if=/dev/zero of="$work/expected" bs=4096 seek="$1" count="$2" conv=notrunc status=none; }
zero $((100 * 512 / 4096)) 1
zero $((8000 * 512 / 4096)) 2

for verify in full sample; do
	copied ".verify = \"$verify\" | .source.bad_ranges_max = \"64K\""
	expect success NONE 0
	cmp "$work/ta" "$work/expected" || fail "$verify: other bytes"
	jq -e '.drives[0].copy | .bytes_bad == 12288 and .bad_ranges_left_out == 0 and .root_hash == "" and
		.bad_ranges == [{offset: 49152, length: 4096}, {offset: 4096000, length: 8192}]' \
		"$work/result.json" >"$work/jq.log" || fail "$verify: $(jq -c '.drives[0].copy' "$work/result.json")"
	jq -e '.warnings | length == 1 and .[0].code == "SRC_READ" and
		(.[0].text | test("12288 bytes could not be read.*: 49152\\+4096, 4096000\\+8192$"))' \
		"$work/result.json" >"$work/jq.log" || fail "$verify: $(jq -c .warnings "$work/result.json")"
	! grep -q 'it is not compared' "$work/run.log" || fail "$verify: it was asked for again"
	grep -q 'drives\[0\]: SRC_READ: ' "$work/run.log" || fail "$verify: no warning in the log"
done

copied '.source.bad_ranges_max = 8192'
expect failed SRC_READ 4
grep -q 'more than 8192 bytes cannot be read' "$work/run.log" || fail "no word about the limit"
cmp -s -n 4096 "$work/ta" /dev/zero || fail "the target looks bootable"

copied .
expect failed SRC_READ 4
cmp -s -n 4096 "$work/ta" /dev/zero || fail "the target looks bootable"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first of two phases: a full copy from a source-server that holds nothing still, while the drive
# is written to all the time. Verifying, by samples or whole, compares the target with what the source
# had sent: each time a success, with a warning that tells how much changed meanwhile.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires python3

make_disk "$work/disk" 160 1
# A byte of each MiB changes for as long as the test runs.
start writer python3 -c '
import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
while True:
    for at in range(70000, len(m), 1 << 20):
        m[at] = (m[at] + 1) % 256
' "$work/disk"
port=$(free_port)
start server "$server" --drive "sda=$work/disk" --listen "127.0.0.1:$port" --allow-plain --freeze never
wait_for 10 listens "$port"

for verify in sample full; do
	job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta")]"
	jq --arg v $verify '.source.allow_plain = true | .verify = $v' "$work/job.json" >"$work/job.tmp"
	mv "$work/job.tmp" "$work/job.json"
	rm -f "$work/ta" "$work/result.json"
	run_job
	expect success NONE 0
	jq -e '.drives[0].copy.bytes_changed > 0 and ([.warnings[].code] | index("SRC_CHANGED") != null)' \
		"$work/result.json" >"$work/jq.log" ||
		fail "$verify: $(jq -c '{warnings, copy: .drives[0].copy}' "$work/result.json")"
	grep -q 'VERIFY drives\[0\]: SRC_CHANGED: ' "$work/run.log" || fail "$verify: no warning in the log"
done
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

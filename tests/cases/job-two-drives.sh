#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A whole job over NBD: two drives arrive byte for byte, the result and the log tell of every state, the exit
# status is 0. Then a delta: a drive without changes does not hide the one behind it.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

mkdir "$work/disks"
make_disk "$work/disks/sda" 9 1
make_disk "$work/disks/sdb" 5 2
truncate -s 64M "$work/disks/sdb"
port=$(free_port)
start nbd nbdkit -f -p "$port" -i 127.0.0.1 file dir="$work/disks"
wait_for 10 listens "$port"
job "nbd://127.0.0.1:$port" "[$(drive sda "$work/ta"), $(drive sdb "$work/tb")]"
run_job
expect success NONE 0
cmp "$work/disks/sda" "$work/ta"
cmp "$work/disks/sdb" "$work/tb"
for state in BOOT CONFIG READY COPY VERIFY PREPARE COMMIT REPORT OFF; do
	grep -q " $state" "$work/run.log" || fail "no line about $state"
done
jq -e '.touched and .state == "OFF" and (.drives | length == 2) and
	all(.drives[]; .copied and .committed and .copy.bytes_total > 0) and
	.provenance.drives == "file" and .times.COPY > 0' "$work/result.json" >"$work/jq.log" ||
	fail "result"

# The second job of the same targets: on the first drive nothing has changed, which ends neither the job
# nor the list of drives; the second one's change arrives, and only that is written.
dd if=/dev/urandom of="$work/disks/sdb" bs=64K count=1 seek=500 conv=notrunc status=none
jq '.mode = "delta" | .migration = "m-2"' "$work/job.json" >"$work/delta.json"
mv "$work/delta.json" "$work/job.json"
run_job
expect success NONE 0
cmp "$work/disks/sda" "$work/ta"
cmp "$work/disks/sdb" "$work/tb" || fail "the drive behind an unchanged one was left out"
jq -e '(.drives | length == 2) and all(.drives[]; .copied and .committed) and
	.drives[0].copy.bytes_data == 0 and .drives[1].copy.bytes_data == 65536' "$work/result.json" >"$work/jq.log" ||
	fail "changes: $(jq -c '[.drives[].copy | {bytes_data, bytes_equal}]' "$work/result.json")"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A whole job over NBD: two drives arrive byte for byte, the result and the log tell of every
# state, the exit status is 0.
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

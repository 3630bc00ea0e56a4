#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job over NBD, where the source keeps no journal, is killed: the controller has one, and the next
# worker reads only what is not durable by it, as the job says that the export is the same.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires nbdkit sqlite3

make_disk "$work/sda" 48 1
port=$(free_port)
source_up() { # RATE, in bits a second
	stop nbd -KILL
	start nbd nbdkit -f -r -p "$port" -i 127.0.0.1 --filter=rate file "$work/sda" rate="$1"
	wait_for 10 listens "$port"
}
boss
source_up 32M
job "nbd://127.0.0.1:$port?identity=one" "[$(drive sda "$work/target")]"
boss_job '.verify = "none"'

# Leaves of 64 KiB that the stored journal calls durable: behind a header of 36 bytes, a bitmap of one
# (48 MiB are one unit), the mark of the target and the unit's number.
durable() {
	sqlite3 "$work/boss/state.db" 'SELECT doc FROM journal' | python3 -c '
import sys
journal = bytes.fromhex(sys.stdin.read().strip())
print(sum(bin(b).count("1") for b in journal[36 + 1 + 16 + 8:]))'
}
enough() { [ "$(durable)" -ge 160 ]; }

start run "$worker" run --job "$work/job.json" --result "$work/result.json"
wait_for 60 enough
stop run -KILL
leaves=$(durable)
cmp -s -n 4096 "$work/target" /dev/zero || fail "the target looks bootable"
source_up 8G
run_job
expect success NONE 0
cmp "$work/sda" "$work/target"
wire=$(jq '.drives[0].copy.bytes_wire' "$work/result.json")
# One leaf of each MiB is compared, and the first MiB comes at the end.
[ "$wire" -le $(((50 << 20) - leaves * (60 << 10))) ] ||
	fail "$wire bytes came again of $((48 << 20)); $leaves leaves were durable"

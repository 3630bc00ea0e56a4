#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job's result has the hash of each drive: of all its bytes, the first MiB among them that the job
# writes later than the copy does. It is the one that `worker copy` tells of the same drive.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 130 1
truncate -s 200000 "$work/sdb" # not even one MiB, and not whole sectors
printf x | dd of="$work/sdb" bs=1 seek=199999 conv=notrunc status=none
port=$(free_port)
start server "$server" --drive "sda=$work/sda" --drive "sdb=$work/sdb" --listen "127.0.0.1:$port" \
	--allow-plain
wait_for 10 listens "$port"
for name in sda sdb; do
	"$worker" copy --json --allow-plain "tw://127.0.0.1:$port/$name" "$work/copied" >"$work/$name.json" 2>"$work/copy.log"
	jq -er .root_hash "$work/$name.json" | grep -xE '[0-9a-f]{32}' >>"$work/hashes" || fail "$name: no hash"
	rm "$work/copied"
done

# hashes FILTER: of the job changed so.
hashes() {
	job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta"), $(drive sdb "$work/tb")]"
	jq ".source.allow_plain = true | $1" "$work/job.json" >"$work/job.tmp"
	mv "$work/job.tmp" "$work/job.json"
	rm -f "$work/result.json"
	run_job
	expect success NONE 0
	jq -r '.drives[].copy.root_hash' "$work/result.json" | cmp - "$work/hashes" ||
		fail "$1: $(jq -c '[.drives[].copy.root_hash]' "$work/result.json"), not $(paste -sd' ' "$work/hashes")"
}
hashes '.verify = "none"'
hashes '.mode = "delta" | .migration = "m-2" | .verify = "sample"'
rm "$work/ta" "$work/tb"
hashes '.verify = "full"'

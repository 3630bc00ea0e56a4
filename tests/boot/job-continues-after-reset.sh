#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The plug is pulled in the middle of the copy: the target cannot boot, the volume says "running",
# and the same job started again sends only what is missing and ends byte-identical.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
job_source 96
truncate -s 96M "$dir/target.raw"
job_volume '.bandwidth = "8M"'
qemu_disk "$dir/target.raw,serial=TW0"

durable() { # MIB: as many are flushed, by the worker's own word
	[ "$(jq -rs '[.[].progress.flushed // 0] | max' "$dir/events")" -ge $(($1 << 20)) ]
}
: >"$dir/events"
vm_start boot $((300 * scale / 4)) "${qemu[@]:1}" || fail "QEMU did not start"
end=$((SECONDS + 200 * scale / 4))
until durable 48; do
	[ $SECONDS -lt $end ] || fail "no progress: $(tail -n 1 "$dir/events")"
	vm_runs boot || fail "the machine ended by itself"
	sleep 1
done
vm_kill boot
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
[ "$(jq -r '"\(.verdict) \(.touched)"' "$dir/result.json")" = 'running true' ] ||
	fail "the volume says $(cat "$dir/result.json")"
[ "$(head -c 4096 "$dir/target.raw" | tr -d '\0' | wc -c)" = 0 ] || fail "the target may boot"

qemu_new "$dir"
qemu_machine 192
qemu_disk "$dir/volume.raw,boot=0"
qemu_nic virtio user
rm "$dir/events"
qemu_events "$dir/events"
qemu_disk "$dir/target.raw,serial=TW0"
boot_run 300 120 || fail "the machine did not end"
expect_off guest-shutdown
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
[ "$(jq -r .verdict "$dir/result.json")" = success ] ||
	fail "result.json: $(jq -c '{verdict, err}' "$dir/result.json")"
cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"
sent=$(jq '.drives[0].copy.bytes_wire' "$dir/result.json")
[ "$sent" -lt $((65 << 20)) ] || fail "$sent bytes were sent again"

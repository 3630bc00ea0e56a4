#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job's `finish`: `reboot` restarts the machine after its result is kept; `hold` keeps it on, with
# the result already on the volume, until the power button is pressed. A machine that starts again
# with the volume still in it does not copy over its clone: JOB_DONE, unless the job is there anew.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
job_source 4

# ended STATE CAUSE: the last event of the machine channel.
ended()
{
	jq -se --arg state "$1" --arg cause "$2" '[.[] | select(.type == "state")] | last |
		.state == $state and .text == $cause' "$dir/events" >"$dir/jq.log" ||
		fail "the last event is $(tail -n 1 "$dir/events")"
}
result()
{
	scripts/read-result "$dir/volume.raw" >"$dir/result.json"
	[ "$(jq -r '"\(.verdict) \(.code)"' "$dir/result.json")" = "success NONE" ] ||
		fail "result.json: $(jq -c '{verdict, err}' "$dir/result.json")"
	cmp "$dir/source.raw" "$dir/target.raw"
}

truncate -s 4M "$dir/target.raw"
job_volume '.finish = "reboot" | .on_error = "hold"'
qemu_disk "$dir/target.raw,serial=TW0"
boot_run 120 60 || fail "the machine did not restart"
expect_off guest-reset
expect_serial 'reboot decided: the worker finished'
ended OFF reboot
result

# again: the same machine, with the volume first as before.
again()
{
	qemu_new "$dir"
	qemu_machine 192
	qemu_disk "$dir/volume.raw,boot=0"
	qemu_nic virtio user
	rm "$dir/events"
	qemu_events "$dir/events"
	qemu_disk "$dir/target.raw,serial=TW0"
	boot_run 120 60 || fail "the machine did not end"
}

# What the clone did since is not lost, and the machine does not restart for ever.
printf 'written by the clone' | dd of="$dir/target.raw" bs=1M seek=2 conv=notrunc status=none
cp "$dir/target.raw" "$dir/target.before"
cp "$dir/result.json" "$dir/result.before"
again
expect_off guest-shutdown
ended OFF poweroff
expect_serial 'JOB_DONE: migration boot-test: ended in success at 20'
jq -se '[.[] | select(.type == "error").err.code] == ["JOB_DONE"] and
	all(.[]; .state != "READY" and .state != "COPY")' "$dir/events" >"$dir/jq.log" ||
	fail "the machine channel: $(tail -n 3 "$dir/events")"
cmp "$dir/target.raw" "$dir/target.before" || fail "the clone was written to"
scripts/read-result "$dir/volume.raw" | cmp - "$dir/result.before" || fail "another result"

# The job put there anew is an order.
jq '.finish = "poweroff"' "$dir/job.json" >"$dir/anew.json"
scripts/set-job "$dir/volume.raw" "$dir/anew.json"
again
expect_off guest-shutdown
result

rm "$dir/volume.raw" "$dir/target.raw"
truncate -s 4M "$dir/target.raw"
qemu_new "$dir"
job_volume '.finish = "hold"'
qemu_disk "$dir/target.raw,serial=TW0"
limit=$((120 * scale / 4))
vm_start boot $limit "${qemu[@]:1}" || fail "QEMU did not start"
vm_wait_serial boot $limit 'init: held for inspection' || fail "the machine is not held"
ended HOLD hold
result
# Held, not on its way: the worker is gone and the machine still answers.
[ "$(vm_qmp boot '{"execute":"query-status"}' | jq -r .status)" = running ] || fail "not running"
expect_no_serial 'power-off: ready'
vm_qmp boot '{"execute":"system_powerdown"}' >/dev/null
vm_wait boot $limit $limit || fail "the held machine does not obey the power button"
expect_off guest-shutdown
expect_serial 'poweroff decided: power button'

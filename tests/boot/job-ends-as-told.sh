#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job's `finish`: `reboot` restarts the machine after its result is kept; `hold` keeps it on, with
# the result already on the volume, until the power button is pressed.
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

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Secrets end with the job. A success takes the source's key off the volume; the controller's token
# stays as long as it has not taken the result, so that a second start can offer it (JOB_DONE), and
# goes then. The document that stays is a job, and no order to copy. In the middle of the job no log,
# no event and no result has a secret.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
job_source 16
boot_controller
controller_pid=${cleanup[-1]#kill }
unset 'cleanup[-1]'
cleanup+=(end_controller)
end_controller()
{
	[ -z "$controller_pid" ] || kill "$controller_pid"
	controller_pid=
}

# machine: the volume as it is, and the target.
machine()
{
	qemu_new "$dir"
	qemu_machine 192
	qemu_disk "$dir/volume.raw,boot=0"
	qemu_nic virtio user
	rm -f "$dir/events"
	qemu_events "$dir/events"
	qemu_disk "$dir/target.raw,serial=TW0"
}
on_volume() { grep -aqF -- "$1" "$dir/volume.raw"; }

truncate -s 16M "$dir/target.raw"
job_volume '.report_deadline_s = 5 | .bandwidth = "2M"'
qemu_disk "$dir/target.raw,serial=TW0"
token=$(jq -r .controller.token "$dir/job.json")
secret=${psk#*:}
on_volume "$token" && on_volume "$secret" || fail "the job is not on the volume"

# The controller goes while the drive is copied.
limit=$((200 * scale / 4))
: >>"$dir/events"
vm_start boot $limit "${qemu[@]:1}" || fail "QEMU did not start"
for ((i = 0; i < limit * 2; i++)); do
	! grep -q '"state":"COPY"' "$dir/events" || break
	sleep 0.5
done
end_controller
vm_wait boot $limit $limit || fail "the machine did not end"
expect_off guest-shutdown
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
[ "$(jq -r '"\(.verdict) \(.acknowledged)"' "$dir/result.json")" = "success false" ] ||
	fail "without the controller: $(jq -c '{verdict, acknowledged, err}' "$dir/result.json")"
expect_serial 'the secrets of the job are off the volume'
! on_volume "$secret" || fail "the source's key stays on the volume"
on_volume "$token" || fail "the token is gone before the result is delivered"
scripts/read-result "$dir/volume.raw" job.json >"$dir/wiped.json"
build/worker/worker check-job "$dir/wiped.json" >"$dir/check.log" 2>&1 ||
	fail "the rest is no job: $(tail -n 1 "$dir/check.log")"
scripts/read-result "$dir/volume.raw" worker.log >"$dir/worker.log"

# It is there again.
address=${controller_url#https://10.0.2.2:}
vm_beside build/controller/controller serve --listen "127.0.0.1:${address%%/*}" \
	>"$dir/controller.out" 2>>"$dir/controller.log" &
controller_pid=$!
for ((i = 0; i < 600; i++)); do
	! grep -q '^pin ' "$dir/controller.out" || break
	sleep 0.1
done
printf 'written by the clone' | dd of="$dir/target.raw" bs=1M seek=2 conv=notrunc status=none
cp "$dir/target.raw" "$dir/target.before"
cp "$dir/boot/serial.log" "$dir/first.log"
machine
boot_run 200 120 || fail "the machine did not end"
expect_off guest-shutdown
expect_serial 'JOB_DONE: migration boot-1: ended in success at 20'
build/controller/controller wait boot-1 --for result --timeout 20 >"$dir/told.json" ||
	fail "the controller has no result"
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
[ "$(jq -r '"\(.verdict) \(.acknowledged)"' "$dir/result.json")" = "success true" ] ||
	fail "with it: $(jq -c '{verdict, acknowledged, err}' "$dir/result.json")"
! on_volume "$token" || fail "the token stays on the volume"

# A third start has nothing to tell and nobody to ask. Had the machine been cut off between the word of
# the controller and the end, the secrets would still be there: they go now.
mcopy -o -i "$dir/volume.raw@@$(scripts/twconfig-offset "$dir/volume.raw")" "$dir/job.json" ::job.json
on_volume "$token" && on_volume "$secret" || fail "the job is not on the volume again"
cp "$dir/result.json" "$dir/result.before"
cp "$dir/boot/serial.log" "$dir/second.log"
machine
boot_run 200 120 || fail "the machine did not end"
expect_serial 'JOB_DONE: migration boot-1: ended in success at 20'
scripts/read-result "$dir/volume.raw" | cmp - "$dir/result.before" || fail "another result"
cmp "$dir/target.raw" "$dir/target.before" || fail "the clone was written to"
! on_volume "$token" || fail "the token stays after a cut"
! on_volume "$secret" || fail "the source's key stays after a cut"

for file in first.log second.log boot/serial.log events result.json worker.log told.json \
	source-server.log; do
	for word in "$token" "$secret"; do
		! grep -aqF -- "$word" "$dir/$file" || fail "$file has a secret"
	done
done

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker that dies is started again three times and told why: it crashed, hung longer than it had
# asked for, used all memory; a process of it that ignores TERM goes with it. Then the machine goes
# off, and the worker's own `report-crash` has left a result of that on the volume and at the
# controller. One that dies after the end of its job leaves the success that is there.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
boot_controller
jq -n '{version: 1, migration: "gave-up", mode: "full", source: {url: "nbd://10.0.2.2:5994"},
	prepare: false, drives: [{source: "sda", target: {serial: "TW0"}}]}' >"$dir/plain.json"
build/controller/controller job new --template "$dir/plain.json" --migration gave-up \
	--url "$controller_url" >"$dir/job.json"

# gave_up JOB: the worker does what standard input says, the real one reports.
gave_up()
{
	qemu_new "$dir"
	{
		# shellcheck disable=SC2016 # for the machine's shell
		echo 'echo "mode $1, sleepers $(pidof sleep | wc -w), last: ${TW_LAST_CRASH:-none}"
			[ "$1" = run ] || exec /bin/worker.real "$@"'
		cat
	} | boot_worker
	printf 'file /bin/worker.real %s 0755 0 0\n' "$top/build/worker/worker" >>"$dir/overlay.list"
	"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
	qemu_machine 192
	rm -f "$dir/volume.raw"
	qemu_volume "$image"
	scripts/set-job "$dir/volume.raw" "$1"
	[ ! -e "$dir/earlier.json" ] ||
		mcopy -i "$dir/volume.raw@@$(scripts/twconfig-offset "$dir/volume.raw")" \
			"$dir/earlier.json" ::result.json
	qemu_disk "$dir/volume.raw"
	qemu_nic virtio user
	boot_kernel "$(scripts/set-job --word "$dir/volume.raw")"
	boot_run 120 || fail "the machine did not power off"
	expect_off guest-shutdown
	expect_serial 'the worker failed 4 times'
	expect_no_serial 'does not end'
	scripts/read-result "$dir/volume.raw" >"$dir/result.json"
}

gave_up "$dir/job.json" <<'END'
case ${TW_LAST_CRASH:-none} in
none)
	echo "so far so good"
	kill -SEGV $$
	;;
signal*)
	trap '' TERM
	tell allow 1
	echo "asleep"
	sleep 900
	;;
stalled*)
	echo "thirsty"
	exec tail </dev/zero
	;;
killed*)
	echo "still thirsty"
	exec tail </dev/zero
	;;
esac
END
expect_serial '^mode run, sleepers 0, last: none'
expect_serial '^mode run, sleepers 0, last: signal 11 .*maxrss [0-9]+ kB; last: so far so good'
expect_serial 'the worker makes no progress'
expect_serial '^mode run, sleepers 0, last: stalled: .*; last: asleep'
expect_serial '^mode run, sleepers 0, last: killed: out of memory; .*; last: thirsty'
expect_serial '^mode report-crash, sleepers 0, last: killed: .*; last: still thirsty'
expect_serial 'NOMEM: the worker ran out of memory repeatedly'
build/controller/controller wait gave-up --for result --timeout 20 >"$dir/told.json"
for witness in result told; do
	jq -e '.verdict == "failed" and .migration == "gave-up" and .code == "NOMEM" and .touched and
		(.err.text | test("killed: out of memory; .*; last: still thirsty")) and .err.retryable' \
		"$dir/$witness.json" >"$dir/jq.log" ||
		fail "$witness.json: $(jq -c '{verdict, err, touched}' "$dir/$witness.json")"
done
[ "$(jq .acknowledged "$dir/result.json")" = true ] || fail "not acknowledged"

jq '{version: 1, migration, mode, verdict: "success", touched: true, code: "NONE"}' "$dir/plain.json" \
	>"$dir/earlier.json"
gave_up "$dir/plain.json" <<'END'
kill -SEGV $$
END
[ "$(grep -ac '^mode run, sleepers 0, last: signal 11 ' "$dir/boot/serial.log")" -eq 3 ] ||
	fail "not exactly three restarts"
expect_serial 'the migration had ended in success; its result stays'
cmp "$dir/result.json" "$dir/earlier.json" || fail "the success is gone: $(cat "$dir/result.json")"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# When the worker failed more often than it may, the volume has a result of it all the same, written
# by the worker's own `report-crash`: WORKER_CRASH for one that died, WORKER_STALL for one that hung, NOMEM for one
# that used all memory. One that dies after the end of its job leaves the success that is there.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
jq -n '{version: 1, migration: "gave-up", mode: "full", source: {url: "nbd://10.0.2.2:5994"},
	prepare: false, drives: [{source: "sda", target: {serial: "TW0"}}]}' >"$dir/job.json"

# gave_up CODE CAUSE: the worker does what standard input says, the real one reports.
gave_up()
{
	qemu_new "$dir"
	{
		# shellcheck disable=SC2016 # for the machine's shell
		echo '[ "$1" = run ] || exec /bin/worker.real "$@"'
		cat
	} | boot_worker
	printf 'file /bin/worker.real %s 0755 0 0\n' "$top/build/worker/worker" >>"$dir/overlay.list"
	"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
	qemu_machine 192
	rm -f "$dir/volume.raw"
	qemu_volume "$image"
	scripts/set-job "$dir/volume.raw" "$dir/job.json"
	[ ! -e "$dir/earlier.json" ] ||
		mcopy -i "$dir/volume.raw@@$(scripts/twconfig-offset "$dir/volume.raw")" \
			"$dir/earlier.json" ::result.json
	qemu_disk "$dir/volume.raw"
	boot_kernel
	boot_run 120 || fail "the machine did not power off"
	expect_off guest-shutdown
	scripts/read-result "$dir/volume.raw" >"$dir/result.json"
	[ "$1" != NONE ] || return 0
	jq -e --arg code "$1" --arg cause "$2" '.verdict == "failed" and .migration == "gave-up" and
		.code == $code and .touched and (.err.text | test($cause)) and .err.retryable' \
		"$dir/result.json" >"$dir/jq.log" || fail "$(jq -c '{verdict, err, touched}' "$dir/result.json")"
}

gave_up WORKER_CRASH 'signal 11 .*; last: so far so good' <<'END'
echo "so far so good"
kill -SEGV $$
END
gave_up WORKER_STALL 'stalled: .*; last: asleep' <<'END'
echo "asleep"
tell allow 1
exec sleep 900
END
gave_up NOMEM 'killed: out of memory; .*; last: thirsty' <<'END'
echo "thirsty"
exec tail </dev/zero
END
jq '{version: 1, migration, mode, verdict: "success", touched: true, code: "NONE"}' "$dir/job.json" \
	>"$dir/earlier.json"
gave_up NONE '' <<'END'
kill -SEGV $$
END
cmp "$dir/result.json" "$dir/earlier.json" || fail "the success is gone: $(cat "$dir/result.json")"

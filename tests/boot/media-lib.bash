# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# media_test FIRMWARE MEDIUM [MEMORY_MB]: a whole job from this medium: 16 MiB from an NBD server
# on the host to a virtio disk. Sourced after lib.sh by the media tests.
#
# Three witnesses have to agree: the worker's result (on the volume, where there is one), its
# event channel, and QEMU's reason for the power-off; and the target has to equal the source.

media_source()
{
	local i

	requires nbdkit
	head -c 16M /dev/urandom >"$dir/source.raw"
	truncate -s 16M "$dir/target.raw"
	port=$(vm_port)
	vm_beside nbdkit --foreground --readonly --ipaddr 127.0.0.1 --port "$port" --exportname disk \
		file "$dir/source.raw" >"$dir/nbdkit.log" 2>&1 &
	nbdkit_pid=$!
	cleanup+=("kill $nbdkit_pid")
	for ((i = 0; i < 600; i++)); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>>"$dir/nbdkit.log"; then
			return
		fi
		sleep 0.1
	done
	fail "nbdkit does not listen"
}

media_job()
{
	jq -n --arg url "nbd://10.0.2.2:$port" '{version: 1, migration: "boot-test", mode: "full",
		source: {url: $url}, prepare: false,
		drives: [{source: "disk", target: {serial: "TWTARGET"}, target_state: "pristine"}]}' \
		>"$dir/job.json"
}

media_test()
{
	local firmware=$1 medium=$2 memory=${3:-256}

	boot_begin
	media_source
	media_job
	qemu_machine "$memory"
	qemu_firmware "$firmware"
	if [ "$medium" = disk ] || [ "$medium" = usb ]; then
		qemu_volume "$image"
		scripts/set-job "$dir/volume.raw" "$dir/job.json"
	else
		qemu_job "$dir/job.json"
	fi
	qemu_medium "$medium" "$image" virtio user
	qemu_disk "$dir/target.raw,serial=TWTARGET"
	qemu_events "$dir/events"
	boot_run 120 60 || fail "the machine did not power off"

	expect_off guest-shutdown
	[ "$(tail -n 1 "$dir/events" | jq -r .state)" = OFF ] ||
		fail "the last event is not OFF: $(tail -n 1 "$dir/events")"
	! grep -q '"state":"FAILED"' "$dir/events" || fail "an event says FAILED"
	if [ "$medium" = disk ] || [ "$medium" = usb ]; then
		scripts/read-result "$dir/volume.raw" >"$dir/result.json"
		[ "$(jq -r .verdict "$dir/result.json")" = success ] ||
			fail "the result says $(jq -c '[.verdict, .err]' "$dir/result.json")"
	fi
	cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"
}

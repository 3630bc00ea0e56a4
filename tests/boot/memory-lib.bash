# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # variables of lib.sh
# For tests/boot/memory-*.sh: a controller and a source-server on this host, and a machine with
# little memory and a whole job over TLS.

# memory_servers MIB: a source disk of this size; sets source_port, psk, and the controller's state.
memory_servers()
{
	requires openssl sqlite3
	[ -x build/worker/source-server ] || fail "build/worker/source-server: run make worker"
	head -c "$1M" /dev/urandom >"$dir/source.raw"
	truncate -s "$1M" "$dir/target.raw"
	source_port=$(vm_port)
	psk=tester:$(openssl rand -hex 32)
	(umask 077; echo "$psk" >"$dir/psk")
	vm_beside build/worker/source-server --drive "sda=$dir/source.raw" \
		--listen "127.0.0.1:$source_port" --psk-file "$dir/psk" >"$dir/source.log" 2>&1 &
	cleanup+=("kill $!")
	boot_controller
	jq -n --arg url "tws://10.0.2.2:$source_port" --arg psk "$psk" '{version: 1, mode: "full",
		source: {url: $url, psk: $psk}, prepare: false,
		drives: [{source: "sda", target: {serial: "TWTARGET"}, target_state: "pristine"}]}' \
		>"$dir/template.json"
	build/controller/controller job new --template "$dir/template.json" --migration memory \
		--url "$controller_url" >"$dir/job.json"
}

# memory_machine MB [bios|uefi]: started from its volume.
memory_machine()
{
	qemu_machine "$1"
	qemu_firmware "${2:-bios}"
	qemu_volume "$image"
	scripts/set-job "$dir/volume.raw" "$dir/job.json"
	qemu_medium disk "$image" virtio user
	qemu_disk "$dir/target.raw,serial=TWTARGET"
	rm -f "$dir/events"
	qemu_events "$dir/events"
}

# The whole job went through, and nothing was ended for want of memory.
memory_replicated()
{
	expect_off guest-shutdown
	build/controller/controller wait memory --for result --timeout 20 >"$dir/result.json" ||
		fail "the controller has no result"
	[ "$(jq -r '.verdict // .result.verdict' "$dir/result.json")" = success ] ||
		fail "the result: $(head -c 300 "$dir/result.json")"
	! grep -q '"state":"FAILED"' "$dir/events" || fail "an event says FAILED"
	expect_no_serial 'out of memory|Out of memory|oom|the worker ended'
	cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"
}

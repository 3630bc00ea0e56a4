# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # variables of lib.sh
# For tests/boot/job-*.sh: a source-server on this host, the worker image with a job for it, and
# the verdict of three witnesses; after boot_controller, of the controller too.

# job_source MIB [NAME...]: serves $dir/source.raw as sda and under more names; the machine reaches
# this host at 10.0.2.2.
job_source()
{
	local name drives=()

	[ -x build/worker/source-server ] || fail "build/worker/source-server: run make worker"
	for name in sda "${@:2}"; do
		drives+=(--drive "$name=$dir/source.raw")
	done
	truncate -s "$1M" "$dir/source.raw"
	printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$dir/source.raw"
	head -c $((($1 - 2) << 20)) /dev/urandom | dd of="$dir/source.raw" bs=1M seek=1 conv=notrunc status=none
	job_port=$(vm_port)
	psk=tester:$(openssl rand -hex 32)
	(umask 077; echo "$psk" >"$dir/psk")
	vm_beside build/worker/source-server "${drives[@]}" --listen "127.0.0.1:$job_port" \
		--psk-file "$dir/psk" >"$dir/source-server.log" 2>&1 &
	source_pid=$!
	trap job_end EXIT
	for _ in {1..600}; do
		! ss -Hltn "sport = :$job_port" | grep -q . || return 0
		sleep 0.1
	done
	fail "source-server: $(tail -n 1 "$dir/source-server.log")"
}

job_end()
{
	local status=$?

	if kill -0 "$source_pid" 2>&-; then
		kill "$source_pid"
	fi
	boot_end $status
}

# job_volume FILTER: a machine with the worker's volume, the job changed by a jq filter.
job_volume()
{
	qemu_machine "${memory:-192}"
	jq -n --arg url "tws://10.0.2.2:$job_port" --arg psk "$psk" '{version: 1, migration: "boot-test",
		mode: "full", source: {url: $url, psk: $psk, stall_s: 60},
		drives: [{source: "sda", target: {serial: "TW0"}, target_state: "pristine"}],
		prepare: false, finish: "poweroff"} | '"$1" >"$dir/job.json"
	[ -z "${controller_url:-}" ] || job_of_controller
	cp --sparse=always "$image/target-worker.iso" "$dir/volume.raw"
	truncate -s 64M "$dir/volume.raw"
	scripts/set-job "$dir/volume.raw" "$dir/job.json"
	qemu_disk "$dir/volume.raw,boot=0"
	qemu_nic virtio user
	rm -f "$dir/events"
	qemu_events "$dir/events"
}

# The job becomes a new migration of the controller's.
job_of_controller()
{
	job_number=$((${job_number:-0} + 1))
	mv "$dir/job.json" "$dir/template.json"
	build/controller/controller job new --template "$dir/template.json" \
		--migration "boot-$job_number" --url "$controller_url" >"$dir/job.json"
}

# job_expect VERDICT CODE: result.json, the machine channel, QEMU and the controller agree on it.
job_expect()
{
	local channel

	expect_off guest-shutdown
	scripts/read-result "$dir/volume.raw" >"$dir/result.json"
	channel=$(jq -rs '[.[] | select(.type == "error").err.code] | last // "NONE"' "$dir/events")
	[ "$(jq -r '"\(.verdict) \(.code)"' "$dir/result.json")" = "$1 $2" ] ||
		fail "result.json: $(jq -c '{verdict, err}' "$dir/result.json")"
	[ "$channel" = "$2" ] || fail "the event channel says $channel"
	expect_serial "$2: "
	[ -z "${controller_url:-}" ] || job_told "$2"
}

# job_told CODE: the controller has the same failure, in the result and as an event.
job_told()
{
	build/controller/controller wait "boot-$job_number" --for result --timeout 20 >"$dir/told.json"
	[ "$(jq -c '[.code, .err]' "$dir/told.json")" = "$(jq -c '[.code, .err]' "$dir/result.json")" ] ||
		fail "the controller was told $(jq -c '{code, err}' "$dir/told.json")"
	build/controller/controller events "boot-$job_number" >"$dir/told.events"
	jq -es --arg code "$1" '[.[].event | select(.type == "tw.error.v1").data.err] | last |
		.code == $code and (.text | length > 0) and (.hint | length > 0)' "$dir/told.events" \
		>"$dir/jq.log" || fail "the controller has no event of $1"
}

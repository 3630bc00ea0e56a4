# SPDX-License-Identifier: Apache-2.0
# The steps of `migrate`, in the order of the sequence; those inside the server are in server.sh.
# shellcheck shell=bash disable=SC2154 # variables of migrate and of the guest's guest.env
#
# The lab's network is QEMU's user networking on both sides: the VMs have their own addresses
# behind it, and what they say to each other and to the controller goes over this machine's
# loopback interface only.

net=192.168.77.0/24
host=192.168.77.2
source_mac=00:50:56:aa:10:01
target_mac=52:54:00:aa:20:01
migration=demo-$guest-$firmware
mode=full            # of the job
last=true            # the job prepares the guest; phase one of two does not
image=build/image/target-worker.iso
volume_mib=64

events=$demo/target/events.jsonl
result_file=$demo/result.json

# Loopback ports of the source's drives and of the controller; server.sh has the way into the VMs.
source_port=$(vm_port)
controller_port=$(vm_port)

start_controller()
{
	local i

	mkdir -p "$demo/controller"
	: >"$demo/controller.log"
	vm_beside build/controller/controller serve --state "$demo/controller" \
		--listen "127.0.0.1:$controller_port" >>"$demo/controller.log" 2>&1 &
	controller_pid=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q '^pin ' "$demo/controller.log" || break
		kill -0 "$controller_pid" 2>&- || die "controller did not start: $(tail -n 1 "$demo/controller.log")"
		sleep 0.1
	done
	step_note="https://$host:$controller_port"
}

# The source answers to the key and serves the drive, the target can hold it. A worker on this
# machine asks, for a target that cannot be one: DISK_NOT_FOUND means that the source was in order.
preflight()
{
	local code source_size

	jq -n --arg url "tws://127.0.0.1:$source_port" --arg psk "$psk" --arg file "$demo" \
		'{version: 1, migration: "preflight", mode: "full", source: {url: $url, psk: $psk},
		drives: [{source: "sda", target: {device: $file}}], prepare: false, finish: "poweroff"}' \
		>"$demo/probe.json"
	build/worker/worker run --job "$demo/probe.json" >"$demo/probe.result" 2>"$demo/probe.log" || :
	code=$(jq -r .code "$demo/probe.result")
	[ "$code" = DISK_NOT_FOUND ] || die "source: $code: $(jq -r .err.text "$demo/probe.result")"
	rm "$demo/probe.json"
	source_size=$(guest_ssh 'blockdev --getsize64 /dev/sda')
	target_size=$((source_size + (64 << 20)))
	truncate -s $target_size "$demo/target.raw"
	[ "$(du -k "$demo/target.raw" | cut -f1)" = 0 ] || die "the target's disk is not empty"
	mapfile -t target_args < <(
		vm_kvm_args $target_mac "net=$net,host=$host,dhcpstart=192.168.77.100"
		[ "$firmware" = bios ] || vm_uefi_args "$demo/target-vars.fd"
		printf '%s\n' -drive "if=none,id=disk,file=$demo/target.raw,format=raw,discard=unmap" \
			-device virtio-blk-pci,drive=disk,serial=TW0,bootindex=2
	)
	idle_target
	step_note="source answers to its key, drive $((source_size / 1000000)) MB, target disk $((target_size / 1000000)) MB, $firmware"
}

# The target exists already and idles without a system; the sequence has to stop it.
idle_target()
{
	vm_start target 600 "${target_args[@]}"
}

power_off_target()
{
	vm_runs target || die "target: was not running"
	vm_qmp target '{"execute":"quit"}' >/dev/null
	vm_wait target 60 60
	step_note=$(vm_off_reason target)
}

create_image()
{
	local template=$demo/template.json

	jq -n --arg migration "$migration" --arg url "tws://$host:$source_port" --arg psk "$psk" \
		--arg old $source_mac --arg new $target_mac --arg mode "$mode" --argjson last $last \
		--argjson uefi "$([ "$firmware" = uefi ] && echo true || echo false)" '{
		version: 1, migration: $migration, mode: $mode,
		network: [{mac: $new, dhcp: true}],
		source: {url: $url, psk: $psk},
		drives: [{source: "sda", target: {serial: "TW0"}} + if $mode == "full"
			then {target_state: "pristine", target_zero: true} else {target_state: "unknown"} end],
		verify: (if $last then "sample" else "none" end),
		prepare: (if $last then {guest: "auto", network: {($old): $new}, remove_tools: true,
			nvram: $uefi} else false end),
		finish: "poweroff"}' >"$template"
	if [ -n "$controller" ]; then
		build/controller/controller job new --state "$demo/controller" --template "$template" \
			--url "https://$host:$controller_port/v1" >"$demo/job.json"
	else
		cp "$template" "$demo/job.json"
	fi
	build/worker/worker check-job "$demo/job.json" >"$demo/check-job.log" 2>&1 ||
		die "the job is not valid: $(tail -n 1 "$demo/check-job.log")"
	cp "$image" "$demo/image.iso"
	scripts/set-job "$demo/image.iso" "$demo/job.json"
	step_note="$(($(stat -c %s "$demo/image.iso") / 1000)) kB, job $migration"
}

# The creator never runs a cycle: what counts is the volume that the storage makes for it.
create_volume()
{
	truncate -s ${volume_mib}M "$demo/volume.raw"
	qemu-img convert -n -f raw -O raw "$demo/image.iso" "$demo/volume.raw"
	vm_start creator 600 -machine q35 -m 64 -S -device virtio-scsi-pci,id=bus \
		-drive "if=none,id=volume,file=$demo/volume.raw,format=raw" \
		-device scsi-hd,id=boot,drive=volume,bus=bus.0
	step_note="$volume_mib MiB from an image of $(($(stat -c %s "$demo/image.iso") >> 20)) MiB"
}

detach_volume()
{
	vm_qmp creator '{"execute":"device_del","arguments":{"id":"boot"}}' >/dev/null
	until vm_event creator DEVICE_DELETED >/dev/null; do
		sleep 0.1
	done
	step_note="DEVICE_DELETED"
}

attach_volume()
{
	# shellcheck disable=SC2054 # QEMU's commas
	volume_args=(-drive "if=none,id=volume,file=$demo/volume.raw,format=raw"
		-device virtio-blk-pci,drive=volume,bootindex=1)
	step_note="virtio-blk, before the target's own disk"
}

remove_creator()
{
	vm_qmp creator '{"execute":"quit"}' >/dev/null
	vm_wait creator 60 60
	step_note=$(vm_off_reason creator)
}

start_target()
{
	copy_since=$(date +%s)
	rm -f "$events"
	vm_start target 5400 "${target_args[@]}" "${volume_args[@]}" -no-reboot \
		-device virtio-serial-pci -chardev "file,id=events,path=$events" \
		-device virtserialport,chardev=events,name=tw.events
	wait_state READY COPY 180
	step_note="worker is up$(jq -rs 'last(.[] | select(.monotonic_ms)) | " \(.monotonic_ms / 1000 | floor) s after its kernel"' "$events")"
}

# How far the worker has got, by its own word; "" before the first. A failure stays one, though
# REPORT and OFF follow it.
worker_state()
{
	[ -s "$events" ] || return 0
	grep '}$' "$events" | jq -rs '[.[] | select(.type == "state").state] |
		first(.[] | select(. == "FAILED" or . == "CANCELLED")) // last // empty'
}

order="BOOT CONFIG NET REGISTER READY COPY PAUSED VERIFY PREPARE COMMIT REPORT OFF FAILED CANCELLING CANCELLED"
state_rank()
{
	local before=${order%%"$1"*}

	wc -w <<<"$before"
}

# The reason of a failure, as the worker itself gave it.
worker_error()
{
	jq -rs 'map(select(.err)) | last | .err // {} | "\(.code // "no code"): \(.text // "no text")"' "$events"
}

# wait_state STATE [ANOTHER] SECONDS: until the worker has got that far.
wait_state()
{
	local wanted seen='' end line quiet=$SECONDS size=0 now

	wanted=$(state_rank "$1")
	end=$((SECONDS + ${!#}))
	while :; do
		now=$(worker_state)
		[ -z "$now" ] || seen=$now
		case $seen in
		FAILED | CANCELLED) die "worker: $(worker_error)" ;;
		esac
		[ -z "$seen" ] || [ "$(state_rank "$seen")" -lt "$wanted" ] || return 0
		if ! vm_runs target; then
			vm_last_words target >&2
			die "target went off ($(vm_off_reason target)) in state ${seen:-before any}; console: $demo/target/serial.log"
		fi
		if [ $SECONDS -ge "$end" ]; then
			vm_autopsy target
			die "worker is still in state ${seen:-before any}; console: $demo/target/serial.log"
		fi
		now=$(cat "$demo/target/serial.log" "$events" | wc -c)
		[ "$now" = "$size" ] || { size=$now; quiet=$SECONDS; }
		if [ $((SECONDS - quiet)) -ge 300 ]; then
			vm_autopsy target
			die "worker: nothing moved for 300 s in state ${seen:-before any}"
		fi
		if [ -s "$events" ]; then
			line=$(tail -n 20 "$events" | grep '}$' | jq -rs 'last // {} |
				if .progress then .progress | "bytes \(.phase) \(.flushed) \(.total) \(.rate_bps) \(.eta_s)"
				else "text \(.step // .state) \(.text // "")" end')
			# shellcheck disable=SC2086 # the words of one event
			case $line in
			bytes*) show_bytes ${line#bytes } ;;
			text*) show_progress "${line#text }" ;;
			esac
		fi
		sleep 1
	done
}

replicate()
{
	local start=$SECONDS bytes

	wait_state PREPARE 3600
	bytes=$(jq -rs 'map(select(.progress).progress) | last | "\(.total) \(.wire)"' "$events")
	step_note="$((${bytes% *} / 1000000)) MB of disk, $((${bytes#* } / 1000000)) MB over the wire"
	result "replicated" "$step_note in $(clock $((SECONDS - start)))"
}

prepare()
{
	local start=$SECONDS

	wait_state REPORT 1800
	step_note=$(jq -rs 'map(select(.type == "step.finished" and .state == "PREPARE") | .step) | join(", ")' "$events")
	result "prepared" "in $(clock $((SECONDS - start))): $step_note"
}

stop_target()
{
	vm_wait target 180 120
	step_note="QMP: $(vm_off_reason target)"
}

# The result on the volume, the machine channel and the monitor have to agree, and so has the
# controller when there is one.
witnesses()
{
	local reason channel medium boss=none

	reason=$(vm_off_reason target)
	channel=$(worker_state)
	scripts/read-result "$demo/volume.raw" >"$result_file"
	scripts/read-result "$demo/volume.raw" worker.log >"$demo/worker.log"
	medium=$(jq -r .verdict "$result_file")
	if [ -n "$controller" ]; then
		build/controller/controller wait --state "$demo/controller" "$migration" --for result \
			--timeout 5 >"$demo/result-controller.json"
		boss=$(jq -r .verdict "$demo/result-controller.json")
	fi
	step_note="volume $medium, channel $channel, controller $boss, monitor $reason"
	echo "$step_note" >"$demo/verdict"
	case $medium/$channel/$boss/$reason in
	success/OFF/success/guest-shutdown | success/OFF/none/guest-shutdown) ;;
	*) die "the witnesses disagree: $step_note" ;;
	esac
	result "verdict" "$step_note"
}

detach_boot_volume()
{
	! vm_runs target || die "target: is not off"
	volume_args=()
	step_note="the target keeps its own disk only"
}

delete_volume()
{
	rm "$demo/volume.raw"
}

delete_image()
{
	rm "$demo/image.iso"
}

# Both disks are at rest: the clone has not started yet.
compare_files()
{
	# What it changed, and where it keeps the files as they were.
	jq -r '.prepare | (.changes[].path), (.backup | sub("/[^/]*$"; ""))' "$result_file" |
		sort -u >"$demo/changed-by-prepare"
	qemu/compare-disks --offset "$root_offset" --changed "$demo/changed-by-prepare" \
		--since "$copy_since" --report "$demo/comparison.txt" \
		"$demo/source.raw" "$demo/target.raw" >"$demo/comparison.summary" ||
		die "$(tail -n 1 "$demo/comparison.summary"); see $demo/comparison.txt"
	step_note=$(tail -n 1 "$demo/comparison.summary")
	result "files" "$step_note"
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # variables of lib.sh and of guest.env
# For tests/boot/guest-*.sh over the small guests of qemu/guests/assemble. A test
#   guest_begin GUEST          makes overlays over its disks; reads guest.env
#   guest_before [REGEX]       it does not start from virtio as it is: its console shows REGEX (one
#                              of what initramfs tools and firmware say when the root is missing)
#   guest_prepare [OPTION...]  qemu/prepare, with the report in $dir/report.json
#   guest_after [BUS]          it starts from BUS (virtio-blk) with virtio-net only and answers on
#                              its old address; the answer is in $dir/answer. guest_extra=(ARGUMENT...):
#                              more of its machine; guest_while_up=COMMAND: called before it is ended;
#                              guest_off=button: it shuts down in order, for a look at its disks
#   guest_end                  writes the row for tests/MATRIX.md
# Limits are scaled by the calibration boot of lib.sh.

# shellcheck source=tests/boot/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The MAC addresses are the old ones: who moves a server keeps them, and its licences.
mac=00:50:56:aa:10:01 mac2=00:50:56:aa:10:02
guest_before_result="not tried" guest_before_s=0
guest_after_result="not reached"
guest_extra=()

guest_begin()
{
	local n

	requires qemu-system-x86_64 qemu-img socat mmdebstrap jq
	guest_dir=$(qemu/guests/assemble "$1")
	boot_begin
	trap guest_trap EXIT
	# shellcheck source=/dev/null
	. "$guest_dir/guest.env"
	guest_images=()
	for ((n = 0; n < disks; n++)); do
		guest_overlay "$dir/disk$n.qcow2" "$guest_dir/disk$n.qcow2"
		guest_images+=("$dir/disk$n.qcow2")
	done
}

# guest_overlay NEW BACKING
guest_overlay()
{
	qemu-img create -q -f qcow2 -F qcow2 -b "$2" "$1"
}

# A failed test leaves a row, too.
guest_trap()
{
	local status=$?

	[ $status -eq 0 ] || [ -z "${guest:-}" ] || guest_row "no: $guest_after_result"
	if [ -n "${guest_peer_pid:-}" ] && kill -0 "$guest_peer_pid" 2>&-; then
		kill "$guest_peer_pid"
	fi
	rm -f "$dir"/*.qcow2
	# Under errexit a failing command would end the trap before boot_end ends the machines.
	set +e
	(exit $status)
	boot_end
}

# guest_machine BUS IMAGE...: hardware of KVM in the array `args`.
guest_machine()
{
	local bus=$1 n=0 device port=0 image
	shift

	guest_port=$(vm_port)
	mapfile -t args < <(vm_kvm_args "$mac" \
		"net=192.168.77.0/24,host=$gateway,restrict=on,hostfwd=tcp:127.0.0.1:$guest_port-$address:$service_port")
	[ "$network" != bond ] || args+=(-netdev user,id=net1,restrict=on
		-device "virtio-net-pci,netdev=net1,mac=$mac2,romfile=")
	[ "$firmware" = bios ] || mapfile -t -O "${#args[@]}" args < <(vm_uefi_args "$dir/vars.fd")
	case $bus in
	virtio-scsi) args+=(-device virtio-scsi-pci,id=scsi) ;;
	esac
	for image; do
		case $bus in
		virtio-blk) device=virtio-blk-pci ;;
		virtio-scsi) device=scsi-hd,bus=scsi.0 ;;
		nvme) device=nvme,serial=NVME$n ;;
		sata) device=ide-hd,bus=ide.$((port++)) ;;
		*) fail "no bus $bus" ;;
		esac
		args+=(-drive "if=none,id=disk$n,file=$image,format=qcow2,discard=unmap"
			-device "$device,drive=disk$n")
		n=$((n + 1))
	done
}

# dracut speaks as "dracut" or, under systemd, as "dracut-initqueue[PID]:".
guest_missing='ALERT! +.* does not exist|Warning: /dev/.* does not exist|Warning: Could not boot|No bootable option|BdsDxe: failed to load'
guest_lost='ALERT! +.* does not exist|Warning: Could not boot|\(initramfs\)|emergency mode'

# initramfs-tools looks for a disk for half a minute: others may have the emulator meanwhile.
guest_waits='Begin: Waiting for (suspend/resume device|root file system)'

# On overlays of its own.
guest_before()
{
	local n images=()

	guest_missing=${1:-$guest_missing}
	guest_before_limit=$((150 * scale / 4))
	for ((n = 0; n < disks; n++)); do
		guest_overlay "$dir/before$n.qcow2" "$guest_dir/disk$n.qcow2"
		images+=("$dir/before$n.qcow2")
	done
	guest_machine virtio-blk "${images[@]}"
	vm_start before $((4 * guest_before_limit)) "${args[@]}" -no-reboot
	guest_before_start=$SECONDS
	guest_before_result="neither starts nor says why not"
	guest_before_shows "$guest_missing|login:|$guest_waits"
	guest_before_s=$((SECONDS - guest_before_start))
	if grep -aqE -- "$guest_missing|login:" "$vm_run/before/serial.log"; then
		guest_before_ends
	else
		guest_before_result="still looked for its disk when the test ended"
		vm_unlock
	fi
}

guest_before_shows()
{
	vm_wait_serial before $guest_before_limit "$1" || {
		vm_autopsy before
		fail "before: '$1' was not seen on $vm_run/before/serial.log"
	}
}

# Until it has given up.
guest_before_ends()
{
	guest_before_shows "$guest_missing|login:"
	if grep -aq 'login:' "$vm_run/before/serial.log"; then
		guest_before_result="boots"
		fail "before: the guest starts from virtio as it is: nothing would be proved"
	fi
	guest_before_result="no: $(grep -aoE -- "$guest_missing" "$vm_run/before/serial.log" | head -n 1 | cut -c1-60)"
	vm_kill before
	rm -f "$dir"/before*.qcow2 "$dir/vars.fd"
}

guest_prepare()
{
	local nics=()

	# Of two adapters an operator says which is which.
	[ "$network" != bond ] || nics=(--nic "$mac=$mac" --nic "$mac2=$mac2")
	guest_after_result="preparing failed"
	qemu/prepare --firmware "$firmware" "${nics[@]}" --dir "$dir/prepare" --report "$dir/report.json" "$@" \
		"${guest_images[@]}" || fail "prepare: $(jq -c .err "$dir/prepare/result.json")"
	guest_prepare_s=$(($(date +%s) - $(stat -c %Y "$dir/prepare/worker/cmdline")))
	[ -z "${vm_pid[before]:-}" ] || guest_before_ends
}

# guest_after [BUS]: blank variables of UEFI, so a boot entry cannot help.
guest_after()
{
	local bus=${1:-virtio-blk} limit=$((240 * scale / 4)) end state='' log=$vm_run/after/serial.log
	local moved size=0 now ask

	guest_bus=$bus
	guest_after_result="no answer on $bus"
	rm -f "$dir/vars.fd"
	guest_machine "$bus" "${guest_images[@]}"
	# Longer than what is waited for below, which finds out how far it came.
	vm_start after $((limit + 60)) "${args[@]}" "${guest_extra[@]}" -no-reboot
	guest_boot_start=$SECONDS moved=$SECONDS
	end=$((SECONDS + limit)) ask=$((SECONDS + 60))
	# The system answers before it is complete; "starting" is no answer yet.
	while [ "$state" = '' ] || [ "$state" = starting ] || [ "$state" = initializing ]; do
		now=$(stat -c %s "$log")
		[ "$now" = "$size" ] || { size=$now; moved=$SECONDS; }
		if ! vm_runs after; then
			fail "after: the guest went off ($(vm_off_reason after)): $(tail -c 300 "$log" | tr -d '\r')"
		elif grep -aqE "$guest_lost" "$log"; then
			guest_after_result="no root on $bus"
			fail "after: the guest does not find its root: $(tail -c 300 "$log" | tr -d '\r')"
		elif [ $SECONDS -ge $end ]; then
			# A system without its network is another thing than none.
			if [ -n "$state" ]; then
				guest_after_result="starts on $bus, but is '$state'"
			elif grep -aq 'login:' "$log"; then
				guest_after_result="starts on $bus, but does not answer on $address"
			fi
			vm_autopsy after
			fail "after: no answer in $limit s, state '$state', console moved $((SECONDS - moved)) s ago: $(tail -c 300 "$log" | tr -d '\r')"
		fi
		# Answering keeps it from its work for seconds: nobody asks before it is ready, but one that
		# shows no login on this console is asked now and then.
		if grep -aq 'login:' "$log" || [ $SECONDS -ge $ask ]; then
			guest_ask || state=''
			ask=$((SECONDS + 20))
		fi
		sleep 1
	done
	guest_boot_s=$((SECONDS - guest_boot_start))
	[ "$(guest_said host)" = "$hostname" ] || fail "after: it calls itself '$(guest_said host)'"
	[ "$state" = running ] || { [ "$state" = degraded ] && [ -z "$(guest_failed)" ]; } ||
		fail "after: the system is '$state': $(guest_said failed)"
	guest_said nic | grep -q 'virtio' || fail "after: no virtio adapter: $(guest_said nic)"
	${guest_while_up:+"$guest_while_up"}
	if [ "${guest_off:-}" = button ]; then
		vm_qmp after '{"execute":"system_powerdown"}' >/dev/null
		vm_wait after $((240 * scale / 4)) $((240 * scale / 4)) || fail "after: its power button does not end it"
	else
		vm_qmp after '{"execute":"quit"}' >/dev/null
		vm_wait after 60 60
	fi
	guest_after_result="yes"
}

# Sets state from a complete answer.
guest_ask()
{
	timeout 30 socat -u -T 25 "TCP:127.0.0.1:$guest_port,connect-timeout=10" - >"$dir/answer.new" 2>"$dir/ask.log" || return 1
	grep -q '^end=' "$dir/answer.new" || return 1
	mv "$dir/answer.new" "$dir/answer"
	state=$(guest_said state)
}

# The units that failed. Not those that were answering this test when it had stopped waiting: on a
# busy machine that takes longer than a question lasts.
guest_failed()
{
	guest_said failed | tr ' ' '\n' | grep -v '^answer@.*\.service$' | xargs
}

# guest_said KEY: all values.
guest_said()
{
	sed -n "s/^$1=//p" "$dir/answer"
}

# The last commit that changed the product or the guests: that of a test alone says nothing about
# them. "+" when what was tested is not that commit exactly.
guest_commit()
{
	local dirty='' what=(worker initramfs kernel-config qemu)

	[ -z "$(git status --porcelain -uno -- "${what[@]}")" ] || dirty=+
	echo "$(git log -1 --format=%h -- "${what[@]}")$dirty"
}

# guest_row AFTER: for tests/matrix-report.
guest_row()
{
	mkdir -p build/matrix
	jq -n --arg test "$(basename "$0" .sh)" --arg guest "$guest" --arg about "$about" \
		--arg before "$guest_before_result" --arg after "$1" --arg bus "${guest_bus:-}" \
		--arg commit "$(guest_commit)" --argjson seconds $((guest_before_s + ${guest_prepare_s:-0} + ${guest_boot_s:-0})) \
		--argjson prepare "${guest_prepare_s:-null}" --argjson boot "${guest_boot_s:-null}" \
		'$ARGS.named' >"build/matrix/$guest.json"
}

guest_end()
{
	[ -z "${vm_pid[before]:-}" ] || guest_before_ends
	guest_row "${1:-yes, answers on $address}"
}

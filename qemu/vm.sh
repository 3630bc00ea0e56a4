# SPDX-License-Identifier: Apache-2.0
# Virtual machines for the guests, the demo and the boot tests. Sourced by bash scripts.
# shellcheck shell=bash
#
# Each VM has a directory below $vm_run with cmdline (how it was started), serial.log, qmp.log
# (every answer and event of its monitor), qemu.log, cpu.log (registers at every reset, and whether
# it was a triple fault) and, when a watch gave up, screen.ppm and registers. All are ended by their
# own pid, at the latest by `timeout`. Guests are emulated; only machines of qemu_machine (lib.sh) use
# KVM, where its probe has seen it work.
#
# All CPUs of a guest are emulated by one thread. With a thread each, QEMU 7.2 runs code that
# another CPU has changed meanwhile: seen in one boot of about a hundred on a loaded machine, as
# "Oops: int3" where the kernel turned a static branch (crng_make_state).

vm_run=${vm_run:?the directory of the VMs}
vm_scripts=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../scripts
declare -A vm_pid=() vm_fd=()
vm_seq=0
vm_lock_kept= # by a caller of vm_lock

# One emulator run at a time on a machine: a second one disturbs the first one's timers. Machines that
# run together (a source and its target) count as one run: vm_start takes the lock for the first of
# them, the end of the last one gives it back, so that what is done before, after and in between is
# nobody's wait. A caller who wants more calls vm_lock himself and keeps it until vm_unlock; one who
# holds it for another script sets TW_QEMU_LOCKED. The file TW_CLOCK is told who waits: a test's
# deadline does not run meanwhile.
vm_lock()
{
	local file=${TW_QEMU_LOCK:-${XDG_CACHE_HOME:-$HOME/.cache}/target-worker/qemu.lock}

	vm_lock_kept=1
	[ -z "${TW_QEMU_LOCKED:-}" ] || return 0
	if vm_under_flock "$file"; then
		export TW_QEMU_LOCKED=1
		return 0
	fi
	mkdir -p "$(dirname "$file")"
	exec {vm_lock_fd}>"$file"
	if ! flock -n "$vm_lock_fd"; then
		echo "waiting for another emulator run to end" >&2
		[ -z "${TW_CLOCK:-}" ] || echo waiting >>"$TW_CLOCK"
		flock -w 7200 "$vm_lock_fd" || return 1
		[ -z "${TW_CLOCK:-}" ] || echo locked >>"$TW_CLOCK"
	fi
	export TW_QEMU_LOCKED=1
}

# Whether this script was started by flock(1) on the same file: waiting for it would never end. A
# caller that has ended holds nothing.
vm_under_flock()
{
	local pid=$PPID words

	while [ "${pid:-1}" -gt 1 ] && [ -r "/proc/$pid/cmdline" ]; do
		mapfile -d '' -t words <"/proc/$pid/cmdline"
		[[ ${words[*]:0:1} != *flock ]] || [[ " ${words[*]} " != *" $1 "* ]] || return 0
		pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")
	done
	return 1
}

# For who has ended his machines, and for who has one that only waits from here on.
vm_unlock()
{
	[ -n "${vm_lock_fd:-}" ] || return 0
	flock -u "$vm_lock_fd" # whatever has inherited it
	exec {vm_lock_fd}>&-
	unset vm_lock_fd TW_QEMU_LOCKED
	vm_lock_kept=
}

# vm_beside COMMAND... &: without the lock, which would outlive a caller that was killed.
vm_beside()
{
	[ -z "${vm_lock_fd:-}" ] || exec {vm_lock_fd}>&-
	exec "$@"
}

# vm_start NAME DEADLINE-SECONDS QEMU-ARGUMENTS...
vm_start()
{
	local name=$1 deadline=$2 dir=$vm_run/$1 accel=(-accel 'tcg,thread=single') i fd kept=$vm_lock_kept
	shift 2

	vm_lock || return 1
	vm_lock_kept=$kept
	mkdir -p "$dir"
	rm -f "$dir"/{serial.log,qmp.log,qmp.in,qmp.sock,qemu.log,cpu.log,screen.ppm,registers}
	# QEMU takes the first one that it has.
	[[ " $* " != *' -accel '* ]] || accel=()
	set -- qemu-system-x86_64 -name "$name" "${accel[@]}" -nodefaults -no-user-config \
		-display none -vga std -serial "file:$dir/serial.log" -d cpu_reset -D "$dir/cpu.log" \
		-qmp "unix:$dir/qmp.sock,server=on,wait=off" "$@"
	printf '%q ' timeout "$deadline" "$@" >"$dir/cmdline"
	echo >>"$dir/cmdline"
	: >"$dir/serial.log"
	vm_beside timeout --kill-after=5 "$deadline" "$@" </dev/null >"$dir/qemu.log" 2>&1 &
	vm_pid[$name]=$!
	for ((i = 0; i < 1200; i++)); do
		[ ! -S "$dir/qmp.sock" ] || break
		if ! vm_runs "$name"; then
			echo "$name: QEMU did not start: $(tail -n 3 "$dir/qemu.log")" >&2
			return 1
		fi
		sleep 0.1
	done
	[ -S "$dir/qmp.sock" ] || { echo "$name: QEMU made no monitor socket within 120 s" >&2; return 1; }
	mkfifo "$dir/qmp.in"
	exec {fd}<>"$dir/qmp.in"
	vm_fd[$name]=$fd
	vm_beside socat -t 2 STDIO "UNIX-CONNECT:$dir/qmp.sock" <"$dir/qmp.in" >"$dir/qmp.log" 2>"$dir/socat.log" &
	vm_qmp "$name" '{"execute":"qmp_capabilities"}' >/dev/null
}

vm_runs()
{
	[ -n "${vm_pid[$1]:-}" ] && kill -0 "${vm_pid[$1]}" 2>&-
}

# vm_qmp NAME COMMAND: prints what the command returned.
vm_qmp()
{
	local name=$1 id=$((++vm_seq)) log=$vm_run/$1/qmp.log i answer

	jq -c --argjson id $id '. + {id: $id}' <<<"$2" >&"${vm_fd[$name]}"
	for ((i = 0; i < 1200; i++)); do
		answer=$(jq -c --argjson id $id 'select(.id == $id)' "$log" 2>&-) || :
		if [ -n "$answer" ]; then
			if jq -e .error <<<"$answer" >/dev/null; then
				echo "$name: $(jq -r .error.desc <<<"$answer") ($2)" >&2
				return 1
			fi
			jq -c .return <<<"$answer"
			return
		fi
		vm_runs "$name" || return 1
		sleep 0.1
	done
	echo "$name: no answer to $2" >&2
	return 1
}

# Whether the monitor has reported EVENT; prints its data.
vm_event()
{
	local data

	data=$(jq -c --arg e "$2" 'select(.event == $e) | .data // {}' "$vm_run/$1/qmp.log" 2>&-) || :
	[ -n "$data" ] && tail -n 1 <<<"$data"
}

# guest-shutdown, guest-reset, host-qmp-quit, ...; "" when the monitor reported none.
vm_off_reason()
{
	vm_event "$1" SHUTDOWN | jq -r .reason
}

# Why the VM went off and what it said last, for a person who sees nothing but a test's log.
vm_last_words()
{
	local dir=$vm_run/$1

	echo "$1 went off: $(vm_off_reason "$1"); the last of its console, $dir/serial.log:"
	tail -n 15 "$dir/serial.log" | tr -d '\r'
	[ ! -f "$dir/cpu.log" ] || grep -A 4 'Triple fault' "$dir/cpu.log" || echo "no triple fault"
}

# What a person would want to see of a VM that no longer moves.
vm_autopsy()
{
	local name=$1 dir=$vm_run/$1

	vm_runs "$name" || return 0
	vm_qmp "$name" "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"$dir/screen.ppm\"}}" >/dev/null || :
	vm_qmp "$name" '{"execute":"human-monitor-command","arguments":{"command-line":"info registers"}}' |
		jq -r . >"$dir/registers" || :
}

# vm_wait NAME SECONDS STALL-SECONDS [FILE...]: until the VM is off. 1: limit reached, 2: nothing
# was written to its serial console, its event channel or FILE for STALL-SECONDS.
vm_wait()
{
	local name=$1 end=$((SECONDS + $2)) stall=$3 dir=$vm_run/$1 last='' now file moved=$SECONDS
	shift 3

	while vm_runs "$name"; do
		now=
		for file in "$dir/serial.log" "$dir"/events* "$@"; do
			[ ! -f "$file" ] || now+=" $(stat -c %s "$file")"
		done
		if [ "$now" != "$last" ]; then
			last=$now
			moved=$SECONDS
		fi
		if [ $((SECONDS - moved)) -ge "$stall" ]; then
			echo "$name: nothing moved for $stall s" >&2
			vm_autopsy "$name"
			return 2
		fi
		if [ $SECONDS -ge $end ]; then
			echo "$name: still running after its time" >&2
			vm_autopsy "$name"
			return 1
		fi
		[ -z "${vm_tick:-}" ] || "$vm_tick" "$name"
		sleep "${vm_poll:-0.2}"
	done
	vm_reap "$name"
}

# vm_wait_serial NAME SECONDS REGEX: until the console has shown it.
vm_wait_serial()
{
	local name=$1 end=$((SECONDS + $2)) last=''

	until grep -aqE -- "$3" "$vm_run/$name/serial.log"; do
		[ -z "$last" ] || return 1
		# It may have written its last line after the search: search once more.
		if ! vm_runs "$name" || [ $SECONDS -ge $end ]; then
			last=y
		else
			sleep 0.5
		fi
	done
}

vm_reap()
{
	local name=$1 fd=${vm_fd[$1]:-}

	[ -n "${vm_pid[$name]:-}" ] || return 0
	wait "${vm_pid[$name]}" || echo "qemu: exit status $?" >>"$vm_run/$name/qemu.log"
	[ -z "$fd" ] || exec {fd}>&-
	rm -f "$vm_run/$name/qmp.in" "$vm_run/$name/qmp.sock"
	unset "vm_pid[$name]" "vm_fd[$name]"
	[ -n "$vm_lock_kept" ] || [ ${#vm_pid[@]} -gt 0 ] || vm_unlock
}

# As if the plug were pulled.
vm_kill()
{
	local name=$1

	if vm_runs "$name"; then
		kill "${vm_pid[$name]}"
	fi
	vm_reap "$name"
}

vm_kill_all()
{
	local name

	for name in "${!vm_pid[@]}"; do
		vm_kill "$name"
	done
}

# A port of the loopback interface that nobody listens on.
vm_port()
{
	"$vm_scripts/free-port"
}

# A plain CPU model because Debian's systemd failed to set up mounts (EBUSY) on QEMU 7.2's emulated
# "max" with 5-level paging. AMD's, as Debian's kernel protects itself from Intel's Meltdown by
# page tables that change with each system call, which empties the emulator's TLB: a start takes a
# fifth less without.
vm_guest_cpu=(-cpu 'Westmere,vendor=AuthenticAMD' -smp 2)

# Hardware as VMware shows it: pvscsi in slot 160 (for UEFI SATA, as OVMF has no driver for pvscsi),
# vmxnet3 in slot 192 (so udev calls it ens192), SMBIOS strings, the backdoor port. QEMU's backdoor
# answers two calls only, so the CPU says TCG: taken for real VMware, open-vm-tools would start and
# fail. Prints one argument a line.
# vm_vmware_args bios|uefi DISK MAC NETDEV-OPTIONS
vm_vmware_args()
{
	printf '%s\n' -machine q35,vmport=on "${vm_guest_cpu[@]}" -m 512 \
		-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off \
		-smbios 'type=0,vendor=Phoenix Technologies LTD,version=6.00' \
		-smbios 'type=1,manufacturer=VMware,, Inc.,product=VMware Virtual Platform,version=None,serial=VMware-42 1d 20 41 7c 11 4e 9a-a0 11 22 33 44 55 66 77,uuid=41201d42-117c-9a4e-a011-223344556677' \
		-drive "if=none,id=disk0,file=$2,format=raw,discard=unmap"
	case $1 in
	bios)
		printf '%s\n' -device pcie-root-port,id=slot160,chassis=160,slot=160 \
			-device pvscsi,id=scsi0,bus=slot160 -device scsi-hd,drive=disk0,bus=scsi0.0
		;;
	uefi) printf '%s\n' -device ide-hd,drive=disk0,bus=ide.0 ;;
	esac
	printf '%s\n' -device pcie-root-port,id=slot192,chassis=192,slot=192 \
		-netdev "user,id=net0,$4" \
		-device "vmxnet3,netdev=net0,mac=$3,bus=slot192,romfile="
}

# Hardware as a KVM host gives it. vm_kvm_args MAC NETDEV-OPTIONS
vm_kvm_args()
{
	printf '%s\n' -machine q35 "${vm_guest_cpu[@]}" -m 512 \
		-smbios 'type=1,manufacturer=QEMU,product=KVM Virtual Machine' \
		-netdev "user,id=net0,$2" -device "virtio-net-pci,netdev=net0,mac=$1,romfile=" \
		-device virtio-rng-pci
}

# OVMF with a copy of its variables: vm_uefi_args VARS-FILE
vm_uefi_args()
{
	local code=/usr/share/OVMF/OVMF_CODE_4M.fd

	[ -f "$1" ] || cp "${code/CODE/VARS}" "$1"
	printf '%s\n' -drive "if=pflash,unit=0,format=raw,readonly=on,file=$code" \
		-drive "if=pflash,unit=1,format=raw,file=$1"
}

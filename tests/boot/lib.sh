# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2119,SC2120
# Sourced by the boot tests. A test
#   boot_begin                 makes its folder build/boot/NAME
#   boot_worker <<END          makes the initramfs overlay whose /bin/worker is this shell script
#   qemu_* (qemu/lib.sh)       puts the machine together in the array `qemu`
#   boot_controller            starts the reference controller; sets controller_url
#   boot_run SECONDS           runs it to its end; the limit is scaled by a calibration boot
#   boot_idle=REGEX            once the serial console shows it, the machine of boot_run does nothing
#                              but wait: others may have the emulator (see "# waits" in tests/run)
# and then looks at what is left: $dir/boot/serial.log, $dir/events, qmp.log (boot_off_reason).
# The folder keeps logs, the command line and, after a stall, a screenshot and the registers.

set -euo pipefail
top=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
cd "$top"
image=${IMAGE:-build/image}
vm_run=$top/build/boot/$(basename "$0" .sh)
# shellcheck source=qemu/lib.sh
. qemu/lib.sh
# shellcheck source=qemu/vm.sh
. qemu/vm.sh

fail()
{
	echo "FAILED: $*" >&2
	if [ -s "$vm_run/boot/serial.log" ]; then
		echo "--- last lines of $vm_run/boot/serial.log" >&2
		tail -n 15 "$vm_run/boot/serial.log" >&2
	fi
	exit 1
}

requires()
{
	local tool

	for tool; do
		command -v "$tool" >/dev/null || fail "$tool is missing (scripts/deps installs it)"
	done
}

cleanup=() # commands for the end of the test, whatever its end

# boot_end [STATUS]
boot_end()
{
	local status=${1:-$?} command

	trap - EXIT
	vm_kill_all
	for command in "${cleanup[@]}"; do
		$command || echo "clean-up failed: $command" >&2
	done
	exit $status
}

boot_begin()
{
	requires qemu-system-x86_64 socat jq mcopy
	[ -f "$image/target-worker.efi" ] || fail "$image/target-worker.efi: run make image"
	rm -rf "$vm_run"
	mkdir -p "$vm_run"
	dir=$vm_run
	trap boot_end EXIT
	boot_scale
	qemu_new "$dir"
}

# boot_worker: standard input becomes /bin/worker of the machine. TELL MESSAGE speaks to PID 1.
boot_worker()
{
	{
		printf '#!/bin/sh\ntell() { printf "%%s" "$*" >&"$TW_INIT_FD"; }\n'
		cat
	} >"$dir/worker"
	printf 'file /bin/worker %s 0755 0 0\n' "$dir/worker" >"$dir/overlay.list"
	"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
}

# Starts the kernel itself with the overlay; for tests of PID 1.
boot_kernel()
{
	# A warning of the kernel is a failure here: it panics, and QEMU ends with status 1.
	qemu+=(-kernel "$image/target-worker.efi" -initrd "$dir/overlay.cpio"
		-append "panic_on_warn=1 $*")
}

# boot_run SECONDS [STALL]: both are for a machine that takes 4 s for the calibration boot.
boot_run()
{
	local limit=$(($1 * scale / 4)) stall=$((${2:-60} * scale / 4)) status=0

	: >>"$dir/events"
	vm_start boot "$limit" "${qemu[@]:1}" || fail "QEMU did not start"
	if [ -n "${boot_idle:-}" ]; then
		vm_wait_serial boot "$limit" "$boot_idle" || fail "the console does not show: $boot_idle"
		vm_unlock
	fi
	vm_wait boot "$limit" "$stall" "$dir/events" || status=$?
	{
		echo "limit $limit s, stall $stall s, scale $scale/4, status $status"
		echo "off: $(boot_off_reason)"
		uptime
		qemu-system-x86_64 --version | head -n 1
	} >"$dir/verdict"
	return $status
}

# Why the machine went off, by QEMU's own word.
boot_off_reason()
{
	vm_off_reason boot
}

expect_off()
{
	local reason

	reason=$(boot_off_reason)
	[ "$reason" = "$1" ] || fail "QEMU says the machine ended by '$reason', not '$1'"
}

expect_serial()
{
	grep -aqE -- "$1" "$dir/boot/serial.log" || fail "the serial console does not show: $1"
}

expect_no_serial()
{
	! grep -aqE -- "$1" "$dir/boot/serial.log" || fail "the serial console shows: $1"
}

# boot_screen: what stands on the VGA screen of the running machine (BIOS): every second byte of the
# adapter's text memory at b8000, in rows of 80; what has scrolled out may stand there, too.
boot_screen()
{
	rm -f "$dir/vga"
	vm_qmp boot "{\"execute\":\"pmemsave\",\"arguments\":{\"val\":753664,\"size\":32768,
		\"filename\":\"$dir/vga\"}}" >"$dir/qmp.out"
	python3 - "$dir/vga" <<-'END'
		import sys
		text = open(sys.argv[1], "rb").read()[::2]
		for row in range(0, len(text), 80):
		    print("".join(chr(c) if 32 <= c < 127 else " " for c in text[row:row + 80]))
	END
}

# Sets scale: seconds of a start to power-off with a worker that finishes at once, at least 8, which
# is twice what an idle machine takes: it may have other work when the test runs. Measured at most
# every half hour; the load of the machine is in it.
boot_scale()
{
	local mark=$top/build/boot/.scale

	boot_scale_known && return
	vm_lock # who had it may have measured meanwhile
	boot_scale_known || boot_scale_measure
	vm_unlock
}

boot_scale_known()
{
	[ -n "$(find "$mark" -mmin -30 2>&-)" ] && scale=$(cat "$mark")
}

boot_scale_measure()
{
	local start self=$dir

	scale=100 # no limit that matters while it is measured
	dir=$self/calibration
	qemu_new "$dir"
	qemu_machine 128
	boot_worker <<-'END'
		tell finish poweroff
	END
	boot_kernel
	start=$(date +%s%N)
	timeout 200 "${qemu[@]}" -serial "file:$dir/serial.log" || fail "the calibration boot failed"
	scale=$((($(date +%s%N) - start + 999999999) / 1000000000))
	[ "$scale" -ge 8 ] || scale=8
	dir=$self
	echo "$scale" >"$mark"
	echo "calibration: $scale s from start to power-off, load $(cut -d' ' -f1 /proc/loadavg)" >&2
}

# controller_url is as the machine sees it: this host's loopback is 10.0.2.2 there. Commands of
# build/controller/controller find its state through the environment.
boot_controller()
{
	local i

	requires openssl sqlite3
	[ -x build/controller/controller ] || fail "build/controller/controller: run make controller"
	: >"$dir/controller.out"
	export TW_CONTROLLER_STATE=$dir/controller
	vm_beside build/controller/controller serve --listen "127.0.0.1:$(vm_port)" \
		>"$dir/controller.out" 2>"$dir/controller.log" &
	cleanup+=("kill $!")
	for ((i = 0; i < 600; i++)); do
		! grep -q '^pin ' "$dir/controller.out" || break
		sleep 0.1
	done
	controller_url=$(sed -n 's/^url //p' "$dir/controller.out")
	[ -n "$controller_url" ] || fail "the controller does not answer: $(tail -n 1 "$dir/controller.log")"
	controller_url=${controller_url/127.0.0.1/10.0.2.2}
}

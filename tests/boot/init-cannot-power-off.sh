#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine that has no way to power off (no ACPI) comes to an end all the same: everything is taken
# down, the screen says to switch it off, and the watchdog, which runs while the kernel tries, is
# stopped: it does not reset the machine, which would begin anew.
# waits
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin

boot_worker <<'END'
echo "these are the last words"
tell finish poweroff
END
qemu_machine 128 1 pc
qemu+=(-no-acpi -device i6300esb -action watchdog=reset)
boot_kernel
limit=$((90 * scale / 4))
vm_start boot $((limit + 200)) "${qemu[@]:1}" || fail "QEMU did not start"
vm_wait_serial boot $limit 'the machine stays on; switch it off' || fail "no word about what to do"
expect_serial 'watchdog: i6300ESB timer, 60 s'
expect_serial 'power-off: ready after'
on_screen()
{
	boot_screen >"$dir/screen"
	grep -q "$1" "$dir/screen"
}
for ((i = 0; i < 100; i++)); do
	! on_screen 'cannot be powered off by software; switch it off' || break
	sleep 0.2
done
for text in 'finished; switch this machine off' 'may be switched off now' 'these are the last words' \
	'cannot be powered off by software; switch it off'; do
	on_screen "$text" || fail "the screen does not show: $text; it shows: $(grep '[a-z]' "$dir/screen")"
done

# Longer than the watchdog counts: the emulator's own clock is the machine's.
vm_unlock
sleep 75
vm_runs boot || fail "the machine ended by '$(boot_off_reason)'"
! jq -es 'any(.event == "WATCHDOG" or .event == "RESET")' "$dir/boot/qmp.log" >"$dir/jq.log" ||
	fail "it was reset: $(tail -n 3 "$dir/boot/qmp.log")"
vm_kill boot

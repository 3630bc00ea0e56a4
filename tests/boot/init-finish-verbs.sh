#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a job asks for at its end: reboot resets the machine, hold keeps it up with its last words on
# the screen until somebody presses the power button.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin

boot_worker <<'END'
tell finish reboot
END
qemu_machine 128
boot_kernel
boot_run 60 || fail "reboot: the machine did not end"
expect_off guest-reset
expect_serial 'reboot decided'

qemu_new "$dir"
requires python3
boot_worker <<'END'
echo "these are the last words"
tell finish hold
END
qemu_machine 128
boot_kernel
limit=$((60 * scale / 4))
vm_start boot $limit "${qemu[@]:1}"
vm_wait_serial boot $limit 'init: held for inspection' || fail "hold: no word about it"
on_screen()
{
	boot_screen >"$dir/screen"
	grep -q "$1" "$dir/screen"
}
for ((i = 0; i < 100; i++)); do
	! on_screen 'held for inspection until the power button is pressed' || break
	sleep 0.2
done
for text in 'held for inspection until' 'these are the last words' 'may be switched off now' \
	"$(sed -n 's/^VERSION := //p' Makefile)  *up [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"; do
	on_screen "$text" || fail "the screen does not show: $text; it shows: $(grep '[a-z]' "$dir/screen")"
done
vm_runs boot || fail "hold: the machine ended by '$(boot_off_reason)'"
vm_qmp boot '{"execute":"system_powerdown"}' >/dev/null
vm_wait boot $limit $limit || fail "hold: the power button does nothing"
expect_off guest-shutdown

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker that dies is started again three times, told why, and then the machine reports the
# crash and powers off: it never stays on in silence.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin

boot_worker <<'END'
echo "mode $1, last: ${TW_LAST_CRASH:-none}"
[ "$1" = run ] || exit 0
tell tick
sleep 600 &
kill -SEGV $$
END
qemu_machine 128
boot_kernel
boot_run 60 || fail "the machine did not power off"

expect_off guest-shutdown
expect_serial '^mode run, last: none'
[ "$(grep -ac '^mode run, last: signal 11 ' "$dir/boot/serial.log")" -eq 3 ] ||
	fail "not exactly three restarts that know the signal"
expect_serial '^mode report-crash, last: signal 11 .*maxrss [0-9]+ kB'
expect_serial 'the worker failed 4 times'
expect_no_serial 'does not end'

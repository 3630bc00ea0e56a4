#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker that hangs is ended when its own allowance has passed, and started again; a process of
# it that ignores signals goes with it.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin

boot_worker <<'END'
if [ -n "$TW_LAST_CRASH" ]; then
	echo "second start, last: $TW_LAST_CRASH, sleepers: $(pidof sleep | wc -w)"
	tell finish poweroff
	exit 0
fi
trap '' TERM
tell allow 3
sleep 900
END
qemu_machine 128
boot_kernel
boot_run 60 || fail "the machine did not power off"

expect_off guest-shutdown
expect_serial 'the worker makes no progress'
expect_serial '^second start, last: stalled: .*, sleepers: 0'

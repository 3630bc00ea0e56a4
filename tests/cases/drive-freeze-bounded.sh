#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that panics when a task hangs: file systems are thawed before that, however long --freeze and
# the grace time are, and the log says why. (unit/capture/test-limits has the other limits.)
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires unshare

mounted 32M
port=$(free_port)
# In a mount namespace of its own, where /proc/sys/kernel says so.
start server unshare -m --propagation private bash -c 'mount -t tmpfs tmpfs /proc/sys/kernel &&
	echo 1 >/proc/sys/kernel/hung_task_panic && echo 4 >/proc/sys/kernel/hung_task_timeout_secs &&
	exec "$@"' - "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --grace 2000 --freeze 3000
wait_for 20 listens "$port"
"$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
touch "$work/mnt/late" # nobody else thaws
grep -q 'frozen for at most 3 s, not 3000: after 4 s the kernel panics (kernel.hung_task_panic)' "$work/server.log" ||
	fail "no reason: $(grep frozen "$work/server.log")"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

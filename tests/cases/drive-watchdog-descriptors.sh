#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The thaw watchdog is a process of its own, forked at the start and anew when what is mounted has
# changed. It keeps what it thaws, its channel and the log open, and nothing else: a client's connection
# that it kept would not end, and a snapshot that it kept could not be removed.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires mke2fs

mounted 16M
mke2fs -q -t ext4 "$work/disk2" 16M
loop2=$(losetup -f --show "$work/disk2")
cleanup_fn 'losetup -d "$loop2"'
mkdir "$work/mnt2"
cleanup_fn '! mountpoint -q "$work/mnt2" || wait_for 10 umount "$work/mnt2"'
cleanup_fn 'fsfreeze -u "$work/mnt2" 2>"$work/fsfreeze.out"'

watchdog() { # its process
	local p
	for p in $(pgrep -P "${started[server]}"); do
		[ "$(cat "/proc/$p/comm")" != thaw-watchdog ] || echo "$p"
	done
}
# What is open there beside standard input, output, error and mount points ("/" of other namespaces).
open_there() {
	find "/proc/$(watchdog)/fd" -type l -printf '%f %l\n' | awk '$1 > 2 { print $2 }' | grep -vE "^($work/mnt.*|/)\$" || true
}
for server in "$server" "$top/build/worker/source-server"; do
	port=$(free_port)
	start server "$server" --drive "sda=$loop" --drive "sdb=$loop2" --listen "127.0.0.1:$port" --allow-plain --grace 250
	wait_for 10 listens "$port"
	first=$(watchdog)
	[ "$(open_there | wc -l)" = 1 ] || fail "the first watchdog has open: $(open_there)"

	start hanging "$top/tests/cases/drive-second-reader.py" "$port" hang sda
	wait_for 30 grep -q 'file systems frozen' "$work/server.log"
	[ "$(watchdog)" = "$first" ] || fail "forked anew although nothing was mounted"
	stop hanging
	stop server

	start server "$server" --drive "sda=$loop" --drive "sdb=$loop2" --listen "127.0.0.1:$port" --allow-plain --grace 250
	wait_for 10 listens "$port"
	first=$(watchdog)
	mount "$loop2" "$work/mnt2"
	start hanging "$top/tests/cases/drive-second-reader.py" "$port" hang sda
	wait_for 30 grep -q 'file systems frozen' "$work/server.log"
	[ "$(watchdog)" != "$first" ] || fail "no new watchdog: this test shows nothing"
	has socket: <<<"$(find "/proc/${started[server]}/fd" -printf '%l\n')" || fail "no client there: this test shows nothing"
	[ "$(open_there | wc -l)" = 1 ] || fail "the new watchdog has open: $(open_there)"
	has '^socket:' <<<"$(open_there)" || fail "its channel is not what is open: $(open_there)"
	stop hanging
	stop server
	wait_for 10 umount "$work/mnt2"
done
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A drive whose file system is mounted and written to all the time: it is still while it is read, the copy
# is clean, and it thaws - when the worker has everything, when the server is killed, when a
# client does not come back, and when the time is over (then nothing more is served).
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires e2fsck

mounted 64M
head -c 8M /dev/urandom >"$work/mnt/data"
start writer bash -c 'while :; do date >>"$1/log"; sync "$1/log"; sleep 0.02; done' - "$work/mnt"
wait_for 10 test -s "$work/mnt/log"

lines() { wc -l <"$work/mnt/log"; }
is_still() { local n; n=$(lines); sleep 0.5; [ "$(lines)" = "$n" ]; }
moves() { ! is_still; }
reader() { "$top/tests/cases/drive-second-reader.py" "$port" "$@"; }
up() {
	port=$(free_port)
	start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain "$@"
	wait_for 10 listens "$port"
}

# Looking does not freeze.
up --grace 250
reader list >"$work/list"
wait_for 30 moves

# Reading does, and without a word at the end the client is waited for.
reader read sda "$work/dst"
is_still || fail "not frozen while the client may come back"
e2fsck -fn "$work/dst" >"$work/fsck.log" || fail "the copy is not clean: $(tail -n 3 "$work/fsck.log")"
reader diff sda "$work/dst" >"$work/diff"  # the same still state; the last word is "complete"
[ -z "$(cat "$work/diff")" ] || fail "two reads of the frozen drive differ in leaves $(cat "$work/diff")"
stop server

# When the grace time is over nobody is waited for any more.
up --grace 1
reader read sda "$work/dst"
wait_for 30 moves
stop server

# The worker says it when the connections that read are gone: nobody is waited for then.
up --grace 250
"$worker" copy --allow-plain "tw://127.0.0.1:$port/sda" "$work/copy" >"$work/copy.log" 2>&1 ||
	fail "copy: $(tail -n 2 "$work/copy.log")"
wait_for 30 moves
e2fsck -fn "$work/copy" >"$work/fsck.log" || fail "the worker's copy is not clean: $(tail -n 3 "$work/fsck.log")"
stop server

# Killed: the watchdog thaws.
up --grace 250
reader read sda "$work/dst"
is_still || fail "not frozen before the kill"
stop server -KILL
wait_for 30 moves

# A connection that hangs (its machine was reset) does not keep what the job's next run lets go.
up --grace 250
start hanging "$top/tests/cases/drive-second-reader.py" "$port" hang sda
wait_for 30 is_still
reader diff sda "$work/dst" >"$work/diff"
wait_for 30 moves
kill -0 "${started[hanging]}" || fail "the hanging connection ended"
stop hanging
stop server

# Ended in order.
up --grace 250
reader read sda "$work/dst"
stop server
wait_for 30 moves

# The time is over: thawed, and the client of that time gets nothing more.
up --freeze 2 --bandwidth 1M
! reader read sda "$work/dst" 2>"$work/reader.err" || fail "read although the drive was let go"
grep -q 'ERROR 116' "$work/reader.err" || fail "no ESTALE: $(tail -n 1 "$work/reader.err")"
wait_for 30 moves
stop server

# Frozen by someone else, who may thaw it at any time: not served, and left as it is.
up --grace 0
fsfreeze -f "$work/mnt"
! reader read sda "$work/dst" 2>"$work/reader.err" || fail "read although someone else holds the freeze"
is_still || fail "what someone else froze was thawed"
fsfreeze -u "$work/mnt"
grep -q 'frozen by someone else' "$work/reader.err" || fail "unclear: $(tail -n 1 "$work/reader.err")"
reader read sda "$work/dst"
stop server

# Mounted after the server began: still, too, and not left behind when the server is killed. With
# the release build as well, whose system calls are filtered most.
mke2fs -q -t ext4 "$work/disk2" 16M
loop2=$(losetup -f --show "$work/disk2")
cleanup_fn 'losetup -d "$loop2"'
mkdir "$work/mnt2"
cleanup_fn '! mountpoint -q "$work/mnt2" || wait_for 10 umount "$work/mnt2"'
cleanup_fn 'fsfreeze -u "$work/mnt2" 2>"$work/fsfreeze.out"'
for server in "$server" "$top/build/worker/source-server"; do
	up --grace 250 --drive "sdb=$loop2"
	mount "$loop2" "$work/mnt2"
	reader read sda "$work/dst"
	touch "$work/mnt2/late" &
	late=$!
	sleep 0.5
	kill -0 $late 2>"$work/kill.err" || fail "a file system that was mounted later is not frozen"
	stop server -KILL
	wait $late
	wait_for 30 moves
	wait_for 10 umount "$work/mnt2"
done

# Never, if so wished.
up --freeze never
reader read sda "$work/dst"
wait_for 30 moves
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

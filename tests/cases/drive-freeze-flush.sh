#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that takes its time: what programs have written is brought to it before the file system is
# frozen, and they go on writing all the while. The client is told that it is worked for, so that it
# waits; when it leaves instead, nothing is frozen for it. A server that is ended meanwhile ends.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
# shellcheck source=tests/cases/slow-lib.bash
. tests/cases/slow-lib.bash

slow_disk 64M
mke2fs -q -t ext4 -O ^has_journal "$slow"
mkdir "$work/mnt"
mount -o noatime,lazytime "$slow" "$work/mnt"
cleanup_fn 'wait_for 10 umount "$work/mnt"'
cleanup_fn 'fsfreeze -u "$work/mnt" 2>"$work/fsfreeze.out"'
# It writes where its file already is, and waits for no disk: neither for a journal.
head -c 4M /dev/zero >"$work/mnt/data"
sync
cat >"$work/writer" <<'END'
import sys, time
f = open(sys.argv[1] + "/mnt/data", "r+b", 0)
n = 0
while True:
    f.seek(n % 1024 * 4096)
    f.write(b"x" * 4096)
    n += 1
    with open(sys.argv[1] + "/count", "w") as c:
        c.write(str(n))
    time.sleep(0.02)
END
start writer /usr/bin/python3 "$work/writer" "$work"
cleanup_fn slow_go # before anything that waits for it is ended
wait_for 10 test -s "$work/count"

count() { local n; n=$(cat "$work/count"); echo "${n:-0}"; }
moves() { local n; n=$(count); sleep 0.5; [ "$(count)" -gt "$n" ]; }
up() {
	port=$(free_port)
	start server "$server" --drive "sda=$slow" --listen "127.0.0.1:$port" --allow-plain --verbose --grace 250
	wait_for 10 listens "$port"
	cleanup_fn slow_go
}
flushing() { has syncfs "/proc/${started[server]}"/task/*/wchan || has -hE '^(306|162) ' "/proc/${started[server]}"/task/*/syscall || [ -s "$work/grep.log" ]; }
frozen() { grep -q 'freezing 1 file systems' "$work/server.log"; }

up
slow_stop
start reader "$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
wait_for 10 flushing
for _ in 1 2 3 4; do
	wait_for 5 moves
	! frozen || fail "frozen while there is something to flush"
done
kill -0 "${started[reader]}" || fail "the client gave up: $(cat "$work/reader.log")"
slow_go
wait_for 30 frozen
wait "${started[reader]}" || fail "the client failed: $(tail -n 2 "$work/reader.log")"
unset 'started[reader]'
! moves || fail "it is not frozen at the end"
stop server
wait_for 5 moves

# The client leaves: nobody stands still for it, neither now nor later.
up
slow_stop
start reader "$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
wait_for 10 flushing
stop reader -KILL
wait_for 30 grep -q 'closed the connection' "$work/server.log"
slow_go
for _ in 1 2 3 4; do
	wait_for 5 moves
done
! frozen || fail "frozen for a client that has left"
stop server

# The server is told to end.
up
slow_stop
start reader "$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
wait_for 10 flushing
kill "${started[server]}"
wait_for 10 grep -q 'stopped' "$work/server.log"
wait_for 5 moves
slow_go
stop server
! frozen || fail "frozen at the end"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

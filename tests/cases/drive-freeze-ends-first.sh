#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server that is told to end thaws first of all: before it waits for a connection that reads from
# a disk that stands still, and for the program before the freeze of a client that has left.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
# shellcheck source=tests/cases/slow-lib.bash
. tests/cases/slow-lib.bash

mounted 32M
slow_disk 32M
up() {
	port=$(free_port)
	start server "$server" --drive "sda=$loop" --drive "sdb=$slow" --listen "127.0.0.1:$port" --allow-plain \
		--grace 250 --hook-time 250 "$@"
	wait_for 10 listens "$port"
	cleanup_fn slow_go
}
reader() { "$top/tests/cases/drive-second-reader.py" "$port" "$@"; }
blocked() { kill -0 $writer 2>"$work/kill.err"; }
# In the kernel, for the disk.
reads() { has -E 'bio_wait|io_schedule|direct_IO' "/proc/${started[server]}"/task/*/wchan; }

up
reader read sda "$work/dst"
touch "$work/mnt/late" &
writer=$!
sleep 0.5
blocked || fail "not frozen: this test shows nothing"
slow_stop
start stuck "$top/tests/cases/drive-second-reader.py" "$port" read sdb "$work/dst2"
wait_for 10 reads
kill "${started[server]}"
wait $writer
state=$(awk '/^State/ { print $2 }' "/proc/${started[server]}/status") || state=Z
[ "$state" != Z ] || fail "the server had ended before: this test shows nothing"
slow_go
stop server
stop stuck

# A program that would take minutes is ended with the client that waited for it, and nothing is frozen.
cat >"$work/hook" <<END
#!/bin/bash
echo "\$1 \$\$" >>"$work/calls"
[ "\$1" = thaw ] || exec sleep 240
END
chmod 755 "$work/hook"
up --before-freeze "$work/hook" --after-thaw "$work/hook"
start leaves "$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
wait_for 10 grep -q freeze "$work/calls"
pid=$(awk '/freeze/ { print $2 }' "$work/calls")
stop leaves -KILL
gone() { [ ! -e "/proc/$pid" ]; }
wait_for 10 gone
wait_for 10 grep -q thaw "$work/calls"
touch "$work/mnt/again"
! grep -q 'file systems frozen' "$work/server.log" || fail "frozen for a client that has left"

# And with the server.
: >"$work/calls"
start waits "$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
wait_for 10 grep -q freeze "$work/calls"
pid=$(awk '/freeze/ { print $2 }' "$work/calls")
stop server
gone || fail "the program before the freeze outlives the server"
grep -q thaw "$work/calls" || fail "no program after it"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

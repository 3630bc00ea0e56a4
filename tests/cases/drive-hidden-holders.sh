#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# File systems that are not in sight: one that is mounted in another mount namespace is frozen as any
# other. One that is mounted over, one in a namespace without processes and a program that has a partition
# for itself cannot be held still: the drive's consistency is "crash" and the log names the device. A
# drive that nobody uses, and one whose file system is mounted read-only, are neither.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires sfdisk partx mke2fs unshare

truncate -s 28M "$work/disk"
printf 'label: gpt\nsize=8M\nsize=8M\nsize=8M\n' | sfdisk -q "$work/disk"
loop=$(losetup -f --show "$work/disk") || skip "no loop device to be had"
cleanup_fn 'losetup -d "$loop"'
partx -a "$loop"
cleanup_fn 'partx -d "$loop"' # a device that is used again would have them
mke2fs -q -t ext4 "${loop}p1"
mke2fs -q -t ext4 "${loop}p3"
mkdir "$work/mnt" "$work/a"

up() {
	port=$(free_port)
	start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --grace 250 "$@"
	wait_for 20 listens "$port"
}
expect() { # CONSISTENCY [DEVICE]
	local got
	got=$(tests/cases/drive-second-reader.py "$port" consistency sda)
	[ "$got" = "$1" ] || fail "$got, not $1: $(tail -n 4 "$work/server.log")"
	if [ -n "${2:-}" ]; then
		grep -q "$(basename "$2") is in use by what cannot be held still" "$work/server.log" ||
			fail "the log does not name $2"
	else
		! grep -q 'is in use' "$work/server.log" || fail "a warning about nothing: $(grep 'is in use' "$work/server.log")"
	fi
}

up
expect unused
stop server
mount -o ro "${loop}p3" "$work/mnt"
up
expect fs
stop server
umount "$work/mnt"

# Somewhere else: no mount of here shows it.
mount_elsewhere() { # [COMMAND...]: a process with a mount namespace of its own
	rm -f "$work/in"
	start elsewhere "$@" unshare -m --propagation private bash -c \
		'mount "$1" "$2/mnt" && echo in >"$2/in"; exec sleep 600' - "${loop}p1" "$work"
	wait_for 10 test -s "$work/in"
}
mount_elsewhere
! grep -q "${loop}p1" /proc/self/mountinfo || fail "it is seen from here: this test shows nothing"
up
expect fs
nsenter -m -t "${started[elsewhere]}" touch "$work/mnt/late" &
late=$!
sleep 0.5
kill -0 $late 2>"$work/kill.err" || fail "a file system in another mount namespace is not frozen"
stop server
wait $late

# In a namespace that is kept by a file only.
mkdir "$work/keep"
mount -t tmpfs tmpfs "$work/keep"
cleanup_fn 'umount "$work/keep"'
mount --make-private "$work/keep"
touch "$work/keep/ns"
keep_namespace() { mount --bind "/proc/${started[elsewhere]}/ns/mnt" "$work/keep/ns" 2>"$work/keep.err"; }
# The kernel lets a namespace be kept only by one with a lower number, and each CPU numbers its own.
for ((cpu = 0; cpu < $(nproc); cpu++)); do
	! keep_namespace || break
	stop elsewhere
	mount_elsewhere taskset -c "$cpu"
done
mountpoint -q "$work/keep/ns" || keep_namespace || fail "the namespace cannot be kept: $(cat "$work/keep.err")"
stop elsewhere
up
expect crash "${loop}p1"
stop server
umount "$work/keep/ns"

# Mounted over.
mount "${loop}p1" "$work/a"
cleanup_fn '! mountpoint -q "$work/a" || umount "$work/a"'
mount -t tmpfs tmpfs "$work/a"
up
expect crash "${loop}p1"
stop server
umount "$work/a"
up
expect fs
stop server

# No file system at all.
start exclusive /usr/bin/python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("has it", flush=True)
time.sleep(600)' "${loop}p2"
wait_for 10 grep -q 'has it' "$work/exclusive.log"
up
expect crash "${loop}p2"
stop server
stop exclusive
up --freeze never
expect crash "${loop}p1"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

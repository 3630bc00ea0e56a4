# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # variables of lib.sh and of the tests
# For tests of what a slow disk must not hold up. slow_disk SIZE: a device $slow that stands still when
# told to: slow_stop (for at most 20 s), slow_go. What is asked of it meanwhile waits, and whoever asked cannot be interrupted.
requires nbdkit nbdfuse losetup /usr/bin/python3

slow_say()
{
	/usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.send(sys.argv[2].encode())
assert s.recv(1), "no answer"' "$work/slow.control" "$1"
}
# A sync(2) of any program of this machine waits with it: so it never stands still for long.
slow_stop()
{
	slow_say p
	start slow-guard bash -c "sleep 20; $(declare -f slow_say); work=$work; slow_say r"
}
slow_go()
{
	slow_say r
	stop slow-guard
}

slow_disk()
{
	mkdir "$work/slow"
	start nbdkit nbdkit -f -U "$work/slow.sock" --filter=pause memory "$1" "pause-control=$work/slow.control"
	wait_for 10 test -S "$work/slow.sock"
	start nbdfuse nbdfuse "$work/slow" "nbd+unix:///?socket=$work/slow.sock"
	wait_for 10 test -f "$work/slow/nbd"
	slow=$(losetup -f --show "$work/slow/nbd") || skip "no loop device to be had"
	cleanup_fn 'losetup -d "$slow"'
	cleanup_fn slow_go
}

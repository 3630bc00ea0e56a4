#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker is killed while the guest's tool runs, which has added files by then: an undo, without
# another preparation before it, takes them away as well.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
printf 'mkdir /etc/junk\necho junk >/etc/junk/file\necho hooked\nsleep 300\n' \
	>"$work/tree/etc/initramfs-tools/hooks/slow"
pack
list before
"$worker" prepare --nic "$nic" "$work/disk" >"$work/killed.log" 2>&1 &
pid=$!
wait_for 30 grep -q hooked "$work/killed.log"
kill -9 "$pid"
wait "$pid" || echo "killed: status $?"
disk_is_free
within '[ -e etc/junk/file ]' || fail "the tool left nothing"
prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
list undone
same before undone "undo left a difference"

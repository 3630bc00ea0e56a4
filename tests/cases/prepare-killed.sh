#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker is killed while the guest's tool runs: the next run completes what was begun, and undo
# still brings back the guest as it was before the first.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
printf 'echo hooked\n[ ! -e /etc/slow ] || sleep 30\n' >"$work/tree/etc/initramfs-tools/hooks/slow"
touch "$work/tree/etc/slow"
pack
list before
"$worker" prepare --nic "$nic" "$work/disk" >"$work/killed.log" 2>&1 &
pid=$!
wait_for 30 grep -q hooked "$work/killed.log"
kill -9 "$pid"
wait "$pid" || echo "killed: status $?"
# Its mounts went with its namespace; the loop device goes when nothing uses it.
wait_for 10 eval '! losetup -j "$work/disk" | has .'
debugfs -w -R 'rm /etc/slow' "$work/disk?offset=1048576" >"$work/debugfs.log" 2>&1
list killed
if cmp -s "$work/before" "$work/killed"; then fail "nothing was begun"; fi

prepare
[ "$status" = 0 ] || fail "second run: exit status $status"
is '.verdict == "boots" and (.warnings | any(test("interrupted")))'
prepare
is '.plan == []'
prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
list undone
grep -v '/etc/slow' "$work/before" >"$work/expected"
grep -v '/etc/slow' "$work/undone" >"$work/undone.rest"
same expected undone.rest "undo left a difference"

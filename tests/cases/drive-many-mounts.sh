#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A drive with more mounted file systems than anybody counted on: all of them are still while it is
# read, and all of them thaw.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires sfdisk partx mke2fs
n=66

truncate -s $((n + 2))M "$work/disk"
{ echo 'label: gpt'; for ((i = 0; i < n; i++)); do echo size=1M; done; } >"$work/table"
sed -i '1a table-length: 128' "$work/table"
sfdisk -q "$work/disk" <"$work/table"
loop=$(losetup -f --show "$work/disk") || skip "no loop device to be had"
cleanup_fn 'losetup -d "$loop"'
partx -a "$loop"
cleanup_fn 'partx -d "$loop"' # a device that is used again would have them
for ((i = 1; i <= n; i++)); do
	mke2fs -q -t ext2 "${loop}p$i"
	mkdir "$work/mnt$i"
	mount "${loop}p$i" "$work/mnt$i"
done
cleanup_fn 'for ((i = 1; i <= n; i++)); do umount "$work/mnt$i"; done'
cleanup_fn 'for ((i = 1; i <= n; i++)); do fsfreeze -u "$work/mnt$i" 2>"$work/fsfreeze.out"; done; true'

port=$(free_port)
start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --grace 250
wait_for 20 listens "$port"
tests/cases/drive-second-reader.py "$port" read sda "$work/dst"
for i in 1 2 $((n - 1)) $n; do
	touch "$work/mnt$i/late" &
	writers[i]=$!
done
sleep 0.5
for i in "${!writers[@]}"; do
	kill -0 "${writers[i]}" 2>"$work/kill.err" || fail "file system $i of $n is not frozen"
done
stop server
wait "${writers[@]}"
grep -q "freezing $n file systems" "$work/server.log" || fail "$(grep freezing "$work/server.log")"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

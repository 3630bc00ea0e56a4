#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job's commit takes the drives from the last to the first: until the boot disk's first sector is there,
# the machine cannot start from half of its disks. The end state does not show it, the system calls do.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires strace

mkdir "$work/disks"
for d in sda sdb sdc; do
	make_disk "$work/disks/$d" 3 7
	# Boot code and an active partition: sector 0 is masked until the commit.
	printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$work/disks/$d"
	dd if=/dev/urandom of="$work/disks/$d" bs=440 count=1 conv=notrunc status=none
done
port=$(free_port)
start nbd nbdkit -f -p "$port" -i 127.0.0.1 file dir="$work/disks"
wait_for 10 listens "$port"
job "nbd://127.0.0.1:$port" "[$(drive sda "$work/ta"), $(drive sdb "$work/tb"), $(drive sdc "$work/tc")]"
# Leaks cannot be looked for under ptrace.
status=0
ASAN_OPTIONS=detect_leaks=0 strace -f -qq -y -e trace=pwrite64 -o "$work/calls" \
	"$worker" run --job "$work/job.json" --result "$work/result.json" >"$work/run.log" 2>&1 || status=$?
expect success NONE 0
# The last write of each target's sector 0.
order=$(grep -E "pwrite64\([0-9]+<$work/t[abc]>, .*, 0\) = " "$work/calls" |
	sed -E "s|.*<$work/(t[abc])>.*|\1|" | tac | awk '!seen[$1]++' | tr '\n' ' ')
[ "$order" = "ta tb tc " ] || fail "the last ones to be written were, newest first: $order"
for d in a b c; do
	cmp "$work/disks/sd$d" "$work/t$d"
done

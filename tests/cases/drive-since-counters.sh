#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What was written to a device is known by the kernel's counters, and only while they count. With
# queue/iostats off, and for a partition whose disk is written to beside it, a delta since the last copy's
# state compares everything; where the counters move and nothing was written, it reads samples only.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires jq sfdisk partx

truncate -s 40M "$work/disk"
printf 'label: gpt\nsize=32M\n' | sfdisk -q "$work/disk"
loop=$(losetup -f --show "$work/disk") || skip "no loop device to be had"
cleanup_fn 'losetup -d "$loop"'
partx -a "$loop"
cleanup_fn 'partx -d "$loop"' # a device that is used again would have them
stats=/sys/block/$(basename "$loop")/queue/iostats
cleanup_fn 'echo 1 >"$stats"'
head -c 32M /dev/urandom | dd of="${loop}p1" bs=1M conv=fsync status=none

up() {
	port=$(free_port)
	start server "$server" --drive "sda=$1" --listen "127.0.0.1:$port" --allow-plain
	wait_for 20 listens "$port"
}
copy() { # OPTIONS...: sets state, read: MiB that the server read
	local before
	before=$(awk '/^rchar/ { print $2 }' "/proc/${started[server]}/io")
	"$worker" copy --json --allow-plain --verify=none "$@" "tw://127.0.0.1:$port/sda" "$work/dst" \
		>"$work/copy.json" 2>"$work/copy.log" || fail "copy: $(tail -n 2 "$work/copy.log")"
	read=$((($(awk '/^rchar/ { print $2 }' "/proc/${started[server]}/io") - before) >> 20))
	state=$(jq -r .source_state "$work/copy.json")
}
change() { # beside the partition's own counters: through the whole disk
	printf x | dd of="$loop" bs=1 seek=$(($1 << 20)) conv=notrunc,fsync status=none
}
same() { cmp "$work/dst" "$1" || fail "$2: the target is not the source"; }

up "${loop}p1"
copy
copy --delta --since "$state"
[ "$read" -le 16 ] || fail "$read of 32 MiB were read although nothing changed"
change 20
copy --delta --since "$state"
same "${loop}p1" "written through the disk"
stop server

echo 0 >"$stats"
for drive in "${loop}p1" "$loop"; do
	up "$drive"
	copy
	copy --delta --since "$state"
	[ "$read" -ge 31 ] || fail "only $read MiB were read: a counter that does not count was believed"
	dd if=/dev/urandom of="$loop" bs=1M seek=12 count=1 conv=notrunc,fsync status=none
	copy --delta --since "$state"
	same "$drive" "counters off"
	grep -q 'does not count what is written to it' "$work/server.log" || fail "not a word in the log"
	stop server
done
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"

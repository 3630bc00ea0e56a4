#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What init cannot take down is known before the machine goes off: the job is a success, and the
# result that the controller acknowledges, the one on the volume, and the events name a file system
# in use, the device below it and a disk that was not flushed. After that init ends the process
# which held them, and both go.
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
requires mkfs.fat
job_source 16
boot_controller

truncate -s 16M "$dir/target.raw" "$dir/other.raw"
mkfs.fat "$dir/other.raw" >"$dir/mkfs.log"
boot_worker <<'END'
set -e
mkdir -p /mnt
dmsetup create other --table "0 $(blockdev --getsz /dev/sda) linear /dev/sda 0"
mount -t vfat /dev/mapper/other /mnt
(cd /mnt; exec sleep 900) &
tell written /dev/gone
exec /bin/worker.real "$@"
END
printf 'file /bin/worker.real %s 0755 0 0\n' "$top/build/worker/worker" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
job_volume .
qemu=("${qemu[@]/,bootindex=0/}") # the kernel itself comes first
qemu_disk "$dir/target.raw,serial=TW0"
qemu_disk "$dir/other.raw,bus=sata"
boot_kernel "$(scripts/set-job --word "$dir/volume.raw")" # nobody else tells which volume is meant
boot_run 200 120 || fail "the machine did not end"

expect_off guest-shutdown
cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
build/controller/controller wait "boot-$job_number" --for result --timeout 20 >"$dir/told.json"
for witness in result told; do
	jq -e '.verdict == "success" and ([.left_behind[].code] | sort) ==
			["OFF_DM", "OFF_SYNC", "OFF_UMOUNT"] and
		any(.left_behind[]; .text | test("^unmount /mnt: ")) and
		any(.left_behind[]; .text | test("^dm-0 stays: ")) and
		any(.left_behind[]; .text | test("^flush /dev/gone: ")) and
		all(.left_behind[]; .hint | length > 0)' "$dir/$witness.json" >"$dir/jq.log" ||
		fail "$witness.json: $(jq -c '{verdict, left_behind}' "$dir/$witness.json")"
done
[ "$(jq .acknowledged "$dir/result.json")" = true ] || fail "not acknowledged"
build/controller/controller events "boot-$job_number" >"$dir/told.events"
for events in "$dir/events" "$dir/told.events"; do
	jq -es '[.[] | (.event.data? // .) | select(.state == "REPORT").err.code // empty] | sort ==
		["OFF_DM", "OFF_SYNC", "OFF_UMOUNT"]' "$events" >"$dir/jq.log" ||
		fail "$events: $(tail -n 3 "$events")"
done
expect_serial 'OFF_UMOUNT: unmount /mnt: '
sed '1,/init: poweroff decided/d' "$dir/boot/serial.log" >"$dir/after"
grep -aq 'power-off: ready' "$dir/after" || fail "no orderly end: $(cat "$dir/after")"
! grep -aE '/mnt|dm-0' "$dir/after" || fail "something stays without its process"

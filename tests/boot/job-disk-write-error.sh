#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The target disk of a real machine fails in the middle of the copy: DISK_IO, the disk cannot boot,
# and the machine goes off in order with the result on its volume.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
job_source 48
boot_controller

truncate -s 48M "$dir/target.raw"
# Writes fail from the second half of the disk on, for good.
cat >"$dir/fault.conf" <<'END'
[inject-error]
event = "pwritev"
errno = "5"
iotype = "write"
sector = "65536"
END
job_volume '.'
# shellcheck disable=SC2054 # QEMU's commas
qemu+=(-drive "if=none,id=bad,file=blkdebug:$dir/fault.conf:$dir/target.raw,format=raw,werror=report,rerror=report"
	-device virtio-blk-pci,drive=bad,serial=TW0)
boot_run 300 120 || fail "the machine did not end"
job_expect failed DISK_IO
# The held-back first MiB is zeroes but for the block with the copy's mark (copy/mark.c).
[ "$({ head -c 4096 "$dir/target.raw"; head -c 1048576 "$dir/target.raw" | tail -c +8193; } |
	tr -d '\0' | wc -c)" = 0 ] || fail "the target may boot"

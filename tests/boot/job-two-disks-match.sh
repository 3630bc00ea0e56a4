#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two disks fit what the job says of the target, by size or by serial: refused before either of them
# is written to; a third one would be the operator's data.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
job_source 16
boot_controller

for what in size_exact serial; do
	qemu_new "$dir"
	for disk in one two; do
		printf 'old data' >"$dir/$disk.raw"
		truncate -s 16M "$dir/$disk.raw"
	done
	case $what in
	size_exact) job_volume '.drives[0].target = {size_exact: true}' ;;
	serial) job_volume '.drives[0].target = {serial: "SAME"}' ;;
	esac
	qemu_disk "$dir/one.raw,serial=SAME"
	qemu_disk "$dir/two.raw,bus=virtio-scsi,serial=SAME"
	boot_run 200 120 || fail "the machine did not end"
	job_expect failed DISK_AMBIGUOUS
	[ "$(jq .touched "$dir/result.json")" = false ] || fail "touched"
	for disk in one two; do
		[ "$(tr -d '\0' <"$dir/$disk.raw")" = 'old data' ] || fail "$disk was written to"
	done
done

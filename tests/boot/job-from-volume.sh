#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A small attached volume labelled TWCONFIG carries the job, when it was announced or when nobody can
# write to it; two with different jobs are refused; a large disk with that label (a migrated guest may
# have one) is not looked at, nor is a small one that may be a copy; an announced volume that does not
# come is CFG_LATE, also when another one is there.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/media-lib.bash
. "$(dirname "$0")/media-lib.bash"
boot_begin
requires mformat
media_source
media_job

# config_volume FILE MIB: with $dir/job.json in it
config_volume()
{
	truncate -s "$2M" "$1"
	mformat -i "$1" -v TWCONFIG ::
	mcopy -i "$1" "$dir/job.json" ::job.json
}

# boot_with APPEND CODE DISK...
boot_with()
{
	local append=$1 code=$2 disk
	shift 2

	qemu_new "$dir"
	rm -f "$dir/events"
	qemu_machine 192
	qemu_medium kernel "$image" virtio user "$append"
	for disk; do
		qemu_disk "$disk"
	done
	qemu_disk "$dir/target.raw,serial=TWTARGET"
	qemu_events "$dir/events"
	boot_run 200 120 || fail "the machine did not power off"
	expect_off guest-shutdown
	[ "$(jq -rs '[.[] | select(.type == "error").err.code] | last // "NONE"' "$dir/events")" = \
		"$code" ] || fail "$(jq -cs '[.[] | select(.err).err]' "$dir/events"), not $code"
}

config_volume "$dir/small.raw" 8
jq '.migration = "other"' "$dir/job.json" >"$dir/job.tmp"
mv "$dir/job.tmp" "$dir/job.json"
config_volume "$dir/other.raw" 8
config_volume "$dir/large.raw" 100

boot_with 'quiet tw.announce=volume' CFG_AMBIGUOUS "$dir/small.raw" "$dir/other.raw"
boot_with quiet CFG_MISSING "$dir/large.raw" "$dir/small.raw"
! cmp -s "$dir/source.raw" "$dir/target.raw" || fail "the target was written to"

boot_with quiet NONE "$dir/other.raw" "$dir/small.raw,ro=on"
grep -q 'migration boot-test, .*job from config-volume' "$dir/events" || fail "another job"
cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"

# A minute of waiting, in which others may have the emulator.
truncate -s 0 "$dir/target.raw"
truncate -s 16M "$dir/target.raw"
boot_idle='CONFIG'
boot_with 'tw.announce=volume:SN-1' CFG_LATE "$dir/large.raw" "$dir/small.raw,serial=SN-2"
cmp -n 16777216 "$dir/target.raw" /dev/zero || fail "the target was written to"

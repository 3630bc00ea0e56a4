#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A source whose drive looks like a volume of this very image: with a job whose script runs as root
# before anything is mounted, with a result that says "done" for the migration that copies it, and
# with the identity that the volume had. Its copy is a target and nothing else: the true volume is
# known among both, on BIOS and UEFI, for a second start (JOB_DONE) and for a delta; and a machine
# that was not started from a volume takes no job from the copy.
# limit: 3600
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
requires mkfs.fat
job_source 24

# What the source has made: the public image, its own job, the result of a success.
cp --sparse=always "$image/target-worker.iso" "$dir/source.raw"
truncate -s 24M "$dir/source.raw"
truncate -s 8M "$dir/other.raw"
jq -n '{version: 1, migration: "forged", mode: "prepare", drives: [{target: {serial: "OTHER"}}],
	prepare: true, extensions: [{when: "pre-mount",
	run: "echo FORGED-SCRIPT-RAN >/dev/console", fatal: false}]}' >"$dir/forged.json"
scripts/set-job "$dir/source.raw" "$dir/forged.json"
jq -n '{version: 1, migration: "boot-test", mode: "full", verdict: "success", touched: true,
	times: {written: "2020-01-02T03:04:05Z"}}' |
	mcopy -i "$dir/source.raw@@$(scripts/twconfig-offset "$dir/source.raw")" - ::result.json
cp "$dir/source.raw" "$dir/source.before"

# machine [FIRMWARE]: the true volume, the target, and a disk for the forged job.
machine()
{
	qemu_new "$dir"
	qemu_machine 256
	qemu_firmware "${1:-bios}"
	disks
	qemu_disk "$dir/volume.raw,boot=0"
	qemu_nic virtio user
}
# The target comes first, so that no order of names helps.
disks()
{
	rm -f "$dir/events"
	qemu_events "$dir/events"
	qemu_disk "$dir/target.raw,serial=TW0"
	qemu_disk "$dir/other.raw,serial=OTHER"
}

# ran CODE: with the target as the source, and not one word of the forged job.
ran()
{
	boot_run 300 120 || fail "the machine did not end"
	expect_off guest-shutdown
	[ "$(jq -rs '[.[] | select(.type == "error").err.code] | last // "NONE"' "$dir/events")" = "$1" ] ||
		fail "not $1: $(jq -cs '[.[] | select(.err).err]' "$dir/events")"
	expect_no_serial 'FORGED-SCRIPT-RAN'
	! grep -q 'migration forged' "$dir/events" || fail "the forged job was taken"
	cmp -n $((24 << 20)) "$dir/source.before" "$dir/target.raw" || fail "the target differs from the source"
}

truncate -s 24M "$dir/target.raw"
job_volume .
machine
ran NONE
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
[ "$(jq -r '"\(.verdict) \(.migration)"' "$dir/result.json")" = "success boot-test" ] || fail "the first copy"

machine
ran JOB_DONE
! grep -q 'ended in success at 2020' "$dir/events" || fail "the forged result was believed"

# A delta on both firmwares. The target has lost something meanwhile.
for firmware in bios uefi; do
	jq '.mode = "delta" | .migration = "delta-'$firmware'" | .drives[0].target_state = "unknown"' \
		"$dir/job.json" >"$dir/delta.json"
	scripts/set-job "$dir/volume.raw" "$dir/delta.json"
	head -c 64k /dev/zero | dd of="$dir/target.raw" bs=1M seek=20 conv=notrunc status=none
	machine $firmware
	ran NONE
	scripts/read-result "$dir/volume.raw" >"$dir/result.json"
	[ "$(jq -r '"\(.verdict) \(.migration)"' "$dir/result.json")" = "success delta-$firmware" ] ||
		fail "$firmware: $(jq -c '{verdict, migration, err}' "$dir/result.json")"
done

# Somebody has made TWCONFIG anew, so that the volume has no identity: the machine was started from one
# of two that look alike, and takes neither's job.
at=$(scripts/twconfig-offset "$dir/volume.raw")
mkfs.fat -F 12 -n TWCONFIG --offset $((at / 512)) "$dir/volume.raw" 2048 >"$dir/mkfs.log"
mcopy -i "$dir/volume.raw@@$at" "$dir/job.json" ::job.json
machine
ran CFG_AMBIGUOUS

# The kernel by itself, with nobody's job: the copy's is none.
qemu_new "$dir"
qemu_machine 256
qemu_medium kernel "$image" none user quiet
disks
ran CFG_MISSING

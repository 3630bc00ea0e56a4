#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# qemu/prepare as an operator uses it, over a small phony guest with a second disk: planning leaves
# every byte as it is, and so does a rehearsal, which foretells what preparing does; preparing writes
# the report, undoing brings the files back; qcow2 and raw; its exit status is the worker's, also for
# a guest that cannot be prepared.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires busybox sfdisk mke2fs xorriso mkntfs qemu-img
boot_begin

tests/data/phony-debian "$dir/tree"
printf 'UUID=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002 /srv ext4 defaults 0 2\n' >>"$dir/tree/etc/fstab"
mkdir -p "$dir/tree/srv" "$dir/data/files" "$dir/drivers/viostor"
echo 'of the second disk' >"$dir/data/files/one"
echo 'no driver' >"$dir/drivers/viostor/viostor.sys"
tests/data/phony-disk "$dir/tree" "$dir/root.raw"
qemu-img convert -O qcow2 "$dir/root.raw" "$dir/root.qcow2"
truncate -s 16M "$dir/data.raw"
mke2fs -q -F -t ext4 -U 6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002 -d "$dir/data" "$dir/data.raw"

# prepare NAME STATUS ARGUMENT...: report in NAME.json, what it said in NAME.log
prepare()
{
	local name=$1 wanted=$2 status=0
	shift 2

	qemu/prepare --dir "$dir/$name" --limit $((120 * scale / 4)) --report "$dir/$name.json" "$@" \
		2>"$dir/$name.log" || status=$?
	[ "$status" -eq "$wanted" ] ||
		fail "$name: exit status $status, not $wanted: $(tail -n 3 "$dir/$name.log")"
}
is() { jq -e "$2" "$dir/$1.json" >"$dir/jq.log" || fail "$1: the report is not $2: $(head -c 2000 "$dir/$1.json")"; }
files() # NAME: what is on the first disk, as a list with sums
{
	qemu-img convert -O raw "$dir/root.qcow2" "$dir/look.raw"
	mkdir -p "$dir/mnt"
	mount -o "ro,noload,loop,offset=1048576" "$dir/look.raw" "$dir/mnt"
	(cd "$dir/mnt" && find . -xdev \( -type f -exec sha256sum {} + \) -o \( -type l -printf '%p %l\n' \)) |
		LC_ALL=C sort -k2 >"$dir/$1.files"
	umount "$dir/mnt"
}

sha256sum "$dir/root.qcow2" "$dir/data.raw" >"$dir/before.sum"
prepare plan 0 --dry-run --virtio-win "$dir/drivers" "$dir/root.qcow2" "$dir/data.raw"
sha256sum --quiet -c "$dir/before.sum" || fail "planning wrote to a disk"
is plan '.verdict == "boots-after-preparation" and (.plan | length > 0) and (.changes | length == 0)'
grep -q 'virtio-win.*not needed: the guest is not Windows' "$dir/plan/events.jsonl" ||
	fail "nothing is said of drivers that are not needed"
grep -q 'READY virtio-win /dev/' "$dir/plan/worker.log" || fail "the drivers were not looked for"

sha256sum "$dir/root.qcow2" "$dir/data.raw" >"$dir/before.sum"
prepare rehearsal 0 --rehearse "$dir/root.qcow2" "$dir/data.raw"
sha256sum --quiet -c "$dir/before.sum" || fail "the rehearsal wrote to a disk"
is rehearsal '.verdict == "boots" and .rehearsal.memory_bytes > 0 and
	any(.changes[]; .path == "/etc/fstab" and .sha256_before != .sha256_after)'

files before
prepare apply 0 "$dir/root.qcow2" "$dir/data.raw"
is apply '.verdict == "boots" and (.changes | length > 0) and
	any(.changes[]; .path == "/etc/fstab" and .sha256_before != .sha256_after)'
for what in .plan '[.changes[] | select(.path | test("target-worker") | not) | {path, change}]'; do
	[ "$(jq -c "$what" "$dir/rehearsal.json")" = "$(jq -c "$what" "$dir/apply.json")" ] ||
		fail "rehearsed and done differ in $what"
done
! grep -q 'Directory not empty' "$dir/apply/worker.log" || fail "something was left behind"
files after
! cmp -s "$dir/before.files" "$dir/after.files" || fail "no file differs"
[ "$(qemu-img info --output=json "$dir/root.qcow2" | jq -r .format)" = qcow2 ] || fail "not qcow2 any more"

prepare undo 0 --undo "$dir/root.qcow2" "$dir/data.raw"
files undone
diff "$dir/before.files" "$dir/undone.files" >"$dir/undo.diff" || fail "undo left $(head -n 5 "$dir/undo.diff")"
debugfs -R 'cat /files/one' "$dir/data.raw" 2>"$dir/debugfs.log" | grep -qx 'of the second disk' ||
	fail "the second disk was changed"

# A guest that cannot be prepared: the worker's exit status, one line with code and hint.
truncate -s 32M "$dir/windows.raw"
printf 'label: dos\nstart=2048, type=7, bootable\n' | sfdisk -q "$dir/windows.raw"
truncate -s 31M "$dir/ntfs"
mkntfs -q -F "$dir/ntfs" >"$dir/mkntfs.log" 2>&1
dd if="$dir/ntfs" of="$dir/windows.raw" bs=1M seek=1 conv=notrunc status=none
sha256sum "$dir/windows.raw" >"$dir/windows.sum"
prepare windows 7 --virtio-win "$dir/drivers" --key "$dir/before.sum" "$dir/windows.raw"
grep -q '^prepare: PREP_UNSUPPORTED: .*does not prepare Windows yet.* (.*)$' "$dir/windows.log" ||
	fail "$(tail -n 1 "$dir/windows.log")"
sha256sum --quiet -c "$dir/windows.sum" || fail "the Windows disk was written to"
for file in job.json volume.raw; do
	[ ! -e "$dir/windows/$file" ] || fail "a key was left behind in $file"
done
for wrong in never=/bin/true mounted=/nowhere; do
	prepare wrong 2 --extension $wrong "$dir/windows.raw"
	grep -q "^prepare: --extension $wrong: " "$dir/wrong.log" || fail "$(tail -n 1 "$dir/wrong.log")"
done
rm -f "$dir"/*.raw "$dir"/*.qcow2 "$dir/ntfs"

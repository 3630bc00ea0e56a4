#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# qemu/prepare over the demo's server: planning writes nothing, applying works, applying again changes
# nothing, undoing brings every file back.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires qemu-system-x86_64 socat mmdebstrap
boot_begin

guest=$(qemu/guests/build debian12)
root_offset=$(sed -n 's/^root_offset=//p' "$guest/guest.env")
cp --sparse=always "$guest/disk.raw" "$dir/disk.raw"
list()
{
	mkdir -p "$dir/mnt"
	mount -o "ro,noload,loop,offset=$root_offset" "$dir/disk.raw" "$dir/mnt"
	(cd "$dir/mnt" && find . -xdev \( -type f -exec sha256sum {} + \) -o \( -type l -printf '%p %l\n' \)) |
		LC_ALL=C sort -k2
	umount "$dir/mnt"
}

qemu/prepare --dir "$dir/plan" --dry-run --report "$dir/plan.json" "$dir/disk.raw"
cmp "$guest/disk.raw" "$dir/disk.raw" || fail "planning wrote to the disk"
[ "$(jq '.plan | length' "$dir/plan.json")" -gt 0 ] || fail "the plan is empty"

list >"$dir/before"
qemu/prepare --dir "$dir/apply" --report "$dir/apply.json" "$dir/disk.raw"
[ "$(jq '.changes | length' "$dir/apply.json")" -gt 0 ] || fail "nothing was changed"
list >"$dir/after"
if cmp -s "$dir/before" "$dir/after"; then fail "no file differs after applying"; fi

qemu/prepare --dir "$dir/again" --report "$dir/again.json" "$dir/disk.raw"
[ "$(jq '.changes | length' "$dir/again.json")" = 0 ] ||
	fail "a second run changed: $(jq -c .changes "$dir/again.json")"

qemu/prepare --dir "$dir/undo" --undo --report "$dir/undo.json" "$dir/disk.raw"
list >"$dir/undone"
diff "$dir/before" "$dir/undone" >"$dir/undo.diff" || fail "undo left: $(head -n 5 "$dir/undo.diff")"
rm "$dir/disk.raw"

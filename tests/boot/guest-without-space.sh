#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's root, which holds /boot, is full: preparing says PREP_NO_SPACE before it changes
# anything.
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires qemu-system-x86_64 socat mmdebstrap
boot_begin

guest=$(qemu/guests/build debian12)
root_offset=$(sed -n 's/^root_offset=//p' "$guest/guest.env")
cp --sparse=always "$guest/disk.raw" "$dir/disk.raw"
mkdir -p "$dir/mnt"
mount -o "loop,offset=$root_offset" "$dir/disk.raw" "$dir/mnt"
# Everything but 4 MiB. %a, not %f: ext4 keeps some blocks back from root, too.
free=$(($(stat -f -c '%a * %S' "$dir/mnt") - (4 << 20)))
fallocate -l $free "$dir/mnt/srv/fill"
sha256sum "$dir/mnt"/boot/* >"$dir/boot.before" 2>"$dir/sha.log" || :
umount "$dir/mnt"

status=0
qemu/prepare --dir "$dir/run" --report "$dir/report.json" "$dir/disk.raw" || status=$?
[ "$status" -eq 7 ] || fail "exit status $status"
[ "$(jq -r .code "$dir/run/result.json")" = PREP_NO_SPACE ] ||
	fail "result.json: $(jq -c .err "$dir/run/result.json")"
mount -o "ro,noload,loop,offset=$root_offset" "$dir/disk.raw" "$dir/mnt"
sha256sum "$dir/mnt"/boot/* >"$dir/boot.after" 2>"$dir/sha.log" || :
umount "$dir/mnt"
cmp "$dir/boot.before" "$dir/boot.after" || fail "/boot changed"
rm "$dir/disk.raw"

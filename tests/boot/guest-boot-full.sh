#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A /boot of its own with 1 MB free: no new initramfs fits, which is said with its size before
# anything is written, and every file of the guest stays as it was.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin boot-full
guest_before
# Every file of the partitions 1 (/boot) and 2 (/); `noload`: reading must not write a journal back.
list()
{
	local n start

	qemu-img convert -O raw "$dir/disk0.qcow2" "$dir/whole.raw"
	mkdir -p "$dir/mnt"
	for n in 0 1; do
		start=$(sfdisk --json "$dir/whole.raw" | jq ".partitiontable.partitions[$n].start")
		mount -o "ro,noload,loop,offset=$((start * 512))" "$dir/whole.raw" "$dir/mnt"
		(cd "$dir/mnt" && find . -xdev \( -type f -exec sha256sum {} + \) -o \( -type l -printf '%p %l\n' \)) |
			LC_ALL=C sort -k2
		umount "$dir/mnt"
	done
	rm "$dir/whole.raw"
}
list >"$dir/files.before"
grep -q 'old-kernels.tar' "$dir/files.before" || fail "nothing fills /boot"

status=0
qemu/prepare --dir "$dir/prepare" --report "$dir/report.json" "${guest_images[@]}" || status=$?
[ "$status" -eq 7 ] || fail "exit status $status"
code=$(jq -r .code "$dir/prepare/result.json")
said=$(jq -r .err.text "$dir/prepare/result.json")
[ "$code" = PREP_NO_SPACE ] || fail "$code: $said"
[[ $said == */boot*MB* ]] || fail "not said which file system lacks how much: $said"
list >"$dir/files.after"
diff "$dir/files.before" "$dir/files.after" >"$dir/files.diff" ||
	fail "files differ: $(head -n 5 "$dir/files.diff")"
guest_end "not tried: $code, \"$said\"; the guest is as it was"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest without any initramfs tool, with a shell and programs all the same: its image gets the
# drivers from its own kernel's modules. At its first start it runs an operator's scripts, and nothing
# of them is left but their log.
# limit: 2400
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
requires debugfs sfdisk
guest_begin no-tool
guest_before
# shellcheck disable=SC2016 # for the guest's shell
echo 'echo "root is $(findmnt -no SOURCE /)"' >"$dir/first"
echo 'systemctl is-active network-online.target' >"$dir/second"
guest_prepare --extension "first-boot=$dir/first" --extension "first-boot=$dir/second"
guest_off=button
guest_after virtio-scsi
guest_said root | grep -q '^/dev/sda1 ext4' || fail "root: $(guest_said root)"
jq -e '[.plan[].kind] | index("supplement")' "$dir/report.json" >"$dir/plan" ||
	fail "no supplement in the plan: $(jq -c .plan "$dir/report.json")"

# what the guest has left, of its first partition
qemu-img convert -O raw "$dir/disk0.qcow2" "$dir/disk0.raw"
start=$(sfdisk --json "$dir/disk0.raw" | jq '.partitiontable.partitions[0].start')
look() { debugfs -R "$1" "$dir/disk0.raw?offset=$((start * 512))" 2>"$dir/debugfs.log"; }
left=/usr/lib/target-worker-first-boot
look "cat /var/log/target-worker-first-boot.log" >"$dir/first-boot.log"
diff - "$dir/first-boot.log" <<-END >"$dir/first-boot.diff" || fail "first boot: $(cat "$dir/first-boot.log")"
	$left/00f
	root is /dev/sda1
	$left/00f: exit status 0
	$left/01f
	active
	$left/01f: exit status 0
END
jq -r '.changes[] | select(.path | test("first-boot")) | .path' "$dir/report.json" >"$dir/paths"
[ "$(wc -l <"$dir/paths")" -ge 4 ] || fail "changes for the first boot: $(cat "$dir/paths")"
while read -r path; do
	look "stat $path" >"$dir/stat.log"
	! grep -q '^Inode:' "$dir/stat.log" || fail "$path is still there after the first boot"
done <"$dir/paths"
look "stat /etc/fstab" | grep -q '^Inode:' || fail "the guest's disk cannot be read: $(cat "$dir/debugfs.log")"
rm "$dir/disk0.raw"
guest_end

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A dry run writes nothing; applying does what was planned and lists every path that differs; a
# second run changes nothing; undo brings back each file with its owner, mode and time.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
pack
cp "$work/disk" "$work/original"
prepare --dry-run
[ "$status" = 0 ] || fail "dry run: exit status $status"
cmp "$work/disk" "$work/original" || fail "a dry run wrote to the disk"
is '.verdict == "boots-after-preparation" and (.changes | length) == 0'
is '[.plan[].step] | unique == ["fstab", "initramfs", "loader", "network", "tools"]'
is '.because == ["/boot/initrd.img-'$kernel' lacks virtio_blk"]'
cp "$work/report.json" "$work/planned.json"

list before
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status"
is '.verdict == "boots"'
is --slurpfile planned "$work/planned.json" '.plan == $planned[0].plan'
list after
# Every path that differs is in changes[], and nothing else is.
diff <(cut -d' ' -f1 "$work/before" | grep '^\./' | sort) <(cut -d' ' -f1 "$work/after" | grep '^\./' | sort) |
	sed -n 's/^[<>] \.//p' >"$work/differ" || [ -s "$work/differ" ]
join <(grep -v '^\./' "$work/before" | awk '{ print $2, $1 }' | sort) \
	<(grep -v '^\./' "$work/after" | awk '{ print $2, $1 }' | sort) |
	awk '$2 != $3 { sub(/^\./, "", $1); print $1 }' >>"$work/differ"
diff <(sort -u "$work/differ") <(jq -r '.changes[].path' "$work/report.json" | sort) >"$work/diff.log" ||
	fail "changes[] is not what changed"
is '[.changes[] | select(.change == "changed" and (.sha256_before == null or .backup == null))] == []'

mkdir -p "$work/mnt"
disk_is_free
mount -o ro,noload,loop,offset=1048576 "$work/disk" "$work/mnt"
cleanup_fn "mountpoint -q '$work/mnt' && umount '$work/mnt'"
diff "$work/mnt/etc/fstab" - <<END || fail "fstab"
# <file system> <mount point> <type> <options> <dump> <pass>
UUID=$uuid	/	ext4	errors=remount-ro	0	1
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
# target-worker: .host:/ /mnt/hgfs fuse.vmhgfs-fuse allow_other 0 0
END
grep -q "root=UUID=$uuid ro quiet" "$work/mnt/boot/grub/grub.cfg" || fail "grub.cfg"
grep -q "^MACAddress=$nic" "$work/mnt/etc/systemd/network/10-target-worker-ens192.link" || fail ".link"
zcat "$work/mnt/boot/initrd.img-$kernel" | cpio --quiet -t >"$work/initrd.list"
for file in virtio_blk.ko virtio_scsi.ko 10-target-worker-ens192.link; do
	grep -q "/$file$" "$work/initrd.list" || fail "the initramfs lacks $file"
done
if [ -e "$work/mnt/usr/bin/vmtoolsd" ]; then fail "open-vm-tools are still there"; fi
[ -z "$(find "$work"/mnt/{tmp,run,dev} -mindepth 1)" ] || fail "something was left in /tmp, /run or /dev"
umount "$work/mnt"

prepare
is '.verdict == "boots" and .plan == [] and .changes == []'
stays_and_goes
prepare --undo
expect PREP_UNDO 7

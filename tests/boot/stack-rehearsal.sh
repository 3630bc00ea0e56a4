#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rehearsal in the image: what it reports is what the preparation then does, over a partition with a
# volume group (partitions alone: job-prepare-tool); not one byte of the disks changes and nothing stays
# open. A guest whose hook is a fork bomb without bounds, or needs more memory than there is, fails its
# rehearsal, and the machine goes on.
# limit: 1200
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

stack_tree
mkdir -p "$dir/tree/etc/initramfs-tools/hooks"
printf 'echo "bomb: begins"\nbomb() { bomb | bomb & }\nbomb\nsleep 300\n' \
	>"$dir/tree/etc/initramfs-tools/hooks/bomb"
tests/data/phony-disk "$dir/tree" "$dir/bomb.disk" 64
# More than half of the machine's memory, which is what a rehearsal has for changes.
printf 'dd if=/dev/zero of=/var/tmp/fill bs=1M count=150 && sync\n' >"$dir/tree/etc/initramfs-tools/hooks/bomb"
tests/data/phony-disk "$dir/tree" "$dir/fill.disk" 200
rm -r "$dir/tree/etc/initramfs-tools/hooks"
mkdir "$dir/boot.tree"
mv "$dir"/tree/boot/* "$dir/boot.tree/"
sed -i 's#/boot/\(vmlinuz\|initrd\)#/\1#; s#root=/dev/sda1#root=/dev/mapper/deb--vg-root#' "$dir/boot.tree/grub/grub.cfg"
printf '/dev/mapper/deb--vg-root / ext4 defaults 0 1\n/dev/sda1 /boot ext4 defaults 0 2\n' >"$dir/tree/etc/fstab"
stack_image "$dir/root.img" 44
truncate -s 100M "$dir/lvm.disk"
printf 'label: dos\nstart=2048, size=40960, type=83, bootable\ntype=8e\n' | sfdisk -q "$dir/lvm.disk"
mke2fs -q -F -t ext4 -U 6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002 -d "$dir/boot.tree" \
	-E offset=1048576,root_owner=0:0 "$dir/lvm.disk" 20480

stack_worker <<'END'
closed() { idle && ! grep -l . /sys/block/loop*/loop/backing_file; }
check pvcreate lvm pvcreate -q /dev/vda2
check vgcreate lvm vgcreate -q deb-vg /dev/vda2
check root lvm lvcreate -q -an -Zn -L 44M -n root deb-vg
check active lvm vgchange -ay deb-vg
dd if=/dev/vdc of=/dev/deb-vg/root bs=1M
check inactive lvm vgchange -an deb-vg
sync
before=$(sum /dev/vda /dev/vdb /dev/vdd)
want 0 group prepare --rehearse --json --nic 52:54:00:12:34:56 /dev/vda
check "the rehearsal of a group leaves something open" closed
want 7 bomb prepare --rehearse --json --nic 52:54:00:12:34:56 /dev/vdb
check "the bomb leaves something open" closed
want 9 fill prepare --rehearse --json --nic 52:54:00:12:34:56 /dev/vdd
check "a rehearsal without room leaves something open" closed
check "a rehearsal changed the disks" [ "$before" = "$(sum /dev/vda /dev/vdb /dev/vdd)" ]
want 0 apply-group prepare --json --nic 52:54:00:12:34:56 /dev/vda
check "the preparation changed nothing" [ "$before" != "$(sum /dev/vda /dev/vdb)" ]
END
qemu_machine 256
qemu_disk "$dir/lvm.disk"
qemu_disk "$dir/bomb.disk"
qemu_disk "$dir/root.img"
qemu_disk "$dir/fill.disk"
stack_run

is group '.verdict == "boots" and .rehearsal.memory_bytes > 0 and (.changes | length) > 0'
is apply-group '.verdict == "boots" and (has("rehearsal") | not)'
for list in .plan '[.changes[] | select(.path | test("target-worker") | not) | {path, change}]'; do
	[ "$(jq -c "$list" "$dir/out/group.json")" = "$(jq -c "$list" "$dir/out/apply-group.json")" ] ||
		fail "rehearsed and done differ in $list"
done
is bomb '.error.code == "PREP_TASKS" and .verdict == "does-not-boot"'
is fill '.error.code == "NOMEM" and (.error.text | test("need more than [0-9]+ MB of memory"))'
grep -q 'guest: bomb: begins' "$dir/out/bomb.err" || fail "the bomb did not go off"

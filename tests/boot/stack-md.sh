#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root on LVM on RAID1 that was never synchronised, /boot on another array. Looking writes nothing,
# preparing writes both members and starts no resync, one member alone is a warning, and the copy
# of a member is named as that.
# limit: 1200
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

stack_tree
mkdir "$dir/boot.tree"
mv "$dir"/tree/boot/* "$dir/boot.tree/"
printf '/dev/vg/root / ext4 defaults 0 1\n/dev/md0 /boot ext4 defaults 0 2\n' >"$dir/tree/etc/fstab"
sed -i 's#/boot/\(vmlinuz\|initrd\)#/\1#; s#root=/dev/sda1#root=/dev/mapper/vg-root#' \
	"$dir/boot.tree/grub/grub.cfg"
stack_image "$dir/root.img" 44
mv "$dir/tree" "$dir/root.tree"
mv "$dir/boot.tree" "$dir/tree"
stack_image "$dir/boot.img" 20 6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002
for disk in a b; do
	truncate -s 80M "$dir/$disk.disk"
	printf 'label: dos\nstart=2048, size=45056, type=fd, bootable\ntype=fd\n' | sfdisk -q "$dir/$disk.disk"
done

stack_worker <<'END'
check boot mdadm --create /dev/md0 --run --metadata=1.0 --level=1 --raid-devices=2 --assume-clean --homehost=db01 --name=0 /dev/vda1 /dev/vdb1
dd if=/dev/vdd of=/dev/md0 bs=1M
# Slow until it is frozen: else it may be done before.
cd /proc/sys/dev/raid && echo 1 >speed_limit_min && echo 1 >speed_limit_max; cd /
check root mdadm --create /dev/md1 --run --metadata=1.2 --level=1 --raid-devices=2 --bitmap=none --homehost=db01 --name=data /dev/vda2 /dev/vdb2
echo frozen >/sys/block/md1/md/sync_action
cd /proc/sys/dev/raid && echo 200000 >speed_limit_max && echo 1000 >speed_limit_min; cd /
check pvcreate lvm pvcreate -q /dev/md1
check vgcreate lvm vgcreate -q vg /dev/md1
check lvcreate lvm lvcreate -q -Zn -L 44M -n root vg
dd if=/dev/vdc of=/dev/vg/root bs=1M
check down lvm vgchange -an vg
check stop mdadm --stop /dev/md0
check stop mdadm --stop /dev/md1
sync
# resync_offset of the superblock (version 1.2: 4096 bytes from the start; md_p.h of Linux: byte 208)
dd if=/dev/vda2 bs=8 skip=538 count=1 of=/mnt/out/resync.before
before=$(sum /dev/vda /dev/vdb)
want 0 inspect inspect --json /dev/vda /dev/vdb
want 0 half inspect --json /dev/vda
check "looking changed the disks" [ "$before" = "$(sum /dev/vda /dev/vdb)" ]
check "a layer stays open" idle
want 0 apply prepare --json /dev/vda /dev/vdb
want 0 again prepare --json /dev/vda /dev/vdb
check "a layer stays open after preparing" idle
dd if=/dev/vda2 bs=8 skip=538 count=1 of=/mnt/out/resync.after
mdadm --examine --export /dev/vda1 | grep MD_EVENTS >/mnt/out/events.a
mdadm --examine --export /dev/vdb1 | grep MD_EVENTS >/mnt/out/events.b
dd if=/dev/vda of=/dev/vdb bs=1M
want 7 twins inspect --json /dev/vda /dev/vdb
check "a layer stays open after a refusal" idle
END
qemu_machine 320
for disk in a.disk b.disk root.img boot.img; do
	qemu_disk "$dir/$disk"
done
stack_run

is inspect '[.facts.layers[] | .kind + " " + .name] == ["md /dev/md0", "md /dev/md127", "lvm vg"]'
is inspect '[.facts.mounts[] | .point + " " + .device] == ["/ /dev/mapper/vg-root", "/boot /dev/md0"]'
is inspect '.warnings == [] and .facts.layers[0].detail == "raid1, 2 members"'
is half '[.warnings[] | select(test("degraded: 1 of 2 members"))] | length == 2'
is apply '.verdict == "boots" and .changes != []'
is again '.changes == []'
is twins '.error.code == "PREP_STACK" and (.error.text | test("/dev/vda1 and /dev/vdb1 .*one is a copy of the other"))'
# All ones: nothing is left to be done.
[ "$(od -An -tx8 "$dir/out/resync.before")" != ' ffffffffffffffff' ] ||
	fail "the array was synchronised before the test"
cmp "$dir/out/resync.before" "$dir/out/resync.after" || fail "preparing went on with the resync"
cmp "$dir/out/events.a" "$dir/out/events.b" || fail "one member has less than the other"

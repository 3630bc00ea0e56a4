#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root on LVM over two disks, with /boot outside: looked at without one byte changed, prepared,
# prepared again without a change, undone. No layer stays open. A group with a missing disk is named.
# Two groups of one name, and a disk beside its copy, are refused with what to do, and nothing is written.
# limit: 1200
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

stack_tree
mkdir "$dir/boot.tree"
mv "$dir"/tree/boot/* "$dir/boot.tree/"
cat >"$dir/tree/etc/fstab" <<'END'
/dev/mapper/deb--vg-root / ext4 errors=remount-ro 0 1
/dev/sda1 /boot ext4 defaults 0 2
/dev/deb-vg/swap none swap sw 0 0
END
sed -i 's#/boot/\(vmlinuz\|initrd\)#/\1#; s#root=/dev/sda1#root=/dev/mapper/deb--vg-root#' "$dir/boot.tree/grub/grub.cfg"
mkdir -p "$dir/tree/etc/lvm/devices"
printf 'devices {\n\tfilter = [ "a|^/dev/sd|", "r|.*|" ]\n}\n' >"$dir/tree/etc/lvm/lvm.conf"
printf 'IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda2 PVID=x\n' \
	>"$dir/tree/etc/lvm/devices/system.devices"
stack_image "$dir/root.img" 44
truncate -s 80M "$dir/a.disk"
truncate -s 48M "$dir/b.disk" "$dir/other.disk"
printf 'label: dos\nstart=2048, size=40960, type=83, bootable\ntype=8e\n' | sfdisk -q "$dir/a.disk"
mke2fs -q -F -t ext4 -U 6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002 -d "$dir/boot.tree" \
	-E offset=1048576,root_owner=0:0 "$dir/a.disk" 20480

stack_worker <<'END'
check pvcreate lvm pvcreate -q /dev/vda2 /dev/vdb
check vgcreate lvm vgcreate -q deb-vg /dev/vda2 /dev/vdb
check root lvm lvcreate -q -an -Zn -L 44M -n root deb-vg /dev/vdb
check swap lvm lvcreate -q -an -Zn -L 4M -n swap deb-vg
check active lvm vgchange -ay deb-vg
dd if=/dev/vdc of=/dev/deb-vg/root bs=1M
check swap-signature sh -c "printf SWAPSPACE2 | dd of=/dev/deb-vg/swap bs=1 seek=4086 conv=notrunc"
check inactive lvm vgchange -an deb-vg
sync
before=$(sum /dev/vda /dev/vdb)
want 0 inspect inspect --json /dev/vda /dev/vdb
want 0 plan prepare --dry-run --json /dev/vda /dev/vdb
check "looking changed the disks" [ "$before" = "$(sum /dev/vda /dev/vdb)" ]
check "a layer stays open" idle
want 7 half inspect --json /dev/vda
check "a layer stays open after a failure" idle
want 0 apply prepare --json --nic 52:54:00:12:34:56 /dev/vda /dev/vdb
check "a layer stays open after preparing" idle
want 0 again prepare --json --nic 52:54:00:12:34:56 /dev/vda /dev/vdb
want 0 undo prepare --undo --json /dev/vda /dev/vdb
want 0 undone prepare --dry-run --json /dev/vda /dev/vdb
check "a layer stays open after undoing" idle
check other lvm pvcreate -q --devices /dev/vdd /dev/vdd
check one-name lvm vgcreate -q --devices /dev/vdd deb-vg /dev/vdd
sync
before=$(sum /dev/vda /dev/vdb /dev/vdd)
want 7 one-name prepare --json /dev/vda /dev/vdb /dev/vdd
check "two groups of one name: the disks were written to" [ "$before" = "$(sum /dev/vda /dev/vdb /dev/vdd)" ]
dd if=/dev/vdb of=/dev/vdd bs=1M
sync
before=$(sum /dev/vda /dev/vdb /dev/vdd)
want 7 copy prepare --json /dev/vda /dev/vdb /dev/vdd
check "a disk and its copy were written to" [ "$before" = "$(sum /dev/vda /dev/vdb /dev/vdd)" ]
check "a layer stays open after a refusal" idle
END
qemu_machine 256
qemu_disk "$dir/a.disk"
qemu_disk "$dir/b.disk"
qemu_disk "$dir/root.img"
qemu_disk "$dir/other.disk"
stack_run

is inspect '.facts.layers == [{kind: "lvm", name: "deb-vg", on: ["/dev/vda2", "/dev/vdb"], detail: "volume group", uuid: .facts.layers[0].uuid}]'
is inspect '[.facts.mounts[] | .point + " " + .device] == ["/ /dev/mapper/deb--vg-root", "/boot /dev/vda1"]'
is inspect '.facts.os.id == "debian" and .verdict == "boots-after-preparation"'
is plan '[.plan[].path] | index("/etc/fstab") and index("/boot/initrd.img-6.1.0-42-amd64")'
is half '.error.code == "PREP_STACK" and (.error.text | test("deb-vg.*1 physical volume is missing"))'
is apply '.verdict == "boots" and ([.changes[].path] | index("/etc/fstab"))'
is apply '[.changes[] | select(.path | test("^/etc/lvm/")) | .change + " " + .path] ==
	["removed /etc/lvm/devices/system.devices", "changed /etc/lvm/lvm.conf"]'
is again '.verdict == "boots" and .changes == [] and .plan == []'
is undo '.verdict == "undone"'
[ "$(jq -c .plan "$dir/out/plan.json")" = "$(jq -c .plan "$dir/out/undone.json")" ] ||
	fail "after undoing, another plan is made"
is one-name '.error.code == "PREP_STACK" and
	(.error.text | test("^two volume groups are called deb-vg: .*: vgrename [^ ]+ NEWNAME, or vgrename [^ ]+ NEWNAME"))'
is copy '.error.code == "PREP_STACK" and (.error.text | test("have the same UUID .*: one is a copy of the other"))'

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A /usr on a partition of its own, with /bin, /sbin and /lib as links into it, as in a guest that was
# merged after it was installed: the root alone has no program, no module and no release file. It is
# found by fstab, its tools run, its modules go into the initramfs, and undo covers both file systems.
# A root whose /usr was not copied is refused, and nothing is written.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires cpio
usr=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0007

# of both file systems
within()
{
	mkdir -p "$work/mnt"
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m --propagation private bash -c '
		set -euo pipefail
		mount -o ro,noload,loop,offset=1048576,sizelimit=66060288 "$1/disk" "$1/mnt"
		mount -o ro,noload,loop,offset=67108864 "$1/disk" "$1/mnt/usr"
		cd "$1/mnt"
		eval "$2"' within "$work" "$1"
}

phony
tree=$work/tree
for dir in bin sbin lib; do
	mkdir -p "$tree/usr/$dir"
	cp -a "$tree/$dir/." "$tree/usr/$dir/"
	rm -r "${tree:?}/$dir"
	ln -s usr/$dir "$tree/$dir"
done
mv "$tree/etc/os-release" "$tree/usr/lib/os-release"
ln -s ../usr/lib/os-release "$tree/etc/os-release"
printf '/dev/sda2 /usr ext4 defaults 0 2\n' >>"$tree/etc/fstab"
mv "$tree/usr" "$work/usr.tree"
mkdir "$tree/usr"
pack 64
truncate -s 128M "$work/disk"
printf 'label: dos\nstart=2048, size=129024, type=83, bootable\nstart=131072, type=83\n' | sfdisk -q "$work/disk"
mke2fs -q -F -t ext4 -U $usr -d "$work/usr.tree" -E offset=67108864,root_owner=0:0 "$work/disk" 65536
cp "$work/disk" "$work/original"

inspect
[ "$status" = 0 ] || fail "inspect: exit status $status, $(jq -c .error "$work/report.json")"
is '[.facts.mounts[].point] == ["/", "/usr"] and (.facts.systems | length == 1)'
is '.facts.os.id == "debian" and .facts.init == "systemd" and .facts.initramfs_tool == "update-initramfs"'
is '.facts.kernels | length == 1 and .[0].bootable'
cmp "$work/disk" "$work/original" || fail "looking changed the disk"
list before
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status: $(cat "$work/prepare.log")"
is '.verdict == "boots" and .unsaved == []'
within "cat etc/fstab; cp -a boot/initrd.img-$kernel '$work/initrd'" >"$work/fstab"
grep -q "^UUID=$usr /usr ext4 defaults 0 2$" "$work/fstab" || fail "fstab: $(cat "$work/fstab")"
zcat "$work/initrd" | cpio --quiet -t >"$work/initrd.list"
grep -q '/virtio_blk.ko$' "$work/initrd.list" || fail "no module of /usr/lib/modules is in the initramfs"
list after
if grep -q '^./usr/bin/vmtoolsd ' "$work/after"; then fail "open-vm-tools, which are below /usr, are still there"; fi
prepare
is '.verdict == "boots" and .plan == [] and .changes == []'
stays_and_goes

# The other half on a drive that was not copied.
sed -i 's#^/dev/sda2#/dev/sdb1#' "$tree/etc/fstab"
pack 64
cp "$work/disk" "$work/original"
prepare
expect FS_MOUNT 7
is '.error.text | test("^/usr \\(/dev/sdb1\\): no such volume on the copied drives")'
cmp "$work/disk" "$work/original" || fail "a root without its /usr was written to"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests in a bad state: a file system that cannot be written, or is damaged, or of a kind that the
# worker does not know, immutable files, a journal that was never replayed, a damaged package database, links and device nodes that lead to this machine. Each
# ends prepared or with a documented code, and then the guest is as it was.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires tune2fs debugfs mkfs.minix

fresh()
{
	rm -rf "$work/tree"
	phony
}
fs() { debugfs -w -R "$1" "$work/disk?offset=1048576" >"$work/debugfs.log" 2>&1; }
unchanged() { cmp "$work/disk" "$work/original" || fail "$1: the disk was written to"; }

# A file system that says it is read-only: looking works, preparing writes nothing.
fresh
pack
tune2fs -O read-only "$work/disk?offset=1048576" >"$work/tune.log" 2>&1
cp "$work/disk" "$work/original"
inspect
[ "$status" = 0 ] || fail "read-only file system: inspect: exit status $status"
prepare
expect FS_MOUNT 7
unchanged "read-only file system"

# Its root folder is no folder: it has to be checked first.
fresh
pack
fs 'set_inode_field <2> mode 0'
cp "$work/disk" "$work/original"
prepare --dry-run
expect FS_DIRTY 7
is '.error.text | test("ext4.: Structure needs cleaning; no other volume holds a system$")'
unchanged "damaged file system"
prepare # which lets the kernel write into the superblock that it met an error
expect FS_DIRTY 7

# Its /boot is of a kind that the worker does not mount: its kernels cannot be seen.
fresh
printf '/dev/sda2 /boot minix defaults 0 2\n' >>"$work/tree/etc/fstab"
pack
truncate -s 72M "$work/disk"
echo '64M,8M,L' | sfdisk -q --append "$work/disk"
truncate -s 8M "$work/boot"
mkfs.minix "$work/boot" >"$work/minix.log"
dd if="$work/boot" of="$work/disk" bs=1M seek=64 conv=notrunc status=none
cp "$work/disk" "$work/original"
prepare
expect FS_UNKNOWN 7
is '.error.text | test("^/boot \\(/dev/sda2\\): file system minix")'
unchanged "unknown file system"

# An immutable fstab is changed and still immutable; undo brings the old one back, immutable.
fresh
pack
fs 'set_inode_field /etc/fstab flags 0x80010'
list before
prepare
[ "$status" = 0 ] || fail "immutable fstab: exit status $status"
show /etc/fstab | grep -q "^UUID=$uuid" || fail "an immutable fstab: it says it is prepared and is not"
debugfs -R 'stat /etc/fstab' "$work/disk?offset=1048576" 2>"$work/debugfs.log" | grep -q 'Flags: 0x80010' ||
	fail "fstab is no longer immutable"
prepare --undo
[ "$status" = 0 ] || fail "immutable fstab: undo: exit status $status"
list after
same before after "an immutable fstab: undo left a difference"
debugfs -R 'stat /etc/fstab' "$work/disk?offset=1048576" 2>"$work/debugfs.log" | grep -q 'Flags: 0x80010' ||
	fail "fstab is no longer immutable after undo"

# The guest was switched off while it wrote: the journal is replayed, its last file is there.
fresh
pack
mkdir -p "$work/mnt"
unshare -m --propagation private bash -c 'mount -o loop,offset=1048576 "$1/disk" "$1/mnt" &&
	echo late >"$1/mnt/etc/late" && sync -f "$1/mnt" && cp "$1/disk" "$1/crashed" && umount "$1/mnt"' \
	dirty "$work"
cp "$work/crashed" "$work/disk"
dumpe2fs -h "$work/disk?offset=1048576" 2>&1 | has needs_recovery || fail "the journal is clean: nothing is tested"
cp "$work/disk" "$work/original"
prepare --dry-run
[ "$status" = 0 ] || fail "dirty journal: dry run: exit status $status"
unchanged "dirty journal, dry run"
prepare
[ "$status" = 0 ] || fail "dirty journal: exit status $status"
is '.verdict == "boots"'
[ "$(show /etc/late)" = late ] || fail "dirty journal: the last file is lost"

# A package database of noise: no tool of it is found, the must-boot set is done all the same.
fresh
head -c 100000 /dev/urandom >"$work/tree/var/lib/dpkg/status"
pack
prepare
[ "$status" = 0 ] || fail "damaged package database: exit status $status"
is '.verdict == "boots" and ([.plan[] | select(.kind == "purge")] == [])'

# dpkg finds its database damaged half way: the packages stay, and the database is as it was.
fresh
printf '#!/bin/sh\necho half >/var/lib/dpkg/status-old\necho >>/var/lib/dpkg/status\nexit 2\n' >"$work/tree/usr/bin/dpkg"
pack
list before
prepare
[ "$status" = 0 ] || fail "a package that cannot be removed: exit status $status"
is '.verdict == "boots" and (.changes | any(.path == "/var/lib/dpkg/status" and
	.sha256_before != .sha256_after) | not)'
prepare --undo
[ "$status" = 0 ] || fail "a package that cannot be removed: undo: exit status $status"
list after
same before after "a package that cannot be removed left a difference"

# resolv.conf is a link to a path of this machine, and the modules file a link out of the root.
fresh
echo "nameserver 192.0.2.1" >"$work/host-file"
cp "$work/host-file" "$work/host-file.before"
ln -sf "$work/host-file" "$work/tree/etc/resolv.conf"
rm "$work/tree/etc/initramfs-tools/modules"
ln -s "../../../../../../../..$work/host-file" "$work/tree/etc/initramfs-tools/modules"
pack
list before
prepare
cmp "$work/host-file" "$work/host-file.before" || fail "a file of this machine was written"
expect FS_UNSAFE 7
list after
same before after "links out of the root left a difference"
grep -q "^./etc/resolv.conf l.* $work/host-file$" "$work/after" || fail "resolv.conf is not the link it was"

# Device nodes of this machine in place of files that are read.
for file in etc/os-release etc/default/grub etc/fstab; do
	fresh
	rm "$work/tree/$file"
	mknod "$work/tree/$file" b 7 0
	pack
	cp "$work/disk" "$work/original"
	prepare
	if [ "$file" = etc/default/grub ]; then
		[ "$status" = 0 ] || fail "$file as a device node: exit status $status"
	else
		expect FS_UNSAFE 7
		unchanged "$file as a device node"
	fi
done

# What is no disk at all is told as that, and not as a disk that fails; no empty facts are shown.
for what in "$work" /dev/null; do
	status=0
	"$worker" inspect --json "$what" >"$work/report.json" 2>"$work/prepare.log" || status=$?
	expect DISK_NOT_FOUND 5
	is --arg text "$what is neither a block device nor a file" '.error.text == $text'
	"$worker" inspect "$what" >"$work/text" 2>"$work/prepare.log" && fail "inspect $what: exit status 0"
	[ "$(cat "$work/text")" = "verdict   does-not-boot" ] || fail "it says: $(cat "$work/text")"
done

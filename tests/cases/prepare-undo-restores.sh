#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also: shipped
# Undo brings back all that a file system keeps of a path, on ext4, XFS and btrfs: extended attributes
# (ACLs, labels, capabilities) of files, folders and links, flags and projects of chattr, holes, times, hard links.
# What the preparation replaces keeps its attributes and flags.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires getfattr setfattr chattr lsattr mkfs.xfs mkfs.btrfs

# An ACL that gives user 1000 the right to read, as the kernel keeps it.
acl=0x0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000400ffffffff

# Beside the tree of the phony guest: dpkg appends to a log with a hole, and removes a folder, a link
# and one of the two names of a file.
decorate()
{
	change '
		chattr +Ad etc/fstab etc/vmware-tools
		setfattr -n user.note -v kept etc/fstab
		setfattr -n system.posix_acl_access -v '$acl' etc/fstab
		setfattr -n security.selinux -v system_u:object_r:etc_t:s0 etc/fstab
		ln etc/fstab etc/fstab.same
		touch -d 2001-02-03T04:05:06.789 etc/fstab etc
		setfattr -n user.note -v folder etc/vmware-tools
		setfattr -n system.posix_acl_default -v '$acl' etc/vmware-tools
		setfattr -n security.selinux -v system_u:object_r:old_t:s0 etc/vmware-tools
		chown 12:34 etc/vmware-tools
		touch -d 2002-02-03 etc/vmware-tools
		setfattr -h -n security.selinux -v link etc/systemd/system/open-vm-tools.service
		setfattr -h -n trusted.note -v link etc/systemd/system/open-vm-tools.service
		chown -h 12:34 etc/systemd/system/open-vm-tools.service
		touch -h -d 2003-02-03 etc/systemd/system/open-vm-tools.service
		chown 12:34 usr/bin/vmtoolsd
		chmod 6755 usr/bin/vmtoolsd
		setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 usr/bin/vmtoolsd
		setfattr -n user.big -v "$(head -c 400 /dev/zero | tr "\0" x)" usr/bin/vmtoolsd
		ln usr/bin/vmtoolsd usr/bin/a-name-of-vmtoolsd
		ln usr/bin/vmtoolsd usr/bin/z-name-of-vmtoolsd
		truncate -s 1M var/log/dpkg.log
		echo installed >>var/log/dpkg.log
		setfattr -n system.posix_acl_default -v '$acl' boot/grub etc
		chattr +i boot/grub/grub.cfg
		[ '$fstype' != xfs ] || chattr -p 42 etc/fstab etc/vmware-tools'
}

for type in ext4 xfs btrfs; do
	on_file_system $type
	phony
	# shellcheck disable=SC2016 # of the script
	sed -i 's|^\techo "remove .*|&; rm -rf /etc/vmware-tools|' "$work/tree/usr/bin/dpkg"
	pack
	decorate
	list_all before
	[ "$(grep -c '^names' "$work/before")" = 3 ] || fail "$type: the test has no hard links"
	prepare
	[ "$status" = 0 ] || fail "$type: prepare: exit status $status"
	within '
		[ ! -e etc/vmware-tools ] && [ ! -e usr/bin/vmtoolsd ]
		[ "$(getfattr -n user.note --only-values etc/fstab)" = kept ]
		getfattr -n system.posix_acl_access etc/fstab
		lsattr etc/fstab | grep -q "d.*A"
		[ -z "$(getfattr -n system.posix_acl_access boot/grub/grub.cfg etc/default/grub)" ]
		lsattr boot/grub/grub.cfg | grep -q i' >"$work/within.log" 2>&1 ||
		fail "$type: what was replaced is not like it was"
	prepare --undo
	[ "$status" = 0 ] || fail "$type: undo: exit status $status"
	list_all undone
	same before undone "$type: undo left a difference"
done

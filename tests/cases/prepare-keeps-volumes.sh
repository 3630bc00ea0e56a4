#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Drivers of volumes (LVM's RAID and thin pools, caches, multipath, bcache) that an initramfs holds are in
# the one that is built in its place. A tool finds out by device-mapper and the running kernel what is in
# use, which it cannot reach in its cell: each is told the names. One that loses a driver all the same is
# not believed, and the guest is as before.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires cpio
md=kernel/drivers/md

# volumes VERSION IMAGE: the kernel has drivers of volumes, its image holds some of them
volumes()
{
	local m=$work/tree/lib/modules/$1 old=$work/old suffix name

	suffix=$(cd "$m/kernel/drivers/scsi" && echo sd_mod.ko*)
	suffix=${suffix#sd_mod.ko}
	mkdir -p "$m/$md/bcache"
	for name in dm-raid dm-thin-pool dm-service-time dm-cache raid1 bcache/bcache; do
		echo "$name" >"$m/$md/$name.ko$suffix"
		echo "$md/$name.ko$suffix:" >>"$m/modules.dep"
	done
	echo $md/raid10.ko >>"$m/modules.builtin"
	rm -rf "$old"
	mkdir -p "$old/lib/modules/$1/kernel/drivers"
	cp -r "$m/$md" "$old/lib/modules/$1/$md"
	rm "$old/lib/modules/$1/$md/dm-cache.ko$suffix"
	echo 'of an earlier kernel' >"$old/lib/modules/$1/$md/raid10.ko"
	(cd "$old" && find . | LC_ALL=C sort | cpio --quiet -o -H newc | gzip -n) >"$work/tree$2"
}

# holds IMAGE: the drivers of volumes in an image of the disk
holds()
{
	show "$1" | zcat | cpio --quiet -t | sed -n "s|.*/$md/\(.*\)[.]ko.*|\1|p" | LC_ALL=C sort | xargs
}

# guest TREE VERSION IMAGE
guest()
{
	local has

	volumes "$2" "$3"
	pack
	prepare
	[ "$status" = 0 ] || fail "$1: exit status $status, $(jq -c .error "$work/report.json")"
	is '.verdict == "boots"'
	has=$(holds "$3")
	[ "$has" = 'bcache/bcache dm-raid dm-service-time dm-thin-pool raid1' ] || fail "$1: the image holds: $has"
	prepare
	is '.plan == [] and .changes == []'
}

phony
guest debian $kernel /boot/initrd.img-$kernel
# Copied for whoever asks, not loaded at every start.
show /etc/initramfs-tools/modules >"$work/modules"
! grep -E 'raid|dm|bcache' "$work/modules" || fail "these are loaded at every start"
is '.changes == []'
while read -r name version image; do
	tests/data/phony-family "$name" "$work/tree"
	guest "$name" "$version" "$image"
done <<'END'
rhel9 5.14.0-427.el9.x86_64 /boot/initramfs-5.14.0-427.el9.x86_64.img
sles11 3.0.101-63-default /boot/initrd-3.0.101-63-default
centos5 2.6.18-398.el5 /boot/initrd-2.6.18-398.el5.img
alt 5.10.82-std-def-alt1 /boot/initrd-5.10.82-std-def-alt1.img
arch 6.9.2-arch1-1 /boot/initramfs-linux.img
alpine 6.6.30-0-lts /boot/initramfs-lts
END
[ "$(show /etc/mkinitfs/mkinitfs.conf)" = 'features="virtio target-worker ata base ext4 scsi"' ] ||
	fail "alpine: $(show /etc/mkinitfs/mkinitfs.conf)"

# loses PATTERN REGEX: dracut is told, and leaves out what fits
loses()
{
	tests/data/phony-family fedora "$work/tree"
	volumes 6.8.5-301.fc40.x86_64 /boot/initramfs-6.8.5-301.fc40.x86_64.img
	# shellcheck disable=SC2016 # for the guest's shell
	sed -i 's/^for name in/drivers=$(echo "$drivers" | sed -E "s,'"$1"',,g")\n&/' "$work/tree/usr/bin/dracut"
	unbelieved "$2"
}
loses raid1 'the new /boot/initramfs-6.*.img lacks drivers of the guest.s volumes that the old one had: raid1$'
loses 'raid1 |dm_thin_pool |bcache' ': raid1, dm_thin_pool, bcache$'

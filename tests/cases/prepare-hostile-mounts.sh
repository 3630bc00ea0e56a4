#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest says of itself is no path of this machine: a line of fstab cannot mount over the root or
# over another mount, an option of a mount stays one option, and ID=.. of os-release does not lead out
# of the operator's packages. A guest from before /run gets one.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

mkdir -p "$work/second.tree/etc"
echo other >"$work/second.tree/etc/hostname"
truncate -s 8M "$work/second"
mke2fs -q -F -t ext4 -d "$work/second.tree" "$work/second"

# two LINE...: a guest with these lines in fstab, and a second partition
two()
{
	phony
	printf '%s\n' "$@" >>"$work/tree/etc/fstab"
	mkdir -p "$work/tree/srv" "$work/tree/boot/efi"
	pack
	truncate -s 72M "$work/disk"
	echo '64M,8M,L' | sfdisk -q --append "$work/disk"
	dd if="$work/second" of="$work/disk" bs=1M seek=64 conv=notrunc status=none
	list before
}

# Over the root: the guest's tools would see another tree than the one that is prepared.
for point in /.. ../.. // /etc/.. /srv/../..; do
	two "/dev/sda2 $point ext4 defaults 0 2"
	prepare
	[ "$status" = 0 ] || fail "$point: exit status $status, $(jq -c .error "$work/report.json")"
	is '[.facts.mounts[].point] == ["/"]'
	case $point in
	/*) is --arg p "$point" '.warnings | any(. == "mount point \($p): a file system is mounted there already")' ;;
	esac
	show /etc/fstab | has "^UUID=$uuid"
done

# One file system over another, by another name of the same folder.
two "/dev/sda2 /srv ext4 defaults 0 2" "LABEL=root /boot/../srv ext4 defaults,subvol=x 0 2"
inspect
[ "$status" = 0 ] || fail "two at one place: exit status $status"
is '[.facts.mounts[].point] == ["/", "/srv"]'

# subvol= is an option of btrfs; an ext4 with it is mounted as an ext4.
two "/dev/sda2 /srv btrfs subvol=@x,errors=remount-ro 0 2"
inspect
is '[.facts.mounts[].point] == ["/", "/srv"]'

# The operator's folder is the limit.
mkdir -p "$work/supply/inner"
echo agent >"$work/supply/qemu-guest-agent_1_amd64.deb"
for id in .. . ../supply '-x' 'a b'; do
	phony
	printf 'ID="%s"\nPRETTY_NAME="Phony"\n' "$id" >"$work/tree/etc/os-release"
	pack
	prepare --dry-run --guest-agent --packages "$work/supply/inner"
	is '.plan | any(.kind == "install") | not'
done

# Not hostile, but old: a guest from before /run. Its tools need one, and undoing takes it away.
phony
rmdir "$work/tree/run"
pack
list before
prepare
[ "$status" = 0 ] || fail "no /run: exit status $status, $(jq -c .error "$work/report.json")"
is '.verdict == "boots" and .unsaved == []'
list after
grep -q '^./run d' "$work/after" || fail "the guest's tools had no /run"
stays_and_goes

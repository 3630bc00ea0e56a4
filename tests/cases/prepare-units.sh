#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd's own .mount and .swap units instead of lines in fstab: names of the disk controller become
# paths by UUID, a swap unit with its links is named after its new device, shared folders of a hypervisor
# stay units that start there only, and a drive that was not copied is not required any more. Masked
# units and those that need nothing keep every byte; a second run changes nothing, undo is exact.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires mkswap
swap=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0009

phony
units=$work/tree/etc/systemd/system
# unit NAME SECTION LINE...
unit()
{
	local file=$units/$1 section=$2

	shift 2
	mkdir -p "${file%/*}"
	{ printf '[Unit]\nDescription=as it was\n\n[%s]\n' "$section"; printf '%s\n' "$@"; } >"$file"
}
start_by() { mkdir -p "$units/$2" && ln -s "/etc/systemd/system/$1" "$units/$2/$1"; }
unit dev-sda2.swap Swap What=/dev/sda2 Priority=5
start_by dev-sda2.swap swap.target.wants
start_by dev-sda2.swap multi-user.target.requires
unit srv-data.mount Mount What=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 Where=/srv/data
sed -i '2a Requires=dev-sda2.device local-fs-pre.target' "$units/srv-data.mount"
unit srv-own.mount Mount What=UUID=$uuid Where=/srv/own
unit srv-own.mount.d/more.conf Mount What=/dev/sda1 Options=ro
unit mnt-hgfs.mount Mount What=.host:/ Where=/mnt/hgfs Type=fuse.vmhgfs-fuse
unit mnt-hgfs.automount Automount Where=/mnt/hgfs
unit mnt-vbox.mount Mount What=share Where=/mnt/vbox Type=vboxsf
unit srv-gone.mount Mount What=/dev/sdb1 Where=/srv/gone
start_by srv-gone.mount local-fs.target.requires
unit srv-disk@.mount Mount What=/dev/disk/by-id/%i Where=/srv/disk
start_by srv-disk@.mount local-fs.target.requires
unit tmp.mount Mount What=tmpfs Where=/tmp Type=tmpfs
ln -s /dev/null "$units/masked.mount"

pack
truncate -s 72M "$work/disk"
printf 'label: dos\nstart=2048, size=129024, type=83, bootable\nstart=131072, type=82\n' | sfdisk -q "$work/disk"
truncate -s 8M "$work/swap"
mkswap -q -U $swap "$work/swap"
dd if="$work/swap" of="$work/disk" bs=1M seek=64 conv=notrunc status=none

list before
prepare
[ "$status" = 0 ] || fail "exit status $status: $(cat "$work/prepare.log")"
is '.verdict == "boots"'
is '[.warnings[] | select(test("srv-gone.mount: /dev/sdb1 is on none of the copied drives"))] | length == 1'
list after
name='dev-disk-by\x2duuid-'${swap//-/'\x2d'}.swap
within "cp -a etc/systemd/system '$work/made'"
made=$work/made
has_line() { grep -qxF -- "$2" "$made/$1" || fail "$1 has no line $2: $(cat "$made/$1")"; }
if [ -e "$made/dev-sda2.swap" ]; then fail "the swap unit kept its name"; fi
has_line "$name" "What=/dev/disk/by-uuid/$swap"
has_line "$name" Priority=5
for dir in swap.target.wants multi-user.target.requires; do
	[ "$(readlink "$made/$dir/$name")" = "/etc/systemd/system/$name" ] || fail "$dir does not start the swap"
	if [ -L "$made/$dir/dev-sda2.swap" ]; then fail "$dir starts a swap that is gone"; fi
done
has_line srv-data.mount "What=/dev/disk/by-uuid/$uuid"
has_line srv-data.mount "Requires=${name%swap}device local-fs-pre.target"
has_line srv-own.mount.d/more.conf "What=/dev/disk/by-uuid/$uuid"
has_line mnt-hgfs.mount.d/90-target-worker.conf ConditionVirtualization=vmware
has_line mnt-hgfs.automount.d/90-target-worker.conf ConditionVirtualization=vmware
has_line mnt-vbox.mount.d/90-target-worker.conf ConditionVirtualization=oracle
[ -L "$made/local-fs.target.wants/srv-gone.mount" ] || fail "the drive that is gone is not wanted any more"
if [ -L "$made/local-fs.target.requires/srv-gone.mount" ]; then fail "the start requires a drive that is gone"; fi
is '[.warnings[] | select(test("srv-disk"))] == []'
[ -L "$made/local-fs.target.requires/srv-disk@.mount" ] || fail "a template was taken for a drive that is gone"
for name in srv-own.mount srv-disk@.mount tmp.mount mnt-hgfs.mount mnt-vbox.mount srv-gone.mount masked.mount; do
	[ "$(grep -E "(^|  )[.]/etc/systemd/system/$name( |$)" "$work/before")" = "$(grep -E "(^|  )[.]/etc/systemd/system/$name( |$)" "$work/after")" ] ||
		fail "$name was changed"
done

prepare
is '.plan == [] and .changes == []'
stays_and_goes

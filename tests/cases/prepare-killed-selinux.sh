#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A killed preparation that is completed ends as one that was not: what its first run wrote has its
# labels and stands in the report, and the journal has its end, also when nothing was left to plan.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires getfattr setfattr debugfs

on_disk()
{
	mkdir -p "$work/mnt"
	disk_is_free
	mount -o "$1,loop,offset=1048576" "$work/disk" "$work/mnt"
}
cleanup_fn "mountpoint -q '$work/mnt' && umount '$work/mnt'"
label() { getfattr -h -n security.selinux --only-values "$work/mnt$1" 2>"$work/getfattr.log" | tr -d '\0'; }
expect_label() { [ "$(label "$1")" = "system_u:object_r:$2:s0" ] || fail "$1: $(label "$1"), not $2"; }

# Every path that was there neither at first nor since has a label, and the report has those outside
# of the worker's own folder.
all_is_well()
{
	on_disk ro
	(cd "$work/mnt" && find . -path ./lost+found -prune -o -print) | LC_ALL=C sort >"$work/paths.now"
	comm -13 "$work/paths.before" "$work/paths.now" >"$work/paths.new"
	grep -q '^./etc/systemd/network/10-target-worker-ens192.link$' "$work/paths.new" ||
		fail "$1: the link file is not there"
	while read -r path; do
		[ -n "$(label "${path#.}")" ] || fail "$1: ${path#.} has no label"
		case $path in ./var/lib/target-worker | ./var/lib/target-worker/*) continue ;; esac
		is --arg path "${path#.}" '.changes | any(.path == $path and .change == "added")'
	done <"$work/paths.new"
	expect_label /etc/systemd/network/10-target-worker-ens192.link net_conf_t
	expect_label /etc/fstab old_t
	is '.changes | any(.path == "/etc/fstab" and .change == "changed" and
		.sha256_before != .sha256_after and .backup != null)'
	is '[.changes[].path] | length == (unique | length)'
	umount "$work/mnt"
	dir=$(jq -r .backup "$work/report.json")
	show "$dir/journal" >"$work/journal"
	[ "$(grep -c '"op":"end"' "$work/journal")" = 1 ] || fail "$1: the journal has no end"
}

phony
mkdir -p "$work"/tree/etc/selinux/minimum/contexts/files "$work/tree/etc/initramfs-tools/hooks"
touch "$work/tree/usr/sbin/load_policy"
printf 'SELINUX=enforcing\nSELINUXTYPE=minimum\n' >"$work/tree/etc/selinux/config"
printf '%s\tsystem_u:object_r:%s:s0\n' '/etc/.*' etc_t '/etc/systemd/network(/.*)?' net_conf_t \
	>"$work/tree/etc/selinux/minimum/contexts/files/file_contexts"
printf 'echo hooked\n[ ! -e /etc/slow ] || sleep 30\n' >"$work/tree/etc/initramfs-tools/hooks/slow"
touch "$work/tree/etc/slow"
pack
on_disk rw
find "$work/mnt" -exec setfattr -h -n security.selinux -v system_u:object_r:old_t:s0 {} +
(cd "$work/mnt" && find . -path ./lost+found -prune -o -print) | LC_ALL=C sort >"$work/paths.before"
umount "$work/mnt"

disk_is_free # a worker of another test may have had a copy of the mount
"$worker" prepare --nic "$nic" "$work/disk" >"$work/killed.log" 2>&1 &
pid=$!
wait_for 30 grep -q hooked "$work/killed.log"
kill -9 "$pid"
wait "$pid" || echo "killed: status $?"
disk_is_free
debugfs -w -R 'rm /etc/slow' "$work/disk?offset=1048576" >"$work/debugfs.log" 2>&1
prepare
[ "$status" = 0 ] || fail "second run: exit status $status"
is '.plan | any(.path == "/etc/fstab") | not'
all_is_well "killed in a tool"

# As if it had been killed at its very end: no labels, no end.
on_disk rw
while read -r path; do
	setfattr -h -x security.selinux "$work/mnt/$path"
done <"$work/paths.new"
sed -i '/"op":"end"/d' "$work/mnt$dir/journal"
umount "$work/mnt"
prepare
[ "$status" = 0 ] || fail "third run: exit status $status"
is '.plan == [] and .verdict == "boots"'
all_is_well "killed at the end"

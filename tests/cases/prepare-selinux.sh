#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a guest with labels each path that the preparation adds or changes has one afterwards, by the
# guest's policy or its folder's; all others keep theirs; --relabel leaves it to the guest's boot.
# Undo takes the labels back, too.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires getfattr setfattr

label() { getfattr -h -n security.selinux --only-values "$work/mnt$1" 2>"$work/getfattr.log" | tr -d '\0'; }
on_disk()
{
	mkdir -p "$work/mnt"
	disk_is_free
	mount -o "$1,loop,offset=1048576" "$work/disk" "$work/mnt"
}
cleanup_fn "mountpoint -q '$work/mnt' && umount '$work/mnt'"

phony
mkdir -p "$work"/tree/etc/selinux/minimum/contexts/files "$work"/tree/usr/sbin "$work"/tree/var/lib
touch "$work/tree/usr/sbin/load_policy"
printf 'SELINUX=enforcing\nSELINUXTYPE=minimum\n' >"$work/tree/etc/selinux/config"
printf '%s\tsystem_u:object_r:%s:s0\n' '/etc/.*' etc_t '/etc/systemd/network(/.*)?' net_conf_t \
	'/usr/lib/state(/.*)?' state_t >"$work/tree/etc/selinux/minimum/contexts/files/file_contexts"
printf '/boot/grub/grub\\.cfg\t<<none>>\n' >>"$work/tree/etc/selinux/minimum/contexts/files/file_contexts"
printf '/var/lib/target-worker /usr/lib/state\n' \
	>"$work/tree/etc/selinux/minimum/contexts/files/file_contexts.subs_dist"
pack

prepare --dry-run --relabel
is '[.plan[] | select(.path == "/.autorelabel")] | length == 1'

on_disk rw
find "$work/mnt" -exec setfattr -h -n security.selinux -v system_u:object_r:old_t:s0 {} +
setfattr -x security.selinux "$work/mnt/boot/grub/grub.cfg"
setfattr -x security.selinux "$work/mnt/etc/default/grub"
umount "$work/mnt"
list_all before
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status"
on_disk ro
while read -r path; do
	[ "$path" != /boot/grub/grub.cfg ] || continue
	[ -z "$(find "$work/mnt$path" -maxdepth 0)" ] || [ -n "$(label "$path")" ] || fail "$path has no label"
done < <(jq -r '.changes[] | select(.change != "removed") | .path' "$work/report.json")
expect_label() { [ "$(label "$1")" = "system_u:object_r:$2:s0" ] || fail "$1: $(label "$1"), not $2"; }
expect_label /etc/systemd/network/10-target-worker-ens192.link net_conf_t
expect_label /etc/systemd/network net_conf_t
expect_label /etc/fstab old_t
expect_label /boot/initrd.img-$kernel old_t
expect_label /var/lib/target-worker state_t
expect_label /etc/default/grub etc_t
[ -z "$(label /boot/grub/grub.cfg)" ] || fail "the policy gives grub.cfg no label, and it has $(label /boot/grub/grub.cfg)"
umount "$work/mnt"

prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
list_all undone
same before undone "undo left a difference"

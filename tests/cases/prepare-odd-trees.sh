#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests with files that no installer wrote: each ends in a verdict or a documented code, and a path
# of the guest never leads to one of this machine.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

fresh()
{
	rm -rf "$work/tree"
	phony
}

# fstab is a link to a file of this machine, relative and absolute: it is the guest's own that counts.
echo "/dev/sda1 /host ext4" >"$work/host-fstab"
fresh
rm "$work/tree/etc/fstab"
ln -s "../../../../../../..$work/host-fstab" "$work/tree/etc/fstab"
pack
cp "$work/host-fstab" "$work/host-fstab.before"
prepare
[ "$status" = 0 ] || fail "dangling fstab: exit status $status"
is '[.plan[].path] | index("/etc/fstab") == null'
cmp "$work/host-fstab" "$work/host-fstab.before" || fail "a file of this machine was written"

fresh
ln -sf loop2 "$work/tree/etc/loop1"
ln -sf loop1 "$work/tree/etc/loop2"
ln -sf loop1 "$work/tree/etc/fstab"
pack
prepare
expect FS_UNSAFE 7

# 1 GiB of fstab, sparse on the disk.
fresh
truncate -s 1G "$work/tree/etc/fstab"
pack
prepare
expect FS_UNSAFE 7

# NULs, no newline at the end, a line of 200 KB: the good line is still changed.
fresh
{
	printf '/dev/sda1 /\0 x ext4\n/dev/sda1 / ext4\n'
	head -c 200000 /dev/zero | tr '\0' x
	printf '\n/dev/sr0'
} >"$work/tree/etc/fstab"
pack
prepare
[ "$status" = 0 ] || fail "odd fstab: exit status $status"
show /etc/fstab >"$work/fstab"
[ "$(tr '\0' '?' <"$work/fstab" | head -n 2)" = "/dev/sda1 /? x ext4
UUID=$uuid / ext4" ] || fail "odd fstab"

# Names with newlines and bytes that are no UTF-8.
fresh
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
printf 'echo new >"/etc/$(printf "a\\nb\\377c")"\n' >"$work/tree/etc/initramfs-tools/hooks/names"
pack
prepare
[ "$status" = 0 ] || fail "odd names: exit status $status"
is '.changes | any(.path | startswith("/etc/a\nb"))'

# A folder where a file should be, a pipe in place of grub.cfg, no kernel, a damaged initramfs.
fresh
rm "$work/tree/boot/grub/grub.cfg"
mkfifo "$work/tree/boot/grub/grub.cfg"
pack
inspect
is '.verdict == "does-not-boot" and (.because | index("no boot loader configuration was found"))'
fresh
rm "$work/tree/boot/vmlinuz-$kernel"
pack
prepare
expect PREP_NO_KERNEL 7
is '.because | index("no kernel in /boot with modules in /lib/modules")'
fresh
truncate -s 100 "$work/tree/boot/initrd.img-$kernel"
pack
prepare
[ "$status" = 0 ] || fail "a damaged initramfs is built anew: exit status $status"
is '.warnings | any(test("damaged"))'

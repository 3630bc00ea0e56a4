#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest without any tool for its initramfs: its own modules and their tables are put behind the
# image, and the links and folders of the image stay what they are.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires cpio

phony
rm "$work/tree/usr/sbin/update-initramfs"
# An image of a system with merged /usr: lib is a link. 5 odd bytes of padding behind it.
mkdir -p "$work/image/usr/lib/modules/$kernel/kernel/drivers/scsi"
ln -s usr/lib "$work/image/lib"
echo old >"$work/image/usr/lib/modules/$kernel/modules.dep"
echo pvscsi >"$work/image/usr/lib/modules/$kernel/kernel/drivers/scsi/vmw_pvscsi.ko"
(cd "$work/image" && find . | cpio --quiet -o -H newc | zstd -q) >"$work/tree/boot/initrd.img-$kernel"
truncate -s +5 "$work/tree/boot/initrd.img-$kernel"
pack
list before
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '[.plan[] | select(.step == "initramfs") | .kind] == ["supplement"]'
is '.facts.initramfs_tool == "" and .verdict == "boots"'
mkdir -p "$work/mnt"
disk_is_free
mount -o ro,noload,loop,offset=1048576 "$work/disk" "$work/mnt"
cleanup_fn "mountpoint -q '$work/mnt' && umount '$work/mnt'"
cp "$work/mnt/boot/initrd.img-$kernel" "$work/new"
umount "$work/mnt"
old=$(stat -c %s "$work/tree/boot/initrd.img-$kernel")
cmp -n "$old" "$work/new" "$work/tree/boot/initrd.img-$kernel" || fail "the old image is not in front"
tail -c +$(((old + 3) / 4 * 4 + 1)) "$work/new" | cpio --quiet -t >"$work/names"
for file in kernel/drivers/block/virtio_blk.ko kernel/drivers/virtio/virtio_ring.ko \
	kernel/drivers/scsi/scsi_mod.ko modules.dep modules.alias.bin; do
	grep -qx "usr/lib/modules/$kernel/$file" "$work/names" || fail "no $file behind the image"
done
if grep -x -e lib -e usr -e usr/lib -e 'usr/lib/modules' "$work/names"; then
	fail "a folder of the image is there again"
fi
prepare
is '.plan == []'
prepare --undo
list undone
same before undone "undo left a difference"

# Without modules.dep nothing is guessed.
phony
rm "$work/tree/usr/sbin/update-initramfs" "$work/tree/lib/modules/$kernel/modules.dep"
pack
prepare
expect PREP_NO_KERNEL 7

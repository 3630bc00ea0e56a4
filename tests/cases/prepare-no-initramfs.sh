#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel of its own build that starts without an initramfs resolves PARTUUID= and no UUID=: its
# root is named so. One that has root=UUID= and no initramfs cannot start, and is not said to.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

bare()
{
	phony
	rm "$work"/tree/boot/initrd.img-*
	sed -i '/initrd/d' "$work/tree/boot/grub/grub.cfg"
	rm -r "$work/tree/lib/modules/$kernel/kernel"
	printf 'kernel/drivers/%s.ko\n' virtio/virtio_pci virtio/virtio_ring block/virtio_blk \
		scsi/virtio_scsi scsi/sd_mod net/virtio_net ../fs/ext4/ext4 \
		>"$work/tree/lib/modules/$kernel/modules.builtin"
}

bare
pack
partuuid=$(sfdisk --json "$work/disk" | jq -r '.partitiontable.id | ltrimstr("0x")')-01
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status"
is '.verdict == "boots"'
within 'cat boot/grub/grub.cfg' >"$work/grub.cfg"
grep -q "root=PARTUUID=$partuuid ro" "$work/grub.cfg" || fail "grub.cfg: $(grep -m 1 root= "$work/grub.cfg")"
! grep -q root=UUID= "$work/grub.cfg" || fail "a name that needs an initramfs"
within 'cat etc/fstab' | grep -q "^UUID=$uuid	/	" || fail "fstab is mount's business: UUID="
prepare
is '.plan == [] and .changes == []'

bare
sed -i "s,root=/dev/[a-z0-9]*,root=UUID=$uuid," "$work/tree/boot/grub/grub.cfg"
pack
prepare
[ "$status" = 7 ] || fail "exit status $status"
is '.verdict == "does-not-boot"'
is '(.because + [.error.text]) | any(test("without an initramfs"))'
same_disk=$(sha256sum <"$work/disk")
inspect
is '.because | any(test("without an initramfs"))'
[ "$(sha256sum <"$work/disk")" = "$same_disk" ] || fail "a look wrote to the disk"

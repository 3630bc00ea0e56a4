#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo's server cannot start from virtio as it is: its initramfs of MODULES=dep has no driver for
# the disk. Without this, a demo that boots would prove nothing.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires qemu-system-x86_64 socat mmdebstrap
boot_begin
guest=$(qemu/guests/build debian12)
cp --sparse=always "$guest/disk.raw" "$dir/disk.raw"
mapfile -t args < <(vm_kvm_args 52:54:00:aa:20:01 restrict=on)
limit=$((200 * scale / 4))
vm_start boot $limit "${args[@]}" -device virtio-blk-pci,drive=disk \
	-drive "if=none,id=disk,file=$dir/disk.raw,format=raw"
# initramfs-tools looks for the root device half a minute: others may have the emulator meanwhile.
vm_wait_serial boot $limit 'Begin: Waiting for (suspend/resume device|root file system)|ALERT! |login:' ||
	fail "the initramfs did not get as far as its disk"
vm_unlock
vm_wait_serial boot $limit 'ALERT! +/dev/sda1 does not exist' ||
	fail "the initramfs did not miss its disk"
expect_no_serial 'login:'
vm_kill boot
rm "$dir/disk.raw"

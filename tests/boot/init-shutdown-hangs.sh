#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that hangs while it shuts down its devices (a SCSI disk whose cache is never written) does
# not hold the machine: PID 1, which has only a child in there, resets it. The watchdogs of the image
# go on meanwhile, should PID 1 hang, too.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires nbdkit
boot_begin

nbdkit -f -U "$dir/nbd.sock" eval get_size='echo 16M' can_write='exit 0' can_flush='exit 0' \
	pread='head -c $3 /dev/zero' pwrite='cat >/dev/null' flush='touch '"$dir/flushing"'; sleep 3600' \
	>"$dir/nbdkit.log" 2>&1 &
nbd=$!
end_nbd()
{
	! kill -0 $nbd 2>&- || kill -KILL $nbd
}
cleanup+=(end_nbd)
for ((i = 0; i < 100; i++)); do
	[ ! -S "$dir/nbd.sock" ] || break
	sleep 0.1
done
boot_worker <<'END'
echo "stop_on_reboot: $(cat /sys/module/watchdog/parameters/stop_on_reboot)"
tell finish reboot
END
qemu_machine 128
# shellcheck disable=SC2054 # QEMU's commas
qemu+=(-drive "if=none,id=hangs,format=raw,cache=writeback,file=nbd:unix:$dir/nbd.sock"
	-device virtio-scsi-pci -device scsi-hd,drive=hangs)
boot_kernel
limit=$((120 * scale / 4))
vm_start boot $((limit * 2)) "${qemu[@]:1}" || fail "QEMU did not start"
vm_wait_serial boot $limit 'sysrq: Resetting' || fail "the machine hangs at its end"
# The emulator waits for its disk now: without it, it ends.
end_nbd
vm_wait boot $limit $limit || fail "the emulator does not end"
expect_off guest-reset
[ -e "$dir/flushing" ] || fail "nothing hung: the disk was not asked to write its cache"
expect_serial '^stop_on_reboot: 0'

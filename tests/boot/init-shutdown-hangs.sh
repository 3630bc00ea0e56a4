#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that hangs while it shuts down its devices (a SCSI disk whose cache is never written) is
# still watched: the machine's watchdog fires.
# waits
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires nbdkit
boot_begin

nbdkit -f -U "$dir/nbd.sock" eval get_size='echo 16M' can_write='exit 0' can_flush='exit 0' \
	pread='head -c $3 /dev/zero' pwrite='cat >/dev/null' flush='touch '"$dir/flushing"'; sleep 3600' \
	>"$dir/nbdkit.log" 2>&1 &
cleanup+=("kill $!")
for ((i = 0; i < 100; i++)); do
	[ ! -S "$dir/nbd.sock" ] || break
	sleep 0.1
done
boot_worker <<'END'
tell finish reboot
END
qemu_machine 128
qemu+=(-drive "if=none,id=hangs,format=raw,cache=writeback,file=nbd:unix:$dir/nbd.sock"
	-device virtio-scsi-pci -device scsi-hd,drive=hangs
	-device i6300esb -action watchdog=none)
boot_kernel
limit=$((90 * scale / 4))
vm_start boot $((limit + 300)) "${qemu[@]:1}" || fail "QEMU did not start"
vm_wait_serial boot $limit 'power-off: ready after' || fail "the machine does not come to its end"
vm_unlock
fired()
{
	jq -es 'any(.event == "WATCHDOG" and .data.action == "none")' "$dir/boot/qmp.log" >"$dir/jq.log"
}
for ((i = 0; i < 200; i++)); do
	! fired || break
	vm_runs boot || fail "the machine ended by '$(boot_off_reason)': nothing hung"
	sleep 1
done
fired || fail "the watchdog does not run while the kernel shuts down"
[ -e "$dir/flushing" ] || fail "the disk was not asked to write its cache"
vm_kill boot

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One machine with every disk adapter and network card that QEMU has and users meet: the kernel
# finds all of them without modules. Each disk has its own size, each card its own address.
# Behind QEMU 7.2's mptsas1068 Linux sees no disk, so there it is the driver that has to start.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin

boot_worker <<'END'
sleep 2 # USB and SCSI scans end after PID 1 has started
for b in /sys/block/*; do
	read -r size <"$b/size"
	d=$(readlink -f "$b/device/driver" || :)
	[ "$size" = 0 ] || echo "disk $((size / 2048)) ${b##*/} ${d##*/}"
done
for h in /sys/class/scsi_host/*; do
	read -r name <"$h/proc_name"
	echo "host $name"
done
for n in /sys/class/net/*; do
	read -r mac <"$n/address"
	d=$(readlink -f "$n/device/driver" || :)
	echo "nic $mac ${d##*/}"
done
tell finish poweroff
END

n=0
disk()
{
	n=$((n + 1))
	truncate -s $((n + 7))M "$dir/disk$n"
	qemu_disk "$dir/disk$n,bus=$1"
}

# card MODEL: the last byte of the address tells which one it is
m=0
card()
{
	m=$((m + 1))
	qemu+=(-netdev "user,id=c$m,restrict=on"
		-device "$1,netdev=c$m,romfile=,mac=52:54:00:00:00:$(printf %02x $m)")
}

qemu_machine 256 1 pc
buses="virtio-blk virtio-scsi nvme sata pvscsi lsi usb ide"
for bus in $buses; do
	disk "$bus"
done
for adapter in am53c974 megasas; do
	n=$((n + 1))
	truncate -s $((n + 7))M "$dir/disk$n"
	qemu+=(-device "$adapter,id=$adapter" -drive "if=none,id=x$n,file=$dir/disk$n,format=raw"
		-device "scsi-hd,bus=$adapter.0,drive=x$n")
done
qemu+=(-device mptsas1068)
cards="virtio-net-pci e1000 e1000e vmxnet3 rtl8139 pcnet ne2k_pci tulip i82551"
for c in $cards; do
	card "$c"
done
boot_kernel
boot_run 90 || fail "the machine did not power off"

for ((i = 1; i <= n; i++)); do
	expect_serial "^disk $((i + 7)) "
done
expect_serial '^host mptsas'
for driver in virtio_net e1000 e1000e vmxnet3 8139cp pcnet32 ne2k-pci tulip e100; do
	expect_serial "^nic 52:54:00:00:00:.. $driver"
done
[ "$(grep -ac '^nic 52:54:00' "$dir/boot/serial.log")" -eq $m ] || fail "not every card is there"

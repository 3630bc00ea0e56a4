#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# qemu/run as the README tells it: a job as SMBIOS string, a disk of each file format on buses that
# the operator names, another network card, more arguments for QEMU; it prints the command that it
# runs, and leaves the result. What it does not know it refuses, before anything is started. On the
# way the disks of a real machine are named in every way that a job has: serial, WWN, bus path in both
# forms, exact size.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
requires qemu-img
job_source 8 sdb sdc sdd sde sdf
jq -n --arg url "tws://10.0.2.2:$job_port" --arg psk "$psk" '{version: 1, migration: "by-hand",
	mode: "full", source: {url: $url, psk: $psk, stall_s: 60}, prepare: false, drives: [
	{source: "sda", target: {serial: "HAND0"}, target_state: "pristine"},
	{source: "sdb", target: {serial: "HAND1"}, target_state: "pristine"},
	{source: "sdc", target: {wwn: "naa.5000c500a1b2c3d4"}, target_state: "pristine"},
	{source: "sdd", target: {path: "pci-0000:00:12.0"}, target_state: "pristine"},
	{source: "sde", target: {path: "/dev/disk/by-path/pci-0000:00:11.0-scsi-0:0:3:0"},
		target_state: "pristine"},
	{source: "sdf", target: {size_exact: true}, target_state: "pristine"}]}' >"$dir/job.json"
truncate -s 12M "$dir/first.raw" "$dir/wwn.raw" "$dir/path.raw" "$dir/scsi-path.raw"
truncate -s 8M "$dir/exact.raw"
qemu-img create -q -f qcow2 "$dir/second.qcow2" 12M

status=0
vm_lock
qemu/run --dir "$dir/run" --medium disk --nic e1000 --memory 192 \
	--disk "$dir/first.raw,bus=nvme,serial=HAND0" \
	--disk "$dir/second.qcow2,bus=virtio-scsi,serial=HAND1" --job "$dir/job.json" \
	--result "$dir/result.json" --serial "$dir/serial.log" --timeout $((200 * scale / 4)) \
	--disk "$dir/exact.raw" -- -device virtio-scsi-pci,id=more,addr=0x11 \
	-drive "if=none,id=wwn,format=raw,file=$dir/wwn.raw" \
	-device scsi-hd,bus=more.0,scsi-id=2,drive=wwn,wwn=0x5000c500a1b2c3d4 \
	-drive "if=none,id=third,format=raw,file=$dir/scsi-path.raw" \
	-device scsi-hd,bus=more.0,scsi-id=3,drive=third \
	-drive "if=none,id=path,format=raw,file=$dir/path.raw" \
	-device virtio-blk-pci,addr=0x12,drive=path \
	2>"$dir/run.log" || status=$?
vm_unlock
[ $status = 0 ] || fail "exit status $status: $(tail -n 3 "$dir/run.log" "$dir/serial.log")"
[ "$(jq -r '"\(.verdict) \(.code) \(.job_channel)"' "$dir/result.json")" = "success NONE smbios" ] ||
	fail "result.json: $(jq -c '{verdict, err, job_channel}' "$dir/result.json")"
for disk in first wwn path scsi-path exact; do
	cmp -n $((8 << 20)) "$dir/source.raw" "$dir/$disk.raw" || fail "$disk: the disk differs"
done
# The longer one has zeroes behind.
qemu-img compare -q -f raw -F qcow2 "$dir/source.raw" "$dir/second.qcow2" || fail "the qcow2 disk differs"
grep '^qemu/run: qemu-system-x86_64 ' "$dir/run.log" >"$dir/command" || fail "the command was not printed"
for part in '-m 192 ' '-device e1000' '-device nvme.*serial=HAND0' '-device scsi-hd.*serial=HAND1'; do
	grep -q -- "$part" "$dir/command" || fail "$part is not in the command: $(cat "$dir/command")"
done

# printed REGEX OPTION...: the command that would be run; nothing starts.
printed()
{
	local re=$1
	shift

	qemu/run --dir "$dir/print" --print "$@" >"$dir/print.log" 2>&1 || fail "$*: $(cat "$dir/print.log")"
	grep -qE -- "$re" "$dir/print.log" || fail "$*: $(cat "$dir/print.log")"
}
for bus in virtio-blk:virtio-blk-pci virtio-scsi:virtio-scsi-pci nvme:nvme sata:ahci pvscsi:pvscsi \
	lsi:lsi53c895a; do
	printed "-device ${bus#*:}.*serial=S1" --disk "$dir/first.raw,bus=${bus%:*},serial=S1"
done
printed 'if=pflash.*OVMF_CODE' --firmware uefi
printed 'usb-storage.*bootindex=0' --medium usb
printed 'ide-cd' --medium cd
printed '-kernel .*target-worker.efi .*tw.debug=1' --medium kernel --append tw.debug=1
printed 'bootfile=boot.ipxe' --medium pxe
printed 'vmxnet3' --nic vmxnet3

refused()
{
	local why=$1
	shift

	! qemu/run --dir "$dir/print" "$@" >"$dir/print.log" 2>&1 || fail "$*: accepted"
	grep -q -- "$why" "$dir/print.log" || fail "$*: $(cat "$dir/print.log")"
}
refused 'no such file' --disk "$dir/none.raw"
refused 'disk bus floppy' --disk "$dir/first.raw,bus=floppy"
refused 'medium tape' --medium tape
refused 'firmware openfirmware' --firmware openfirmware
refused 'not an option' --drive x
refused 'need the medium disk' --medium cd --result "$dir/x.json"

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2054
# Putting together a QEMU command. Sourced by qemu/run, the tests and the other scripts here.
# All functions are qemu_*; a command grows in the array `qemu`:
#
#   qemu_new DIR                 start a new command; DIR gets logs, sockets, variables
#   qemu_machine MEMORY_MB [CPUS] [MACHINE]
#   qemu_firmware bios|uefi [VARS]  VARS (default DIR/vars.fd) is made from OVMF's when missing
#   qemu_medium disk|usb|cd|kernel|pxe IMAGE NIC NETDEV [APPEND [INITRD]]
#                                what it boots from, and its network card (one call for both: PXE
#                                boots through the card); IMAGE is build/image; the volume of
#                                media disk and usb are DIR/volume.raw, made here unless it exists
#   qemu_disk FILE[,bus=BUS][,serial=S][,boot=N][,ro=on]
#                                BUS: virtio-blk (default) virtio-scsi nvme sata ide pvscsi lsi usb
#   qemu_cd FILE [BOOTINDEX]     CD drive (SATA, or IDE on machine pc)
#   qemu_nic MODEL NETDEV [OPTIONS]  virtio e1000 e1000e vmxnet3 rtl8139 pcnet ne2k none;
#                                NETDEV as -netdev has it without id; OPTIONS for the device
#   qemu_serial FILE|stdio       the human console
#   qemu_events FILE             machine channel: virtio-serial port tw.events
#   qemu_qmp SOCKET [wait]       control socket; wait: QEMU starts when someone connects
#   qemu_job JSON                job as SMBIOS type 11 string
#   qemu_print                   the command, quoted for a shell
#   qemu_exec SECONDS            run it to its end, one guest at a time on this machine
#
# qemu/vm.sh runs commands in the background and talks to their monitor.
# Arguments that a function does not know are an error: nothing is ignored.

qemu_cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/target-worker}
qemu_lock=${TW_QEMU_LOCK:-${XDG_CACHE_HOME:-$HOME/.cache}/target-worker/qemu.lock}
qemu_ovmf=${OVMF:-/usr/share/OVMF}
qemu_kvm=${TW_KVM:-/dev/kvm}

qemu_die()
{
	echo "qemu: $*" >&2
	exit 1
}

# Prints kvm or tcg. A /dev/kvm that opens proves nothing: a guest of one boot sector has to run
# and end QEMU with a chosen status (isa-debug-exit: 0x2a becomes 85), on the CPU model of real
# guests and in seconds: nested KVM was seen that starts guests and then refuses registers or
# crawls. Asked once per boot and QEMU version. TW_ACCEL=kvm|tcg decides without asking.
qemu_accel()
{
	local mark version boot

	if [ -n "${TW_ACCEL:-}" ]; then
		echo "$TW_ACCEL"
		return
	fi
	version=$(qemu-system-x86_64 --version | head -n 1 | tr -c 'a-zA-Z0-9.\n' '_')
	read -r boot </proc/sys/kernel/random/boot_id
	mark=$qemu_cache/qemu/accel-$boot-$version
	if [ ! -s "$mark" ]; then
		mkdir -p "$qemu_cache/qemu"
		if qemu_kvm_works "$qemu_cache/qemu/probe.$$"; then
			echo kvm >"$mark.$$"
		else
			echo tcg >"$mark.$$"
		fi
		mv "$mark.$$" "$mark"
	fi
	cat "$mark"
}

qemu_kvm_works()
{
	local sector=$1 status=0

	[ -w "$qemu_kvm" ] || return 1
	# mov dx,0xf4; mov al,0x2a; out dx,al; hlt; jmp to hlt; boot signature at 510
	printf '\xba\xf4\x00\xb0\x2a\xee\xf4\xeb\xfd' >"$sector"
	printf '\x55\xaa' | dd of="$sector" bs=1 seek=510 conv=notrunc status=none
	# In a shell of its own: QEMU may be ended by a signal, and that is an answer, not an error.
	(
		timeout -k 2 5 qemu-system-x86_64 -accel kvm -cpu host -m 16 -nodefaults \
			-display none -device isa-debug-exit,iobase=0xf4,iosize=1 -no-reboot \
			-drive file="$sector",format=raw,if=ide,readonly=off
		exit $?
	) >"$sector.log" 2>&1 || status=$?
	rm -f "$sector" "$sector.log"
	[ "$status" -eq 85 ]
}

qemu_new()
{
	qemu_dir=$1
	mkdir -p "$qemu_dir"
	qemu=(qemu-system-x86_64 -nodefaults -display none -no-reboot)
	qemu_n=0
	qemu_scsi=
	qemu_machine_type=q35
}

# Emulation leaves out 5-level paging: it doubles the work of every page walk. One thread for all
# CPUs: see vm.sh.
qemu_machine()
{
	local memory=$1 cpus=${2:-1}

	qemu_machine_type=${3:-q35}
	qemu+=(-machine "$qemu_machine_type" -m "$memory" -smp "$cpus" -vga std)
	if [ "$(qemu_accel)" = kvm ]; then
		qemu+=(-accel kvm -cpu host)
	else
		qemu+=(-accel tcg,thread=single -cpu max,la57=off)
	fi
	# Entropy for TLS, and a panic that the host sees and that ends QEMU with status 1.
	qemu+=(-device virtio-rng-pci -device pvpanic -action panic=exit-failure)
}

qemu_firmware()
{
	local vars=${2:-$qemu_dir/vars.fd}

	case $1 in
	bios) return ;;
	uefi) ;;
	*) qemu_die "firmware $1: bios or uefi" ;;
	esac
	[ -f "$vars" ] || cp "$qemu_ovmf/OVMF_VARS_4M.fd" "$vars"
	qemu+=(-drive "if=pflash,format=raw,readonly=on,file=$qemu_ovmf/OVMF_CODE_4M.fd"
		-drive "if=pflash,format=raw,file=$vars")
}

# The adapter is made once for all disks of its kind.
qemu_adapter()
{
	case " $qemu_scsi " in *" $2 "*) return ;; esac
	qemu_scsi+=" $2"
	qemu+=(-device "$1,id=$2")
}

qemu_disk()
{
	local spec=$1 file bus=virtio-blk serial='' boot='' ro=off option format dev id

	file=${spec%%,*}
	[ -e "$file" ] || qemu_die "disk $file: no such file"
	if [ "$spec" != "$file" ]; then
		while IFS= read -r -d , option; do
			case $option in
			bus=*) bus=${option#*=} ;;
			serial=*) serial=${option#*=} ;;
			boot=*) boot=${option#*=} ;;
			ro=*) ro=${option#*=} ;;
			*) qemu_die "disk option $option: bus, serial, boot or ro" ;;
			esac
		done <<<"${spec#*,},"
	fi
	qemu_n=$((qemu_n + 1))
	id=d$qemu_n
	format=raw
	# QFI\xfb: a qcow2 file; everything else is taken as raw.
	[ "$(head -c 3 "$file" | tr -d '\0')" != QFI ] || format=qcow2
	qemu+=(-drive "if=none,id=$id,file=$file,format=$format,cache=writeback,discard=unmap,readonly=$ro")
	case $bus in
	virtio-blk) dev=virtio-blk-pci ;;
	virtio-scsi) qemu_adapter virtio-scsi-pci vscsi; dev=scsi-hd,bus=vscsi.0 ;;
	pvscsi) qemu_adapter pvscsi pvscsi; dev=scsi-hd,bus=pvscsi.0 ;;
	lsi) qemu_adapter lsi53c895a lsi; dev=scsi-hd,bus=lsi.0 ;;
	mptsas) qemu_adapter mptsas1068 mpt; dev=scsi-hd,bus=mpt.0 ;;
	usb) qemu_adapter qemu-xhci xhci; dev=usb-storage,bus=xhci.0 ;;
	nvme) dev=nvme; serial=${serial:-NVME$qemu_n} ;;
	sata) qemu_adapter ahci,id=ahci,addr=0x10 ahci; dev=ide-hd,bus=ahci.$((qemu_n - 1)) ;;
	ide) dev=ide-hd ;;
	*) qemu_die "disk bus $bus: virtio-blk virtio-scsi nvme sata ide pvscsi lsi mptsas usb" ;;
	esac
	qemu+=(-device "$dev,drive=$id${serial:+,serial=$serial}${boot:+,bootindex=$boot}")
}

qemu_cd()
{
	qemu_n=$((qemu_n + 1))
	qemu+=(-drive "if=none,id=d$qemu_n,file=$1,format=raw,media=cdrom,readonly=on"
		-device "ide-cd,drive=d$qemu_n${2:+,bootindex=$2}")
}

qemu_nic()
{
	local model

	case $1 in
	none) return ;;
	virtio) model=virtio-net-pci ;;
	ne2k) model=ne2k_pci ;;
	e1000 | e1000e | vmxnet3 | rtl8139 | pcnet | tulip) model=$1 ;;
	*) qemu_die "nic $1: virtio e1000 e1000e vmxnet3 rtl8139 pcnet ne2k tulip none" ;;
	esac
	qemu_n=$((qemu_n + 1))
	qemu+=(-netdev "${2:-user},id=n$qemu_n" -device "$model,netdev=n$qemu_n${3:+,$3}")
}

# The volume is larger than the image, as it is on a hypervisor that turns images into volumes.
qemu_volume()
{
	[ -f "$qemu_dir/volume.raw" ] && return
	cp --sparse=always "$1/target-worker.iso" "$qemu_dir/volume.raw"
	truncate -s 64M "$qemu_dir/volume.raw"
}

qemu_medium()
{
	local medium=$1 image=$2 nic=$3 netdev=$4 append=${5:-} initrd=${6:-} first=''

	case $medium in
	disk)
		qemu_volume "$image"
		qemu_disk "$qemu_dir/volume.raw,boot=0"
		;;
	usb)
		qemu_volume "$image"
		qemu_disk "$qemu_dir/volume.raw,bus=usb,boot=0"
		;;
	cd)
		qemu_cd "$image/target-worker.iso" 0
		;;
	kernel)
		qemu+=(-kernel "$image/target-worker.efi")
		[ -z "$append" ] || qemu+=(-append "$append")
		[ -z "$initrd" ] || qemu+=(-initrd "$initrd")
		;;
	pxe)
		mkdir -p "$qemu_dir/tftp"
		cp "$image/target-worker.efi" "$qemu_dir/tftp/"
		printf '#!ipxe\nkernel target-worker.efi %s\nboot\n' "$append" \
			>"$qemu_dir/tftp/boot.ipxe"
		netdev=$netdev,tftp=$qemu_dir/tftp,bootfile=boot.ipxe
		first=bootindex=0
		;;
	*)
		qemu_die "medium $medium: disk, usb, cd, kernel or pxe"
		;;
	esac
	qemu_nic "$nic" "$netdev" "$first"
}

# A file, never a pty: nobody reads a pty, and then the guest's UART stops it.
qemu_serial()
{
	if [ "$1" = stdio ]; then
		qemu+=(-chardev stdio,id=tty,signal=off,mux=off)
	else
		qemu+=(-chardev "file,id=tty,path=$1")
	fi
	qemu+=(-serial chardev:tty)
}

qemu_events()
{
	qemu+=(-device virtio-serial-pci -chardev "file,id=events,path=$1"
		-device virtserialport,chardev=events,name=tw.events)
}

qemu_qmp()
{
	local wait=off

	[ "${2:-}" != wait ] || wait=on
	qemu+=(-chardev "socket,id=qmp,path=$1,server=on,wait=$wait" -mon chardev=qmp,mode=control)
}

# SMBIOS strings are read from a file, so that commas and length do not matter.
qemu_job()
{
	local file=$qemu_dir/job.smbios

	{
		printf 'target-worker:job='
		jq -cj . "$1"
	} >"$file"
	qemu+=(-smbios "type=11,path=$file")
}

qemu_print()
{
	printf '%q ' "${qemu[@]}"
	echo
}

# A caller that already holds the lock (a source and a target count as one run) sets
# TW_QEMU_LOCKED.
qemu_exec()
{
	qemu_print >"$qemu_dir/command"
	if [ -n "${TW_QEMU_LOCKED:-}" ]; then
		timeout -k 5 "$1" "${qemu[@]}"
	else
		mkdir -p "$(dirname "$qemu_lock")"
		flock "$qemu_lock" timeout -k 5 "$1" "${qemu[@]}"
	fi
}

# SPDX-License-Identifier: Apache-2.0
# The steps of `assemble`. Sourced after lib.sh.
# shellcheck shell=bash disable=SC2154,SC2034 # variables of the recipe and of assemble
#
# A recipe sets
#   about       one line for MATRIX.md
#   initramfs   initramfs-tools | dracut; both made for the source's hardware only
#   storage     ext4 | xfs | btrfs | lvm | md | luks: what the root is on
#   loader      grub-bios | grub-uefi | systemd-boot | extlinux; UEFI ones have no fallback loader
#   network     ifupdown | networkmanager | networkd | netplan | bond
# and may set
#   names       uuid (default) | sd: how fstab and the loader name devices
#   boot_part   1: /boot is a partition of its own (always with lvm and luks)
#   swap        0: none
#   second      1: a copy of the system on a partition of its own, second in the boot menu
#   disk_mib    size of a disk (default 1400: an initramfs tool wants some room)
#   extra       more packages
#   guest_files TREE    changes the tree, on this machine
#   guest_last          a bash function that runs last, in the installed guest on its hardware

suite=bookworm
common="systemd-sysv udev dbus kmod iproute2 netbase procps linux-image-amd64 zstd e2fsprogs"
builder_packages="udev kmod lvm2 mdadm cryptsetup-bin btrfs-progs xfsprogs e2fsprogs dosfstools fdisk
	procps zstd"

# Left out, here and by dpkg later: what no test looks at.
asm_exclude=(
	'/usr/share/doc/*' '/usr/share/locale/*' '/usr/share/man/*' '/usr/share/info/*'
	'/lib/modules/*/kernel/sound/*'
	'/lib/modules/*/kernel/drivers/gpu/*'
	'/lib/modules/*/kernel/drivers/media/*'
	'/lib/modules/*/kernel/drivers/infiniband/*'
	'/lib/modules/*/kernel/drivers/staging/*'
	'/lib/modules/*/kernel/drivers/iio/*'
	'/lib/modules/*/kernel/drivers/isdn/*'
	'/lib/modules/*/kernel/drivers/net/wireless/*'
	'/lib/modules/*/kernel/drivers/net/can/*'
	'/lib/modules/*/kernel/net/mac80211/*'
	'/lib/modules/*/kernel/net/wireless/*'
	'/lib/modules/*/kernel/net/bluetooth/*'
)

# The same before and after the migration. PCI slots 192 and 224 are VMware's for its first two
# adapters.
address=192.168.77.10
gateway=192.168.77.2
nic=ens192
nic2=ens224
service_port=7777

asm_recipe()
{
	names=uuid boot_part=0 swap=1 second=0 disk_mib=1400 extra=''
	guest_files() { :; }
	guest_last() { :; }
	hostname=$1
	# shellcheck source=/dev/null
	. "$here/matrix/$1.sh"
	case $storage in
	lvm | luks) boot_part=1 ;;
	esac
	case $loader in
	grub-uefi | systemd-boot) firmware=uefi ;;
	*) firmware=bios ;;
	esac
	disks=1
	[ "$storage" != md ] || disks=2
	asm_packages
}

# The packages of a recipe.
asm_packages()
{
	packages="$common $initramfs $extra"
	case $storage in
	xfs) packages+=" xfsprogs" ;;
	btrfs) packages+=" btrfs-progs" ;;
	lvm) packages+=" lvm2" ;;
	md) packages+=" mdadm" ;;
	luks)
		packages+=" cryptsetup"
		[ "$initramfs" = dracut ] || packages+=" cryptsetup-initramfs"
		;;
	esac
	case $loader in
	grub-bios) packages+=" grub-pc" ;;
	grub-uefi) packages+=" grub-efi-amd64 dosfstools" ;;
	systemd-boot) packages+=" systemd-boot dosfstools" ;;
	extlinux) packages+=" extlinux syslinux-common" ;;
	esac
	case $network in
	ifupdown) packages+=" ifupdown" ;;
	networkmanager) packages+=" network-manager" ;;
	netplan) packages+=" netplan.io" ;;
	bond) packages+=" ifupdown ifenslave vlan" ;;
	esac
}

# What the guests need, one guest a line; local names keep the caller's recipe alone.
asm_all_packages()
{
	local r

	for r in "$here"/matrix/*.sh; do
		(asm_recipe "$(basename "$r" .sh)" && xargs <<<"$packages")
	done | sort -u
	xargs <<<"$builder_packages"
}

asm_base_key()
{
	{
		printf '%s\n' "$suite" "${asm_exclude[@]}"
		asm_all_packages
		declare -f asm_base
		guest_versions
	} | sha256sum | cut -c1-16
}

asm_builder_key()
{
	{
		declare -f asm_builder asm_bind asm_apt
		echo "$builder_packages"
		guest_versions
	} | sha256sum | cut -c1-16
}

asm_key()
{
	{
		cat "$here/assemble.sh" "$here/install.sh" "$recipe"
		sed -n '/^vm_vmware_args/,/^}/p' "$here/../vm.sh"
		guest_versions
	} | sha256sum | cut -c1-16
}

# A minimal system, the archive's index, and every package that a recipe asks for.
asm_base()
{
	local args=() list line p

	rm -rf "$base.new"
	mkdir -p "$base.new/pool/partial"
	for p in "${asm_exclude[@]}"; do
		args+=("--dpkgopt=path-exclude=$p")
	done
	while read -r line; do
		# shellcheck disable=SC2016 # expanded by mmdebstrap's shell
		args+=("--customize-hook=APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get -qy -o Dir::Cache::archives='$base.new/pool' --no-install-recommends --download-only install $line")
	done < <(asm_all_packages)
	list=$(guest_sources)
	[ -n "$list" ] || { echo "no Debian archive in this machine's apt configuration"; return 1; }
	TMPDIR=$work mmdebstrap --variant=minbase --skip=cleanup/apt/lists \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Retries "5"' \
		"${args[@]}" "$suite" "$work/base" - <<<"$list"
	mv "$work/base/var/lib/apt/lists" "$base.new/lists"
	mkdir "$work/base/var/lib/apt/lists"
	tar -C "$work/base" --numeric-owner --xattrs --xattrs-include='*' -cf "$base.new/base.tar" .
	rm -rf "$work/base"
	touch "$base.new/done"
	rm -rf "$base"
	mv "$base.new" "$base"
}

# asm_bind TREE: makes it a place where packages install from the pool without the network.
asm_bind()
{
	mkdir -p "$1"
	tar -C "$1" --numeric-owner --xattrs --xattrs-include='*' -xpf "$base/base.tar"
	bound=$1
	mount -t proc proc "$1/proc"
	mount --bind "$base/pool" "$1/var/cache/apt/archives"
	mount --bind "$base/lists" "$1/var/lib/apt/lists"
	printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
	chmod 755 "$1/usr/sbin/policy-rc.d"
}

asm_unbind()
{
	local at

	[ -n "${bound:-}" ] || return 0
	rm -f "$bound/usr/sbin/policy-rc.d"
	for at in proc var/cache/apt/archives var/lib/apt/lists; do
		if mountpoint -q "$bound/$at"; then
			umount "$bound/$at"
		fi
	done
	bound=
}

# INITRD=No: no initramfs yet, it is made on the guest's hardware.
asm_apt()
{
	local t=$1
	shift

	INITRD=No DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$t" apt-get -qy --no-download \
		--no-install-recommends -o Dpkg::Options::=--force-unsafe-io -o APT::Sandbox::User=root \
		-o Dpkg::Use-Pty=0 install "$@"
}

# A RAM disk with the tools for disks and the kernel's drivers.
asm_builder()
{
	local t=$work/builder kernel

	asm_bind "$t"
	# shellcheck disable=SC2086 # a list
	asm_apt "$t" $builder_packages
	asm_unbind
	kernel=$(find "$base/pool" -name 'linux-image-6*.deb')
	mkdir "$work/kernel"
	dpkg-deb -x "$kernel" "$work/kernel"
	mkdir -p "$t/lib/modules"
	cp -a "$work/kernel/lib/modules"/* "$t/lib/modules/"
	(
		cd "$t/lib/modules"/*/kernel || exit
		rm -rf sound drivers/{gpu,media,infiniband,staging,iio,isdn,usb,hid,input,mmc,mfd,platform} \
			drivers/net/{wireless,can,ethernet} net/{mac80211,wireless,bluetooth,sctp}
	)
	chroot "$t" depmod "$(basename "$t"/lib/modules/*)"
	rm -rf "$t"/usr/share/{doc,locale,man,info,zoneinfo} "$t"/var/lib/{apt,dpkg} "$t"/var/cache/*
	cp "$work/kernel/boot"/vmlinuz-* "${builder%.cpio.zst}.vmlinuz"
	(cd "$t" && find . -print0 | cpio -0 --quiet -o -H newc) | zstd -q -3 -T0 -o "$builder.new"
	rm -rf "$t" "$work/kernel"
	mv "$builder.new" "$builder"
}

asm_tree()
{
	local t=$work/tree

	asm_bind "$t"
	# shellcheck disable=SC2086 # a list
	asm_apt "$t" $packages
	chroot "$t" dpkg-query -W -f '${Package} ${Version}\n' >"$work/packages.txt"
	asm_unbind
	asm_configure "$t"
	guest_files "$t"
	printf '%s=%q\n' guest "$guest" about "$about" hostname "$hostname" firmware "$firmware" \
		storage "$storage" loader "$loader" initramfs "$initramfs" network "$network" names "$names" \
		boot_part "$boot_part" swap "$swap" second "$second" disks "$disks" address "$address" gateway "$gateway" \
		nic "$nic" nic2 "$nic2" service_port "$service_port" >"$work/guest.env"
}

asm_configure()
{
	local t=$1

	echo "$hostname" >"$t/etc/hostname"
	sha256sum <<<"$guest" | cut -c1-32 >"$t/etc/machine-id"
	printf '127.0.0.1 localhost\n%s %s\n' "$address" "$hostname" >"$t/etc/hosts"
	echo "nameserver 192.168.77.3" >"$t/etc/resolv.conf"
	if [ "$initramfs" = initramfs-tools ]; then
		sed -i 's/^MODULES=.*/MODULES=dep/' "$t/etc/initramfs-tools/initramfs.conf"
	else
		# As a server that was installed by hand has it: for this machine only.
		printf 'hostonly="yes"\ncompress="zstd"\n' >"$t/etc/dracut.conf.d/10-host.conf"
	fi
	asm_network "$t"
	asm_service "$t"
}

asm_network()
{
	local t=$1 at

	mkdir -p "$t/etc/network"
	case $network in
	ifupdown)
		cat >"$t/etc/network/interfaces" <<-END
			auto lo
			iface lo inet loopback

			auto $nic
			iface $nic inet static
				address $address/24
				gateway $gateway
		END
		;;
	bond)
		cat >"$t/etc/network/interfaces" <<-END
			auto lo
			iface lo inet loopback

			auto $nic
			iface $nic inet manual
				bond-master bond0

			auto $nic2
			iface $nic2 inet manual
				bond-master bond0

			auto bond0
			iface bond0 inet static
				address $address/24
				gateway $gateway
				bond-slaves none
				bond-mode active-backup
				bond-miimon 100

			auto bond0.20
			iface bond0.20 inet static
				address 192.168.20.10/24
				vlan-raw-device bond0
		END
		;;
	networkmanager)
		at=$t/etc/NetworkManager/system-connections/lan.nmconnection
		cat >"$at" <<-END
			[connection]
			id=lan
			uuid=6f1c6b2a-2a5c-4b53-9d51-0f4b1f0f7a10
			type=ethernet
			interface-name=$nic

			[ipv4]
			method=manual
			address1=$address/24,$gateway

			[ipv6]
			method=ignore
		END
		chmod 600 "$at"
		# The unit is off until NetworkManager is started once on a running system.
		chroot "$t" systemctl enable NetworkManager
		;;
	networkd)
		cat >"$t/etc/systemd/network/10-lan.network" <<-END
			[Match]
			Name=$nic

			[Network]
			Address=$address/24
			Gateway=$gateway
		END
		chroot "$t" systemctl enable systemd-networkd
		;;
	netplan)
		cat >"$t/etc/netplan/01-lan.yaml" <<-END
			network:
			  version: 2
			  renderer: networkd
			  ethernets:
			    $nic:
			      addresses: [$address/24]
			      routes:
			        - to: default
			          via: $gateway
		END
		chmod 600 "$t/etc/netplan/01-lan.yaml"
		chroot "$t" systemctl enable systemd-networkd
		;;
	esac
}

# The service by which a test knows the guest: whoever connects is told what the machine has become.
asm_service()
{
	local t=$1

	cat >"$t/etc/systemd/system/answer.socket" <<-END
		[Unit]
		Description=What this machine is, for whoever asks
		[Socket]
		ListenStream=0.0.0.0:$service_port
		Accept=yes
		[Install]
		WantedBy=sockets.target
	END
	cat >"$t/etc/systemd/system/answer@.service" <<-'END'
		[Service]
		Type=oneshot
		ExecStart=/usr/local/sbin/answer
		StandardInput=socket
		StandardOutput=socket
		StandardError=journal
	END
	cat >"$t/usr/local/sbin/answer" <<-'END'
		#!/bin/sh
		echo "host=$(cat /proc/sys/kernel/hostname)"
		echo "state=$(systemctl is-system-running)"
		echo "failed=$(systemctl --failed --plain --no-legend | awk '{ print $1 }' | xargs)"
		echo "root=$(findmnt -nro SOURCE,FSTYPE,OPTIONS /)"
		findmnt -nro TARGET,SOURCE,FSTYPE --real | sed 's/^/mount=/'
		awk 'NR > 1 { print "swap=" $1 }' /proc/swaps
		ip -br address | sed 's/^/ip=/'
		for d in /sys/class/net/*/device/driver; do
			[ -e "$d" ] && echo "nic=$(echo "$d" | cut -d/ -f5) $(basename "$(readlink "$d")")"
		done
		echo "cmdline=$(cat /proc/cmdline)"
		dpkg-query -W -f 'package=${Package} ${db:Status-Status}\n' | grep -E 'vm-tools|hyperv|meta'
		echo "end=$(uname -r)"
	END
	chmod 755 "$t/usr/local/sbin/answer"
	chroot "$t" systemctl enable answer.socket
}

# The tree as a CD: adapters and disks of the machine stay those of the guest. Sectors of 2048.
asm_pack()
{
	tar -C "$work/tree" --numeric-owner --xattrs --xattrs-include='*' -b 4 -cf "$work/tree.iso" .
	rm -rf --one-file-system "${work:?}/tree"
	mkdir -p "$work/job/job"
	cp "$here/install.sh" "$work/job/init"
	chmod 755 "$work/job/init"
	cp "$work/guest.env" "$work/job/job/env"
	{
		declare -f guest_last
		echo guest_last
	} >"$work/job/job/last.sh"
	(cd "$work/job" && find . | cpio --quiet -o -H newc) >"$work/initrd"
	cat "$builder" >>"$work/initrd"
}

# asm_disk_args FIRMWARE DISK...: the disks of the source, the first is of vm_vmware_args.
asm_install()
{
	local args n

	for ((n = 0; n < disks; n++)); do
		truncate -s "${disk_mib}M" "$work/disk$n.raw"
	done
	mapfile -t args < <(vm_vmware_args "$firmware" "$work/disk0.raw" 00:50:56:aa:10:01 restrict=on)
	for ((n = 1; n < disks; n++)); do
		args+=(-drive "if=none,id=disk$n,file=$work/disk$n.raw,format=raw,discard=unmap")
		case $firmware in
		bios) args+=(-device "scsi-hd,drive=disk$n,bus=scsi0.0") ;;
		uefi) args+=(-device "ide-hd,drive=disk$n,bus=ide.$n") ;;
		esac
	done
	vm_start install 1500 "${args[@]}" -m 1536 -no-reboot \
		-drive "if=none,id=tree,file=$work/tree.iso,format=raw,readonly=on" \
		-device ide-cd,drive=tree,bus=ide.5 \
		-kernel "${builder%.cpio.zst}.vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0,115200 panic=5 quiet mitigations=off"
	# Making the initramfs takes 145 s without a word on a machine with a load of 8.
	vm_wait install 1500 700
	tail -n 60 "$vm_run/install/serial.log"
	grep -aq '^install: exit 0' "$vm_run/install/serial.log"
}

asm_finish()
{
	local n

	rm -f "$work/tree.iso" "$work/initrd"
	mkdir -p "$work/done/log"
	for ((n = 0; n < disks; n++)); do
		qemu-img convert -c -o compression_type=zstd -O qcow2 "$work/disk$n.raw" "$work/done/disk$n.qcow2"
		rm "$work/disk$n.raw"
	done
	cp "$work"/build.log "$work/vm/install"/{cmdline,serial.log} "$work/done/log/"
	[ "$storage" != luks ] || printf 'migrate-me\n' >"$work/done/luks.key"
	mv "$work/packages.txt" "$work/guest.env" "$work/done/"
	ls -lsh "$work/done"
}

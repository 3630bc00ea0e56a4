# SPDX-License-Identifier: Apache-2.0
# The steps of `build`; every one is told about on stderr with its time.
# shellcheck shell=bash disable=SC2154 # variables of the recipe and of build

# Called plainly, never in a condition: set -e has to end the build inside of a step. The name is
# for cleanup, which shows what the step printed.
step()
{
	step_name=$1
	step_start=$SECONDS
	shift

	"$@" >"$work/step.log" 2>&1
	cat "$work/step.log" >>"$work/build.log"
	echo "guest: $step_name ($((SECONDS - step_start)) s)" >&2
	step_name=
}

# guest_unmount TREE: what is mounted below, the last one first.
guest_unmount()
{
	awk -v tree="$1/" 'index($2, tree) == 1 { print $2 }' /proc/mounts | tac | xargs -r umount -l
}

# guest_work NAME: makes the folder to work in, and removes those of runs that were killed: the
# caller has the lock of NAME, so they belong to nobody.
guest_work()
{
	local old

	for old in "$cache/.work.$1".??????; do
		[ -d "$old" ] || continue
		guest_unmount "$old"
		rm -rf --one-file-system "$old"
	done
	mktemp -d "$cache/.work.$1.XXXXXX"
}

# The Debian archives of this machine: URI RELEASE, of the wanted suite only.
guest_archives()
{
	# shellcheck disable=SC2016 # apt's own format language
	apt-get indextargets 'Created-By: Packages' --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' |
		awk '$3 == "Debian" || $3 ~ /^\$/ { print $1, $2 }' | sort -u
}

# Where mmdebstrap takes packages from. On a machine of another release the main archive carries
# our suite as well; its security archive too.
guest_sources()
{
	local uri release

	while read -r uri release; do
		case $release in
		*-security) echo "deb $uri $suite-security main" ;;
		*-*) ;;
		*) echo "deb $uri $suite main"; echo "deb $uri $suite-updates main" ;;
		esac
	done < <(guest_archives) | sort -u
}

# Versions of what shapes the guest, where this machine runs the same release; otherwise the day's
# archive decides, once.
guest_versions()
{
	grep -q "^VERSION_CODENAME=$suite$" /etc/os-release || return 0
	apt-cache madison linux-image-amd64 open-vm-tools openssh-server systemd-sysv grub-pc |
		awk '{ print $1, $3 }' | sort -u
}

guest_base_key()
{
	{
		printf '%s\n' "$suite" "$packages" "$grub_packages_bios" "$grub_packages_uefi" \
			"${path_exclude[@]}" "${path_include[@]}"
		guest_versions
	} | sha256sum | cut -c1-16
}

guest_key()
{
	{
		cat "$here/build" "$here/lib.sh" "$recipe"
		sed -n '/^vm_vmware_args/,/^}/p' "$here/../vm.sh"
		guest_versions
	} | sha256sum | cut -c1-16
}

# The installed system without a boot loader, as a tar in the cache: both firmwares start from it.
guest_base()
{
	local args=() p list grub

	[ ! -f "$base" ] || return 0
	for p in "${path_exclude[@]}"; do
		args+=("--dpkgopt=path-exclude=$p")
	done
	for p in "${path_include[@]}"; do
		args+=("--dpkgopt=path-include=$p")
	done
	# The packages of both boot loaders, to be installed without the network later.
	for grub in "$grub_packages_bios" "$grub_packages_uefi"; do
		mkdir -p "$work/grub/partial"
		# shellcheck disable=SC2016 # expanded by mmdebstrap's shell
		args+=("--customize-hook=APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get -y -o Dir::Cache::archives='$work/grub' --no-install-recommends --download-only install $grub")
	done
	list=$(guest_sources)
	[ -n "$list" ] || { echo "no Debian archive in this machine's apt configuration"; return 1; }
	TMPDIR=$work mmdebstrap --variant=minbase --include="$(xargs <<<"$packages" | tr ' ' ,)" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Retries "5"' \
		"${args[@]}" "$suite" "$work/base" - <<<"$list"
	mkdir -p "$work/base/var/cache/boot-loaders"
	mv "$work/grub"/*.deb "$work/base/var/cache/boot-loaders/"
	tar -C "$work/base" --numeric-owner --xattrs --xattrs-include='*' -cf "$base.new" .
	rm -rf "$work/base"
	mv "$base.new" "$base"
}

# Everything that belongs to this firmware, and the configuration of the server.
guest_tree()
{
	local t=$work/tree grub=grub_packages_$firmware debs

	mkdir "$t"
	tar -C "$t" --numeric-owner --xattrs --xattrs-include='*' -xpf "$base"
	mount -t proc proc "$t/proc"
	mapfile -t debs < <(cd "$t" && find var/cache/boot-loaders -name '*.deb' -printf '/%p\n' |
		case $firmware in bios) grep -v grub-efi ;; uefi) grep -v grub-pc ;; esac)
	DEBIAN_FRONTEND=noninteractive chroot "$t" dpkg -i "${debs[@]}"
	chroot "$t" dpkg-query -W "${!grub}"
	guest_configure "$t"
	chroot "$t" dpkg-query -W -f '${Package} ${Version}\n' >"$work/packages.txt"
	umount "$t/proc"
}

guest_configure()
{
	local t=$1 root esp='' swap

	rm -rf "$t/var/cache/boot-loaders"
	echo "$hostname" >"$t/etc/hostname"
	printf '127.0.0.1 localhost\n%s %s\n' "$address" "$hostname" >"$t/etc/hosts"
	echo "nameserver $nameserver" >"$t/etc/resolv.conf"
	cat >"$t/etc/network/interfaces" <<-END
		auto lo
		iface lo inet loopback

		auto $nic
		iface $nic inet static
			address $address
			netmask $netmask
			gateway $gateway
	END
	case $firmware in
	bios) root=/dev/sda1 swap=/dev/sda2 ;;
	uefi) root=/dev/sda2 swap=/dev/sda3 esp=/dev/sda1 ;;
	esac
	{
		echo "$root / ext4 errors=remount-ro 0 1"
		echo "$swap none swap sw 0 0"
		[ -z "$esp" ] || echo "$esp /boot/efi vfat umask=0077 0 1"
	} >"$t/etc/fstab"
	[ -z "$esp" ] || mkdir -p "$t/boot/efi"
	sed -i 's/^MODULES=.*/MODULES=dep/' "$t/etc/initramfs-tools/initramfs.conf"
	grep -q '^MODULES=dep' "$t/etc/initramfs-tools/initramfs.conf"
	# Disks by name, as an owner does who once moved a disk: no UUID anywhere.
	sed -i -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
		-e 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"/' \
		-e 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=""/' "$t/etc/default/grub"
	printf 'GRUB_DISABLE_LINUX_UUID=true\nGRUB_TERMINAL="console serial"\nGRUB_DISABLE_OS_PROBER=true\n' \
		>>"$t/etc/default/grub"
	# They want the network, which it has not, and would take the emulator's time.
	chroot "$t" systemctl disable apt-daily.timer apt-daily-upgrade.timer
	chroot "$t" useradd -m -s /bin/bash clerk
	echo clerk:migrate | chroot "$t" chpasswd
	ssh-keygen -q -t ed25519 -N '' -C 'target-worker test guest' -f "$work/ssh_key"
	install -d -m 700 "$t/root/.ssh"
	install -m 600 "$work/ssh_key.pub" "$t/root/.ssh/authorized_keys"
	[ -f "$t/etc/ssh/ssh_host_ed25519_key.pub" ] || chroot "$t" ssh-keygen -A
	awk -v a="$address" '{ print a, $1, $2 }' "$t"/etc/ssh/ssh_host_*_key.pub >"$work/known_hosts"
	guest_data "$t"
	printf '%s=%s\n' hostname "$hostname" nic "$nic" address "$address" gateway "$gateway" \
		firmware "$firmware" root "$root" root_offset "$(guest_root_start)" >"$work/guest.env"
	guest_first_start_unit "$t"
}

# Runs once, on the emulated hardware, and leaves nothing behind.
guest_first_start_unit()
{
	local t=$1 install

	case $firmware in
	bios) install="grub-install --target=i386-pc /dev/sda" ;;
	uefi) install="grub-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id=debian" ;;
	esac
	cat >"$t/usr/local/sbin/first-start" <<-END
		#!/bin/sh
		set -eux
		trap 'echo "first-start: exit \$?"; sync; systemctl poweroff' EXIT
		systemctl disable first-start.service
		rm /etc/systemd/system/first-start.service /usr/local/sbin/first-start
		update-initramfs -u -k all
		$install
		update-grub
	END
	chmod 755 "$t/usr/local/sbin/first-start"
	cat >"$t/etc/systemd/system/first-start.service" <<-END
		[Unit]
		# A getty would hang the console up under us.
		Before=serial-getty@ttyS0.service
		[Service]
		Type=oneshot
		ExecStart=/usr/local/sbin/first-start
		StandardOutput=file:/dev/ttyS0
		StandardError=inherit
		[Install]
		WantedBy=default.target
	END
	chroot "$t" systemctl enable first-start.service
}

# First byte of the root partition.
guest_root_start()
{
	case $firmware in
	bios) echo $((1 << 20)) ;;
	uefi) echo $((65 << 20)) ;;
	esac
}

guest_disk()
{
	local disk=$work/disk.raw root_mib end=$((disk_mib - 1)) start

	start=$(($(guest_root_start) >> 20))
	root_mib=$((end - swap_mib - start))
	truncate -s ${disk_mib}M "$disk"
	case $firmware in
	bios)
		sfdisk -q "$disk" <<-END
			label: dos
			start=${start}MiB, size=${root_mib}MiB, type=83, bootable
			start=$((start + root_mib))MiB, size=${swap_mib}MiB, type=82
		END
		;;
	uefi)
		sfdisk -q "$disk" <<-END
			label: gpt
			start=1MiB, size=64MiB, type=uefi, name=ESP
			start=${start}MiB, size=${root_mib}MiB, type=linux, name=root
			start=$((start + root_mib))MiB, size=${swap_mib}MiB, type=swap, name=swap
		END
		# One sector a cluster: firmware takes FAT32 only with 65525 clusters or more.
		mkfs.vfat --offset=2048 -F 32 -s 1 -n ESP "$disk" $((64 << 10))
		;;
	esac
	truncate -s ${swap_mib}M "$work/swap"
	mkswap "$work/swap"
	dd if="$work/swap" of="$disk" bs=1M seek=$((start + root_mib)) conv=notrunc,sparse status=none
	# Features that every e2fsprogs and GRUB of the guest's time can read.
	mke2fs -q -t ext4 -O ^orphan_file,^metadata_csum_seed -d "$work/tree" \
		-E "offset=$((start << 20)),nodiscard" "$disk" $((root_mib << 10))
	cp "$work/tree/boot"/vmlinuz-* "$work/vmlinuz"
	cp "$work/tree/boot"/initrd.img-* "$work/initrd"
}

guest_args()
{
	vm_vmware_args "$firmware" "$work/disk.raw" 00:50:56:aa:10:01 \
		"net=${address%.*}.0/24,host=$gateway,dns=$nameserver,restrict=on,hostfwd=tcp:127.0.0.1:$ssh_port-$address:22"
	[ "$firmware" = bios ] || vm_uefi_args "$work/vars.fd"
}

guest_first_start()
{
	local args ssh_port root

	ssh_port=$(vm_port)
	root=$(sed -n 's/^root=//p' "$work/guest.env")
	mapfile -t args < <(guest_args)
	vm_start first 1200 "${args[@]}" -kernel "$work/vmlinuz" -initrd "$work/initrd" \
		-append "root=$root ro console=ttyS0,115200" -no-reboot
	vm_wait first 1200 300
	grep -aq 'first-start: exit 0' "$vm_run/first/serial.log"
}

guest_ssh()
{
	ssh -q -i "$work/ssh_key" -p "$ssh_port" -o UserKnownHostsFile="$work/known_hosts" \
		-o HostKeyAlias="$address" -o StrictHostKeyChecking=yes -o BatchMode=yes \
		-o ConnectTimeout=5 root@127.0.0.1 "$@"
}

guest_second_start()
{
	local args ssh_port end

	ssh_port=$(vm_port)
	mapfile -t args < <(guest_args)
	vm_start second 600 "${args[@]}" -no-reboot
	end=$((SECONDS + 400))
	until guest_ssh true; do
		vm_runs second && [ $SECONDS -lt $end ] || return
		sleep 3
	done
	guest_ssh "set -e; ip -br address show $nic; systemctl is-system-running --wait || systemctl --failed
		grep -H . /etc/fstab; dpkg -s open-vm-tools | grep Status
		sqlite3 /srv/db/orders.db 'SELECT count(*), sum(cents) FROM orders'; df -h /; lsmod
		lsinitramfs /boot/initrd.img-* | grep -E '/(virtio|vmw_pvscsi|ahci)' ; sync"
	# The guest may hang up before it has answered: how the machine goes off is what counts.
	guest_ssh systemctl poweroff || :
	vm_wait second 200 120
	[ "$(vm_off_reason second)" = guest-shutdown ]
}

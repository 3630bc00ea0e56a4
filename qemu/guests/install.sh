#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # variables of /job/env
# /init of the machine that installs a small guest (see assemble): partitions, volumes and file
# systems, the tree from the CD, then the guest's own tools make its initramfs and boot loader.
# Ends with the line "install: exit STATUS" and powers off.
set -euo pipefail

export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
ln -s /proc/self/fd /dev/fd
exec >/dev/ttyS0 2>&1
ended()
{
	local status=$?

	echo "install: exit $status"
	sync
	echo u >/proc/sysrq-trigger
	echo o >/proc/sysrq-trigger
	sleep 60
}
trap ended EXIT
# shellcheck source=/dev/null
. /job/env
say()
{
	echo "install: $* ($(cut -d' ' -f1 /proc/uptime) s)"
}

/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle
for m in ahci sd_mod sr_mod "$([ "$firmware" = uefi ] || echo vmw_pvscsi)" ext4 vfat; do
	[ -z "$m" ] || modprobe "$m"
done
# The kernel names disks in any order: by their ports the first one is the first.
for ((i = 0; i < 100; i++)); do
	mapfile -t sd < <(for d in /sys/block/sd*; do echo "$(readlink -f "$d")"; done | sort -V |
		sed 's|.*/|/dev/|')
	[ ! -b /dev/sr0 ] || [ ! -b "${sd[disks - 1]:-}" ] || break
	sleep 0.2
done
udevadm settle
say "hardware is there"

# Partitions in the order ESP, /boot, root, swap; numbers follow.
p=1 esp='' boot='' root='' second_dev='' swap_dev=''
table="label: $([ "$firmware" = uefi ] && echo gpt || echo dos)"$'\n'
if [ "$firmware" = uefi ]; then
	table+="size=160MiB, type=uefi"$'\n'
	esp=${sd[0]}$((p++))
fi
if [ "$boot_part" = 1 ]; then
	table+="size=192MiB, type=linux"$'\n'
	boot=${sd[0]}$((p++))
fi
case $storage in
lvm) type=lvm ;;
md) type=raid ;;
*) type=linux ;;
esac
# What is left for the root, in MiB: 40 are for swap, or for the table's copy at the end.
left=$(($(blockdev --getsize64 "${sd[0]}") / 1048576 - 42))
[ -z "$esp" ] || left=$((left - 160))
[ -z "$boot" ] || left=$((left - 192))
[ "$second" = 0 ] || left=$((left / 2))
table+="size=${left}MiB, type=$type"$'\n'
root=${sd[0]}$((p++))
if [ "$second" = 1 ]; then
	table+="size=${left}MiB, type=linux"$'\n'
	second_dev=${sd[0]}$((p++))
fi
if [ "$swap" = 1 ] && [ "$storage" != lvm ]; then
	table+="type=swap"$'\n'
	swap_dev=${sd[0]}$((p++))
fi
# The root is marked active: MBR code of extlinux looks for it.
[ "$firmware" = uefi ] || table=${table/type=/bootable, type=}
for disk in "${sd[@]}"; do
	sfdisk -q "$disk" <<<"$table"
done
udevadm settle

part=$root
case $storage in
lvm)
	modprobe dm-mod
	pvcreate -qq "$part"
	vgcreate -qq vg0 "$part"
	lvcreate -qq -y -L 40M -n swap vg0
	lvcreate -qq -y -l 90%FREE -n root vg0
	root=/dev/mapper/vg0-root
	[ "$swap" = 0 ] || swap_dev=/dev/mapper/vg0-swap
	;;
md)
	modprobe raid1
	mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --assume-clean --metadata=1.2 \
		--homehost="$hostname" "$part" "${sd[1]}${part#"${sd[0]}"}"
	root=/dev/md0
	;;
luks)
	modprobe dm-crypt
	# Few iterations: the passphrase is no secret, and the processor is emulated.
	printf migrate-me | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
		--pbkdf-force-iterations 1000 "$part" -
	printf migrate-me | cryptsetup open "$part" root_crypt -
	root=/dev/mapper/root_crypt
	;;
esac
udevadm settle
fstype=ext4
mount_options=
case $storage in
xfs)
	fstype=xfs
	modprobe xfs
	mkfs.xfs -q "$root"
	;;
btrfs)
	fstype=btrfs
	modprobe btrfs
	mkfs.btrfs -q "$root"
	mount -t btrfs "$root" /mnt
	for sub in @ @home @log; do
		btrfs subvolume create "/mnt/$sub"
	done
	umount /mnt
	mount_options=subvol=@
	;;
*)
	# What extlinux and every GRUB of the time can read.
	mkfs.ext4 -q -O ^64bit,^metadata_csum,^orphan_file "$root"
	;;
esac
[ -z "$boot" ] || mkfs.ext4 -q -O ^orphan_file "$boot"
[ -z "$esp" ] || mkfs.vfat -F 32 -s 1 -n ESP "$esp" >/dev/null
[ -z "$swap_dev" ] || mkswap "$swap_dev"
udevadm settle
mount -t "$fstype" ${mount_options:+-o "$mount_options"} "$root" /mnt
if [ "$storage" = btrfs ]; then
	mkdir -p /mnt/home /mnt/var/log
	mount -t btrfs -o subvol=@home "$root" /mnt/home
	mount -t btrfs -o subvol=@log "$root" /mnt/var/log
fi
[ -z "$boot" ] || { mkdir /mnt/boot; mount "$boot" /mnt/boot; }
[ -z "$esp" ] || { mkdir -p /mnt/boot/efi; mount "$esp" /mnt/boot/efi; }
say "file systems are made"
tar -C /mnt --numeric-owner --xattrs --xattrs-include='*' -b 256 -xpf /dev/sr0
say "the tree is unpacked"

spec()
{
	local dev=$1

	case $names/$dev in
	sd/* | */dev/mapper/*) echo "$dev" ;;
	*) echo "UUID=$(blkid -o value -s UUID "$dev")" ;;
	esac
}
{
	echo "$(spec "$root") / $fstype ${mount_options:-defaults} 0 1"
	if [ "$storage" = btrfs ]; then
		echo "$(spec "$root") /home btrfs subvol=@home 0 0"
		echo "$(spec "$root") /var/log btrfs subvol=@log 0 0"
	fi
	[ -z "$boot" ] || echo "$(spec "$boot") /boot ext4 defaults 0 2"
	[ -z "$esp" ] || echo "$(spec "$esp") /boot/efi vfat umask=0077 0 1"
	[ -z "$swap_dev" ] || echo "$(spec "$swap_dev") none swap sw 0 0"
} >/mnt/etc/fstab
for at in proc sys dev run; do
	mount --rbind "/$at" "/mnt/$at"
done
in_guest()
{
	LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot /mnt "$@"
}
[ "$storage" != md ] || in_guest /usr/share/mdadm/mkconf force-generate /etc/mdadm/mdadm.conf
if [ "$storage" = luks ]; then
	# The key lies in the initramfs, so that the guest starts with nobody there.
	mkdir -m 700 /mnt/etc/keys
	head -c 64 /dev/urandom >/mnt/etc/keys/root.key
	chmod 400 /mnt/etc/keys/root.key
	printf migrate-me | cryptsetup luksAddKey -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
		--key-file - "$part" /mnt/etc/keys/root.key
	echo "root_crypt $(spec "$part") /etc/keys/root.key luks,discard" >/mnt/etc/crypttab
	echo 'KEYFILE_PATTERN="/etc/keys/*.key"' >>/mnt/etc/cryptsetup-initramfs/conf-hook
	echo UMASK=0077 >>/mnt/etc/initramfs-tools/initramfs.conf
fi

# Page table isolation makes an emulated processor twice as slow.
cmdline="console=tty0 console=ttyS0,115200 mitigations=off"
if [ "$initramfs" = dracut ]; then
	# A missing root shall be told after seconds, not minutes.
	cmdline+=" rd.retry=15 rd.shell=0 rd.emergency=poweroff"
fi
version=$(basename /mnt/lib/modules/*)
case $initramfs in
initramfs-tools)
	[ -z "$swap_dev" ] || echo "RESUME=$(spec "$swap_dev")" >/mnt/etc/initramfs-tools/conf.d/resume
	in_guest update-initramfs -c -k "$version"
	;;
# Without what dracut adds because this "VMware" is QEMU.
dracut) in_guest dracut -q --force -o "qemu qemu-net" "/boot/initrd.img-$version" "$version" ;;
esac
say "the initramfs is made"
ls -l "/mnt/boot/initrd.img-$version"

grub_defaults()
{
	sed -i -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' -e "s/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX=\"$cmdline\"/" \
		-e 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=""/' /mnt/etc/default/grub
	printf 'GRUB_TERMINAL="console serial"\nGRUB_DISABLE_OS_PROBER=true\n' >>/mnt/etc/default/grub
	[ "$names" = uuid ] || echo GRUB_DISABLE_LINUX_UUID=true >>/mnt/etc/default/grub
}
case $loader in
grub-bios)
	grub_defaults
	for disk in "${sd[@]}"; do
		in_guest grub-install --target=i386-pc "$disk"
	done
	in_guest update-grub
	;;
grub-uefi)
	grub_defaults
	in_guest grub-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id=debian --no-nvram
	in_guest update-grub
	;;
systemd-boot)
	echo "root=$(spec "$root")${mount_options:+ rootflags=$mount_options} ro $cmdline" >/mnt/etc/kernel/cmdline
	in_guest env SYSTEMD_RELAX_ESP_CHECKS=1 bootctl --esp-path=/boot/efi --no-variables install
	in_guest env SYSTEMD_RELAX_ESP_CHECKS=1 kernel-install add "$version" "/boot/vmlinuz-$version" "/boot/initrd.img-$version"
	# Firmware knew the loader by its boot entry.
	rm -r /mnt/boot/efi/EFI/BOOT
	;;
extlinux)
	mkdir -p /mnt/boot/extlinux
	in_guest extlinux --install /boot/extlinux
	dd if=/mnt/usr/lib/syslinux/mbr/mbr.bin of="${sd[0]}" conv=notrunc bs=440 count=1 status=none
	cat >/mnt/boot/extlinux/extlinux.conf <<-END
		DEFAULT linux
		PROMPT 0
		TIMEOUT 10
		SERIAL 0 115200
		LABEL linux
			KERNEL /boot/vmlinuz-$version
			INITRD /boot/initrd.img-$version
			APPEND root=$(spec "$root") ro $cmdline
	END
	;;
esac
say "the boot loader is installed"

if [ "$second" = 1 ]; then
	mkfs.ext4 -q -O ^64bit,^metadata_csum,^orphan_file "$second_dev"
	mkdir /other
	mount "$second_dev" /other
	cp -ax /mnt/. /other/
	echo other >/other/etc/hostname
	{
		echo "$(spec "$second_dev") / ext4 defaults 0 1"
		[ -z "$swap_dev" ] || echo "$(spec "$swap_dev") none swap sw 0 0"
	} >/other/etc/fstab
	umount /other
	cat >>/mnt/etc/grub.d/40_custom <<-END
		menuentry "The other system" {
			search --no-floppy --fs-uuid --set=root $(blkid -o value -s UUID "$second_dev")
			linux /boot/vmlinuz-$version root=$(spec "$second_dev") ro $cmdline
			initrd /boot/initrd.img-$version
		}
	END
	in_guest update-grub
	say "the second system is there"
fi
cp /job/last.sh /mnt/run/last.sh
in_guest bash -eu /run/last.sh
df -h /mnt /mnt/boot
cat /mnt/etc/fstab
[ -z "$esp" ] || find /mnt/boot/efi -type f
for at in run dev sys proc; do
	umount -R -l "/mnt/$at"
done
umount -R /mnt
case $storage in
lvm) vgchange -qq -an vg0 ;;
md) mdadm --stop /dev/md0 ;;
luks) cryptsetup close root_crypt ;;
esac
say "done"

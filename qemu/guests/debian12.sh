# SPDX-License-Identifier: Apache-2.0
# Recipe: a small Debian 12 server as it comes from a VMware host. Sourced by `build`.
# shellcheck shell=bash disable=SC2034 # the variables are read by build
#
# What a migration meets on it: an initramfs made for pvscsi only, fstab and GRUB by /dev/sdX,
# a static address bound to the VMware adapter's name, open-vm-tools, real data. It cannot start
# on virtio as it is.

suite=bookworm
disk_mib=2048
swap_mib=64

# The system. No grub here: it is added for the firmware by grub_packages below.
packages="systemd-sysv udev dbus libpam-systemd ifupdown iproute2 iputils-ping netbase
	openssh-server open-vm-tools linux-image-amd64 initramfs-tools zstd e2fsprogs dosfstools
	cron logrotate rsyslog sudo less nano curl ca-certificates python3-minimal sqlite3 git
	perl-modules manpages apt-utils procps kmod fdisk"
grub_packages_bios="grub-pc"
grub_packages_uefi="grub-efi-amd64"

# The disk stays small by leaving out what no test looks at: documentation, translations and the
# kernel's drivers for sound, graphics, radio and the like. dpkg keeps leaving it out later.
path_exclude=(
	'/usr/share/doc/*'
	'/usr/share/locale/*'
	'/usr/share/man/*'
	'/lib/modules/*/kernel/sound/*'
	'/lib/modules/*/kernel/drivers/gpu/*'
	'/lib/modules/*/kernel/drivers/media/*'
	'/lib/modules/*/kernel/drivers/infiniband/*'
	'/lib/modules/*/kernel/drivers/staging/*'
	'/lib/modules/*/kernel/drivers/iio/*'
	'/lib/modules/*/kernel/drivers/net/wireless/*'
	'/lib/modules/*/kernel/drivers/net/can/*'
	'/lib/modules/*/kernel/net/mac80211/*'
	'/lib/modules/*/kernel/net/wireless/*'
	'/lib/modules/*/kernel/net/bluetooth/*'
)
path_include=('/usr/share/doc/*/copyright')

# The address is the same before and after the migration; nic is what udev calls the adapter in
# PCI slot 192, where VMware puts it.
hostname=db01
nic=ens192
address=192.168.77.10
netmask=255.255.255.0
gateway=192.168.77.2
nameserver=192.168.77.3

# Real data: a tree of packages and a database with something in it.
guest_data()
{
	local root=$1

	mkdir -p "$root/srv/repo"
	cp -a "$root"/usr/lib/python3.* "$root/usr/share/perl" "$root/srv/repo/"
	ln "$root"/srv/repo/perl/5.*.*/CPAN.pm "$root/srv/repo/hard-link.pm"
	ln -s perl "$root/srv/repo/current"
	truncate -s 8M "$root/srv/repo/sparse.img"
	mkdir -p "$root/srv/db"
	chroot "$root" sqlite3 /srv/db/orders.db <<-'END'
		PRAGMA journal_mode = wal;
		CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		INSERT INTO orders SELECT i, 'customer ' || (i % 977), i * 37 % 100003 FROM n;
	END
}

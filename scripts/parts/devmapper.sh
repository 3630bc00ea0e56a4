# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# libdevmapper for cryptsetup, without udev: it makes the nodes of its devices itself.
part_flavours=musl
part_source=lvm2

part_build()
{
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/usr \
		--enable-static_link --disable-shared --disable-readline --disable-selinux --disable-nls \
		--disable-udev_sync --disable-systemd-journal --disable-app-machineid \
		--disable-sd-notify --disable-nvme-wwid --without-blkid --without-systemd \
		--without-udev --without-libnvme --with-default-dm-run-dir=/run
	make -s -j"$JOBS" -C include
	make -s -j"$JOBS" libdm
	install_to lib libdm/ioctl/libdevmapper.a
	install_to include libdm/libdevmapper.h
}

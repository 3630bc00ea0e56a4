# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# lvm, static: activates the volume groups of guests. dmsetup is for looking at them by hand.
part_flavours=musl
part_needs="libaio util-linux"

part_build()
{
	# POSIX lets stdin be no variable (musl's is const); freopen does what is meant.
	sed -i -E 's/!\((std[a-z]+) = fopen\((_PATH_DEVNULL, "[rw]")\)\)/!freopen(\2, \1)/' \
		tools/lvmcmdline.c
	[ "$(grep -c '!freopen(_PATH_DEVNULL' tools/lvmcmdline.c)" -eq 3 ]

	# Nothing of udev exists in the image, so nodes are made by lvm itself (or devtmpfs). Nor is there
	# a modprobe; configure would take that of the building machine, where it has one.
	ac_cv_path_MODPROBE_CMD='' ac_cv_path_ac_pt_MODPROBE_CMD='' \
		./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/usr --sbindir=/usr/sbin \
		--enable-static_link --disable-shared --disable-readline --disable-selinux --disable-nls \
		--disable-udev_sync --disable-systemd-journal --disable-app-machineid \
		--disable-sd-notify --disable-nvme-wwid --disable-fsadm --disable-lvmimportvdo \
		--disable-blkdeactivate --disable-use-lvmlockd --disable-use-lvmpolld \
		--with-blkid --without-systemd --without-udev --without-libnvme \
		--with-thin-check= --with-cache-check= --with-confdir=/etc \
		--with-default-locking-dir=/run/lock/lvm --with-default-run-dir=/run/lvm \
		--with-default-dm-run-dir=/run --with-default-pid-dir=/run
	make -s -j"$JOBS" -C include
	make -s -j"$JOBS" libdm
	make -s -j"$JOBS" lib
	make -s -j"$JOBS" -C tools lvm.static
	make -s -j"$JOBS" -C libdm/dm-tools dmsetup.static
	mkdir -p "$OUT/sbin"
	strip -o "$OUT/sbin/lvm" tools/lvm.static
	strip -o "$OUT/sbin/dmsetup" libdm/dm-tools/dmsetup.static
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# libblkid: recognises filesystems, RAID members and partition tables. libuuid comes along for it.

part_build()
{
	# The archive carries configure, but without the dates that keep automake asleep.
	touch aclocal.m4
	touch configure Makefile.in config.h.in
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/ \
		--disable-all-programs --enable-libblkid --enable-libuuid \
		--disable-shared --enable-static --disable-nls --disable-asciidoc --disable-rpath \
		--without-python --without-systemd --without-udev --without-econf --without-ncurses \
		--without-ncursesw --without-tinfo --without-readline --disable-bash-completion
	make -s -j"$JOBS" V=0 libblkid.la libuuid.la
	install_to lib .libs/libblkid.a .libs/libuuid.a
	install_to include/blkid libblkid/src/blkid.h
	install_to include/uuid libuuid/src/uuid.h
}

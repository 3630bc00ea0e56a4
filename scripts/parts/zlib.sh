# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# inflate only: initramfs images and kernel modules of guests are read, never written.
part_links=-lz

part_build()
{
	./configure --static --prefix=/
	CFLAGS+=" -D_LARGEFILE64_SOURCE=1 -DHAVE_UNISTD_H -DHAVE_STDARG_H"
	cc_archive libz.a adler32.c crc32.c inffast.c inflate.c inftrees.c zutil.c
	install_to include zlib.h zconf.h
	install_to lib libz.a
}

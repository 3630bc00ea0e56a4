# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# liblzma, decoders only: initramfs images and kernel modules of guests are read, never written.
part_links=-llzma

part_build()
{
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/ \
		--disable-shared --enable-static --disable-encoders --disable-threads --disable-nls \
		--disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo --disable-scripts \
		--disable-doc --disable-microlzma --disable-lzip-decoder --disable-sandbox
	make -s -j"$JOBS" -C src/liblzma
	install_to lib src/liblzma/.libs/liblzma.a
	install_to include src/liblzma/api/lzma.h
	install_to include/lzma src/liblzma/api/lzma/*.h
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2164
# The decoder only: initramfs images and kernel modules of guests are read, never written.
part_links=-lzstd

part_build()
{
	cd lib
	# The assembler variant of the Huffman decoder needs a second compiler driver; C is enough.
	CFLAGS+=" -DZSTD_DISABLE_ASM -DZSTD_LEGACY_SUPPORT=0 -I. -Icommon"
	cc_archive libzstd.a common/*.c decompress/*.c
	install_to include zstd.h zstd_errors.h
	install_to lib libzstd.a
}

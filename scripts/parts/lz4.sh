# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2164

part_build()
{
	cd lib
	# The frame format carries its own xxHash; the prefix keeps it apart from the real one.
	CFLAGS="-O3 $CFLAGS -DXXH_NAMESPACE=LZ4_" cc_archive liblz4.a lz4.c lz4hc.c lz4frame.c xxhash.c
	install_to include lz4.h lz4hc.h lz4frame.h
	install_to lib liblz4.a
}

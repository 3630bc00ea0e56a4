# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

part_build()
{
	# The dispatcher picks AVX2 or AVX-512 where the processor has them: XXH3 is the hash of every leaf.
	CFLAGS="-O3 $CFLAGS" cc_archive libxxhash.a xxhash.c xxh_x86dispatch.c
	install_to include xxhash.h xxh3.h xxh_x86dispatch.h
	install_to lib libxxhash.a
}

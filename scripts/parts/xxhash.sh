# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

part_build()
{
	CFLAGS="-O3 $CFLAGS" cc_archive libxxhash.a xxhash.c
	install_to include xxhash.h xxh3.h
	install_to lib libxxhash.a
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2164
# lvm2 reads its devices with it.
part_flavours=musl

part_build()
{
	cd src
	CFLAGS+=" -I."
	# shellcheck disable=SC2046  # file names of sources have no spaces
	cc_archive libaio.a $(find . -name 'io_*.c' | sort) raw_syscall.c
	install_to lib libaio.a
	install_to include libaio.h
}

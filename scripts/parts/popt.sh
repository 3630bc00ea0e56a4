# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The command line of cryptsetup.
part_flavours=musl

part_build()
{
	touch aclocal.m4
	touch configure Makefile.in config.h.in src/Makefile.in
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/ \
		--disable-shared --enable-static --disable-nls
	make -s -j"$JOBS" -C src libpopt.la
	install_to lib src/.libs/libpopt.a
	install_to include src/popt.h
}

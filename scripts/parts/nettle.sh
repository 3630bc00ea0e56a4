# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Hashes and PBKDF2 for cryptsetup: done here, a key takes a second; through the kernel's sockets it
# is one system call an iteration.
part_flavours=musl

part_build()
{
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/ \
		--disable-shared --enable-static --disable-public-key --disable-assembler \
		--disable-openssl --disable-documentation
	make -s -j"$JOBS" libnettle.a
	install_to lib libnettle.a
	install_to include/nettle ./*.h
}

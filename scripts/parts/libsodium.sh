# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# A vectorised ChaCha20-Poly1305 for mbedTLS (mbedtls/aead.c).

part_build()
{
	autoreconf -fi
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/ \
		--disable-shared --enable-static --disable-ssp --disable-debug
	make -s -j"$JOBS" -C src/libsodium
	install_to lib src/libsodium/.libs/libsodium.a
	install_to include src/libsodium/include/sodium.h
	install_to include/sodium src/libsodium/include/sodium/*.h
}

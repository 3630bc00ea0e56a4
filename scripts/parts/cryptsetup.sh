# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# cryptsetup, static: opens the LUKS volumes of guests with keys that the job gives. Ciphers come
# from the kernel (dm-crypt, AF_ALG), hashes from Nettle, Argon2 from its own copy.
part_flavours=musl
part_needs="util-linux devmapper json-c popt nettle"

part_build()
{
	AUTOPOINT=autopoint ./autogen.sh
	export CFLAGS="$CFLAGS -isystem $DEPS/include" LDFLAGS="$LDFLAGS -L$DEPS/lib"
	export JSON_C_CFLAGS="-I$DEPS/include/json-c" JSON_C_LIBS=-ljson-c
	export DEVMAPPER_CFLAGS=-I$DEPS/include DEVMAPPER_LIBS="-ldevmapper -lm"
	export BLKID_CFLAGS=-I$DEPS/include BLKID_LIBS=-lblkid
	./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/usr \
		--disable-shared --enable-static --disable-nls --disable-asciidoc --disable-udev \
		--disable-selinux --disable-ssh-token --disable-external-tokens \
		--disable-veritysetup --disable-integritysetup --disable-pwquality \
		--with-crypto_backend=nettle --with-luks2-lock-path=/run/cryptsetup \
		--with-tmpfilesdir=
	make -s -j"$JOBS" cryptsetup
	mkdir -p "$OUT/sbin"
	strip -o "$OUT/sbin/cryptsetup" cryptsetup
}

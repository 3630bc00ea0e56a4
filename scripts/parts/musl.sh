# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The C library, static only, and a compiler wrapper of ours.
part_flavours=musl

part_build()
{
	unset LDFLAGS
	cp "$RECIPE/memcmp.c" src/string/memcmp.c
	./configure --target=x86_64 --prefix=/ --disable-shared --disable-gcc-wrapper \
		CC=gcc CFLAGS="$CFLAGS"
	make -s -j"$JOBS" AR="$AR"
	make -s install DESTDIR="$OUT"
	mkdir -p "$OUT/bin"
	install -m 755 "$RECIPE/musl-gcc" "$OUT/bin/"
	cp "$RECIPE/musl-gcc.specs" "$OUT/lib/"
}

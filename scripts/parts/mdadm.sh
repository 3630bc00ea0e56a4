# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# mdadm, static: assembles the arrays of guests.
part_flavours=musl

part_build()
{
	# The warnings of another compiler are no reason to stop: CWFLAGS drops -Werror.
	make -s -j"$JOBS" CC="$CC" CWFLAGS="-Wall" CXFLAGS="$CFLAGS -D_LARGEFILE64_SOURCE -DNO_LIBUDEV" \
		LDFLAGS="$LDFLAGS" mdadm.static
	mkdir -p "$OUT/sbin"
	strip -o "$OUT/sbin/mdadm" mdadm.static
}

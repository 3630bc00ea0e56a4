# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The kernel's user-space headers, for everything built against musl.
part_flavours=musl
part_source=linux

# The whole tree is 1.5 GB unpacked; the headers need these folders only.
part_unpack()
{
	tar -xf "$TARBALL" --strip-components=1 --no-same-owner --wildcards \
		'*/Makefile' '*/Kbuild' '*/Kconfig*' '*/scripts' '*/include/uapi' \
		'*/include/asm-generic' '*/arch/x86/include/asm' \
		'*/arch/x86/entry/syscalls' '*/arch/x86/tools' '*/usr/include' '*/tools/include'
}

part_build()
{
	make -s ARCH=x86 HOSTCC="$HOSTCC" headers
	find usr/include -type f ! -name '*.h' -delete
	mkdir -p "$OUT"
	cp -r usr/include "$OUT/include"
}

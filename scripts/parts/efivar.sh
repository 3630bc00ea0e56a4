# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2164
# libefivar and libefiboot: Boot#### entries and their device paths.

part_build()
{
	local sources

	cd src
	cp util.c util-makeguids.c
	# A build tool of the archive that turns guids.txt into C.
	gcc -std=gnu11 -O1 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DLIBEFIVAR_VERSION=39 \
		-DEFIVAR_BUILD_ENVIRONMENT -funsigned-char -Iinclude \
		makeguids.c util-makeguids.c -o makeguids
	./makeguids guids.txt guid-symbols.c include/efivar/efivar-guids.h
	CFLAGS+=" -std=gnu11 -funsigned-char -fvisibility=hidden -D_GNU_SOURCE"
	CFLAGS+=" -D_FILE_OFFSET_BITS=64 -DLIBEFIVAR_VERSION=39 -Iinclude"
	cc_archive libefivar.a crc32.c dp.c dp-acpi.c dp-hw.c dp-media.c dp-message.c efivarfs.c \
		error.c export.c guid.c guid-symbols.c lib.c vars.c time.c
	# shellcheck disable=SC2046  # file names of sources have no spaces
	cc_archive libefiboot.a creator.c disk.c gpt.c loadopt.c path-helpers.c linux.c \
		$(find . -name 'linux-*.c' | sort)
	install_to lib libefivar.a libefiboot.a
	mkdir -p "$OUT/include"
	cp -r include/efivar "$OUT/include/"
	find "$OUT/include" ! -type d ! -name '*.h' -delete
}

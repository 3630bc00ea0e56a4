# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034
# Compiler and flags of a flavour, sourced by build-part before a recipe runs. It is an input
# of every part: a change here rebuilds all of them.
#
# A recipe, parts/NAME.sh, sets
#   part_flavours   flavours it exists in (default: musl host)
#   part_needs      parts whose include/ and lib/ it sees, as $DEPS
#   part_inputs     further files it depends on, relative to the repository
#   part_source     name in sources.lock (default: its own name)
# and defines part_build, which runs under set -e in the unpacked, patched source (parts/NAME/*.patch)
# and installs into $OUT/{include,lib,bin,sbin}. Scratch is $WORK; $RECIPE is parts/NAME.

# Builds must not differ by clock, language or build directory.
export LC_ALL=C TZ=UTC0 SOURCE_DATE_EPOCH=1700000000
umask 022

# Sections let the final link drop what a program does not use. No -g: these objects end up in
# release programs, whose own debug information is what a trace needs.
CFLAGS="-O2 -pipe -ffunction-sections -fdata-sections -fstack-protector-strong"
CFLAGS+=" -ffile-prefix-map=$WORK=/part"
LDFLAGS="-Wl,--gc-sections -Wl,--build-id=none"
AR="ar"
RANLIB=ranlib
ARFLAGS=rcD
HOSTCC=gcc
case $FLAVOUR in
musl)
	CC=$DEPS/bin/musl-gcc
	LDFLAGS+=" -static-pie -s"
	;;
host)
	CC=gcc
	CFLAGS+=" -g -isystem $DEPS/include"
	LDFLAGS+=" -L$DEPS/lib"
	;;
esac
export CC AR RANLIB CFLAGS LDFLAGS
# An empty directory: libraries of the build machine must not be found.
export PKG_CONFIG_LIBDIR=$DEPS/lib/pkgconfig

# cc_archive LIB.a FILE.c...: compiles the files with $CC $CFLAGS into a deterministic archive.
cc_archive()
{
	local lib=$1

	shift
	printf '%s\n' "$@" | xargs -P "$JOBS" -I{} sh -c \
		'o=$(printf "%s" "${1%.c}" | tr / _).o && $CC $CFLAGS -c "$1" -o "$o"' sh {}
	# shellcheck disable=SC2046  # file names of sources have no spaces
	$AR $ARFLAGS "$lib" $(printf '%s\n' "$@" | sed 's|\.c$|.o|; s|/|_|g')
}

# install_to DIR FILE...
install_to()
{
	local dir=$OUT/$1

	shift
	mkdir -p "$dir"
	cp "$@" "$dir/"
}

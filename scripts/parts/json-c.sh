# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The JSON library that cryptsetup reads LUKS2 headers with. Its own build wants CMake; this is what
# CMake would find on musl.
part_flavours=musl

part_build()
{
	sed 's/^#undef JSON_C_HAVE_INTTYPES_H/#define JSON_C_HAVE_INTTYPES_H 1/' json_config.h.in >json_config.h
	sed 's/@[A-Za-z_]*@//' json.h.cmakein >json.h
	cat >config.h <<-'CONFIG'
		#define ENABLE_RDRAND 0
		#define HAVE_DECL_INFINITY 1
		#define HAVE_DECL_ISINF 1
		#define HAVE_DECL_ISNAN 1
		#define HAVE_DECL_NAN 1
		#define HAVE_DLFCN_H 1
		#define HAVE_FCNTL_H 1
		#define HAVE_INTTYPES_H 1
		#define HAVE_LIMITS_H 1
		#define HAVE_LOCALE_H 1
		#define HAVE_OPEN 1
		#define HAVE_REALLOC 1
		#define HAVE_SETLOCALE 1
		#define HAVE_SNPRINTF 1
		#define HAVE_STDARG_H 1
		#define HAVE_STDINT_H 1
		#define HAVE_STDLIB_H 1
		#define HAVE_STRCASECMP 1
		#define HAVE_STRDUP 1
		#define HAVE_STRERROR 1
		#define HAVE_STRING_H 1
		#define HAVE_STRINGS_H 1
		#define HAVE_STRNCASECMP 1
		#define HAVE_STRTOLL 1
		#define HAVE_STRTOULL 1
		#define HAVE_SYS_PARAM_H 1
		#define HAVE_SYS_STAT_H 1
		#define HAVE_SYSLOG_H 1
		#define STDC_HEADERS 1
		#define HAVE_SYS_TYPES_H 1
		#define HAVE_MEMORY_H 1
		#define HAVE_DECL__ISNAN 0
		#define HAVE_DECL__FINITE 0
		#define HAVE_SYS_RANDOM_H 1
		#define HAVE_GETRANDOM 1
		#define HAVE_UNISTD_H 1
		#define HAVE_USELOCALE 1
		#define HAVE_VASPRINTF 1
		#define HAVE_VPRINTF 1
		#define HAVE_VSNPRINTF 1
		#define HAVE_VSYSLOG 1
		#define JSON_C_HAVE_INTTYPES_H 1
		#define SIZEOF_INT 4
		#define SIZEOF_INT64_T 8
		#define SIZEOF_LONG 8
		#define SIZEOF_LONG_LONG 8
		#define SIZEOF_SIZE_T 8
		#define SIZEOF_SSIZE_T 8
		#define HAVE_ATOMIC_BUILTINS 1
		#define HAVE___THREAD 1
		#define SPEC___THREAD __thread
		#define PACKAGE_VERSION "0.18"
	CONFIG
	CFLAGS+=" -I. -D_GNU_SOURCE"
	cc_archive libjson-c.a arraylist.c debug.c json_c_version.c json_object.c \
		json_object_iterator.c json_tokener.c json_util.c json_visit.c linkhash.c printbuf.c \
		random_seed.c strerror_override.c
	install_to lib libjson-c.a
	install_to include/json-c ./*.h
	rm "$OUT/include/json-c/config.h"
}

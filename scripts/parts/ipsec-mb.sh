# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# AES-GCM for mbedTLS (mbedtls/aead.c): of the library's many implementations the one for every
# processor with AES-NI and CLMUL. AVX2's is slower than that here, VAES' takes 900 KB of code.

part_build()
{
	local f objects=()

	for f in sse_t1/gcm128_api_by8_sse sse_t1/gcm256_api_by8_sse x86_64/aes_keyexp_128 \
		x86_64/aes_keyexp_256; do
		# As the library's own Makefile does it; SAFE_DATA clears registers and stack of keys.
		nasm -Werror -felf64 -Xgnu -DLINUX -D__linux__ -DSAFE_DATA -I. -Ilib/ -Ilib/include/ \
			-o "${f##*/}.o" "lib/$f.asm"
		objects+=("${f##*/}.o")
	done
	$AR $ARFLAGS libipsec-mb-gcm.a "${objects[@]}"
	install_to lib libipsec-mb-gcm.a
	install_to include lib/intel-ipsec-mb.h
}

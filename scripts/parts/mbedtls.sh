# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2164
# Our configuration takes the place of the library's own, so that programs that include its
# headers need no -D to see the same structures.
part_needs="libsodium ipsec-mb"

part_build()
{
	local lib=library

	# 3.6.6 offers RSA-PSS to every server but takes it in TLS 1.3 alone, so a TLS 1.2 server with an
	# RSA key that picks it (RFC 8446, 4.2.3 allows that) cannot be talked to. The verification
	# behind the check knows PSS.
	sed -i '/^static int ssl_parse_signature_algorithm/,/^}/ s/if (!mbedtls_ssl_sig_alg_is_supported/if (*pk_alg != MBEDTLS_PK_RSASSA_PSS \&\& !mbedtls_ssl_sig_alg_is_supported/' \
		$lib/ssl_tls12_client.c
	grep -q 'MBEDTLS_PK_RSASSA_PSS && !mbedtls_ssl_sig' $lib/ssl_tls12_client.c

	# getrandom(2) is asked for only where __GLIBC__ is defined; musl has the system call as well.
	sed -i 's/defined(__linux__) && defined(__GLIBC__)/defined(__linux__)/' $lib/entropy_poll.c
	grep -q '^#if ((defined(__linux__)) ||' $lib/entropy_poll.c

	cp "$RECIPE/config.h" include/mbedtls/mbedtls_config.h
	CFLAGS+=" -Iinclude -Ilibrary"
	# aead.c stands in front of these two.
	sed -i -E 's/^(psa_status_t )(mbedtls_psa_aead_(en|de)crypt\()/\1builtin_\2/' \
		$lib/psa_crypto_aead.c
	grep -c '^psa_status_t builtin_' $lib/psa_crypto_aead.c | grep -qx 2
	cp "$RECIPE/aead.c" $lib/psa_aead_fast.c
	# Most files are empty under our configuration.
	# shellcheck disable=SC2046  # file names of sources have no spaces
	cc_archive libmbedcrypto.a $(find $lib -name '*.c' | sort |
		grep -v -E '/(x509|ssl_|mps_|debug|net_sockets|pkcs7)')
	cc_archive libmbedx509.a $lib/x509*.c $lib/pkcs7.c
	cc_archive libmbedtls.a $lib/ssl_*.c $lib/mps_*.c $lib/debug.c
	# shellcheck disable=SC2086  # flags
	$CC $CFLAGS "$RECIPE/check.c" -o check $LDFLAGS -L. -lmbedcrypto -lsodium -lipsec-mb-gcm -pthread
	./check
	install_to lib libmbedcrypto.a libmbedx509.a libmbedtls.a
	install_to include -r include/mbedtls include/psa
}

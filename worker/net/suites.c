/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ciphers a connection is offered, fastest first: a server of mbedTLS or GnuTLS
 * takes the first of the client's that it knows. With AES-NI and CLMUL, AES-GCM does
 * several GB/s on a core (ipsec-mb), here and in every common library; without them, and
 * under QEMU's emulation, ChaCha20-Poly1305 does more. An external key is bound to
 * SHA-256 (RFC 8446, 4.2.11), so that AES-256-GCM, whose hash is SHA-384, is only for
 * certificates.
 */
#include <cpuid.h>

#include <mbedtls/ssl_ciphersuites.h>

#include "net/net-stream-internal.h"

static const int aes_psk[] = { MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0 };
static const int chacha_psk[] = { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0 };
static const int aes_cert[] = { MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384, MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, 0 };
static const int chacha_cert[] = { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 0 };

static bool fast_aes(void)
{
	unsigned a, b, c = 0, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_AES) || !(c & bit_PCLMUL))
		return false;
	if (!(c & 1u << 31)) /* no hypervisor */
		return true;
	/* "TCGTCGTCGTCG" in ebx, ecx, edx: QEMU does these instructions one by one. */
	__cpuid(0x40000000, a, b, c, d);
	return !(b == 0x54474354 && c == 0x43544743 && d == 0x47435447);
}

const int *net_tls_suites(bool psk)
{
	if (fast_aes())
		return psk ? aes_psk : aes_cert;
	return psk ? chacha_psk : chacha_cert;
}

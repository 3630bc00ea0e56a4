/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mbedTLS as the worker and source-server need it: TLS 1.3 with a pre-shared key between
 * them, TLS 1.2 and 1.3 with certificates towards a controller or a foreign NBD server.
 * What is not listed is not compiled. Secrets of a session come from
 * mbedtls_ssl_set_export_keys_cb, which always exists.
 */

/* The machine: x86-64 Linux with a C library. */
#define MBEDTLS_HAVE_ASM
#define MBEDTLS_HAVE_TIME
#define MBEDTLS_HAVE_TIME_DATE
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_FS_IO
#define MBEDTLS_ERROR_C
#define MBEDTLS_VERSION_C

/*
 * Several threads, one TLS context per connection: the contexts are not shared, but the
 * PSA key store and random generator behind them are.
 */
#define MBEDTLS_THREADING_C
#define MBEDTLS_THREADING_PTHREAD

/*
 * Random numbers: getrandom(2) into CTR_DRBG. A source server on a kernel before 3.17 has
 * the device only; /dev/random would stall it there, long after its own random generator
 * was seeded.
 */
#define MBEDTLS_PLATFORM_DEV_RANDOM "/dev/urandom"
#define MBEDTLS_ENTROPY_C
#define MBEDTLS_CTR_DRBG_C

/* TLS 1.3 is built on PSA; everything else then takes the same road. */
#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_PSA_KEY_STORE_DYNAMIC
/*
 * Callers and PSA are one program, whose record buffers nobody else writes to: without
 * this each record is copied to the heap and back, a fifth of a transfer's processor
 * time.
 */
#define MBEDTLS_PSA_ASSUME_EXCLUSIVE_BUFFERS
#define MBEDTLS_USE_PSA_CRYPTO

/* Ciphers. AES-NI and CLMUL are used when the processor has them, else the tables. */
#define MBEDTLS_AES_C
#define MBEDTLS_AESNI_C
#define MBEDTLS_GCM_C
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#define MBEDTLS_CIPHER_C
/* CTR is what CTR_DRBG and PSA's own cipher table count on. */
#define MBEDTLS_CIPHER_MODE_CTR

/* Hashes. SHA-1 only identifies keys in certificates (RFC 5280, 4.2.1.2), never signs. */
#define MBEDTLS_MD_C
#define MBEDTLS_SHA1_C
#define MBEDTLS_SHA224_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA384_C
#define MBEDTLS_SHA512_C
#define MBEDTLS_HKDF_C

/* Public keys of certificates and key exchange. */
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
#define MBEDTLS_ECP_DP_SECP521R1_ENABLED
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_PKCS1_V21

/* Keys and certificates: read only, but a pin is the hash of the key written as DER. */
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_PK_PARSE_EC_COMPRESSED
#define MBEDTLS_PK_WRITE_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_RSASSA_PSS_SUPPORT

/* Both ends of TLS. */
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES
#define MBEDTLS_SSL_ALPN
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_SSL_SESSION_TICKETS
/* TLS 1.3 demands it. */
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE

/* PSK alone, PSK with (EC)DHE and certificates:
 * foreign servers differ in what they take. */
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_ENABLED
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL_ENABLED

/* TLS 1.2 with forward secrecy only, for NBD servers and proxies
 * that know nothing newer. */
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_ENCRYPT_THEN_MAC
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_KEY_EXCHANGE_ECDHE_PSK_ENABLED
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED

/* psktool of GnuTLS makes keys of up to 64 bytes. */
#define MBEDTLS_PSK_MAX_LEN 64

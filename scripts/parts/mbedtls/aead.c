/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ciphers that carry the bulk of every connection: AES-GCM done by Intel's
 * ipsec-mb (its functions for SSE, AES-NI and CLMUL) and ChaCha20-Poly1305 by libsodium,
 * several times the speed of mbedTLS' own, which works block by block. TLS records come
 * here one at a time through psa_aead_encrypt and psa_aead_decrypt. What these two do not
 * do (other nonce and tag sizes, processors without AES-NI and CLMUL) goes on to mbedTLS'
 * own functions, which the recipe renames to builtin_*.
 */
#include <cpuid.h>
#include <intel-ipsec-mb.h>
#include <psa/crypto.h>
#include <sodium.h>
#include <string.h>

#define CHACHA_KEY_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16

/* Both functions of mbedTLS' psa_crypto_aead.c have this shape. */
typedef psa_status_t aead_fn(const psa_key_attributes_t *attributes, const uint8_t *key,
			     size_t key_len, psa_algorithm_t alg, const uint8_t *nonce,
			     size_t nonce_len, const uint8_t *ad, size_t ad_len,
			     const uint8_t *in, size_t in_len, uint8_t *out,
			     size_t out_size, size_t *out_len);

aead_fn mbedtls_psa_aead_encrypt, mbedtls_psa_aead_decrypt;
aead_fn builtin_mbedtls_psa_aead_encrypt, builtin_mbedtls_psa_aead_decrypt;

/* The second half of the library's aes_gcm_pre_*_sse: powers of H,
 * from the expanded key. */
void aes_gcm_precomp_128_sse(struct gcm_key_data *k);
void aes_gcm_precomp_256_sse(struct gcm_key_data *k);

enum cipher { BUILTIN, AES_GCM, CHACHA };

enum { KNOWN = 1, EMULATED = 2, FAST_AES = 4 };

/*
 * EMULATED: QEMU emulates the processor (the signature of hypervisor leaf 0x40000000). It
 * does vector instructions element by element: libsodium's portable code, which is used
 * until sodium_init is called, then does ChaCha20-Poly1305 at 174 MB/s where the AVX2
 * code does 47. Asked for once: below a hypervisor CPUID traps, and for each record that
 * took as long as the decryption itself.
 */
static unsigned processor(void)
{
	static unsigned known; /* threads that race find the same */
	unsigned found = __atomic_load_n(&known, __ATOMIC_RELAXED), a, b = 0, c = 0,
		d = 0;

	if (found)
		return found;
	found = KNOWN;
	if (__get_cpuid(1, &a, &b, &c, &d) && c & bit_AES && c & bit_PCLMUL &&
	    c & bit_SSSE3 && c & bit_SSE4_1)
		found |= FAST_AES;
	b = d = 0;
	if (c & 1u << 31)
		__cpuid(0x40000000, a, b, c, d);
	if (b == 0x54474354 && c == 0x43544743 && d == 0x47435447)
		found |= EMULATED;
	__atomic_store_n(&known, found, __ATOMIC_RELAXED);
	return found;
}

static int emulated(void)
{
	return processor() & EMULATED;
}

static int aes_gcm_usable(void)
{
	return (processor() & (FAST_AES | EMULATED)) == FAST_AES;
}

static enum cipher choose(const psa_key_attributes_t *attributes, psa_algorithm_t alg,
			  size_t key_len, size_t nonce_len)
{
	psa_key_type_t type = psa_get_key_type(attributes);

	if (nonce_len != NONCE_LEN)
		return BUILTIN;
	if (alg == PSA_ALG_GCM && type == PSA_KEY_TYPE_AES &&
	    (key_len == 16 || key_len == 32))
		return aes_gcm_usable() ? AES_GCM : BUILTIN;
	if (alg != PSA_ALG_CHACHA20_POLY1305 || type != PSA_KEY_TYPE_CHACHA20 ||
	    key_len != CHACHA_KEY_LEN)
		return BUILTIN;
	/* May be called any number of times, from any thread. */
	return emulated() || sodium_init() >= 0 ? CHACHA : BUILTIN;
}

struct gcm {
	struct gcm_key_data key;
	struct gcm_context_data context;
};

static void gcm_start(struct gcm *g, const uint8_t *key, size_t key_len)
{
	if (key_len == 16) {
		aes_keyexp_128_enc_sse(key, g->key.expanded_keys);
		aes_gcm_precomp_128_sse(&g->key);
	} else {
		aes_keyexp_256_enc_sse(key, g->key.expanded_keys);
		aes_gcm_precomp_256_sse(&g->key);
	}
}

static void gcm_encrypt(const uint8_t *key, size_t key_len, const uint8_t *nonce,
			const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
			uint8_t *out)
{
	struct gcm g;

	gcm_start(&g, key, key_len);
	(key_len == 16 ? aes_gcm_enc_128_sse : aes_gcm_enc_256_sse)(&g.key, &g.context,
		out, in, len, nonce, ad, ad_len, out + len, TAG_LEN);
	sodium_memzero(&g, sizeof(g));
}

/* In place, the output may end where the tag stands, but never covers it. */
static int gcm_decrypt(const uint8_t *key, size_t key_len, const uint8_t *nonce,
		       const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
		       uint8_t *out)
{
	uint8_t tag[TAG_LEN];
	struct gcm g;

	gcm_start(&g, key, key_len);
	(key_len == 16 ? aes_gcm_dec_128_sse : aes_gcm_dec_256_sse)(&g.key, &g.context,
		out, in, len, nonce, ad, ad_len, tag, TAG_LEN);
	sodium_memzero(&g, sizeof(g));
	if (sodium_memcmp(tag, in + len, TAG_LEN) == 0)
		return 0;
	sodium_memzero(out, len);
	return -1;
}

psa_status_t mbedtls_psa_aead_encrypt(const psa_key_attributes_t *attributes,
				      const uint8_t *key, size_t key_len,
				      psa_algorithm_t alg, const uint8_t *nonce,
				      size_t nonce_len, const uint8_t *ad, size_t ad_len,
				      const uint8_t *in, size_t in_len, uint8_t *out,
				      size_t out_size, size_t *out_len)
{
	unsigned long long done = 0;
	int ret;

	switch (choose(attributes, alg, key_len, nonce_len)) {
	case AES_GCM:
		if (out_size < TAG_LEN || out_size - TAG_LEN < in_len)
			return PSA_ERROR_BUFFER_TOO_SMALL;
		gcm_encrypt(key, key_len, nonce, ad, ad_len, in, in_len, out);
		done = in_len + TAG_LEN;
		ret = 0;
		break;
	case CHACHA:
		if (out_size < TAG_LEN || out_size - TAG_LEN < in_len)
			return PSA_ERROR_BUFFER_TOO_SMALL;
		ret = crypto_aead_chacha20poly1305_ietf_encrypt(out, &done, in,
								in_len, ad, ad_len, NULL,
								nonce, key);
		break;
	default:
		return builtin_mbedtls_psa_aead_encrypt(attributes, key, key_len, alg,
							nonce, nonce_len, ad, ad_len, in,
							in_len, out, out_size, out_len);
	}
	if (ret != 0)
		return PSA_ERROR_GENERIC_ERROR;
	*out_len = done;
	return PSA_SUCCESS;
}

psa_status_t mbedtls_psa_aead_decrypt(const psa_key_attributes_t *attributes,
				      const uint8_t *key, size_t key_len,
				      psa_algorithm_t alg, const uint8_t *nonce,
				      size_t nonce_len, const uint8_t *ad, size_t ad_len,
				      const uint8_t *in, size_t in_len, uint8_t *out,
				      size_t out_size, size_t *out_len)
{
	enum cipher cipher = choose(attributes, alg, key_len, nonce_len);
	unsigned long long done = 0;
	int ret;

	if (cipher == BUILTIN)
		return builtin_mbedtls_psa_aead_decrypt(attributes, key, key_len, alg,
							nonce, nonce_len, ad, ad_len, in,
							in_len, out, out_size, out_len);
	if (in_len < TAG_LEN)
		return PSA_ERROR_INVALID_ARGUMENT;
	if (out_size < in_len - TAG_LEN)
		return PSA_ERROR_BUFFER_TOO_SMALL;
	/* What does not fit its tag is never left in out. */
	if (cipher == AES_GCM) {
		done = in_len - TAG_LEN;
		ret = gcm_decrypt(key, key_len, nonce, ad, ad_len, in, done, out);
	} else {
		ret = crypto_aead_chacha20poly1305_ietf_decrypt(out, &done, NULL, in,
								in_len, ad, ad_len,
								nonce, key);
	}
	if (ret != 0)
		return PSA_ERROR_INVALID_SIGNATURE;
	*out_len = done;
	return PSA_SUCCESS;
}

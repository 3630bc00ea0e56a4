/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run while mbedTLS is built: aead.c against published vectors and against mbedTLS' own
 * code. AES-GCM: test cases 1, 2, 4 (128 bits) and 13, 14, 16 (256 bits) of McGrew and
 * Viega's GCM specification, which NIST's validation set contains too. ChaCha20-Poly1305:
 * RFC 8439, 2.8.2.
 */
#include <psa/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define MAX_LEN 20000

psa_status_t builtin_mbedtls_psa_aead_encrypt(const psa_key_attributes_t *,
					      const uint8_t *, size_t, psa_algorithm_t,
					      const uint8_t *, size_t, const uint8_t *,
					      size_t, const uint8_t *, size_t, uint8_t *,
					      size_t, size_t *);

struct vector {
	const char *name, *key, *nonce, *ad, *plain, *cipher;
	psa_algorithm_t alg;
};

static const struct vector vectors[] = {
	{ "gcm 1", "00000000000000000000000000000000", "000000000000000000000000", "", "",
	  "58e2fccefa7e3061367f1d57a4e7455a", PSA_ALG_GCM },
	{ "gcm 2", "00000000000000000000000000000000", "000000000000000000000000", "",
	  "00000000000000000000000000000000",
	  "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
	  PSA_ALG_GCM },
	{ "gcm 4", "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
	  "5bc94fbc3221a5db94fae95ae7121a47", PSA_ALG_GCM },
	{ "gcm 13", "0000000000000000000000000000000000000000000000000000000000000000",
	  "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b",
	PSA_ALG_GCM },
	{ "gcm 14", "0000000000000000000000000000000000000000000000000000000000000000",
	  "000000000000000000000000", "", "00000000000000000000000000000000",
	  "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
	  PSA_ALG_GCM },
	{ "gcm 16", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	  "76fc6ece0f4e1768cddf8853bb2d551b", PSA_ALG_GCM },
	{ "rfc 8439", "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	  "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	  "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	  "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	  "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	  "637265656e20776f756c642062652069742e",
	  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	  "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	  "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	  "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd060"
	  "0691", PSA_ALG_CHACHA20_POLY1305 },
};

static uint8_t plain[MAX_LEN], cipher[MAX_LEN + 16], back[MAX_LEN], other[MAX_LEN + 16];

static size_t unhex(uint8_t *to, size_t size, const char *hex)
{
	size_t len;

	if (sodium_hex2bin(to, size, hex, strlen(hex), NULL, &len, NULL) != 0)
		return 0;
	return len;
}

static void key_attributes(psa_key_attributes_t *a, psa_algorithm_t alg, size_t key_len)
{
	*a = (psa_key_attributes_t)PSA_KEY_ATTRIBUTES_INIT;
	psa_set_key_usage_flags(a, PSA_KEY_USAGE_ENCRYPT | PSA_KEY_USAGE_DECRYPT);
	psa_set_key_algorithm(a, alg);
	psa_set_key_type(a,
		alg == PSA_ALG_GCM ? PSA_KEY_TYPE_AES : PSA_KEY_TYPE_CHACHA20);
	psa_set_key_bits(a, key_len * 8);
}

/* Decrypts what is in cipher, whole and damaged, also in place.
 * Returns what went wrong. */
static const char *check_decrypt(psa_key_id_t id, psa_algorithm_t alg,
				 const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
				 size_t len, size_t damage)
{
	size_t got;

	if (psa_aead_decrypt(id, alg, nonce, 12, ad, ad_len, cipher, len + 16, back,
			     sizeof(back), &got) != PSA_SUCCESS || got != len ||
			     memcmp(back, plain, len) != 0)
		return "decrypts to something else";
	cipher[damage % (len + 16)] ^= 1;
	if (psa_aead_decrypt(id, alg, nonce, 12, ad, ad_len, cipher, len + 16, back,
			     sizeof(back), &got) != PSA_ERROR_INVALID_SIGNATURE)
		return "damage is not noticed";
	cipher[damage % (len + 16)] ^= 1;
	if (psa_aead_decrypt(id, alg, nonce, 12, ad, ad_len, cipher, len + 16, cipher,
			     sizeof(cipher), &got) != PSA_SUCCESS ||
	    memcmp(cipher, plain, len) != 0)
		return "does not decrypt in place";
	return NULL;
}

static const char *check_vector(const struct vector *v)
{
	uint8_t key[32], nonce[12], ad[32], want[256];
	size_t len, ad_len, want_len, got, key_len = unhex(key, 32, v->key);
	psa_key_attributes_t a;
	psa_key_id_t id;

	if (key_len != strlen(v->key) / 2 || unhex(nonce, 12, v->nonce) != 12)
		return "bad vector";
	ad_len = unhex(ad, sizeof(ad), v->ad);
	len = unhex(plain, sizeof(plain), v->plain);
	want_len = unhex(want, sizeof(want), v->cipher);
	key_attributes(&a, v->alg, key_len);
	if (psa_import_key(&a, key, key_len, &id) != PSA_SUCCESS ||
	    psa_aead_encrypt(id, v->alg, nonce, 12, ad, ad_len, plain, len, cipher,
			     sizeof(cipher), &got) != PSA_SUCCESS)
		return "does not encrypt";
	if (got != want_len || memcmp(cipher, want, got) != 0)
		return "differs from the vector";
	return check_decrypt(id, v->alg, nonce, ad, ad_len, len, 0);
}

/* Random data of one length: the fast road and mbedTLS' own must agree. */
static const char *check_random(psa_algorithm_t alg, size_t key_len, size_t len,
	size_t ad_len)
{
	uint8_t key[32], nonce[12], ad[64];
	psa_key_attributes_t a;
	const char *problem;
	psa_key_id_t id;
	size_t got;

	randombytes_buf(key, sizeof(key));
	randombytes_buf(nonce, sizeof(nonce));
	randombytes_buf(ad, sizeof(ad));
	randombytes_buf(plain, len);
	key_attributes(&a, alg, key_len);
	if (psa_import_key(&a, key, key_len, &id) != PSA_SUCCESS ||
	    psa_aead_encrypt(id, alg, nonce, 12, ad, ad_len, plain, len, cipher,
		    sizeof(cipher),
			     &got) != PSA_SUCCESS || got != len + 16)
		return "does not encrypt";
	if (builtin_mbedtls_psa_aead_encrypt(&a, key, key_len, alg, nonce, 12, ad, ad_len,
					     plain, len, other, sizeof(other),
					     &got) != PSA_SUCCESS ||
	    memcmp(cipher, other, len + 16) != 0)
		return "differs from mbedTLS' own";
	problem = check_decrypt(id, alg, nonce, ad, ad_len, len, len);
	psa_destroy_key(id);
	return problem;
}

int main(void)
{
	static const size_t more[] = { 4096, 16384, 16401, 19999 };
	const char *problem;
	size_t i, len, ad_len;

	if (psa_crypto_init() != PSA_SUCCESS || sodium_init() < 0)
		return 1;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		problem = check_vector(&vectors[i]);
		if (problem) {
			printf("%s: %s\n", vectors[i].name, problem);
			return 1;
		}
	}
	/* Every length up to two turns of a loop over eight blocks and some more. */
	for (i = 0; i < 300 + sizeof(more) / sizeof(more[0]); i++) {
		len = i < 300 ? i : more[i - 300];
		for (ad_len = 0; ad_len <= 64; ad_len += 13) {
			problem = check_random(PSA_ALG_GCM, 32, len, ad_len);
			if (!problem)
				problem = check_random(PSA_ALG_GCM, 16, len, ad_len);
			if (!problem)
				problem = check_random(PSA_ALG_CHACHA20_POLY1305, 32, len,
					ad_len);
			if (problem) {
				printf("%zu bytes, %zu of data: %s\n", len, ad_len,
					problem);
				return 1;
			}
		}
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM (NIST SP 800-38D) for 128- and 256-bit keys and nonces of 12 bytes, on processors with
 * AES-NI and CLMUL. Eight blocks are on their way at once, because each of these instructions
 * takes several cycles but one can begin every cycle; and GHASH of eight blocks is reduced once.
 * No branch and no address depends on a key or on data.
 *
 * GHASH works on polynomials whose coefficient of x^0 is the highest bit of the first byte. Read
 * with its bytes reversed, a block is an integer with the coefficient of x^i in bit 127 - i. The
 * carry-less product of two of them has the coefficient of x^i in bit 254 - i, so it is off by
 * one place, that is by a factor of x, from a 256-bit number that is laid out in the same way.
 * The powers of H are therefore kept multiplied by x^-1, which sets that right.
 */
#include <immintrin.h>
#include <string.h>

#include "gcm.h"

#define FAST __attribute__((target("aes,pclmul,ssse3,sse4.1")))
#define WIDE 8
/* Loops over the eight must be rolled out: else they stay in memory, at half the speed. */
#define ROLLED_OUT _Pragma("GCC unroll 8")
#define BLOCK 16

struct state {
	__m128i rk[15];          /* round keys */
	int rounds;              /* 10 or 14 */
	__m128i h[WIDE];         /* h[i] = H^(WIDE - i) * x^-1 */
	__m128i k[WIDE];         /* the two halves of h[i] added, for Karatsuba */
	__m128i y;               /* GHASH so far, bytes reversed */
	__m128i ctr;             /* bytes reversed: the counter is the lowest 32 bits */
};

/* A product before its reduction, in three parts. */
struct product {
	__m128i lo, mid, hi;
};

int gcm_usable(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
		__builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
}

FAST static inline __m128i reversed(__m128i v)
{
	return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

FAST static inline __m128i load(const void *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

FAST static inline void store(void *p, __m128i v)
{
	_mm_storeu_si128((__m128i *)p, v);
}

/* FIPS 197, 5.2: word i of a round key is the one before it, added to the same word of the key
 * before. */
FAST static inline __m128i next_key(__m128i key, __m128i assist)
{
	key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
	key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
	return _mm_xor_si128(key, assist);
}

/* The constant of a round is an operand of the instruction, thus no loop. */
#define EVEN(i, from, before, rcon)                                                             \
	s->rk[i] = next_key(s->rk[before],                                                       \
		_mm_shuffle_epi32(_mm_aeskeygenassist_si128(s->rk[from], rcon), 0xff))
#define ODD(i, from, before)                                                                     \
	s->rk[i] = next_key(s->rk[before],                                                       \
		_mm_shuffle_epi32(_mm_aeskeygenassist_si128(s->rk[from], 0), 0xaa))

FAST static void expand_128(struct state *s, const uint8_t *key)
{
	s->rounds = 10;
	s->rk[0] = load(key);
	EVEN(1, 0, 0, 0x01);
	EVEN(2, 1, 1, 0x02);
	EVEN(3, 2, 2, 0x04);
	EVEN(4, 3, 3, 0x08);
	EVEN(5, 4, 4, 0x10);
	EVEN(6, 5, 5, 0x20);
	EVEN(7, 6, 6, 0x40);
	EVEN(8, 7, 7, 0x80);
	EVEN(9, 8, 8, 0x1b);
	EVEN(10, 9, 9, 0x36);
}

FAST static void expand_256(struct state *s, const uint8_t *key)
{
	s->rounds = 14;
	s->rk[0] = load(key);
	s->rk[1] = load(key + BLOCK);
	EVEN(2, 1, 0, 0x01);
	ODD(3, 2, 1);
	EVEN(4, 3, 2, 0x02);
	ODD(5, 4, 3);
	EVEN(6, 5, 4, 0x04);
	ODD(7, 6, 5);
	EVEN(8, 7, 6, 0x08);
	ODD(9, 8, 7);
	EVEN(10, 9, 8, 0x10);
	ODD(11, 10, 9);
	EVEN(12, 11, 10, 0x20);
	ODD(13, 12, 11);
	EVEN(14, 13, 12, 0x40);
}

FAST static inline __m128i cipher(const struct state *s, __m128i v)
{
	v = _mm_xor_si128(v, s->rk[0]);
	for (int r = 1; r < s->rounds; r++)
		v = _mm_aesenc_si128(v, s->rk[r]);
	return _mm_aesenclast_si128(v, s->rk[s->rounds]);
}

FAST static inline __m128i halves_added(__m128i v)
{
	return _mm_xor_si128(v, _mm_shuffle_epi32(v, 0x4e));
}

/* Adds v * h[i]. */
FAST static inline void multiply(struct product *p, const struct state *s, int i, __m128i v)
{
	p->lo = _mm_xor_si128(p->lo, _mm_clmulepi64_si128(v, s->h[i], 0x00));
	p->hi = _mm_xor_si128(p->hi, _mm_clmulepi64_si128(v, s->h[i], 0x11));
	p->mid = _mm_xor_si128(p->mid, _mm_clmulepi64_si128(halves_added(v), s->k[i], 0x00));
}

/*
 * Modulo x^128 + x^7 + x^2 + x + 1. The lowest 64 bits, q, are coefficients from x^192 on; q x^64
 * times the modulus added takes them away and adds q x^64 (1 + x + x^2 + x^7) instead: q itself two
 * words up, and q (x + x^2 + x^7), which is the product with the constant (again off by one place)
 * one word up. Then the same with the next 64 bits.
 */
FAST static inline __m128i reduce(const struct product *p)
{
	const __m128i c = _mm_set_epi64x(0, (long long)0xc200000000000000ull);
	__m128i mid = _mm_xor_si128(p->mid, _mm_xor_si128(p->lo, p->hi));
	__m128i lo = _mm_xor_si128(p->lo, _mm_slli_si128(mid, 8));
	__m128i hi = _mm_xor_si128(p->hi, _mm_srli_si128(mid, 8));

	lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4e), _mm_clmulepi64_si128(lo, c, 0x00));
	hi = _mm_xor_si128(hi, _mm_clmulepi64_si128(lo, c, 0x00));
	return _mm_xor_si128(hi, _mm_shuffle_epi32(lo, 0x4e));
}

/* h * x^-1: one place up; x^0 leaves at the top and comes back as x^127 + x^6 + x + 1. */
FAST static inline __m128i divided_by_x(__m128i h)
{
	__m128i top = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xff), 31);
	__m128i carry = _mm_slli_si128(_mm_srli_epi64(h, 63), 8);

	h = _mm_or_si128(_mm_slli_epi64(h, 1), carry);
	return _mm_xor_si128(h, _mm_and_si128(top,
		_mm_set_epi64x((long long)0xc200000000000000ull, 1)));
}

FAST static void start(struct state *s, const struct gcm_job *j)
{
	uint8_t first[BLOCK] = { 0 };

	if (j->key_len == 16)
		expand_128(s, j->key);
	else
		expand_256(s, j->key);
	s->h[WIDE - 1] = divided_by_x(reversed(cipher(s, _mm_setzero_si128())));
	s->k[WIDE - 1] = halves_added(s->h[WIDE - 1]);
	for (int i = WIDE - 2; i >= 0; i--) {
		struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };

		multiply(&p, s, WIDE - 1, s->h[i + 1]);
		s->h[i] = reduce(&p);
		s->k[i] = halves_added(s->h[i]);
	}
	s->y = _mm_setzero_si128();
	memcpy(first, j->nonce, GCM_NONCE);
	first[BLOCK - 1] = 1;
	s->ctr = reversed(load(first));
}

/* n bytes, the last block filled up with zeroes. */
FAST static void hash(struct state *s, const uint8_t *data, size_t n)
{
	while (n) {
		struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };
		uint8_t last[BLOCK] = { 0 };
		size_t part = n < BLOCK ? n : BLOCK;

		memcpy(last, data, part);
		multiply(&p, s, WIDE - 1, _mm_xor_si128(s->y, reversed(load(last))));
		s->y = reduce(&p);
		data += part;
		n -= part;
	}
}

FAST static inline __m128i next_counter(struct state *s)
{
	s->ctr = _mm_add_epi32(s->ctr, _mm_set_epi32(0, 0, 0, 1));
	return reversed(s->ctr);
}

/*
 * Eight counters are enciphered and added to what is in front of them, and on the way the eight
 * blocks of `hashed` go into GHASH: when decrypting the same blocks, when encrypting those of the
 * turn before.
 */
FAST static inline __attribute__((always_inline)) void eight(struct state *s, const uint8_t *in,
	uint8_t *out, const uint8_t *hashed)
{
	struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };
	__m128i b[WIDE], key = s->rk[0];
	int r = 1;

	ROLLED_OUT for (int i = 0; i < WIDE; i++)
		b[i] = _mm_xor_si128(next_counter(s), key);
	if (hashed)
		ROLLED_OUT for (; r <= WIDE; r++) {
			__m128i v = reversed(load(hashed + (r - 1) * BLOCK));

			if (r == 1)
				v = _mm_xor_si128(v, s->y);
			key = s->rk[r];
			ROLLED_OUT for (int i = 0; i < WIDE; i++)
				b[i] = _mm_aesenc_si128(b[i], key);
			multiply(&p, s, r - 1, v);
		}
	for (; r < s->rounds; r++) {
		key = s->rk[r];
		ROLLED_OUT for (int i = 0; i < WIDE; i++)
			b[i] = _mm_aesenc_si128(b[i], key);
	}
	if (hashed)
		s->y = reduce(&p);
	key = s->rk[s->rounds];
	ROLLED_OUT for (int i = 0; i < WIDE; i++)
		store(out + i * BLOCK, _mm_xor_si128(_mm_aesenclast_si128(b[i], key),
			load(in + i * BLOCK)));
}

FAST static void rest(struct state *s, const struct gcm_job *j, size_t at, int encrypt)
{
	for (size_t n; at < j->len; at += n) {
		uint8_t block[BLOCK] = { 0 };

		n = j->len - at < BLOCK ? j->len - at : BLOCK;
		memcpy(block, j->in + at, n);
		if (!encrypt)
			hash(s, block, n);
		store(block, _mm_xor_si128(load(block), cipher(s, next_counter(s))));
		memcpy(j->out + at, block, n);
		if (encrypt)
			hash(s, block, n);
	}
}

FAST void gcm_crypt(const struct gcm_job *j, int encrypt, uint8_t tag[GCM_TAG])
{
	struct state s;
	__m128i first;
	size_t at = 0;

	start(&s, j);
	first = cipher(&s, reversed(s.ctr));
	hash(&s, j->ad, j->ad_len);
	if (encrypt) {
		for (; j->len - at >= WIDE * BLOCK; at += WIDE * BLOCK)
			eight(&s, j->in + at, j->out + at,
				at ? j->out + at - WIDE * BLOCK : NULL);
		if (at)
			hash(&s, j->out + at - WIDE * BLOCK, WIDE * BLOCK);
	} else {
		for (; j->len - at >= WIDE * BLOCK; at += WIDE * BLOCK)
			eight(&s, j->in + at, j->out + at, j->in + at);
	}
	rest(&s, j, at, encrypt);
	{
		struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };
		__m128i lengths = _mm_set_epi64x((long long)j->ad_len * 8, (long long)j->len * 8);

		multiply(&p, &s, WIDE - 1, _mm_xor_si128(s.y, lengths));
		store(tag, _mm_xor_si128(reversed(reduce(&p)), first));
	}
	explicit_bzero(&s, sizeof(s));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the place of musl's memcmp, which compares byte by byte: verifying a copy and
 * looking for zeroes are memcmp over whole chunks.
 */
#include <stdint.h>
#include <string.h>

/* Eight bytes at any address. */
struct word {
	uint64_t v;
} __attribute__((packed, may_alias));

int memcmp(const void *vl, const void *vr, size_t n)
{
	const unsigned char *l = vl, *r = vr;

	while (n >= 32) {
		const struct word *a = (const void *)l, *b = (const void *)r;

		if ((a[0].v ^ b[0].v) | (a[1].v ^ b[1].v) | (a[2].v ^ b[2].v) |
		    (a[3].v ^ b[3].v))
			break;
		l += 32;
		r += 32;
		n -= 32;
	}
	for (; n > 0; n--, l++, r++) {
		if (*l != *r)
			return *l - *r;
	}
	return 0;
}

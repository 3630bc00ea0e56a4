/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

/* An OR over 64 bytes a step is what gcc and clang turn into vector code; the early exit
 * per 4 KiB keeps data pages, which mostly differ in their first bytes, cheap. */
static bool block_is_zero(const uint8_t *b, size_t len)
{
	uint64_t acc = 0, w[8];
	size_t i = 0;

	for (; len - i >= sizeof(w); i += sizeof(w)) {
		memcpy(w, b + i, sizeof(w));
		acc |= w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7];
	}
	for (; i < len; i++)
		acc |= b[i];
	return !acc;
}

bool bytes_are_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t off = 0; off < len; off += 4096) {
		size_t n = len - off < 4096 ? len - off : 4096;

		if (!block_is_zero(b + off, n))
			return false;
	}
	return true;
}

unsigned bytes_utf8_length(const unsigned char *s)
{
	unsigned n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 :
		(s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

/* An OR over 64 bytes a step is what gcc and clang turn into vector code; the early exit per
 * 4 KiB keeps data pages, which mostly differ in their first bytes, cheap. */
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

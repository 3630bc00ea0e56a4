/* SPDX-License-Identifier: Apache-2.0 */
/* Unaligned little- and big-endian integers in byte buffers,
 * and arithmetic with a check. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_le16(const void *p)
{
	const uint8_t *b = p;
	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t bytes_le32(const void *p)
{
	const uint8_t *b = p;
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t bytes_le64(const void *p)
{
	return bytes_le32(p) | (uint64_t)bytes_le32((const uint8_t *)p + 4) << 32;
}

static inline uint16_t bytes_be16(const void *p)
{
	return __builtin_bswap16(bytes_le16(p));
}

static inline uint32_t bytes_be32(const void *p)
{
	return __builtin_bswap32(bytes_le32(p));
}

static inline uint64_t bytes_be64(const void *p)
{
	return __builtin_bswap64(bytes_le64(p));
}

static inline void bytes_put_le16(void *p, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };
	memcpy(p, b, 2);
}

static inline void bytes_put_le32(void *p, uint32_t v)
{
	bytes_put_le16(p, (uint16_t)v);
	bytes_put_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void bytes_put_le64(void *p, uint64_t v)
{
	bytes_put_le32(p, (uint32_t)v);
	bytes_put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline void bytes_put_be16(void *p, uint16_t v)
{
	bytes_put_le16(p, __builtin_bswap16(v));
}

static inline void bytes_put_be32(void *p, uint32_t v)
{
	bytes_put_le32(p, __builtin_bswap32(v));
}

static inline void bytes_put_be64(void *p, uint64_t v)
{
	bytes_put_le64(p, __builtin_bswap64(v));
}

/* Whether [off, off + len) lies within [0, size), without overflow. */
static inline bool bytes_in_range(uint64_t off, uint64_t len, uint64_t size)
{
	return len <= size && off <= size - len;
}

/* Whether all len bytes are zero. Never memcmp: musl's is a byte loop. */
bool bytes_are_zero(const void *p, size_t len);

/* Length of the UTF-8 sequence at s, which ends with a NUL somewhere; 0 when there is
 * none (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
unsigned bytes_utf8_length(const unsigned char *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The compressions that Linux can start an initramfs with, as streams over one input. */
#include "initrd/initrd-internal.h"

#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"

#define LZMA_MEMORY (100u << 20)
#define ZSTD_WINDOW_LOG_MAX 27 /* what the kernel's own decoder accepts */
#define LZ4_BLOCK (8u << 20)   /* of the legacy format, unpacked */
#define LZ4_MAGIC 0x184c2102u

struct decoder {
	const char *name;
	uint8_t magic[6];
	size_t magic_len;
	/* NULL: known by name only. */
	enum initrd_status (*open)(struct stream *s);
	size_t (*read)(struct stream *s, uint8_t *buf, size_t len);
	void (*close)(struct stream *s);
};

bool initrd_input_fill(struct input *in, size_t n)
{
	if (in->end - in->at >= n)
		return true;
	memmove(in->buf, in->buf + in->at, in->end - in->at);
	in->end -= in->at;
	in->at = 0;
	while (in->end < n && !in->eof) {
		ssize_t got = in->read(in->ctx, in->buf + in->end,
			sizeof(in->buf) - in->end);

		if (got < 0 || (size_t)got > sizeof(in->buf) - in->end)
			in->failed = true;
		if (got <= 0 || in->failed) {
			in->eof = true;
			break;
		}
		in->end += (size_t)got;
	}
	return in->end >= n;
}

static void consume(struct input *in, size_t n)
{
	in->at += n;
	in->taken += n;
}

/* Marks the end of a stream; a short input is corrupt, whatever the decoder says. */
static size_t end_stream(struct stream *s, enum initrd_status status)
{
	s->ended = true;
	s->status = s->in->failed ? INITRD_READ : status;
	return 0;
}

static enum initrd_status gzip_open(struct stream *s)
{
	z_stream *z = calloc(1, sizeof(*z));

	s->state = z;
	if (!z || inflateInit2(z, 15 + 16) != Z_OK)
		return INITRD_NO_MEMORY;
	return INITRD_OK;
}

static size_t gzip_read(struct stream *s, uint8_t *buf, size_t len)
{
	z_stream *z = s->state;

	z->next_out = buf;
	z->avail_out = (uInt)len;
	while (z->avail_out == len) {
		size_t had;
		int result;

		if (!initrd_input_fill(s->in, 1))
			return end_stream(s, INITRD_CORRUPT);
		had = s->in->end - s->in->at;
		z->next_in = s->in->buf + s->in->at;
		z->avail_in = (uInt)had;
		result = inflate(z, Z_NO_FLUSH);
		consume(s->in, had - z->avail_in);
		if (result == Z_STREAM_END) {
			s->ended = true;
			break;
		}
		if (result != Z_OK)
			return end_stream(s, result == Z_MEM_ERROR ? INITRD_NO_MEMORY :
				INITRD_CORRUPT);
	}
	return len - z->avail_out;
}

static void gzip_close(struct stream *s)
{
	if (s->state)
		inflateEnd(s->state);
	free(s->state);
}

static enum initrd_status lzma_open(struct stream *s, bool alone)
{
	lzma_stream *l = calloc(1, sizeof(*l));
	lzma_ret result;

	s->state = l;
	if (!l)
		return INITRD_NO_MEMORY;
	*l = (lzma_stream)LZMA_STREAM_INIT;
	/* The kernel knows one stream and no other check than CRC32;
	 * we need not be as strict. */
	result = alone ? lzma_alone_decoder(l, LZMA_MEMORY) :
		lzma_stream_decoder(l, LZMA_MEMORY, 0);
	return result == LZMA_OK ? INITRD_OK : INITRD_NO_MEMORY;
}

static enum initrd_status xz_open(struct stream *s)
{
	return lzma_open(s, false);
}

static enum initrd_status alone_open(struct stream *s)
{
	return lzma_open(s, true);
}

static size_t xz_read(struct stream *s, uint8_t *buf, size_t len)
{
	lzma_stream *l = s->state;

	l->next_out = buf;
	l->avail_out = len;
	while (l->avail_out == len) {
		size_t had;
		lzma_ret result;

		if (!initrd_input_fill(s->in, 1))
			return end_stream(s, INITRD_CORRUPT);
		had = s->in->end - s->in->at;
		l->next_in = s->in->buf + s->in->at;
		l->avail_in = had;
		result = lzma_code(l, LZMA_RUN);
		consume(s->in, had - l->avail_in);
		if (result == LZMA_STREAM_END) {
			s->ended = true;
			break;
		}
		if (result == LZMA_MEM_ERROR || result == LZMA_MEMLIMIT_ERROR)
			return end_stream(s, INITRD_NO_MEMORY);
		if (result != LZMA_OK)
			return end_stream(s, INITRD_CORRUPT);
	}
	return len - l->avail_out;
}

static void xz_close(struct stream *s)
{
	if (s->state)
		lzma_end(s->state);
	free(s->state);
}

static enum initrd_status zstd_open(struct stream *s)
{
	s->state = ZSTD_createDStream();
	if (!s->state ||
		ZSTD_isError(ZSTD_DCtx_setParameter(s->state, ZSTD_d_windowLogMax,
			ZSTD_WINDOW_LOG_MAX)))
		return INITRD_NO_MEMORY;
	return INITRD_OK;
}

static size_t zstd_read(struct stream *s, uint8_t *buf, size_t len)
{
	ZSTD_outBuffer out = { buf, len, 0 };

	while (!out.pos) {
		ZSTD_inBuffer in;
		size_t result;

		if (!initrd_input_fill(s->in, 1))
			return end_stream(s, INITRD_CORRUPT);
		in = (ZSTD_inBuffer){ s->in->buf + s->in->at, s->in->end - s->in->at, 0 };
		result = ZSTD_decompressStream(s->state, &out, &in);
		consume(s->in, in.pos);
		if (ZSTD_isError(result))
			return end_stream(s, INITRD_CORRUPT);
		if (!result) { /* a frame ended; a tool with threads may
				* have written several */
			uint8_t *m;

			if (!initrd_input_fill(s->in, 4)) {
				s->ended = true;
				break;
			}
			m = s->in->buf + s->in->at;
			if (bytes_le32(m) != 0xfd2fb528u &&
			    (bytes_le32(m) & ~0xfu) != 0x184d2a50u) {
				s->ended = true;
				break;
			}
		}
	}
	return out.pos;
}

static void zstd_close(struct stream *s)
{
	ZSTD_freeDStream(s->state);
}

/* The legacy format of `lz4 -l`: magic, then blocks of (packed size, data). The packed
 * block is larger than the input's buffer and goes into state. */
static enum initrd_status lz4_open(struct stream *s)
{
	s->out = malloc(LZ4_BLOCK);
	s->state = malloc(LZ4_COMPRESSBOUND(LZ4_BLOCK));
	if (!s->out || !s->state)
		return INITRD_NO_MEMORY;
	consume(s->in, 4);
	return INITRD_OK;
}

static bool take(struct input *in, uint8_t *to, size_t len)
{
	while (len) {
		size_t n;

		if (!initrd_input_fill(in, 1))
			return false;
		n = in->end - in->at < len ? in->end - in->at : len;
		memcpy(to, in->buf + in->at, n);
		consume(in, n);
		to += n;
		len -= n;
	}
	return true;
}

static size_t lz4_read(struct stream *s, uint8_t *buf, size_t len)
{
	size_t n;

	while (s->out_at == s->out_end) {
		uint32_t packed;
		int got;

		if (!initrd_input_fill(s->in, 4)) {
			s->ended = true;
			return 0;
		}
		packed = bytes_le32(s->in->buf + s->in->at);
		if (packed == LZ4_MAGIC) {
			consume(s->in, 4);
			continue;
		}
		/* Zeroes or the next archive: not a block. */
		if (!packed || packed > LZ4_COMPRESSBOUND(LZ4_BLOCK)) {
			s->ended = true;
			return 0;
		}
		consume(s->in, 4);
		if (!take(s->in, s->state, packed))
			return end_stream(s, INITRD_CORRUPT);
		got = LZ4_decompress_safe(s->state, (char *)s->out, (int)packed,
			LZ4_BLOCK);
		if (got < 0)
			return end_stream(s, INITRD_CORRUPT);
		s->out_at = 0;
		s->out_end = (size_t)got;
	}
	n = s->out_end - s->out_at < len ? s->out_end - s->out_at : len;
	memcpy(buf, s->out + s->out_at, n);
	s->out_at += n;
	return n;
}

static void lz4_close(struct stream *s)
{
	free(s->out);
	free(s->state);
}

static const struct decoder decoders[] = {
	{ "gzip", { 0x1f, 0x8b }, 2, gzip_open, gzip_read, gzip_close },
	{ "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4, zstd_open, zstd_read, zstd_close },
	{ "xz", { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, xz_open, xz_read, xz_close },
	{ "lz4", { 0x02, 0x21, 0x4c, 0x18 }, 4, lz4_open, lz4_read, lz4_close },
	{ "lzma", { 0x5d, 0, 0 }, 3, alone_open, xz_read, xz_close },
	{ "bzip2", { 'B', 'Z', 'h' }, 3, NULL, NULL, NULL },
	{ "lzo", { 0x89, 'L', 'Z', 'O', 0 }, 5, NULL, NULL, NULL },
};
#define N_DECODERS (sizeof(decoders) / sizeof(decoders[0]))

const struct decoder *initrd_decoder_find(struct input *in)
{
	for (size_t i = 0; i < N_DECODERS; i++)
		if (initrd_input_fill(in, decoders[i].magic_len) &&
			!memcmp(in->buf + in->at, decoders[i].magic,
				decoders[i].magic_len))
			return &decoders[i];
	return NULL;
}

const char *initrd_decoder_name(const struct decoder *d)
{
	return d->name;
}

bool initrd_decoder_built_in(const struct decoder *d)
{
	return d->open != NULL;
}

enum initrd_status initrd_stream_open(struct stream *s, struct input *in,
	const struct decoder *d)
{
	enum initrd_status status = INITRD_OK;

	*s = (struct stream){ .in = in, .decoder = d };
	if (d)
		status = d->open(s);
	if (status)
		initrd_stream_close(s);
	return status;
}

void initrd_stream_close(struct stream *s)
{
	if (s->decoder)
		s->decoder->close(s);
	s->decoder = NULL;
	s->ended = true;
}

size_t initrd_stream_read(struct stream *s, void *buf, size_t len)
{
	size_t n;

	if (s->ended || !len)
		return 0;
	if (s->decoder)
		return s->decoder->read(s, buf, len);
	if (!initrd_input_fill(s->in, 1))
		return end_stream(s, INITRD_OK);
	n = s->in->end - s->in->at < len ? s->in->end - s->in->at : len;
	memcpy(buf, s->in->buf + s->in->at, n);
	consume(s->in, n);
	return n;
}

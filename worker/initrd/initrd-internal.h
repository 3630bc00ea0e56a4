/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INITRD_INITRD_INTERNAL_H
#define INITRD_INITRD_INTERNAL_H

#include "initrd/initrd.h"

/* decompress.c */
struct stream;
/* The input with what was looked at ahead of time. */
struct input {
	ssize_t (*read)(void *ctx, void *buf, size_t len);
	void *ctx;
	uint8_t buf[65536];
	size_t at, end;
	uint64_t taken; /* bytes consumed */
	bool failed, eof;
};
/* Makes at least n bytes (n <= sizeof buf) readable; false at the end of the input. */
bool initrd_input_fill(struct input *in, size_t n);

/* Bytes to read archives from: the input itself or what a decoder makes of it. */
struct stream {
	struct input *in;
	const struct decoder *decoder; /* NULL: plain */
	void *state;
	uint8_t *out;                  /* lz4 only: one unpacked block */
	size_t out_at, out_end;
	bool ended;
	enum initrd_status status;     /* why a read came short */
};
/* The decoder for what comes next in the input; NULL if it is none. */
const struct decoder *initrd_decoder_find(struct input *in);
const char *initrd_decoder_name(const struct decoder *d);
bool initrd_decoder_built_in(const struct decoder *d);
enum initrd_status initrd_stream_open(struct stream *s, struct input *in,
	const struct decoder *d);
void initrd_stream_close(struct stream *s);
/* At most len bytes; 0 at the end of the stream (s->status tells a
 * good one from a bad). */
size_t initrd_stream_read(struct stream *s, void *buf, size_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "initrd/initrd-internal.h"

#include "base/cleanup.h"

static enum initrd_status expand(struct input *in, size_t max, struct strbuf *out)
{
	const struct decoder *d = initrd_decoder_find(in);
	uint8_t chunk[16384];
	enum initrd_status status;
	struct stream s;
	size_t n;

	if (d && !initrd_decoder_built_in(d))
		return INITRD_UNSUPPORTED;
	status = initrd_stream_open(&s, in, d);
	if (status)
		return status;
	while (out->len <= max && (n = initrd_stream_read(&s, chunk, sizeof(chunk))))
		strbuf_add(out, chunk, n);
	status = out->failed ? INITRD_NO_MEMORY : out->len > max ? INITRD_TOO_LARGE :
		s.status;
	initrd_stream_close(&s);
	return status;
}

enum initrd_status initrd_expand(struct initrd_reader *r, size_t max, struct strbuf *out)
{
	CLEANUP_FREE struct input *in = calloc(1, sizeof(*in));

	if (!in)
		return INITRD_NO_MEMORY;
	in->read = r->read;
	in->ctx = r->ctx;
	return expand(in, max, out);
}

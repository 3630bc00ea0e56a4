/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of the source's leaves: told by the transport that can,
 * else made of what is read. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxh_x86dispatch.h>

#include "base/bytes.h"
#include "source/source-internal.h"

#define HASH_TIMEOUT_MS 120000
#define READ_ALIGN 4096

uint64_t source_hash_seed(const struct source *s)
{
	return s->seed;
}

void source_hash_leaf(const struct source *s, const void *buf, size_t len,
	struct source_hash *ret)
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits_withSeed(buf, len, s->seed));
	memcpy(ret->b, c.digest, sizeof(ret->b));
}

/* Reads one piece by itself: only for channels without other requests. */
static int read_piece(struct source_chan *c, struct source_req *r, struct err *err)
{
	struct source_req *done = NULL;

	if (source_submit(c, r, err) < 0)
		return -1;
	while (!done)
		if (source_reap(c, HASH_TIMEOUT_MS, &done, err) < 0)
			return -1;
	if (r->status < 0) {
		*err = r->err;
		return -1;
	}
	return 0;
}

int source_hashes(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_hash *ret, struct err *err)
{
	struct source_req r = { .verb = SOURCE_READ };
	uint32_t step = c->src->info.max_request;
	int status = 0;

	if (!bytes_in_range(off, len, c->src->info.size) || off % SOURCE_LEAF)
		return err_set(err, ERR_INTERNAL, "%s: hashes of %" PRIu64 " at %" PRIu64,
			c->src->name, len, off);
	if (c->src->ops->hashes)
		return c->src->ops->hashes(c, off, len, ret, err);
	if (c->in_flight || step < SOURCE_LEAF)
		return err_set(err, ERR_INTERNAL,
			"%s: hashes by reading on a busy channel", c->src->name);
	r.buf = aligned_alloc(READ_ALIGN, SOURCE_MAX_REQUEST);
	if (!r.buf)
		return err_set(err, ERR_NOMEM, "%s: out of memory", c->src->name);
	for (uint64_t at = 0; at < len && !status; at += r.len) {
		r.off = off + at;
		r.len = (uint32_t)(len - at < step ? len - at : step);
		status = read_piece(c, &r, err);
		for (uint32_t i = 0; !status && i * SOURCE_LEAF < r.len; i++) {
			uint32_t p = i * SOURCE_LEAF;
			uint32_t n = r.len - p < SOURCE_LEAF ? r.len - p : SOURCE_LEAF;

			if (r.zero & 1u << i)
				memset((uint8_t *)r.buf + p, 0, n);
			source_hash_leaf(c->src, (uint8_t *)r.buf + p, n, ret++);
		}
	}
	free(r.buf);
	return status;
}

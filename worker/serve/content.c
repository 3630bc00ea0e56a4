/* SPDX-License-Identifier: Apache-2.0 */
/* What drives hold: read, tested for zeroes, hashed, compared, compressed, sent. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <lz4.h>
#include <xxh_x86dispatch.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "serve/serve-internal.h"

#define PROGRESS_MS 1000
#define POOR_CHUNKS 8   /* after so many that did not shrink ... */
#define SKIP_CHUNKS 32  /* ... so many are sent as they are */
#define PROBE (16u << 10)

static void hash_leaf(const struct serve_conn *c, const uint8_t *leaf, uint32_t len,
	uint8_t *ret)
{
	XXH128_canonical_t h;

	XXH128_canonicalFromHash(&h, XXH3_128bits_withSeed(leaf, len, c->seed));
	memcpy(ret, h.digest, PROTO_HASH_LEN);
}

static bool same_hash(const uint8_t *a, const uint8_t *b)
{
	return bytes_le64(a) == bytes_le64(b) && bytes_le64(a + 8) == bytes_le64(b + 8);
}

/* 0, or -1 with the reply already sent and *status its result. */
static int read_piece(struct serve_conn *c, const struct serve_request *q, uint64_t off,
	uint32_t len, uint8_t **ret_data, int *status, struct err *err)
{
	struct serve_drive *d = &c->serve->drives[q->f.disk];
	bool skip = d->unused && serve_session_holds(c->serve, c->session);
	struct err failed = ERR_INIT;
	char text[160];
	int sys = 0;

	if ((skip ? serve_unused_read : serve_drive_read)(d, c->buf, off, len,
		ret_data) < 0)
		sys = errno;
	if (serve_caught_intact(c, q->f.disk, sys, &failed) < 0) {
		*status = serve_conn_error(c, &q->f, failed.sys, failed.text, err);
		return -1;
	}
	if (sys) {
		snprintf(text, sizeof(text), "drive %s: read %u bytes at %llu: %s",
			d->name, len, (unsigned long long)off, err_text(sys));
		*status = serve_conn_error(c, &q->f, sys, text, err);
		return -1;
	}
	if (!serve_session_intact(c->serve, c->session)) {
		*status = serve_conn_error(c, &q->f, ESTALE,
			"the source's file systems had to be "
			"thawed; use a longer --freeze, or serve a snapshot", err);
		return -1;
	}
	return 0;
}

/* Tries to shrink raw bytes into out; the length, or 0 to send them as they are. */
static uint32_t compress(struct serve_conn *c, const uint8_t *from, uint32_t raw,
	uint8_t *out)
{
	char probe[LZ4_COMPRESSBOUND(PROBE)];
	int n = 1, limit = (int)(raw - raw / 16);

	if (!(c->features & PROTO_FEATURE_LZ4) || raw < 512)
		return 0;
	if (c->skip) {
		c->skip--;
		return 0;
	}
	/* What looks random at its beginning mostly stays so. */
	if (c->poor && raw > 4 * PROBE)
		n = LZ4_compress_default((const char *)from, probe, PROBE,
			PROBE - PROBE / 16);
	if (n > 0)
		n = LZ4_compress_default((const char *)from, (char *)out, (int)raw,
			limit);
	if (n > 0) {
		c->poor = 0;
		return (uint32_t)n;
	}
	if (++c->poor >= POOR_CHUNKS) {
		c->poor = POOR_CHUNKS - 1;
		c->skip = SKIP_CHUNKS;
	}
	return 0;
}

/* Sleeps as the limits demand, but goes on answering. */
static int throttle(struct serve_conn *c, uint64_t bytes, struct err *err)
{
	struct serve_limit *mine = &c->session->limit;
	unsigned changes = mine->changes;
	uint64_t all = serve_limit_take(&c->serve->limit, bytes);
	uint64_t own = serve_limit_take(mine, bytes), start = clock_now_ns(), past;

	while ((past = clock_now_ns() - start) < (all > own ? all : own) &&
	    !c->serve->stop) {
		uint64_t left = (all > own ? all : own) - past;
		struct timespec ts =
			{ .tv_nsec = left < 100000000u ? (long)left : 100000000 };

		if (mine->changes != changes) {
			own = 0;
			continue;
		}

		nanosleep(&ts, NULL);
		if (serve_conn_drain(c, err) < 0)
			return -1;
	}
	return 0;
}

int serve_content_read(struct serve_conn *c, const struct serve_request *q,
	struct err *err)
{
	struct proto_frame f = { .type = PROTO_DATA, .disk = q->f.disk, .id = q->f.id,
		.off = q->f.off };
	bool diff = q->f.type == PROTO_READ_IF_DIFF;
	uint32_t same = 0, zero = 0, raw = 0, packed;
	uint8_t *payload = c->out + PROTO_HEADER, *hashes = payload + 8, *data, *to;
	struct iovec iov[2];
	int status;

	if (read_piece(c, q, q->f.off, q->f.raw, &data, &status, err) < 0)
		return status;
	to = data;
	for (unsigned i = 0; i < proto_leaves(q->f.raw); i++) {
		const uint8_t *leaf = data + (size_t)i * PROTO_LEAF;
		uint32_t n = proto_leaf_len(q->f.raw, i);

		if (!diff && bytes_are_zero(leaf, n)) {
			zero |= 1u << i;
			continue;
		}
		hash_leaf(c, leaf, n, hashes);
		if (diff && same_hash(hashes, q->payload + i * PROTO_HASH_LEN)) {
			same |= 1u << i;
			continue;
		}
		if (diff && bytes_are_zero(leaf, n)) {
			zero |= 1u << i;
			continue;
		}
		if (to != leaf) /* leaves that are left out make room */
			memmove(to, leaf, n);
		to += n;
		raw += n;
		hashes += PROTO_HASH_LEN;
	}
	bytes_put_le32(payload, same);
	bytes_put_le32(payload + 4, zero);
	packed = compress(c, data, raw, hashes);
	f.flags = packed ? PROTO_LZ4 : 0;
	f.raw = raw;
	f.len = (uint32_t)(hashes - payload) + (packed ? packed : raw);
	proto_put_header(c->out, &f);
	c->data += q->f.raw;
	c->sent += PROTO_HEADER + f.len;
	if (throttle(c, PROTO_HEADER + f.len, err) < 0)
		return -1;
	iov[0] = (struct iovec){ c->out, (size_t)(hashes - c->out) + packed };
	iov[1] = (struct iovec){ data, raw };
	return net_writev(c->stream, iov, packed || !raw ? 1 : 2, err);
}

static int tell_progress(struct serve_conn *c, const struct proto_frame *request,
	uint64_t done, struct err *err)
{
	struct proto_frame f = { .type = PROTO_PROGRESS, .disk = request->disk,
		.id = request->id,
		.off = done };

	if (clock_now_ms() - c->told_ms < PROGRESS_MS)
		return 0;
	c->told_ms = clock_now_ms();
	if (serve_conn_drain(c, err) < 0)
		return -1;
	return serve_conn_send(c, &f, NULL, err);
}

int serve_content_hash(struct serve_conn *c, const struct serve_request *q,
	struct err *err)
{
	struct proto_frame f = { .type = PROTO_HASH_LIST, .disk = q->f.disk,
		.id = q->f.id,
		.off = q->f.off, .raw = q->f.raw };
	uint8_t *to = c->out + PROTO_HEADER, *data;
	uint32_t done = 0;
	int status;

	c->told_ms = clock_now_ms();
	while (done < q->f.raw) {
		uint32_t len = q->f.raw - done < PROTO_MAX_READ ? q->f.raw - done :
			PROTO_MAX_READ;

		if (q->cancelled)
			return serve_conn_error(c, &q->f, ECANCELED, "cancelled", err);
		if (read_piece(c, q, q->f.off + done, len, &data, &status, err) < 0)
			return status;
		for (unsigned i = 0; i < proto_leaves(len); i++, to += PROTO_HASH_LEN)
			hash_leaf(c, data + (size_t)i * PROTO_LEAF,
				proto_leaf_len(len, i), to);
		done += len;
		if (tell_progress(c, &q->f, done, err) < 0)
			return -1;
	}
	f.len = (uint32_t)(to - c->out) - PROTO_HEADER;
	return serve_conn_send(c, &f, c->out + PROTO_HEADER, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: reads a request, answers it, reads the next. Several connections of a session
 * are what runs in parallel. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define HANDSHAKE_MS 15000
#define SILENT_MS 120000 /* a client pings every 10 s */
#define SPARE (2 * 4096u)
/* Compression is tried on one chunk of so many after 8 that did not shrink by 6 %. */
#define POOR_LIMIT 8
#define POOR_SKIP 32

struct conn {
	struct serve *sv;
	struct stream *s;
	struct proto_hello hello;
	bool lz4;
	unsigned poor, skip;
	uint8_t zero_hash[PROTO_HASH_LEN]; /* of a whole leaf of zeroes */
	uint8_t *in;     /* PROTO_MAX_PAYLOAD */
	uint8_t *disk;   /* PROTO_MAX_READ + SPARE, aligned */
	uint8_t *packed; /* PROTO_MAX_READ: the leaves to send */
	uint8_t *out;    /* prefix and LZ4 block */
	size_t out_size;
};

static int reply(struct conn *c, const struct proto_frame *f, const struct iovec *body, int n,
	struct err *err)
{
	uint8_t head[PROTO_HEADER];
	struct iovec iov[4] = { { head, sizeof(head) } };

	proto_put_header(head, f);
	for (int i = 0; i < n; i++)
		iov[i + 1] = body[i];
	serve_limit_wait(&c->sv->limit, sizeof(head) + f->len, &c->sv->stop);
	return net_writev(c->s, iov, n + 1, err);
}

static int reply_with(struct conn *c, const struct proto_frame *q, enum proto_type type,
	const void *body, size_t len, struct err *err)
{
	struct proto_frame f = { .type = (uint8_t)type, .disk = q->disk, .id = q->id,
		.off = q->off, .raw = q->raw, .len = (uint32_t)len };
	struct iovec iov = { (void *)(uintptr_t)body, len };

	return reply(c, &f, &iov, len ? 1 : 0, err);
}

static int refuse(struct conn *c, const struct proto_frame *q, int sys, const char *text,
	struct err *err)
{
	struct proto_frame f = { .type = PROTO_ERROR, .disk = q->disk, .id = q->id,
		.off = q->off, .raw = (uint32_t)sys, .len = (uint32_t)strlen(text) };
	struct iovec iov = { (void *)(uintptr_t)text, f.len };

	log_warn("%s: %s", net_name(c->s), text);
	return reply(c, &f, &iov, f.len ? 1 : 0, err);
}

static int refuse_read(struct conn *c, const struct proto_frame *q, uint64_t off, int sys,
	struct err *err)
{
	char text[256];

	snprintf(text, sizeof(text), "read %s at %" PRIu64 ": %s",
		c->sv->drives[q->disk].info.name, off, strerror(sys));
	return refuse(c, q, sys, text, err);
}

static void hash_leaf(const struct conn *c, const uint8_t *p, uint32_t len, uint8_t *ret)
{
	XXH128_canonical_t h;

	XXH128_canonicalFromHash(&h, XXH3_128bits_withSeed(p, len, c->hello.seed));
	memcpy(ret, h.digest, PROTO_HASH_LEN);
}

/* Leaves that must be sent are hashed and, if others lie between them, packed together. */
static const uint8_t *sort_leaves(struct conn *c, const struct proto_frame *q, const uint8_t *p,
	bool diff, uint8_t *prefix, uint32_t *ret_prefix, uint32_t *ret_raw)
{
	uint32_t same = 0, zero = 0, raw = 0;
	uint8_t *hash = prefix + 8;
	bool gap = false;

	for (unsigned i = 0; i < proto_leaves(q->raw); i++) {
		const uint8_t *leaf = p + i * PROTO_LEAF;
		uint32_t n = proto_leaf_len(q->raw, i);
		bool is_zero = bytes_are_zero(leaf, n);

		if (is_zero && n == PROTO_LEAF)
			memcpy(hash, c->zero_hash, PROTO_HASH_LEN);
		else if (diff || !is_zero)
			hash_leaf(c, leaf, n, hash);
		if (diff && bytes_le64(hash) == bytes_le64(c->in + i * PROTO_HASH_LEN) &&
			bytes_le64(hash + 8) == bytes_le64(c->in + i * PROTO_HASH_LEN + 8)) {
			same |= 1u << i;
		} else if (is_zero) {
			zero |= 1u << i;
		} else {
			if (gap)
				memcpy(c->packed + raw, leaf, n);
			raw += n;
			hash += PROTO_HASH_LEN;
			continue;
		}
		if (!gap)
			memcpy(c->packed, p, raw);
		gap = true;
	}
	bytes_put_le32(prefix, same);
	bytes_put_le32(prefix + 4, zero);
	*ret_prefix = (uint32_t)(hash - prefix);
	*ret_raw = raw;
	return gap ? c->packed : p;
}

/* Bytes of the LZ4 block in c->out, 0 when it is not worth it. */
static uint32_t compress(struct conn *c, const uint8_t *p, uint32_t len)
{
	int n, limit = (int)(len - len / 16);

	if (!c->lz4 || len < 512)
		return 0;
	if (c->skip) {
		c->skip--;
		return 0;
	}
	n = LZ4_compress_default((const char *)p, (char *)c->out, (int)len,
		limit < (int)c->out_size ? limit : (int)c->out_size);
	if (n > 0) {
		c->poor = 0;
		return (uint32_t)n;
	}
	if (++c->poor >= POOR_LIMIT)
		c->skip = POOR_SKIP;
	return 0;
}

static int do_read(struct conn *c, const struct proto_frame *q, struct err *err)
{
	const struct serve_drive *d = &c->sv->drives[q->disk];
	bool diff = q->type == PROTO_READ_IF_DIFF;
	uint8_t prefix[PROTO_DATA_PREFIX(PROTO_MAX_LEAVES)], *p;
	struct proto_frame f = { .type = PROTO_DATA, .disk = q->disk, .id = q->id, .off = q->off };
	struct iovec body[2] = { { prefix, 0 } };
	const uint8_t *data;
	uint32_t head, n;

	if (!q->raw || q->raw > PROTO_MAX_READ || !bytes_in_range(q->off, q->raw, d->info.size) ||
		q->len != (diff ? proto_leaves(q->raw) * PROTO_HASH_LEN : 0))
		return err_set(err, ERR_SRC_PROTO, "impossible read of %" PRIu32 " at %" PRIu64,
			q->raw, q->off);
	if (serve_drive_read(d, c->disk, q->off, q->raw, &p) < 0)
		return refuse_read(c, q, q->off, errno, err);
	if (!serve_capture_valid(&c->sv->capture, c->hello.job))
		return refuse(c, q, ESTALE, "the file systems were let go before everything was "
			"read; begin the copy again, or allow more time with --freeze", err);
	data = sort_leaves(c, q, p, diff, prefix, &head, &f.raw);
	n = compress(c, data, f.raw);
	f.flags = n ? PROTO_LZ4 : 0;
	body[0].iov_len = head;
	body[1] = (struct iovec){ n ? c->out : (void *)(uintptr_t)data, n ? n : f.raw };
	f.len = head + (uint32_t)body[1].iov_len;
	return reply(c, &f, body, body[1].iov_len ? 2 : 1, err);
}

static int do_hash(struct conn *c, const struct proto_frame *q, struct err *err)
{
	const struct serve_drive *d = &c->sv->drives[q->disk];
	uint64_t said = clock_now_ms();
	uint8_t *hashes = c->packed, *p;
	unsigned n = 0;

	if (!q->raw || q->raw > PROTO_MAX_HASH || !bytes_in_range(q->off, q->raw, d->info.size))
		return err_set(err, ERR_SRC_PROTO, "impossible hash of %" PRIu32 " at %" PRIu64,
			q->raw, q->off);
	for (uint32_t at = 0; at < q->raw;) {
		uint32_t len = q->raw - at < PROTO_MAX_READ ? q->raw - at : PROTO_MAX_READ;

		if (serve_drive_read(d, c->disk, q->off + at, len, &p) < 0)
			return refuse_read(c, q, q->off + at, errno, err);
		for (unsigned i = 0; i < proto_leaves(len); i++)
			hash_leaf(c, p + i * PROTO_LEAF, proto_leaf_len(len, i),
				hashes + n++ * PROTO_HASH_LEN);
		at += len;
		if (clock_now_ms() - said > 1000) {
			struct proto_frame f = { .type = PROTO_PROGRESS, .id = q->id, .off = at };

			said = clock_now_ms();
			if (reply(c, &f, NULL, 0, err) < 0)
				return -1;
		}
	}
	if (!serve_capture_valid(&c->sv->capture, c->hello.job))
		return refuse(c, q, ESTALE, "the file systems were let go", err);
	return reply_with(c, q, PROTO_HASH_LIST, hashes, n * PROTO_HASH_LEN, err);
}

static int do_extents(struct conn *c, const struct proto_frame *q, struct err *err)
{
	const struct serve_drive *d = &c->sv->drives[q->disk];
	uint64_t len = (uint64_t)q->raw * 4096;
	struct proto_extent list[512];
	size_t n;

	if (q->off >= d->info.size)
		return err_set(err, ERR_SRC_PROTO, "impossible extents at %" PRIu64, q->off);
	if (!len || len > d->info.size - q->off)
		len = d->info.size - q->off;
	n = serve_drive_extents(d, q->off, len, list, 512);
	return reply_with(c, q, PROTO_EXTENT_LIST, c->out,
		proto_put_extents(c->out, c->out_size, list, n), err);
}

static int do_disks(struct conn *c, const struct proto_frame *q, struct err *err)
{
	size_t used = 0;

	for (int i = 0; i < c->sv->n_drives; i++) {
		struct proto_disk d = c->sv->drives[i].info;

		if (d.id == i && c->sv->capture.freezer.fd >= 0)
			strcpy(d.consistency, "fs");
		used += proto_put_disk(c->out + used, c->out_size - used, &d);
	}
	return reply_with(c, q, PROTO_DISK_LIST, c->out, used, err);
}

static int do_commit(struct conn *c, const struct proto_frame *q, struct err *err)
{
	struct err failed = ERR_INIT;

	if (c->sv->opt.state_dir &&
		serve_journal_write(c->sv->opt.state_dir, c->hello.job,
			&c->sv->drives[q->disk].info, c->in, q->len, &failed) < 0)
		return refuse(c, q, failed.sys ? failed.sys : EIO, failed.text, err);
	return reply_with(c, q, PROTO_DONE, NULL, 0, err);
}

static int do_resume(struct conn *c, const struct proto_frame *q, struct err *err)
{
	struct err failed = ERR_INIT;
	size_t len = 0;

	if (c->sv->opt.state_dir &&
		serve_journal_read(c->sv->opt.state_dir, c->hello.job,
			&c->sv->drives[q->disk].info, c->packed, PROTO_MAX_READ, &len,
			&failed) < 0)
		return refuse(c, q, failed.sys ? failed.sys : EIO, failed.text, err);
	return reply_with(c, q, PROTO_JOURNAL, c->packed, len, err);
}

static int do_bye(struct conn *c, const struct proto_frame *q, struct err *err)
{
	if (q->raw == 1) {
		log_info("%s: job %s has everything", net_name(c->s), c->hello.job);
		serve_capture_release(&c->sv->capture, c->hello.job);
		if (c->sv->opt.state_dir)
			for (int i = 0; i < c->sv->n_drives; i++)
				serve_journal_remove(c->sv->opt.state_dir, c->hello.job,
					&c->sv->drives[i].info);
	}
	return reply_with(c, q, PROTO_DONE, NULL, 0, err);
}

static int do_limit(struct conn *c, const struct proto_frame *q, struct err *err)
{
	uint64_t rate = q->off, own = c->sv->opt.bandwidth;

	/* The owner of the source may be asked for less, never for more. */
	if (own && (!rate || rate > own))
		rate = own;
	serve_limit_set(&c->sv->limit, rate);
	return reply_with(c, q, PROTO_DONE, NULL, 0, err);
}

static int do_ping(struct conn *c, const struct proto_frame *q, struct err *err)
{
	return reply_with(c, q, PROTO_PONG, NULL, 0, err);
}

static int do_pong(struct conn *c, const struct proto_frame *q, struct err *err)
{
	(void)c, (void)q, (void)err;
	return 0;
}

/* Requests that this version answers with "not here": trackers, snapshots. */
static int do_unsupported(struct conn *c, const struct proto_frame *q, struct err *err)
{
	return refuse(c, q, EOPNOTSUPP, "not supported by this source-server", err);
}

static const struct verb {
	enum proto_type type;
	bool disk;    /* needs a valid drive number */
	bool capture; /* of the drives at rest */
	int (*run)(struct conn *c, const struct proto_frame *q, struct err *err);
} verbs[] = {
	{ PROTO_DISKS, false, false, do_disks },
	{ PROTO_EXTENTS, true, true, do_extents },
	{ PROTO_READ, true, true, do_read },
	{ PROTO_READ_IF_DIFF, true, true, do_read },
	{ PROTO_HASH, true, true, do_hash },
	{ PROTO_CHANGED, true, false, do_unsupported },
	{ PROTO_COMMIT, true, false, do_commit },
	{ PROTO_RESUME, true, true, do_resume },
	{ PROTO_FREEZE, false, false, do_unsupported },
	{ PROTO_THAW, false, false, do_unsupported },
	{ PROTO_SNAPSHOT, false, false, do_unsupported },
	{ PROTO_PING, false, false, do_ping },
	{ PROTO_PONG, false, false, do_pong },
	{ PROTO_CANCEL, false, false, do_pong }, /* requests are answered in order: nothing waits */
	{ PROTO_BYE, false, false, do_bye },
	{ PROTO_LIMIT, false, false, do_limit },
};

static int dispatch(struct conn *c, const struct proto_frame *q, struct err *err)
{
	struct err failed = ERR_INIT;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].type != q->type)
			continue;
		if (verbs[i].disk && q->disk >= c->sv->n_drives)
			return err_set(err, ERR_SRC_PROTO, "drive number %u", q->disk);
		if (verbs[i].capture &&
			serve_capture_join(&c->sv->capture, c->hello.job, &failed) < 0)
			return refuse(c, q, failed.sys ? failed.sys : EIO, failed.text, err);
		return verbs[i].run(c, q, err);
	}
	if (q->type & 0x80)
		return 0;
	return err_set(err, ERR_SRC_PROTO, "unknown frame type %u", q->type);
}

static int receive(struct conn *c, struct proto_frame *q, struct err *err)
{
	uint8_t head[PROTO_HEADER];

	if (net_read(c->s, head, sizeof(head), err) < 0 || proto_get_header(head, q, err) < 0)
		return -1;
	return q->len ? net_read(c->s, c->in, q->len, err) : 0;
}

static int greet(struct conn *c, struct err *err)
{
	struct proto_welcome w = { .version = PROTO_VERSION, .credit = PROTO_CREDIT,
		.max_read = PROTO_MAX_READ, .max_connections = 4 };
	static const uint8_t zeroes[PROTO_LEAF];
	struct proto_frame q;

	if (receive(c, &q, err) < 0)
		return -1;
	if (q.type != PROTO_HELLO || proto_get_hello(c->in, q.len, &c->hello, err) < 0)
		return err->code ? -1 : err_set(err, ERR_SRC_PROTO, "no greeting");
	if (c->hello.min_version > PROTO_VERSION || c->hello.max_version < PROTO_VERSION) {
		refuse(c, &q, EPROTONOSUPPORT, "this source-server speaks protocol version 1", err);
		return err_set(err, ERR_SRC_VERSION, "the worker speaks versions %u to %u",
			c->hello.min_version, c->hello.max_version);
	}
	w.features = c->hello.features & (PROTO_FEATURE_LZ4 | PROTO_FEATURE_XXH3);
	if (c->hello.credit >= PROTO_LEAF && c->hello.credit < w.credit)
		w.credit = c->hello.credit;
	c->lz4 = w.features & PROTO_FEATURE_LZ4;
	hash_leaf(c, zeroes, PROTO_LEAF, c->zero_hash);
	snprintf(w.build, sizeof(w.build), "source-server %s", TW_VERSION);
	return reply_with(c, &q, PROTO_WELCOME, c->out,
		proto_put_welcome(c->out, c->out_size, &w), err);
}

static int prepare(struct conn *c, struct err *err)
{
	void *disk = NULL;

	c->out_size = (size_t)LZ4_compressBound(PROTO_MAX_READ);
	if (c->out_size < PROTO_MAX_EXTENTS * 16u)
		c->out_size = PROTO_MAX_EXTENTS * 16u;
	if (posix_memalign(&disk, 4096, PROTO_MAX_READ + SPARE))
		disk = NULL;
	c->disk = disk;
	c->in = malloc(PROTO_MAX_PAYLOAD);
	c->packed = malloc(PROTO_MAX_READ);
	c->out = malloc(c->out_size);
	if (!c->disk || !c->in || !c->packed || !c->out)
		return err_set(err, ERR_NOMEM, "out of memory for a connection");
	return 0;
}

static int handshake(struct conn *c, struct err *err)
{
	struct net_tls_config tls = { .psks = c->sv->psks, .tls13_only = true };

	net_set_timeout(c->s, HANDSHAKE_MS);
	if (!c->sv->opt.allow_plain && net_tls_server(c->s, &tls, err) < 0)
		return -1;
	if (greet(c, err) < 0)
		return -1;
	net_set_timeout(c->s, SILENT_MS);
	log_info("%s: connected, %s, job %s", net_name(c->s),
		net_tls_describe(c->s) ? net_tls_describe(c->s) : "not encrypted", c->hello.job);
	return 0;
}

void serve_conn(struct serve *sv, struct stream *s)
{
	struct conn c = { .sv = sv, .s = s };
	struct err err = ERR_INIT;
	struct proto_frame q;

	if (!prepare(&c, &err) && !handshake(&c, &err))
		while (!sv->stop && !receive(&c, &q, &err) && !dispatch(&c, &q, &err))
			;
	if (err.code == ERR_NET_IO && err.sys == ENODATA)
		log_debug("%s: disconnected", net_name(s));
	else if (err.code)
		log_warn("%s: %s", net_name(s), err.text);
	free(c.disk);
	free(c.in);
	free(c.packed);
	free(c.out);
}

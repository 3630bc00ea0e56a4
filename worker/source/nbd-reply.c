/* SPDX-License-Identifier: Apache-2.0 */
/* What an NBD server sends after the handshake: simple,
 * structured and extended replies. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "source/nbd-internal.h"

#define REQUEST 0x25609513u
#define REQUEST_EXT 0x21e41c71u
#define REPLY_SIMPLE 0x67446698u
#define REPLY_CHUNK 0x668e33efu
#define REPLY_EXT 0x6e8a278cu
#define FLAG_DONE 1
#define MAX_MESSAGE 65536 /* of error chunks and chunks that are skipped */
#define CMD_FLAG_PAYLOAD_LEN 0 /* reads and block status carry an effect length */

enum { CHUNK_NONE = 0, CHUNK_DATA = 1, CHUNK_HOLE = 2, CHUNK_STATUS = 5,
	CHUNK_STATUS_EXT = 6,
	CHUNK_ERROR = 0x8001, CHUNK_ERROR_OFFSET = 0x8002 };

struct chunk {
	uint16_t flags, type;
	uint64_t cookie;
	uint32_t len;
};

int source_nbd_broken(struct nbd_conn *c, struct err *err, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->phase = NBD_HANG_UP;
	return err_set(err, ERR_SRC_PROTO, "%s: the server broke the protocol: %s",
		c->name, text);
}

int source_nbd_read(struct nbd_conn *c, void *buf, size_t len, struct err *err)
{
	if (net_read(c->s, buf, len, err) < 0) {
		/* The connection is gone, or hangs: another one may work. */
		if (err->code == ERR_NET_IO)
			err->code = ERR_SRC_EOF;
		c->phase = NBD_HANG_UP;
		return -1;
	}
	if (c->src)
		source_count_in(c->src, len);
	return 0;
}

int source_nbd_skip(struct nbd_conn *c, uint64_t len, struct err *err)
{
	uint8_t buf[4096];

	while (len) {
		size_t n = len < sizeof(buf) ? (size_t)len : sizeof(buf);

		if (source_nbd_read(c, buf, n, err) < 0)
			return -1;
		len -= n;
	}
	return 0;
}

int source_nbd_errno(uint32_t e)
{
	switch (e) {
	case 1:
		return EPERM;
	case 5:
		return EIO;
	case 12:
		return ENOMEM;
	case 28:
		return ENOSPC;
	case 75:
		return EOVERFLOW;
	case 95:
		return EOPNOTSUPP;
	case 108:
		return ESHUTDOWN;
	default: /* 22, and what we do not know */
		return EINVAL;
	}
}

void source_nbd_queue_request(struct nbd_conn *c, uint16_t cmd, uint64_t cookie,
	uint64_t off, uint64_t len)
{
	uint8_t *p = c->out + c->out_len;

	bytes_put_be32(p, c->extended ? REQUEST_EXT : REQUEST);
	bytes_put_be16(p + 4, CMD_FLAG_PAYLOAD_LEN);
	bytes_put_be16(p + 6, cmd);
	bytes_put_be64(p + 8, cookie);
	bytes_put_be64(p + 16, off);
	if (c->extended)
		bytes_put_be64(p + 24, len);
	else
		bytes_put_be32(p + 24, (uint32_t)len);
	c->out_len += c->extended ? 32 : 28;
}

int source_nbd_send_queued(struct nbd_conn *c, struct err *err)
{
	size_t len = c->out_len;

	c->out_len = 0;
	if (!len)
		return 0;
	if (c->src)
		source_count_out(c->src, len);
	if (net_write(c->s, c->out, len, err) < 0) {
		if (err->code == ERR_NET_IO)
			err->code = ERR_SRC_EOF;
		return -1;
	}
	return 0;
}

static struct nbd_slot *find(struct nbd_conn *c, uint64_t cookie)
{
	for (int i = 0; i < NBD_DEPTH; i++)
		if (c->slots[i].r && c->slots[i].cookie == cookie)
			return &c->slots[i];
	return NULL;
}

static bool is_status(const struct nbd_conn *c, uint64_t cookie)
{
	return c->status.active && !c->status.complete && c->status.cookie == cookie;
}

/* Notes that [off, end) of the request has come; -1 when some of it came before. */
static int cover(struct nbd_slot *s, uint32_t off, uint32_t end)
{
	struct nbd_fragment *f = s->fragments;
	unsigned i = 0;

	while (i < s->n_fragments && f[i].end < off)
		i++;
	if (i < s->n_fragments && f[i].end == off && (i + 1 == s->n_fragments ||
		f[i + 1].off >= end)) {
		f[i].end = end;
		if (i + 1 < s->n_fragments && f[i + 1].off == end) {
			f[i].end = f[i + 1].end;
			memmove(&f[i + 1], &f[i + 2],
				(s->n_fragments - i - 2) * sizeof(*f));
			s->n_fragments--;
		}
		return 0;
	}
	if (i < s->n_fragments && f[i].off < end)
		return -1;
	if (i < s->n_fragments && f[i].off == end) {
		f[i].off = off;
		return 0;
	}
	if (s->n_fragments == NBD_FRAGMENTS)
		return -1;
	memmove(&f[i + 1], &f[i], (s->n_fragments - i) * sizeof(*f));
	f[i] = (struct nbd_fragment){ off, end };
	s->n_fragments++;
	return 0;
}

/* Where in the request a part of the export lies; -1 when it is not within it. */
static int64_t place(const struct nbd_slot *s, uint64_t off, uint64_t len)
{
	if (off < s->r->off || !len || !bytes_in_range(off - s->r->off, len, s->r->len))
		return -1;
	return (int64_t)(off - s->r->off);
}

static int take_data(struct nbd_conn *c, struct nbd_slot *s, const struct chunk *k,
	struct err *err)
{
	uint8_t offset[8];
	int64_t at;

	if (k->len <= 8)
		return source_nbd_broken(c, err, "data of %" PRIu32 " bytes", k->len);
	if (source_nbd_read(c, offset, 8, err) < 0)
		return -1;
	at = place(s, bytes_be64(offset), k->len - 8);
	if (at < 0)
		return source_nbd_broken(c, err, "data outside of what was asked");
	if (cover(s, (uint32_t)at, (uint32_t)at + k->len - 8) < 0)
		return source_nbd_broken(c, err, "overlapping or too many parts");
	return source_nbd_read(c, (uint8_t *)s->r->buf + at, k->len - 8, err);
}

static int take_hole(struct nbd_conn *c, struct nbd_slot *s, const struct chunk *k,
	struct err *err)
{
	uint8_t data[12];
	uint32_t len;
	int64_t at;

	if (k->len != sizeof(data))
		return source_nbd_broken(c, err, "hole of %" PRIu32 " bytes", k->len);
	if (source_nbd_read(c, data, sizeof(data), err) < 0)
		return -1;
	len = bytes_be32(data + 8);
	at = place(s, bytes_be64(data), len);
	if (at < 0)
		return source_nbd_broken(c, err, "hole outside of what was asked");
	if (cover(s, (uint32_t)at, (uint32_t)at + len) < 0)
		return source_nbd_broken(c, err, "overlapping or too many parts");
	memset((uint8_t *)s->r->buf + at, 0, len);
	return 0;
}

static int take_error(struct nbd_conn *c, const struct chunk *k, int *ret_error,
	struct err *err)
{
	uint8_t head[6];
	uint32_t tail = k->type == CHUNK_ERROR_OFFSET ? 8 : 0;

	if (k->len < sizeof(head) + tail || k->len > MAX_MESSAGE)
		return source_nbd_broken(c, err, "error chunk of %" PRIu32 " bytes",
			k->len);
	if (source_nbd_read(c, head, sizeof(head), err) < 0)
		return -1;
	if (bytes_be16(head + 4) + sizeof(head) + tail > k->len)
		return source_nbd_broken(c, err, "error message longer than its chunk");
	*ret_error = source_nbd_errno(bytes_be32(head));
	return source_nbd_skip(c, k->len - sizeof(head), err);
}

/* The request has its answer: good, or failed by itself. */
static int finish(struct nbd_conn *c, struct nbd_slot *s, struct err *err)
{
	struct source_req *r = s->r;

	if (!s->error && (s->n_fragments != 1 || s->fragments[0].off ||
				 s->fragments[0].end != r->len))
		return source_nbd_broken(c, err, "an answer with missing parts");
	if (s->error == ESHUTDOWN)
		return err_set(err, ERR_SRC_EOF, "%s: the server is shutting down",
			c->name);
	if (s->error) {
		errno = s->error;
		r->status = err_sys(&r->err, ERR_SRC_READ,
			"%s: read %" PRIu32 " bytes at %" PRIu64, c->name, r->len,
			r->off);
	}
	s->r = NULL;
	c->in_flight--;
	c->in_flight_bytes -= r->len;
	r->next = NULL;
	*c->done_tail = r;
	c->done_tail = &r->next;
	return 0;
}

static int take_simple(struct nbd_conn *c, const uint8_t *head, struct err *err)
{
	uint32_t error = bytes_be32(head + 4);
	uint64_t cookie = bytes_be64(head + 8);
	struct nbd_slot *s = find(c, cookie);

	if (c->extended)
		return source_nbd_broken(c, err, "simple reply after extended headers");
	if (is_status(c, cookie) && error) {
		c->status.error = source_nbd_errno(error);
		c->status.complete = true;
		return 0;
	}
	if (!s)
		return source_nbd_broken(c, err, "reply to nothing that was asked");
	if (c->structured)
		return source_nbd_broken(c, err, "simple reply to a read");
	if (error) {
		s->error = source_nbd_errno(error);
	} else {
		s->n_fragments = 1;
		s->fragments[0] = (struct nbd_fragment){ 0, s->r->len };
		if (source_nbd_read(c, s->r->buf, s->r->len, err) < 0)
			return -1;
	}
	return finish(c, s, err);
}

static int take_status_chunk(struct nbd_conn *c, const struct chunk *k, struct err *err)
{
	int r = 0;

	if (k->type == (c->extended ? CHUNK_STATUS_EXT : CHUNK_STATUS))
		r = source_nbd_take_status(c, k->len, c->extended, err);
	else if (k->type & 0x8000)
		r = take_error(c, k, &c->status.error, err);
	else if (k->type != CHUNK_NONE || k->len)
		r = source_nbd_broken(c, err, "chunk %u as block status", k->type);
	if (!r && k->flags & FLAG_DONE)
		c->status.complete = true;
	return r;
}

static int take_read_chunk(struct nbd_conn *c, struct nbd_slot *s, const struct chunk *k,
	struct err *err)
{
	int r;

	switch (k->type) {
	case CHUNK_NONE:
		r = k->len || !(k->flags & FLAG_DONE) ?
			source_nbd_broken(c, err,
				"empty chunk with data, or not the last") : 0;
		break;
	case CHUNK_DATA:
		r = take_data(c, s, k, err);
		break;
	case CHUNK_HOLE:
		r = take_hole(c, s, k, err);
		break;
	case CHUNK_ERROR:
	case CHUNK_ERROR_OFFSET:
		r = take_error(c, k, &s->error, err);
		break;
	default:
		if (!(k->type & 0x8000) || k->len > MAX_MESSAGE)
			return source_nbd_broken(c, err, "unknown chunk %u", k->type);
		s->error = EINVAL; /* an error of a kind we do not know */
		r = source_nbd_skip(c, k->len, err);
		break;
	}
	if (!r && k->flags & FLAG_DONE)
		r = finish(c, s, err);
	return r;
}

static int take_chunk(struct nbd_conn *c, const struct chunk *k, struct err *err)
{
	struct nbd_slot *s = find(c, k->cookie);

	if (is_status(c, k->cookie))
		return take_status_chunk(c, k, err);
	if (!s)
		return source_nbd_broken(c, err, "reply to nothing that was asked");
	return take_read_chunk(c, s, k, err);
}

int source_nbd_take_reply(struct nbd_conn *c, struct err *err)
{
	uint8_t head[32];
	struct chunk k;
	uint32_t magic;
	uint64_t len;

	if (source_nbd_read(c, head, 16, err) < 0)
		return -1;
	magic = bytes_be32(head);
	if (magic == REPLY_SIMPLE)
		return take_simple(c, head, err);
	if (magic != (c->extended ? REPLY_EXT : REPLY_CHUNK) || !c->structured)
		return source_nbd_broken(c, err, "reply magic 0x%08" PRIx32, magic);
	k.flags = bytes_be16(head + 4);
	k.type = bytes_be16(head + 6);
	k.cookie = bytes_be64(head + 8);
	if (source_nbd_read(c, head + 16, c->extended ? 16 : 4, err) < 0)
		return -1;
	/* Extended headers repeat the offset of the request in front of the length. */
	len = c->extended ? bytes_be64(head + 24) : bytes_be32(head + 16);
	if (len > SOURCE_MAX_REQUEST + 8 && len > NBD_MAX_EXTENTS * 16ull + 8)
		return source_nbd_broken(c, err, "chunk of %" PRIu64 " bytes", len);
	k.len = (uint32_t)len;
	return take_chunk(c, &k, err);
}

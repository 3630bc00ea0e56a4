/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the drive protocol (proto/PROTOCOL.md), seen from the client. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "source/drive-internal.h"

int source_drive_gone(struct source_chan *c, struct err *err)
{
	if (err->code == ERR_NET_IO)
		err->code = ERR_SRC_EOF;
	return err_wrap(err, "%s", c->src->name);
}

int source_drive_send(struct source_chan *c, struct proto_frame *f, const void *payload,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	uint8_t head[PROTO_HEADER];
	struct iovec iov[2] =
		{ { head, sizeof(head) }, { (void *)(uintptr_t)payload, f->len } };

	proto_put_header(head, f);
	source_count_out(c->src, sizeof(head) + f->len);
	if (net_writev(d->stream, iov, f->len ? 2 : 1, err) < 0)
		return source_drive_gone(c, err);
	return 0;
}

int source_drive_receive(struct source_chan *c, struct proto_frame *f, struct err *err)
{
	struct drive_chan *d = c->priv;
	uint8_t head[PROTO_HEADER];
	/* What is no source-server may send less than a header and wait. */
	size_t start = d->heard_ms ? sizeof(head) : PROTO_START;

	if (net_read(d->stream, head, start, err) < 0)
		return source_drive_gone(c, err);
	if (proto_check_start(head, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (start < sizeof(head) &&
		net_read(d->stream, head + start, sizeof(head) - start, err) < 0)
		return source_drive_gone(c, err);
	if (proto_get_header(head, f, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (f->len && net_read(d->stream, d->payload, f->len, err) < 0)
		return source_drive_gone(c, err);
	source_count_in(c->src, sizeof(head) + f->len);
	d->heard_ms = clock_now_ms();
	return 0;
}

/* Adds what the peer says, at most 200 printable characters of it. Returns -1. */
static int peer_text(const struct drive_chan *d, const struct proto_frame *f,
	struct err *err)
{
	size_t at = strlen(err->text), n = f->len < 200 ? f->len : 200;

	if (!n || at + n + 3 > sizeof(err->text))
		return -1;
	at += (size_t)snprintf(err->text + at, sizeof(err->text) - at, ": ");
	for (size_t i = 0; i < n; i++)
		err->text[at + i] = d->payload[i] < 0x20 || d->payload[i] > 0x7e
			? '?' : (char)d->payload[i];
	err->text[at + n] = '\0';
	return -1;
}

static int server_error(struct source_chan *c, const struct proto_frame *f,
	struct err *err)
{
	struct drive_chan *d = c->priv;

	err_set(err, ERR_SRC_READ, "%s", c->src->name);
	err->sys = f->raw < 4096 ? (int)f->raw : EIO;
	if (err->sys == ESTALE)
		err->code = ERR_SRC_CHANGED;
	else if (err->sys == EPERM)
		err->code = ERR_SRC_HOOK;
	else if (err->sys == ENOSPC || err->sys == EBUSY)
		err->code = ERR_SRC_SNAPSHOT;
	return peer_text(d, f, err);
}

static int check_leaf(struct source_chan *c, const uint8_t *leaf, uint32_t len,
	const uint8_t *want, uint64_t off, struct err *err)
{
	struct source_hash h;

	source_hash_leaf(c->src, leaf, len, &h);
	if (bytes_le64(h.b) == bytes_le64(want) &&
	    bytes_le64(h.b + 8) == bytes_le64(want + 8))
		return 0;
	return err_set(err, ERR_VERIFY_HASH,
		"%s: data at %" PRIu64 " was damaged on the way", c->src->name, off);
}

/* Puts the leaves of a DATA frame where they belong, after the check of each. */
static int take_data(struct source_chan *c, struct source_req *r,
	const struct proto_data *p, bool lz4, struct err *err)
{
	struct drive_chan *d = c->priv;
	const uint8_t *hash = p->hashes, *from = p->bytes;
	bool whole = !p->same && !p->zero;

	if (lz4) {
		uint8_t *to = whole ? r->buf : d->scratch;

		if (LZ4_decompress_safe((const char *)p->bytes, (char *)to, (int)p->len,
			    (int)p->raw) != (int)p->raw)
			return err_set(err, ERR_VERIFY_HASH, "%s: data at %" PRIu64
				" cannot be decompressed", c->src->name, r->off);
		from = to;
	}
	for (unsigned i = 0; i < proto_leaves(r->len); i++) {
		uint32_t n = proto_leaf_len(r->len, i);
		uint8_t *to = (uint8_t *)r->buf + i * PROTO_LEAF;

		if ((p->same | p->zero) & 1u << i)
			continue;
		if (from != to)
			memcpy(to, from, n);
		if (check_leaf(c, to, n, hash, r->off + i * PROTO_LEAF, err) < 0)
			return -1;
		from += n;
		hash += PROTO_HASH_LEN;
	}
	return 0;
}

static void complete(struct drive_chan *d, unsigned slot, int status,
	const struct err *err)
{
	struct source_req *r = d->slots[slot];

	d->slots[slot] = NULL;
	d->in_flight--;
	d->in_flight_bytes -= r->len;
	r->status = status;
	if (status)
		r->err = *err;
	r->next = d->done;
	d->done = r;
}

static int find_slot(const struct drive_chan *d, uint32_t id)
{
	unsigned slot = id % IN_FLIGHT;

	return d->slots[slot] && d->ids[slot] == id ? (int)slot : -1;
}

int source_drive_take_reply(struct source_chan *c, const struct proto_frame *f,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	int slot = find_slot(d, f->id);
	struct proto_data p;
	struct source_req *r;
	struct err failed = ERR_INIT;

	if (slot < 0)
		return err_set(err, ERR_SRC_PROTO, "%s: reply to request %" PRIu32
			", which is not open", c->src->name, f->id);
	r = d->slots[slot];
	if (f->type == PROTO_ERROR) {
		server_error(c, f, &failed);
		complete(d, (unsigned)slot, -1, &failed);
		return 0;
	}
	if (f->type != PROTO_DATA)
		return err_set(err, ERR_SRC_PROTO, "%s: frame type %u in reply to a read",
			c->src->name, f->type);
	if (f->off != r->off)
		return err_set(err, ERR_SRC_PROTO,
			"%s: data for %" PRIu64 ", not %" PRIu64, c->src->name, f->off,
			r->off);
	if (proto_get_data(f, d->payload, r->len, &p, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (p.same && r->verb != SOURCE_READ_IF_DIFF)
		return err_set(err, ERR_SRC_PROTO, "%s: \"unchanged\" in reply to a read",
			c->src->name);
	if (take_data(c, r, &p, f->flags & PROTO_LZ4, &failed) < 0) {
		if (failed.code != ERR_VERIFY_HASH) {
			*err = failed;
			return -1;
		}
		complete(d, (unsigned)slot, -1, &failed);
		return 0;
	}
	r->same = p.same;
	r->zero = p.zero;
	complete(d, (unsigned)slot, 0, NULL);
	return 0;
}

int source_drive_take_common(struct source_chan *c, const struct proto_frame *f,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	struct proto_frame pong = { .type = PROTO_PONG, .id = f->id };

	switch (f->type) {
	case PROTO_PING:
		return source_drive_send(c, &pong, NULL, err) < 0 ? -1 : 1;
	case PROTO_PONG:
		return 1;
	case PROTO_BYE:
		err_set(err, f->raw == PROTO_BYE_TLS ? ERR_SRC_TLS
				: f->raw == PROTO_BYE_RIGHTS ? ERR_SRC_AUTH
				: f->raw == PROTO_BYE_VERSION ? ERR_SRC_VERSION :
				ERR_SRC_EOF,
			"%s: the source ends the session", c->src->name);
		return peer_text(d, f, err);
	case PROTO_DATA:
	case PROTO_ERROR:
	case PROTO_EXTENT_LIST:
	case PROTO_HASH_LIST:
	case PROTO_JOURNAL:
	case PROTO_DISK_LIST:
	case PROTO_WELCOME:
	case PROTO_DONE:
		return 0;
	default:
		if (f->type & 0x80)
			return 1;
		return err_set(err, ERR_SRC_PROTO, "%s: unknown frame type %u",
			c->src->name, f->type);
	}
}

int source_drive_ask(struct source_chan *c, struct proto_frame *f, const void *payload,
	enum proto_type want, struct proto_frame *reply, struct err *err)
{
	struct drive_chan *d = c->priv;

	/* Ids that no slot can have: reads use the lower half. */
	f->id = 0x80000000u | d->next_id++;
	if (source_drive_send(c, f, payload, err) < 0)
		return -1;
	for (;;) {
		int r;

		if (source_drive_receive(c, reply, err) < 0)
			return -1;
		r = source_drive_take_common(c, reply, err);
		if (r < 0)
			return -1;
		if (r)
			continue;
		if (reply->id != f->id) {
			if (source_drive_take_reply(c, reply, err) < 0)
				return -1;
			continue;
		}
		if (reply->type == want)
			return 0;
		if (reply->type == PROTO_ERROR)
			return server_error(c, reply, err);
		return err_set(err, ERR_SRC_PROTO, "%s: frame type %u in reply to %u",
			c->src->name, reply->type, f->type);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tws:// and tw://: the client end of the drive protocol (proto/PROTOCOL.md). */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <lz4.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/net.h"
#include "proto/proto.h"
#include "source/source-internal.h"

#define IN_FLIGHT 128
#define PING_AFTER_MS 10000
#define SILENT_MS 60000 /* three pings unanswered: the connection is taken for dead */
#define DEFAULT_TIMEOUT_MS 20000 /* for the handshake, and for the answer to HELLO */

struct drive {
	char host[256], wanted[64];
	uint16_t port;
	bool tls, known;          /* known: it was open once, so the source is what it should be */
	struct net_psk psk;
	struct proto_hello hello; /* the same for all connections: one session */
	pthread_mutex_t lock;     /* what follows */
	char state[40];           /* what all connections that read must find */
	bool has_state;
};

struct drive_chan {
	struct stream *stream;
	uint16_t disk;            /* number of the drive at this server process */
	struct proto_welcome welcome;
	struct source_req *slots[IN_FLIGHT]; /* request id = slot + 1 + IN_FLIGHT * round */
	uint32_t ids[IN_FLIGHT];
	uint32_t next_id;
	unsigned in_flight;
	uint64_t in_flight_bytes;
	struct source_req *done; /* completed while something else was waited for */
	uint64_t heard_ms, pinged_ms;
	uint8_t *payload;  /* PROTO_MAX_PAYLOAD */
	uint8_t *scratch;  /* PROTO_MAX_READ: leaves before they are spread */
};

/* A broken stream is the source gone away: the engine comes back. */
static int gone(struct source_chan *c, struct err *err)
{
	if (err->code == ERR_NET_IO)
		err->code = ERR_SRC_EOF;
	return err_wrap(err, "%s", c->src->name);
}

static int send_frame(struct source_chan *c, struct proto_frame *f, const void *payload,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	uint8_t head[PROTO_HEADER];
	struct iovec iov[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)payload, f->len } };

	proto_put_header(head, f);
	source_count_out(c->src, sizeof(head) + f->len);
	if (net_writev(d->stream, iov, f->len ? 2 : 1, err) < 0)
		return gone(c, err);
	return 0;
}

static int receive_frame(struct source_chan *c, struct proto_frame *f, struct err *err)
{
	struct drive_chan *d = c->priv;
	uint8_t head[PROTO_HEADER];
	/* What is no source-server may send less than a header and wait. */
	size_t start = d->heard_ms ? sizeof(head) : PROTO_START;

	if (net_read(d->stream, head, start, err) < 0)
		return gone(c, err);
	if (proto_check_start(head, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (start < sizeof(head) &&
		net_read(d->stream, head + start, sizeof(head) - start, err) < 0)
		return gone(c, err);
	if (proto_get_header(head, f, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (f->len && net_read(d->stream, d->payload, f->len, err) < 0)
		return gone(c, err);
	source_count_in(c->src, sizeof(head) + f->len);
	d->heard_ms = clock_now_ms();
	return 0;
}

/* Adds what the peer says, at most 200 printable characters of it. Returns -1. */
static int peer_text(const struct drive_chan *d, const struct proto_frame *f, struct err *err)
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

static int server_error(struct source_chan *c, const struct proto_frame *f, struct err *err)
{
	struct drive_chan *d = c->priv;

	err_set(err, ERR_SRC_READ, "%s", c->src->name);
	err->sys = f->raw < 4096 ? (int)f->raw : EIO;
	if (err->sys == ESTALE)
		err->code = ERR_SRC_CHANGED;
	return peer_text(d, f, err);
}

static int check_leaf(struct source_chan *c, const uint8_t *leaf, uint32_t len,
	const uint8_t *want, uint64_t off, struct err *err)
{
	struct source_hash h;

	source_hash_leaf(c->src, leaf, len, &h);
	if (bytes_le64(h.b) == bytes_le64(want) && bytes_le64(h.b + 8) == bytes_le64(want + 8))
		return 0;
	return err_set(err, ERR_VERIFY_HASH, "%s: data at %" PRIu64 " was damaged on the way",
		c->src->name, off);
}

/* Puts the leaves of a DATA frame where they belong, after the check of each. */
static int take_data(struct source_chan *c, struct source_req *r, const struct proto_data *p,
	bool lz4, struct err *err)
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

static void complete(struct drive_chan *d, unsigned slot, int status, const struct err *err)
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

/* A reply to a read. -1: the connection cannot be trusted any more. */
static int take_reply(struct source_chan *c, const struct proto_frame *f, struct err *err)
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
	if (f->off != r->off)
		return err_set(err, ERR_SRC_PROTO, "%s: data for %" PRIu64 ", not %" PRIu64,
			c->src->name, f->off, r->off);
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

/* Frames that may come at any time. 1 dealt with, 0 it is a reply, -1 broken. */
static int take_common(struct source_chan *c, const struct proto_frame *f, struct err *err)
{
	struct drive_chan *d = c->priv;
	struct proto_frame pong = { .type = PROTO_PONG, .id = f->id };

	switch (f->type) {
	case PROTO_PING:
		return send_frame(c, &pong, NULL, err) < 0 ? -1 : 1;
	case PROTO_PONG:
		return 1;
	case PROTO_BYE:
		err_set(err, f->raw == PROTO_BYE_TLS ? ERR_SRC_TLS
				: f->raw == PROTO_BYE_VERSION ? ERR_SRC_VERSION : ERR_SRC_EOF,
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
		return err_set(err, ERR_SRC_PROTO, "%s: unknown frame type %u", c->src->name,
			f->type);
	}
}

/* Sends a request and receives frames until its reply; reads that complete are kept. */
static int ask(struct source_chan *c, struct proto_frame *f, const void *payload,
	enum proto_type want, struct proto_frame *reply, struct err *err)
{
	struct drive_chan *d = c->priv;

	/* Ids that no slot can have: reads use the lower half. */
	f->id = 0x80000000u | d->next_id++;
	if (send_frame(c, f, payload, err) < 0)
		return -1;
	for (;;) {
		int r;

		if (receive_frame(c, reply, err) < 0)
			return -1;
		r = take_common(c, reply, err);
		if (r < 0)
			return -1;
		if (r)
			continue;
		if (reply->id != f->id) {
			if (take_reply(c, reply, err) < 0)
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

static int connect_stream(struct source *s, struct drive_chan *d, struct err *err)
{
	struct drive *v = s->priv;
	struct net_tls_config tls = { .psk = &v->psk, .tls13_only = true };

	if (net_connect(v->host, v->port, s->opt.connect_timeout_ms, &d->stream, err) < 0)
		return -1;
	net_set_timeout(d->stream, s->opt.connect_timeout_ms ? s->opt.connect_timeout_ms
							     : DEFAULT_TIMEOUT_MS);
	if (v->tls && net_tls_client(d->stream, &tls, err) < 0)
		return -1;
	return 0;
}

/* Asks for the drives and finds ours by its name: numbers are of one server process only. */
static int find_drive(struct source_chan *c, bool hold, struct proto_disk *ret, struct err *err)
{
	struct drive *v = c->src->priv;
	struct drive_chan *d = c->priv;
	struct proto_frame reply, f = { .type = PROTO_DISKS, .raw = hold };
	const uint8_t *p;
	size_t left;
	int r;

	if (ask(c, &f, NULL, PROTO_DISK_LIST, &reply, err) < 0)
		return -1;
	p = d->payload;
	left = reply.len;
	while ((r = proto_next_disk(&p, &left, ret, err)) > 0)
		if (!strcmp(ret->name, v->wanted))
			break;
	if (!r)
		return err_set(err, ERR_SRC_NO_DRIVE, "%s: no drive \"%s\" there", c->src->name,
			v->wanted);
	if (r < 0)
		return -1;
	d->disk = ret->id;
	return 0;
}

/* The first connection that reads says what all others must find (PROTOCOL.md, section 6). */
static int check_state(struct source_chan *c, const struct proto_disk *k, struct err *err)
{
	struct drive *v = c->src->priv;
	bool same;

	pthread_mutex_lock(&v->lock);
	if (!v->has_state)
		memcpy(v->state, k->state, sizeof(v->state));
	v->has_state = true;
	same = !strcmp(v->state, k->state);
	pthread_mutex_unlock(&v->lock);
	return same ? 0 : err_set(err, ERR_SRC_CHANGED,
		"%s: the drive is not as it was when the copy began", c->src->name);
}

/* Before anything is read: the server may have been started anew. */
static int find_again(struct source_chan *c, struct err *err)
{
	struct proto_disk k;

	if (find_drive(c, true, &k, err) < 0)
		return -1;
	if (k.size != c->src->info.size)
		return err_set(err, ERR_SRC_SIZE, "%s: has %" PRIu64 " bytes now, had %" PRIu64,
			c->src->name, k.size, c->src->info.size);
	return check_state(c, &k, err);
}

/* Whoever accepts a connection and ends it without a word (a forwarder whose server is away) is
 * no answer. From a source that was open before, it means: gone for now. */
static bool away_for_now(const struct drive *v, const struct drive_chan *d,
	const struct err *err)
{
	return v->known && !d->heard_ms &&
		(err->code == ERR_SRC_EOF || (err->code == ERR_SRC_TLS && err->sys));
}

/* Up to the greeting. */
static int connect_drive(struct source_chan *c, struct err *err)
{
	struct source *s = c->src;
	struct drive *v = s->priv;
	struct drive_chan *d = calloc(1, sizeof(*d));
	uint8_t hello[512];
	struct proto_frame f = { .type = PROTO_HELLO }, reply;

	c->priv = d;
	if (!d || !(d->payload = malloc(PROTO_MAX_PAYLOAD)) ||
		!(d->scratch = malloc(PROTO_MAX_READ)))
		return err_set(err, ERR_NOMEM, "%s: out of memory", s->name);
	if (connect_stream(s, d, err) < 0) {
		if (away_for_now(v, d, err))
			err->code = ERR_SRC_EOF;
		return -1;
	}
	f.len = (uint32_t)proto_put_hello(hello, sizeof(hello), &v->hello);
	if (ask(c, &f, hello, PROTO_WELCOME, &reply, err) < 0)
		return err->code == ERR_SRC_EOF && !d->heard_ms && !v->known
			? err_set(err, ERR_SRC_PROTO, "%s: no answer to the greeting; is it a "
				"source-server, and does it expect TLS?", s->name)
			: -1;
	if (proto_get_welcome(d->payload, reply.len, &d->welcome, err) < 0)
		return err_wrap(err, "%s", s->name);
	net_set_timeout(d->stream, SILENT_MS);
	return 0;
}

static int drive_chan_open(struct source_chan *c, struct err *err)
{
	struct proto_frame f = { .type = PROTO_LIMIT, .off = c->src->opt.bandwidth };

	if (connect_drive(c, err) < 0 || find_again(c, err) < 0)
		return -1;
	return f.off ? send_frame(c, &f, NULL, err) : 0;
}

static void drive_chan_close(struct source_chan *c)
{
	struct drive_chan *d = c->priv;

	if (!d)
		return;
	net_close(d->stream);
	free(d->payload);
	free(d->scratch);
	free(d);
}

static void drive_chan_cancel(struct source_chan *c)
{
	struct drive_chan *d = c->priv;

	if (d->stream)
		net_shutdown(d->stream);
}

static unsigned drive_room(const struct source_chan *c, uint32_t len)
{
	const struct drive_chan *d = c->priv;
	uint64_t left = d->in_flight_bytes < d->welcome.credit
		? d->welcome.credit - d->in_flight_bytes : 0;
	uint64_t n = left / len, slots = IN_FLIGHT / 2 - d->in_flight;

	if (!d->in_flight && !n)
		n = 1;
	return (unsigned)(n < slots ? n : slots);
}

static int drive_submit(struct source_chan *c, struct source_req *r, struct err *err)
{
	struct drive_chan *d = c->priv;
	bool diff = r->verb == SOURCE_READ_IF_DIFF;
	struct proto_frame f = { .type = diff ? PROTO_READ_IF_DIFF : PROTO_READ, .disk = d->disk,
		.off = r->off, .raw = r->len,
		.len = diff ? proto_leaves(r->len) * PROTO_HASH_LEN : 0 };
	unsigned slot;

	do
		f.id = d->next_id++ & 0x7fffffffu;
	while (d->slots[slot = f.id % IN_FLIGHT]);
	if (send_frame(c, &f, r->have, err) < 0)
		return -1;
	d->slots[slot] = r;
	d->ids[slot] = f.id;
	d->in_flight++;
	d->in_flight_bytes += r->len;
	return 0;
}

/* Nothing to read: keeps the connection alive, or finds that it is not. */
static int idle(struct source_chan *c, struct err *err)
{
	struct drive_chan *d = c->priv;
	uint64_t now = clock_now_ms();
	struct proto_frame ping = { .type = PROTO_PING };

	if (now - d->heard_ms >= SILENT_MS) {
		err_set(err, ERR_SRC_EOF, "%s: silent for %d s", c->src->name, SILENT_MS / 1000);
		return -1;
	}
	if (now - d->heard_ms < PING_AFTER_MS || now - d->pinged_ms < PING_AFTER_MS)
		return 0;
	d->pinged_ms = now;
	return send_frame(c, &ping, NULL, err);
}

static int drive_reap(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	uint64_t end = clock_now_ms() + timeout_ms;
	struct proto_frame f;

	while (!d->done) {
		uint64_t now = clock_now_ms();
		int r = net_wait_readable(d->stream, now < end ? (unsigned)(end - now) : 0, err);

		if (r < 0)
			return gone(c, err);
		if (!r) {
			if (idle(c, err) < 0)
				return -1;
			if (clock_now_ms() >= end)
				break;
			continue;
		}
		if (receive_frame(c, &f, err) < 0)
			return -1;
		r = take_common(c, &f, err);
		if (r < 0 || (!r && take_reply(c, &f, err) < 0))
			return -1;
	}
	*ret = d->done;
	d->done = NULL;
	return 0;
}

static int drive_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade, struct err *err)
{
	struct drive_chan *d = c->priv;
	uint64_t units = (len + 4095) / 4096;
	struct proto_frame reply, f = { .type = PROTO_EXTENTS, .disk = d->disk, .off = off,
		.raw = units < UINT32_MAX ? (uint32_t)units : 0 };
	struct proto_extent *list = (void *)d->scratch; /* 64 KiB, too much for a stack */
	size_t n;

	_Static_assert(PROTO_MAX_EXTENTS * sizeof(*list) <= PROTO_MAX_READ, "size of scratch");
	if (ask(c, &f, NULL, PROTO_EXTENT_LIST, &reply, err) < 0) {
		*degrade = err->code == ERR_SRC_READ;
		return -1;
	}
	if (proto_get_extents(d->payload, reply.len, c->src->info.size - off, list,
		    PROTO_MAX_EXTENTS, &n, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (n > max)
		n = max;
	for (size_t i = 0; i < n; off += list[i++].len)
		ret[i] = (struct source_extent){ .off = off, .len = list[i].len,
			.kind = list[i].kind == 1 ? SOURCE_ZERO : SOURCE_DATA };
	*ret_n = n;
	return 0;
}

static int drive_hashes(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_hash *ret, struct err *err)
{
	struct drive_chan *d = c->priv;

	while (len) {
		uint32_t part = len < PROTO_MAX_HASH ? (uint32_t)len : PROTO_MAX_HASH;
		struct proto_frame reply,
			f = { .type = PROTO_HASH, .disk = d->disk, .off = off, .raw = part };
		unsigned n = proto_leaves(part);

		if (ask(c, &f, NULL, PROTO_HASH_LIST, &reply, err) < 0)
			return -1;
		if (reply.len != n * PROTO_HASH_LEN)
			return err_set(err, ERR_SRC_PROTO, "%s: %" PRIu32 " bytes of hashes for "
				"%u leaves", c->src->name, reply.len, n);
		for (unsigned i = 0; i < n; i++)
			memcpy(ret[i].b, d->payload + i * PROTO_HASH_LEN, PROTO_HASH_LEN);
		ret += n;
		off += part;
		len -= part;
	}
	return 0;
}

static int drive_commit(struct source_chan *c, const uint8_t *units, size_t bytes,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	struct proto_frame reply,
		f = { .type = PROTO_COMMIT, .disk = d->disk, .len = (uint32_t)bytes };

	if (bytes > PROTO_MAX_PAYLOAD)
		return 0; /* 64 PiB: no journal, the hashes serve */
	return ask(c, &f, units, PROTO_DONE, &reply, err);
}

static int drive_resume(struct source_chan *c, uint8_t *units, size_t bytes, size_t *ret_bytes,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	struct proto_frame reply, f = { .type = PROTO_RESUME, .disk = d->disk };

	if (ask(c, &f, NULL, PROTO_JOURNAL, &reply, err) < 0)
		return -1;
	*ret_bytes = reply.len == bytes ? bytes : 0;
	memcpy(units, d->payload, *ret_bytes);
	return 0;
}

static int learn(struct source *s, struct err *err)
{
	struct source_chan c = { .src = s };
	struct drive *v = s->priv;
	struct proto_disk k;
	int r = -1;

	if (connect_drive(&c, err) < 0 || find_drive(&c, false, &k, err) < 0)
		goto out;
	s->info = (struct source_info){ .size = k.size, .sector = k.sector,
		.max_channels = ((struct drive_chan *)c.priv)->welcome.max_connections,
		.extents = k.extents, .rotational = k.rotational };
	snprintf(s->info.serial, sizeof(s->info.serial), "%s", k.serial);
	snprintf(s->info.model, sizeof(s->info.model), "%s", k.model);
	snprintf(s->info.generation, sizeof(s->info.generation), "%s", k.generation);
	snprintf(s->info.consistency, sizeof(s->info.consistency), "%s", k.consistency);
	v->known = true;
	r = 0;
out:
	drive_chan_close(&c);
	return r;
}

static int find_key(struct source *s, const struct source_uri *u, struct err *err)
{
	struct drive *v = s->priv;
	const char *file = source_uri_param(u, "psk-file");

	if (s->opt.psk)
		return net_psk_parse(s->opt.psk, &v->psk, err);
	if (file)
		return net_psk_load(file, u->user, &v->psk, err);
	return err_set(err, ERR_CFG_INVALID, "%s: needs a pre-shared key (source.psk or psk-file=)",
		s->name);
}

static int new_session(struct source *s, struct err *err)
{
	struct drive *v = s->priv;
	uint64_t random[3];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, ERR_INTERNAL, "random numbers");
	memcpy(v->hello.session, random, sizeof(v->hello.session));
	v->hello.seed = s->seed = random[2];
	v->has_state = false;
	return 0;
}

static int drive_open(struct source *s, const struct source_uri *u, struct err *err)
{
	static const char *const known[] = { "psk-file", NULL };
	struct drive *v = calloc(1, sizeof(*v));

	s->priv = v;
	if (!v)
		return err_set(err, ERR_NOMEM, "open a drive: out of memory");
	pthread_mutex_init(&v->lock, NULL);
	if (!u->host || !u->path[0] || strlen(u->host) >= sizeof(v->host) ||
		strlen(u->path) >= sizeof(v->wanted))
		return err_set(err, ERR_CFG_INVALID, "source: %s://host[:%u]/drive expected",
			u->scheme, PROTO_PORT);
	strcpy(v->host, u->host);
	strcpy(v->wanted, u->path);
	v->port = u->port ? u->port : PROTO_PORT;
	v->tls = !strcmp(u->scheme, "tws");
	snprintf(s->name, sizeof(s->name), strchr(v->host, ':') ? "%s://[%.100s]:%u/%.40s"
								: "%s://%.100s:%u/%.40s",
		u->scheme, v->host, v->port, v->wanted);
	if (source_uri_check_params(u, known, err) < 0)
		return -1;
	if (v->tls && find_key(s, u, err) < 0)
		return -1;
	if (!v->tls && !s->opt.allow_plain)
		return err_set(err, ERR_SRC_TLS, "%s: not encrypted; use tws://, or allow plain "
			"connections on both ends", s->name);
	if (!v->tls)
		log_warn("%s: this connection is not encrypted and not authenticated", s->name);
	v->hello = (struct proto_hello){ .min_version = PROTO_VERSION,
		.max_version = PROTO_VERSION, .credit = PROTO_CREDIT,
		.features = PROTO_FEATURE_XXH3 | (s->opt.compress ? PROTO_FEATURE_LZ4 : 0u) };
	snprintf(v->hello.job, sizeof(v->hello.job), "%s", s->opt.job_id ? s->opt.job_id : "");
	snprintf(v->hello.build, sizeof(v->hello.build), "target-worker %s", TW_VERSION);
	return new_session(s, err) < 0 ? -1 : learn(s, err);
}

static int drive_finish(struct source *s, struct err *err)
{
	struct source_chan c = { .src = s };
	struct proto_frame reply, f = { .type = PROTO_BYE, .raw = 1 };
	int r = connect_drive(&c, err);

	if (!r)
		r = ask(&c, &f, NULL, PROTO_DONE, &reply, err);
	drive_chan_close(&c);
	return r;
}

static void drive_close(struct source *s)
{
	struct drive *v = s->priv;

	if (!v)
		return;
	net_psk_wipe(&v->psk);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static const char *const schemes[] = { "tws", "tw", NULL };

const struct source_ops source_drive_ops = {
	.name = "drive",
	.schemes = schemes,
	.diff = true,
	.open = drive_open,
	.close = drive_close,
	.chan_open = drive_chan_open,
	.chan_close = drive_chan_close,
	.chan_cancel = drive_chan_cancel,
	.room = drive_room,
	.submit = drive_submit,
	.reap = drive_reap,
	.extents = drive_extents,
	.hashes = drive_hashes,
	.commit = drive_commit,
	.finish = drive_finish,
	.begin_anew = new_session,
	.resume = drive_resume,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: greeting, then requests one after the other in the order they came. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define GREETING_MS 10000 /* for TLS and HELLO together */
#define IO_MS 120000      /* for the rest of a frame, or for room to send */
#define TLS_RECORD 0x16   /* first byte of a TLS handshake */

int serve_conn_send(struct serve_conn *c, struct proto_frame *f, const void *payload,
	struct err *err)
{
	uint8_t head[PROTO_HEADER];
	struct iovec iov[2] =
		{ { head, sizeof(head) }, { (void *)(uintptr_t)payload, f->len } };

	proto_put_header(head, f);
	c->sent += sizeof(head) + f->len;
	return net_writev(c->stream, iov, f->len ? 2 : 1, err);
}

int serve_conn_reply(struct serve_conn *c, const struct proto_frame *request,
	enum proto_type type, const void *payload, size_t len, struct err *err)
{
	struct proto_frame f = { .type = (uint8_t)type, .disk = request->disk,
		.id = request->id,
		.off = request->off, .len = (uint32_t)len };

	return serve_conn_send(c, &f, payload, err);
}

int serve_conn_error(struct serve_conn *c, const struct proto_frame *request, int sys,
	const char *text, struct err *err)
{
	struct proto_frame f = { .type = PROTO_ERROR, .disk = request->disk,
		.id = request->id,
		.off = request->off, .raw = (uint32_t)sys,
		.len = (uint32_t)strlen(text) };

	log_warn("%s: %s", net_name(c->stream), text);
	return serve_conn_send(c, &f, text, err);
}

static int say_bye(struct serve_conn *c, enum proto_bye why, const char *text,
	struct err *err)
{
	struct proto_frame f = { .type = PROTO_BYE, .raw = why,
		.len = (uint32_t)strlen(text) };

	return serve_conn_send(c, &f, text, err);
}

/* One whole frame with its payload. */
static int receive(struct serve_conn *c, struct proto_frame *f, uint8_t *payload,
	uint32_t max, struct err *err)
{
	uint8_t head[PROTO_HEADER];

	if (net_read(c->stream, head, sizeof(head), err) < 0 ||
	    proto_get_header(head, f, err) < 0)
		return -1;
	if (f->len > max)
		return err_set(err, ERR_SRC_PROTO,
			"frame of type %u with %u bytes of payload", f->type, f->len);
	return f->len ? net_read(c->stream, payload, f->len, err) : 0;
}

static void cancel(struct serve_conn *c, uint32_t id)
{
	for (unsigned i = 0; i < c->n_queued; i++) {
		struct serve_request *q = &c->queue[(c->head + i) % SERVE_QUEUE];

		if (!id || q->f.id == id)
			q->cancelled = true;
	}
}

static void enqueue(struct serve_conn *c, const struct proto_frame *f)
{
	struct serve_request *q = &c->queue[(c->head + c->n_queued) % SERVE_QUEUE];

	if (f->type >= PROTO_PROGRESS)
		return; /* may be skipped */
	q->f = *f;
	q->cancelled = false;
	q->payload = q->small;
	if (f->len > sizeof(q->small)) {
		q->payload = c->in;
		c->big = true;
	} else {
		memcpy(q->small, c->in, f->len);
	}
	c->n_queued++;
}

static int take(struct serve_conn *c, struct err *err)
{
	struct proto_frame f;

	if (receive(c, &f, c->in, PROTO_MAX_PAYLOAD, err) < 0 ||
	    serve_check_rules(c, &f, err) < 0)
		return -1;
	switch (f.type) {
	case PROTO_PING:
		return serve_conn_reply(c, &f, PROTO_PONG, NULL, 0, err);
	case PROTO_PONG:
		return 0;
	case PROTO_CANCEL:
		cancel(c, f.id);
		return 0;
	case PROTO_LIMIT:
		if (serve_limit_set(&c->session->limit, f.off))
			log_info("%s: limit of %llu bytes/s", net_name(c->stream),
				(unsigned long long)f.off);
		return 0;
	case PROTO_BYE:
		c->bye = true;
		c->complete = f.raw == PROTO_BYE_COMPLETE;
		c->bye_id = f.id;
		return 0;
	default:
		enqueue(c, &f);
		return 0;
	}
}

int serve_conn_drain(struct serve_conn *c, struct err *err)
{
	while (c->n_queued < SERVE_QUEUE && !c->big && !c->bye) {
		int r = net_wait_readable(c->stream, 0, err);

		if (r <= 0)
			return r;
		if (take(c, err) < 0)
			return -1;
	}
	return 0;
}

/* The client has everything: it waits for the answer to know that
 * nothing is held any more. */
static int complete(struct serve_conn *c, struct err *err)
{
	struct proto_frame f = { .type = PROTO_DONE, .id = c->bye_id };

	serve_session_release(c->serve, c->session, true);
	serve_caught_done(c);
	if (c->session->job[0]) {
		bool may_write = serve_freezer_begin_write(c->serve->freezer);

		serve_journal_drop(c->serve->journal, c->session->owner,
			c->session->job, may_write);
		if (may_write)
			serve_freezer_end_write(c->serve->freezer);
	}
	log_info("%s: job \"%s\" has everything", net_name(c->stream), c->session->job);
	return serve_conn_send(c, &f, NULL, err);
}

static int requests(struct serve_conn *c, struct err *err)
{
	int r;

	while (!c->serve->stop) {
		if (serve_conn_drain(c, err) < 0)
			return -1;
		if (c->n_queued) {
			struct serve_request *q = &c->queue[c->head];

			r = serve_verb(c, q, err);
			if (q->payload == c->in)
				c->big = false;
			c->head = (c->head + 1) % SERVE_QUEUE;
			c->n_queued--;
			if (r < 0)
				return -1;
			continue;
		}
		if (c->bye)
			return c->complete ? complete(c, err) : 0;
		if (net_wait_readable(c->stream, 1000, err) < 0)
			return -1;
	}
	return say_bye(c, PROTO_BYE_END, "source-server was stopped", err);
}

static int allocate(struct serve_conn *c, struct err *err)
{
	c->in = malloc(PROTO_MAX_PAYLOAD);
	c->out = malloc(PROTO_HEADER + PROTO_MAX_PAYLOAD);
	c->buf = aligned_alloc(SERVE_READ_ALIGN, SERVE_BUFFER);
	return c->in && c->out && c->buf ? 0 :
		err_set(err, ERR_NOMEM, "out of memory");
}

/* Finds the rights of the client's key, and its session. */
static int join(struct serve_conn *c, const struct proto_hello *h, struct err *err)
{
	const struct net_psk *key = net_tls_peer(c->stream);
	struct serve *s = c->serve;

	for (unsigned i = 0; key && s->rights && s->psks[i]; i++)
		if (s->psks[i] == key)
			c->rights = &s->rights[i];
	if (!serve_may_job(c->rights, h->job))
		return err_set(err, ERR_SRC_AUTH, "this key is not for job \"%s\"",
			h->job);
	err_set(err, ERR_SRC_EOF, "too many connections");
	if (serve_pool_admit(c))
		c->session = serve_session_join(s, h, key ? key->identity : "", err);
	if (!c->session)
		return -1;
	err_clear(err);
	return 0;
}

/* 0 go on, 1 refused and told so, -1 broken. Whoever has not greeted gets no more memory
 * than this needs. */
static int greet(struct serve_conn *c, struct err *err)
{
	uint8_t text[SERVE_MAX_HELLO];
	struct proto_hello h;
	struct proto_welcome w = { .version = PROTO_VERSION, .max_read = PROTO_MAX_READ,
		.max_connections = SERVE_MAX_PER_SESSION - 1 };
	struct proto_frame f;

	if (receive(c, &f, text, sizeof(text), err) < 0)
		return -1;
	if (f.type != PROTO_HELLO)
		return err_set(err, ERR_SRC_PROTO, "frame of type %u before the greeting",
			f.type);
	if (proto_get_hello(text, f.len, &h, err) < 0) {
		if (err->code != ERR_SRC_VERSION)
			return -1;
		return say_bye(c, PROTO_BYE_VERSION, err->text, err) < 0 ? -1 : 1;
	}
	if (h.min_version > PROTO_VERSION || h.max_version < PROTO_VERSION ||
		!(h.features & PROTO_FEATURE_XXH3))
		return say_bye(c, PROTO_BYE_VERSION,
			"this source-server speaks version 1 with "
			"XXH3 hashes", err) < 0 ? -1 : 1;
	if (join(c, &h, err) < 0 && err->code == ERR_SRC_AUTH)
		log_warn("%s: refused: %s", net_name(c->stream), err->text);
	if (!c->session)
		return say_bye(c, err->code == ERR_SRC_AUTH ? PROTO_BYE_RIGHTS :
			PROTO_BYE_BUSY, err->text, err) < 0 ? -1 : 1;
	if (allocate(c, err) < 0)
		return -1;
	c->seed = h.seed;
	c->features = h.features & (PROTO_FEATURE_LZ4 | PROTO_FEATURE_XXH3);
	w.features = c->features;
	w.credit = h.credit < PROTO_LEAF ? PROTO_LEAF :
		h.credit > PROTO_CREDIT ? PROTO_CREDIT : h.credit;
	c->credit = w.credit;
	snprintf(w.build, sizeof(w.build), "source-server %s", TW_VERSION);
	log_info("%s: job \"%s\", %s, version %u%s, %s", net_name(c->stream), h.job,
		net_tls_describe(c->stream) ? net_tls_describe(c->stream) :
		"not encrypted", w.version, c->features & PROTO_FEATURE_LZ4 ? ", LZ4" :
			"", h.build);
	return serve_conn_reply(c, &f, PROTO_WELCOME, c->out,
		proto_put_welcome(c->out, 512, &w), err);
}

/* TLS or not, as the first byte says and as it is allowed. 0, 1, -1 as greet. */
static int secure(struct serve_conn *c, struct err *err)
{
	struct serve *s = c->serve;
	uint8_t first;
	int r = net_wait_readable(c->stream, GREETING_MS, err);

	if (r <= 0)
		return r < 0 ? -1 : err_set(err, ERR_NET_IO, "nothing came");
	if (recv(net_fd(c->stream), &first, 1, MSG_PEEK) != 1)
		return err_set(err, ERR_NET_IO, "closed at once");
	if (first == TLS_RECORD && s->psks)
		return net_tls_server(c->stream, &s->tls, err);
	if (first == TLS_RECORD)
		return err_set(err, ERR_SRC_TLS,
			"it wants TLS, but there is no --psk-file");
	if (s->allow_plain)
		return 0;
	log_warn("%s: refused, it does not use TLS", net_name(c->stream));
	return say_bye(c, PROTO_BYE_TLS, "this source needs TLS: use tws://",
		err) < 0 ? -1 : 1;
}

/* In clear: over TLS nothing was said yet. */
static void tell_evicted(struct serve_conn *c)
{
	struct err ignored = ERR_INIT;

	net_set_deadline(c->stream, 1000);
	if (c->evicted && !c->session && !net_tls_sent(c->stream))
		say_bye(c, PROTO_BYE_BUSY, "too many connections", &ignored);
}

void serve_conn_run(struct serve_conn *c)
{
	struct err err = ERR_INIT;
	int r;

	net_set_deadline(c->stream, GREETING_MS);
	r = secure(c, &err);
	if (!r)
		r = greet(c, &err);
	if (!r) {
		net_set_deadline(c->stream, 0);
		net_set_timeout(c->stream, IO_MS);
		r = requests(c, &err);
	} else if (r < 0) {
		tell_evicted(c);
	}
	/* Clients come to look, and end connections without a word. */
	if (r < 0 && !c->serve->stop)
		log_line(err.sys == ENODATA || c->evicted ? LOG_LEVEL_DEBUG :
			LOG_LEVEL_WARN, "%s", err.text);
	if (c->session) {
		log_debug("%s: ended, %llu bytes of drives in %llu", net_name(c->stream),
			(unsigned long long)c->data, (unsigned long long)c->sent);
		serve_session_leave(c->serve, c->session);
	}
	free(c->in);
	free(c->out);
	free(c->buf);
}

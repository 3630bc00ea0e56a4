/* SPDX-License-Identifier: Apache-2.0 */
/* tws:// and tw://: the client end of the drive protocol (proto/PROTOCOL.md). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/drive-internal.h"

#define DEFAULT_TIMEOUT_MS 20000 /* for the handshake, and for the answer to HELLO */

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

/* Asks for the drives and finds ours by its name:
 * numbers are of one server process only. */
static int find_drive(struct source_chan *c, bool hold, struct proto_disk *ret,
	struct err *err)
{
	struct drive *v = c->src->priv;
	struct drive_chan *d = c->priv;
	struct proto_frame reply, f = { .type = PROTO_DISKS, .raw = hold };
	struct proto_disk k;
	const uint8_t *p;
	bool found = false;
	size_t left;
	int r;

	if (source_drive_ask(c, &f, NULL, PROTO_DISK_LIST, &reply, err) < 0)
		return -1;
	p = d->payload;
	left = reply.len;
	while ((r = proto_next_disk(&p, &left, &k, err)) > 0) {
		if (strcmp(k.name, v->wanted))
			continue;
		if (found)
			return err_set(err, ERR_SRC_PROTO, "%s: drive \"%s\" twice",
				c->src->name, v->wanted);
		*ret = k;
		found = true;
	}
	if (r < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_SRC_NO_DRIVE, "%s: no drive \"%s\" there",
			c->src->name, v->wanted);
	d->disk = ret->id;
	return 0;
}

/* The first connection that reads says what all others must find
 * (PROTOCOL.md, section 6). */
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

/* Also what this worker has no word for is not held still. */
static bool is_consistent(const char *word)
{
	return !strcmp(word, "fs") || !strcmp(word, "unused") ||
		!strcmp(word, "snapshot");
}

static int check_consistency(struct source *s, const struct proto_disk *k,
	struct err *err)
{
	struct drive *v = s->priv;

	pthread_mutex_lock(&v->lock);
	if (!v->consistency[0] || !is_consistent(k->consistency))
		snprintf(v->consistency, sizeof(v->consistency), "%s",
			k->consistency[0] ? k->consistency : "crash");
	pthread_mutex_unlock(&v->lock);
	if (!s->opt.require_consistency || is_consistent(k->consistency))
		return 0;
	return err_set(err, ERR_SRC_CONSISTENCY,
		"%s: the source does not hold it still (%s), and the job requires that",
		s->name, k->consistency[0] ? k->consistency : "it says nothing");
}

/* Before anything is read: the server may have been started anew. */
static int find_again(struct source_chan *c, struct err *err)
{
	struct drive *v = c->src->priv;
	struct proto_disk k;

	if (find_drive(c, true, &k, err) < 0)
		return -1;
	v->still_ms = k.still ? clock_now_ms() - k.still + 1 : 0;
	if (k.size != c->src->info.size)
		return err_set(err, ERR_SRC_SIZE,
			"%s: has %" PRIu64 " bytes now, had %" PRIu64, c->src->name,
			k.size, c->src->info.size);
	if (v->live)
		return 0;
	return check_state(c, &k, err) < 0 ? -1 : check_consistency(c->src, &k, err);
}

/* Whoever accepts a connection and ends it without a word is no answer: a forwarder whose
 * server is away, or a server that has too many. It may be better another time. */
static int cut_off(const struct source *s, struct err *err)
{
	const struct drive *v = s->priv;

	if (err->code == ERR_SRC_TLS && err->sys)
		err->code = ERR_SRC_EOF;
	if (err->code == ERR_SRC_EOF && err->sys == ENODATA && !v->known)
		return err_wrap(err, "%s: no answer; is it a source-server, and does it "
			"expect TLS?", s->name);
	return -1;
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
	if (connect_stream(s, d, err) < 0)
		return cut_off(s, err);
	f.len = (uint32_t)proto_put_hello(hello, sizeof(hello), &v->hello);
	if (source_drive_ask(c, &f, hello, PROTO_WELCOME, &reply, err) < 0)
		return d->heard_ms ? -1 : cut_off(s, err);
	if (proto_get_welcome(d->payload, reply.len, &d->welcome, err) < 0)
		return err_wrap(err, "%s", s->name);
	net_set_timeout(d->stream, SILENT_MS);
	return 0;
}

/* Before anything is read on a connection:
 * the server freezes at the first read of a session. */
static int let_move(struct source_chan *c, struct err *err)
{
	struct proto_frame reply, f = { .type = PROTO_THAW };

	return source_drive_ask(c, &f, NULL, PROTO_DONE, &reply, err);
}

/* The first connection of a session, the others wait: asks for a newer point in time. A
 * server without snapshots has that for each session. */
static int get_newer(struct source_chan *c, struct err *err)
{
	struct drive *v = c->src->priv;
	struct drive_chan *d = c->priv;
	struct proto_frame reply, f = { .type = PROTO_SNAPSHOT };
	struct proto_disk k;
	int r = 0;

	pthread_mutex_lock(&v->lock);
	if (v->newer) {
		r = find_drive(c, false, &k, err);
		f.disk = d->disk;
		if (!r)
			r = source_drive_ask(c, &f, NULL, PROTO_DISK_LIST, &reply, err);
		if (r < 0 && err->sys == EOPNOTSUPP) {
			err_clear(err);
			r = 0;
		}
		v->newer = r < 0;
	}
	pthread_mutex_unlock(&v->lock);
	return r;
}

static int drive_chan_open(struct source_chan *c, struct err *err)
{
	const struct drive *v = c->src->priv;

	if (connect_drive(c, err) < 0 || (v->live && let_move(c, err) < 0) ||
	    get_newer(c, err) < 0)
		return -1;
	return find_again(c, err);
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

/* What the engine counts in: powers of two. */
static uint32_t longest_request(const struct proto_welcome *w)
{
	uint32_t n = PROTO_LEAF;

	while (n * 2 <= w->max_read && n < SOURCE_MAX_REQUEST)
		n *= 2;
	return n;
}

static int learn(struct source *s, struct err *err)
{
	struct source_chan c = { .src = s };
	struct drive *v = s->priv;
	struct drive_chan *d;
	struct proto_disk k;
	int r = -1;

	if (connect_drive(&c, err) < 0 || find_drive(&c, false, &k, err) < 0 ||
		check_consistency(s, &k, err) < 0)
		goto out;
	v->consistency[0] = '\0'; /* that was only what will probably be */
	d = c.priv;
	s->info = (struct source_info){ .size = k.size, .sector = k.sector,
		.max_channels = d->welcome.max_connections,
		.channel_memory = PROTO_MAX_PAYLOAD + (v->tls ? NET_TLS_MEMORY : 0),
		.max_request = longest_request(&d->welcome),
		/* Each reply is compressed by itself: the longer, the fewer bytes. */
		.optimum = SOURCE_MAX_REQUEST,
		.extents = k.extents || s->opt.since, .rotational = k.rotational };
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
	return err_set(err, ERR_CFG_INVALID,
		"%s: needs a pre-shared key (source.psk or psk-file=)", s->name);
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
	v->consistency[0] = '\0';
	v->still_ms = 0;
	return 0;
}

static int drive_live(struct source *s, bool live, struct err *err)
{
	struct drive *v = s->priv;

	v->live = live;
	v->newer = true;
	return new_session(s, err);
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
		return err_set(err, ERR_CFG_INVALID,
			"source: %s://host[:%u]/drive expected", u->scheme, PROTO_PORT);
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
		return err_set(err, ERR_SRC_TLS,
			"%s: not encrypted; use tws://, or allow plain "
			"connections on both ends", s->name);
	if (!v->tls)
		log_warn("%s: this connection is not encrypted and not authenticated",
			s->name);
	v->hello = (struct proto_hello){ .min_version = PROTO_VERSION,
		.max_version = PROTO_VERSION, .credit = PROTO_CREDIT,
		.features = PROTO_FEATURE_XXH3 |
		(s->opt.compress ? PROTO_FEATURE_LZ4 : 0u) };
	snprintf(v->hello.job, sizeof(v->hello.job), "%s",
		s->opt.job_id ? s->opt.job_id : "");
	snprintf(v->hello.build, sizeof(v->hello.build), "target-worker %s", TW_VERSION);
	return new_session(s, err) < 0 ? -1 : learn(s, err);
}

static void drive_consistency(struct source *s, char ret[16])
{
	struct drive *v = s->priv;

	pthread_mutex_lock(&v->lock);
	memcpy(ret, v->consistency, sizeof(v->consistency));
	pthread_mutex_unlock(&v->lock);
}

static void drive_state(struct source *s, char ret[40])
{
	struct drive *v = s->priv;

	pthread_mutex_lock(&v->lock);
	if (v->has_state)
		memcpy(ret, v->state, sizeof(v->state));
	pthread_mutex_unlock(&v->lock);
}

static int drive_finish(struct source *s, struct err *err)
{
	struct source_chan c = { .src = s };
	struct proto_frame reply, f = { .type = PROTO_BYE, .raw = 1 };
	int r = connect_drive(&c, err);

	if (!r)
		r = source_drive_ask(&c, &f, NULL, PROTO_DONE, &reply, err);
	drive_chan_close(&c);
	((struct drive *)s->priv)->still_ms = 0;
	return r;
}

static int drive_let_go(struct source *s, struct err *err)
{
	struct source_chan c = { .src = s };
	struct drive *v = s->priv;
	int r = connect_drive(&c, err);

	if (!r)
		r = let_move(&c, err);
	drive_chan_close(&c);
	v->still_ms = 0;
	return r;
}

static uint64_t drive_still_ms(const struct source *s)
{
	return ((const struct drive *)s->priv)->still_ms;
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
	.room = source_drive_room,
	.submit = source_drive_submit,
	.reap = source_drive_reap,
	.extents = source_drive_extents,
	.hashes = source_drive_hashes,
	.commit = source_drive_commit,
	.finish = drive_finish,
	.let_go = drive_let_go,
	.still_ms = drive_still_ms,
	.limit = source_drive_limit,
	.begin_anew = new_session,
	.live = drive_live,
	.state = drive_state,
	.consistency = drive_consistency,
	.resume = source_drive_resume,
};

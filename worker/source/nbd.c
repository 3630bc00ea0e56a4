/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd://[user@]host[:port]/export, nbds:// (TLS), nbd+unix:///export?socket=PATH,
 * nbds+unix://.
 * Parameters: socket, identity, tls-psk-file, tls-certificates (folder with ca-cert.pem,
 * client-cert.pem, client-key.pem), tls-hostname. Plain NBD has no integrity: only TCP's
 * 16-bit sum protects it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/nbd-internal.h"

#define HANDSHAKE_MS 30000
#define REQUEST_MS 120000 /* NBD has no keepalive: an answer that late is none */
#define MAX_CHANNELS 16
#define MAX_WITHOUT_SIZES (32u << 20) /* what a server must take that told no limit */

static const char *const known_params[] = { "socket", "tls-psk-file", "tls-certificates",
	"tls-hostname", "identity", NULL };

static void target_free(struct nbd_target *t)
{
	if (!t)
		return;
	net_psk_wipe(&t->psk);
	free(t->host);
	free(t->socket_path);
	free(t->export);
	free(t->ca);
	free(t->cert);
	free(t->key);
	free(t->host_name);
	free(t);
}

static char *join(const char *dir, const char *name)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return strdup(path);
}

static int load_tls(struct nbd_target *t, const struct source *s,
	const struct source_uri *u, struct err *err)
{
	const char *file = source_uri_param(u, "tls-psk-file");
	const char *dir = source_uri_param(u, "tls-certificates");
	const char *name = source_uri_param(u, "tls-hostname");
	struct stat st;

	if (s->opt.psk || file) {
		t->has_psk = true;
		return s->opt.psk ? net_psk_parse(s->opt.psk, &t->psk, err) :
				    net_psk_load(file, u->user, &t->psk, err);
	}
	if (!dir)
		return err_set(err, ERR_USAGE,
			"source: nbds:// needs tls-psk-file= or tls-certificates=");
	t->ca = join(dir, "ca-cert.pem");
	t->cert = join(dir, "client-cert.pem");
	t->key = join(dir, "client-key.pem");
	t->host_name = name ? strdup(name) : NULL;
	if (!t->ca || !t->cert || !t->key || (name && !t->host_name))
		return err_set(err, ERR_NOMEM, "source: out of memory");
	/* An own certificate is asked for by some servers only. */
	if (stat(t->cert, &st) < 0 && errno == ENOENT) {
		free(t->cert);
		free(t->key);
		t->cert = t->key = NULL;
	}
	return 0;
}

static int load_target(struct nbd_target *t, const struct source *s,
	const struct source_uri *u, struct err *err)
{
	const char *sock = source_uri_param(u, "socket");
	bool local = !strcmp(u->scheme, "nbd+unix") || !strcmp(u->scheme, "nbds+unix");

	if (source_uri_check_params(u, known_params, err) < 0)
		return -1;
	if (local != !!sock || (!local && !u->host))
		return err_set(err, ERR_USAGE, "source: %s:// needs %s", u->scheme,
			local ? "socket=" : "a host");
	if (strlen(u->path) > NBD_NAME_MAX)
		return err_set(err, ERR_USAGE, "source: export name longer than %d bytes",
			NBD_NAME_MAX);
	t->tls = !strncmp(u->scheme, "nbds", 4);
	t->port = u->port ? u->port : NBD_PORT;
	t->host = u->host ? strdup(u->host) : NULL;
	t->socket_path = sock ? strdup(sock) : NULL;
	t->export = strdup(u->path);
	t->bitmap = s->opt.bitmap;
	t->timeout_ms = s->opt.connect_timeout_ms;
	if ((u->host && !t->host) || (sock && !t->socket_path) || !t->export)
		return err_set(err, ERR_NOMEM, "source: out of memory");
	return t->tls ? load_tls(t, s, u, err) : 0;
}

/* NBD tells nothing of what an export holds; whoever knows that it stays (a snapshot) may
 * give it a name. */
static int name_content(struct source *s, const struct source_uri *u, struct err *err)
{
	const char *name = source_uri_param(u, "identity");

	if (!name)
		return 0;
	if (!*name || strlen(name) >= sizeof(s->info.generation))
		return err_set(err, ERR_USAGE, "source: identity of 1 to %zu bytes expected",
			sizeof(s->info.generation) - 1);
	strcpy(s->info.generation, name);
	return 0;
}

static void conn_free(struct nbd_conn *c)
{
	if (!c)
		return;
	if (c->s)
		source_nbd_leave(c);
	net_close(c->s);
	free(c->status.lists[0]);
	free(c->status.lists[1]);
	free(c);
}

static int connect_stream(const struct nbd_target *t, struct stream **ret,
	struct err *err)
{
	if (t->socket_path)
		return net_connect_unix(t->socket_path, ret, err);
	return net_connect(t->host, t->port, t->timeout_ms, ret, err);
}

static int conn_open(struct source *s, struct nbd_conn **ret, struct err *err)
{
	const struct nbd_target *t = s->priv;
	struct nbd_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ERR_NOMEM, "%s: out of memory", s->name);
	c->name = s->name;
	c->src = s;
	c->next_cookie = 1;
	c->done_tail = &c->done;
	if (connect_stream(t, &c->s, err) < 0) {
		conn_free(c);
		return -1;
	}
	net_set_timeout(c->s, HANDSHAKE_MS);
	if (source_nbd_handshake(c, t, err) < 0) {
		conn_free(c);
		return -1;
	}
	net_set_timeout(c->s, REQUEST_MS);
	*ret = c;
	return 0;
}

static uint32_t power_of_two_below(uint32_t v)
{
	uint32_t p = 4096;

	while (p * 2 <= v && p < SOURCE_MAX_REQUEST)
		p *= 2;
	return p;
}

static void fill_info(struct source *s, const struct nbd_conn *c)
{
	struct source_info *i = &s->info;

	i->size = c->size;
	i->sector = c->min > 512 ? c->min : 512;
	i->optimum = c->preferred;
	i->max_request = power_of_two_below(c->max ? c->max : MAX_WITHOUT_SIZES);
	i->max_channels = c->flags & NBD_FLAG_CAN_MULTI_CONN ? MAX_CHANNELS : 1;
	i->channel_memory = c->tls ? NET_TLS_MEMORY : 0;
	i->extents = c->has_context[0] || c->has_context[1];
	i->rotational = c->flags & NBD_FLAG_ROTATIONAL;
}

static int nbd_open(struct source *s, const struct source_uri *uri, struct err *err)
{
	struct nbd_target *t = calloc(1, sizeof(*t));
	struct nbd_conn *c = NULL;

	s->priv = t;
	if (!t)
		return err_set(err, ERR_NOMEM, "source: out of memory");
	if (load_target(t, s, uri, err) < 0 || name_content(s, uri, err) < 0)
		return -1;
	if (t->socket_path)
		snprintf(s->name, sizeof(s->name), "%s://%.60s?socket=%.70s", uri->scheme,
			t->export, t->socket_path);
	else
		snprintf(s->name, sizeof(s->name), "%s://%.64s:%u/%.60s", uri->scheme,
			t->host, t->port, t->export);
	if (conn_open(s, &c, err) < 0)
		return -1;
	fill_info(s, c);
	if (!c->tls && !t->socket_path)
		log_info("%s: not encrypted, and protected by TCP's checksum only",
			s->name);
	conn_free(c);
	return 0;
}

static void nbd_close(struct source *s)
{
	target_free(s->priv);
}

static int nbd_chan_open(struct source_chan *ch, struct err *err)
{
	struct nbd_conn *c;

	if (conn_open(ch->src, &c, err) < 0) {
		/* Cut off in a handshake that has worked before: gone for now. */
		if (err->code == ERR_SRC_TLS && err->sys)
			err->code = ERR_SRC_EOF;
		return -1;
	}
	ch->priv = c;
	if (c->size != ch->src->info.size)
		return err_set(err, ERR_SRC_SIZE,
			"%s: had %" PRIu64 " bytes and now has %" PRIu64, c->name,
			ch->src->info.size, c->size);
	return 0;
}

static void nbd_chan_close(struct source_chan *ch)
{
	conn_free(ch->priv);
}

static void nbd_chan_cancel(struct source_chan *ch)
{
	net_shutdown(((struct nbd_conn *)ch->priv)->s);
}

static unsigned nbd_room(const struct source_chan *ch, uint32_t len)
{
	const struct nbd_conn *c = ch->priv;
	uint64_t bytes = c->in_flight_bytes < NBD_DEPTH_BYTES ?
		(NBD_DEPTH_BYTES - c->in_flight_bytes) / len : 0;

	return bytes < NBD_DEPTH - c->in_flight ? (unsigned)bytes :
		NBD_DEPTH - c->in_flight;
}

static int nbd_submit(struct source_chan *ch, struct source_req *r, struct err *err)
{
	struct nbd_conn *c = ch->priv;
	struct nbd_slot *s = c->slots;

	while (s < c->slots + NBD_DEPTH && s->r)
		s++;
	if (s == c->slots + NBD_DEPTH)
		return err_set(err, ERR_INTERNAL, "%s: no room for a request", c->name);
	*s = (struct nbd_slot){ .r = r, .cookie = c->next_cookie++,
		.sent_ms = clock_now_ms() };
	source_nbd_queue_request(c, NBD_CMD_READ, s->cookie, r->off, r->len);
	c->in_flight++;
	c->in_flight_bytes += r->len;
	return 0;
}

static int check_age(const struct nbd_conn *c, struct err *err)
{
	uint64_t now = clock_now_ms();

	for (int i = 0; i < NBD_DEPTH; i++)
		if (c->slots[i].r && now - c->slots[i].sent_ms > REQUEST_MS)
			return err_set(err, ERR_SRC_SLOW, "%s: no answer for %d s",
				c->name, REQUEST_MS / 1000);
	return 0;
}

/* Takes what is there already, so that one wake-up serves several replies. */
static int nbd_reap(struct source_chan *ch, unsigned timeout_ms, struct source_req **ret,
	struct err *err)
{
	struct nbd_conn *c = ch->priv;
	uint64_t deadline = clock_now_ms() + timeout_ms;

	if (source_nbd_send_queued(c, err) < 0)
		return -1;
	while (!c->done) {
		uint64_t now = clock_now_ms();
		int r = net_wait_readable(c->s,
			now < deadline ? (unsigned)(deadline - now) : 0, err);

		if (r < 0)
			return -1;
		if (!r)
			break;
		if (source_nbd_take_reply(c, err) < 0)
			return -1;
	}
	*ret = c->done;
	c->done = NULL;
	c->done_tail = &c->done;
	return *ret ? 0 : check_age(c, err);
}

static const char *const schemes[] = { "nbd", "nbds", "nbd+unix", "nbds+unix", NULL };

const struct source_ops source_nbd_ops = {
	.name = "nbd",
	.schemes = schemes,
	.open = nbd_open,
	.close = nbd_close,
	.chan_open = nbd_chan_open,
	.chan_close = nbd_chan_close,
	.chan_cancel = nbd_chan_cancel,
	.room = nbd_room,
	.submit = nbd_submit,
	.reap = nbd_reap,
	.extents = source_nbd_extents,
};

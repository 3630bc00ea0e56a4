/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NBD negotiation, fixed newstyle only. TLS comes first and is never optional: a session
 * that should have it and cannot is refused. Nothing learned before TLS is used after it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "source/nbd-internal.h"

#define MAGIC_SERVER 0x4e42444d41474943ull /* "NBDMAGIC" */
#define MAGIC_OLD 0x00420281861253ull
#define MAX_REPLIES 1024
#define LEAVE_MS 1000 /* a server that does not listen is not waited for */

enum { OPT_EXPORT_NAME = 1, OPT_ABORT = 2, OPT_STARTTLS = 5, OPT_GO = 7,
	OPT_STRUCTURED = 8,
	OPT_SET_META = 10, OPT_EXTENDED = 11 };
enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };

static int start_tls(struct nbd_conn *c, const struct nbd_target *t, struct err *err)
{
	struct net_tls_config tls = {
		.psk = t->has_psk ? &t->psk : NULL,
		.ca_file = t->ca, .cert_file = t->cert, .key_file = t->key,
		.host_name = t->host_name ? t->host_name : t->host,
	};
	uint32_t type = 0;
	int r = source_nbd_plain_option(c, OPT_STARTTLS, &type, err);

	if (r < 0)
		return -1;
	if (!r)
		return err_set(err, ERR_SRC_TLS, "%s: the server does not do TLS: %s",
			c->name, source_nbd_option_error(type));
	/* Whatever lies there now was put in by somebody who is not
	 * behind the TLS session. */
	r = net_wait_readable(c->s, 0, err);
	if (r < 0)
		return -1;
	/* not its end */
	if (r && recv(net_fd(c->s), &type, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
		return err_set(err, ERR_SRC_TLS, "%s: data in front of the TLS handshake",
			c->name);
	c->phase = NBD_HANG_UP;
	if (net_tls_client(c->s, &tls, err) < 0)
		return -1;
	c->phase = NBD_OPTIONS;
	c->tls = true;
	return 0;
}

static int negotiate_replies(struct nbd_conn *c, struct err *err)
{
	uint32_t type = 0;
	int r = source_nbd_plain_option(c, OPT_EXTENDED, &type, err);

	if (r < 0)
		return -1;
	c->structured = c->extended = r;
	if (!r && type == (NBD_REP_ERROR | NBD_ERR_TLS_REQD))
		return err_set(err, ERR_SRC_TLS, "%s: the server wants TLS: use nbds://",
			c->name);
	if (!r) {
		r = source_nbd_plain_option(c, OPT_STRUCTURED, &type, err);
		if (r < 0)
			return -1;
		c->structured = r;
	}
	return 0;
}

static uint8_t *put_string(uint8_t *p, const char *s)
{
	uint32_t n = (uint32_t)strlen(s);

	bytes_put_be32(p, n);
	memcpy(p + 4, s, n);
	return p + 4 + n;
}

static int take_context(struct nbd_conn *c, const struct nbd_option_reply *r,
	const char *const *names, struct err *err)
{
	if (r->len < 5)
		return source_nbd_broken(c, err, "meta context of %" PRIu32 " bytes",
			r->len);
	for (int i = 0; i < 2; i++) {
		if (!names[i] || strlen(names[i]) != r->len - 4 ||
			strncmp(names[i], (char *)r->data + 4, r->len - 4))
			continue;
		c->has_context[i] = true;
		c->context[i] = bytes_be32(r->data);
		return 0;
	}
	return 0; /* nobody asked for it: not used */
}

static int set_contexts(struct nbd_conn *c, const struct nbd_target *t, struct err *err)
{
	char dirty[NBD_NAME_MAX + 32];
	const char *const names[2] = { "base:allocation", t->bitmap ? dirty : NULL };
	size_t max = 4 + strlen(t->export) + 4 + 2 * sizeof(dirty);
	CLEANUP_FREE uint8_t *data = malloc(max);
	uint8_t *p;
	int n;

	if (!data)
		return err_set(err, ERR_NOMEM, "%s: out of memory", c->name);
	if (t->bitmap)
		snprintf(dirty, sizeof(dirty), "qemu:dirty-bitmap:%s", t->bitmap);
	p = put_string(data, t->export);
	bytes_put_be32(p, t->bitmap ? 2 : 1);
	p = put_string(p + 4, names[0]);
	if (t->bitmap)
		p = put_string(p, dirty);
	if (source_nbd_send_option(c, OPT_SET_META, data, (uint32_t)(p - data), err) < 0)
		return -1;
	for (n = 0; n < MAX_REPLIES; n++) {
		struct nbd_option_reply r;
		int bad = 0;

		if (source_nbd_read_option(c, OPT_SET_META, &r, err) < 0)
			return -1;
		if (r.type == NBD_REP_META)
			bad = take_context(c, &r, names, err);
		free(r.data);
		if (bad < 0)
			return -1;
		if (r.type == NBD_REP_ACK || r.type & NBD_REP_ERROR)
			return 0;
		if (r.type != NBD_REP_META)
			break;
	}
	return source_nbd_broken(c, err, "meta contexts without an end");
}

static int take_info(struct nbd_conn *c, const struct nbd_option_reply *r,
	bool *ret_export, struct err *err)
{
	uint32_t type = r->len >= 2 ? bytes_be16(r->data) : 0;

	if (r->len < 2)
		return source_nbd_broken(c, err, "information of %" PRIu32 " bytes",
			r->len);
	if (type == INFO_EXPORT) {
		if (r->len != 12)
			return source_nbd_broken(c, err, "export information of %" PRIu32
				" bytes", r->len);
		c->size = bytes_be64(r->data + 2);
		c->flags = bytes_be16(r->data + 10);
		*ret_export = true;
	} else if (type == INFO_BLOCK_SIZE) {
		if (r->len != 14)
			return source_nbd_broken(c, err,
				"block sizes of %" PRIu32 " bytes", r->len);
		c->min = bytes_be32(r->data + 2);
		c->preferred = bytes_be32(r->data + 6);
		c->max = bytes_be32(r->data + 10);
	}
	return 0;
}

static int go_failed(struct nbd_conn *c, const struct nbd_target *t, uint32_t type,
	struct err *err)
{
	enum err_code code = type == (NBD_REP_ERROR | NBD_ERR_TLS_REQD) ? ERR_SRC_TLS :
		type == (NBD_REP_ERROR | NBD_ERR_POLICY)	 ? ERR_SRC_AUTH :
			ERR_SRC_NO_DRIVE;

	return err_set(err, code, "%s: export \"%.64s\": %s", c->name, t->export,
		source_nbd_option_error(type));
}

/* The old way to choose an export: no error is possible, the server just hangs up. */
static int export_name(struct nbd_conn *c, const struct nbd_target *t, bool no_zeroes,
	struct err *err)
{
	uint8_t data[10];

	if (c->tls)
		return err_set(err, ERR_SRC_PROTO, "%s: the server knows no GO under TLS",
			c->name);
	c->phase = NBD_HANG_UP; /* whatever comes now is no reply to an option */
	if (source_nbd_send_option(c, OPT_EXPORT_NAME, t->export,
		(uint32_t)strlen(t->export), err) < 0)
		return -1;
	if (source_nbd_read(c, data, sizeof(data), err) < 0)
		return err_wrap(err, "export \"%.64s\"", t->export);
	c->size = bytes_be64(data);
	c->flags = bytes_be16(data + 8);
	return no_zeroes ? 0 : source_nbd_skip(c, 124, err);
}

static int go(struct nbd_conn *c, const struct nbd_target *t, bool no_zeroes,
	struct err *err)
{
	CLEANUP_FREE uint8_t *data = malloc(strlen(t->export) + 8);
	bool have_export = false;
	uint8_t *p;
	int n;

	if (!data)
		return err_set(err, ERR_NOMEM, "%s: out of memory", c->name);
	p = put_string(data, t->export);
	bytes_put_be16(p, 1);
	bytes_put_be16(p + 2, INFO_BLOCK_SIZE);
	if (source_nbd_send_option(c, OPT_GO, data, (uint32_t)(p + 4 - data), err) < 0)
		return -1;
	for (n = 0; n < MAX_REPLIES; n++) {
		struct nbd_option_reply r;
		int bad = 0;

		if (source_nbd_read_option(c, OPT_GO, &r, err) < 0)
			return -1;
		if (r.type == NBD_REP_INFO)
			bad = take_info(c, &r, &have_export, err);
		free(r.data);
		if (bad < 0)
			return -1;
		if (r.type == (NBD_REP_ERROR | NBD_ERR_UNSUP))
			return export_name(c, t, no_zeroes, err);
		if (r.type & NBD_REP_ERROR)
			return go_failed(c, t, r.type, err);
		if (r.type == NBD_REP_ACK)
			return have_export ? 0 :
				source_nbd_broken(c, err, "no export size");
	}
	return source_nbd_broken(c, err, "information without an end");
}

static int greeting(struct nbd_conn *c, bool *ret_no_zeroes, struct err *err)
{
	uint8_t data[18], answer[4];
	uint16_t flags;

	if (source_nbd_read(c, data, 8, err) < 0)
		return -1;
	if (bytes_be64(data) != MAGIC_SERVER)
		return err_set(err, ERR_SRC_PROTO, "%s: this is no NBD server", c->name);
	if (source_nbd_read(c, data + 8, 10, err) < 0)
		return -1;
	if (bytes_be64(data + 8) == MAGIC_OLD)
		return err_set(err, ERR_SRC_VERSION,
			"%s: the server only knows the old handshake (before 2011)",
			c->name);
	if (bytes_be64(data + 8) != NBD_MAGIC_OPTION)
		return source_nbd_broken(c, err, "unknown handshake");
	flags = bytes_be16(data + 16);
	if (!(flags & 1))
		return err_set(err, ERR_SRC_VERSION,
			"%s: the server does not know fixed newstyle", c->name);
	*ret_no_zeroes = flags & 2;
	bytes_put_be32(answer, flags & 3);
	if (net_write(c->s, answer, 4, err) == 0) {
		c->phase = NBD_OPTIONS;
		return 0;
	}
	if (err->code == ERR_NET_IO)
		err->code = ERR_SRC_EOF;
	return -1;
}

static int check_export(struct nbd_conn *c, const struct nbd_target *t, struct err *err)
{
	if (!(c->flags & NBD_FLAG_HAS_FLAGS))
		return source_nbd_broken(c, err, "export flags 0x%x", c->flags);
	if (c->size > INT64_MAX)
		return err_set(err, ERR_SRC_SIZE, "%s: size %" PRIu64 " is impossible",
			c->name, c->size);
	if (c->min && (c->min & (c->min - 1) || c->min > 65536 || c->preferred < c->min ||
			      (c->max != UINT32_MAX && c->max < c->min)))
		return source_nbd_broken(c, err,
			"block sizes %" PRIu32 ", %" PRIu32 ", %" PRIu32, c->min,
			c->preferred, c->max);
	if (t->bitmap && !c->has_context[1])
		return err_set(err, ERR_SRC_NO_DRIVE,
			"%s: the export has no dirty bitmap \"%s\"", c->name, t->bitmap);
	return 0;
}

int source_nbd_handshake(struct nbd_conn *c, const struct nbd_target *t, struct err *err)
{
	bool no_zeroes = false;

	if (greeting(c, &no_zeroes, err) < 0)
		return -1;
	if (t->tls && start_tls(c, t, err) < 0)
		return -1;
	if (negotiate_replies(c, err) < 0)
		return -1;
	if (c->structured && set_contexts(c, t, err) < 0)
		return -1;
	if (go(c, t, no_zeroes, err) < 0)
		return -1;
	c->phase = NBD_TRANSMISSION;
	log_debug("%s: %" PRIu64 " bytes, flags 0x%x, %s replies%s%s%s", c->name, c->size,
		c->flags, c->extended ? "extended" : c->structured ? "structured" :
		"simple", c->has_context[0] ? ", allocation" :
		"", c->has_context[1] ? ", bitmap" : "", c->tls ? ", TLS" : "");
	return check_export(c, t, err);
}

/* The server sees the end of the stream anyway;
 * the specification wants the word all the same. */
void source_nbd_leave(struct nbd_conn *c)
{
	struct err ignored = ERR_INIT;
	int r = 0;

	net_set_timeout(c->s, LEAVE_MS);
	if (c->phase == NBD_OPTIONS) {
		r = source_nbd_send_option(c, OPT_ABORT, NULL, 0, &ignored);
	} else if (c->phase == NBD_TRANSMISSION) {
		c->out_len = 0;
		source_nbd_queue_request(c, NBD_CMD_DISC, c->next_cookie++, 0, 0);
		r = source_nbd_send_queued(c, &ignored);
	}
	if (r < 0)
		log_debug("%s: %s", c->name, ignored.text);
	c->phase = NBD_HANG_UP;
}

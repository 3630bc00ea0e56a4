/* SPDX-License-Identifier: Apache-2.0 */
/* NBD options: one goes out, its replies come in.
 * What they mean is nbd-handshake.c's business. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "source/nbd-internal.h"

#define MAGIC_REPLY 0x3e889045565a9ull
#define MAX_REPLY 65536

const char *source_nbd_option_error(uint32_t type)
{
	switch (type & ~NBD_REP_ERROR) {
	case NBD_ERR_UNSUP:
		return "not supported";
	case NBD_ERR_POLICY:
		return "forbidden by policy";
	case 3:
		return "invalid";
	case 4:
		return "not supported on its platform";
	case NBD_ERR_TLS_REQD:
		return "TLS required";
	case NBD_ERR_UNKNOWN:
		return "no such export";
	case NBD_ERR_SHUTDOWN:
		return "shutting down";
	case NBD_ERR_BLOCK_SIZE:
		return "block sizes required";
	case 9:
		return "too big";
	default:
		return "unknown error";
	}
}

int source_nbd_send_option(struct nbd_conn *c, uint32_t option, const void *data,
	uint32_t len, struct err *err)
{
	uint8_t head[16];
	struct iovec iov[2] = { { head, sizeof(head) }, { (void *)data, len } };

	bytes_put_be64(head, NBD_MAGIC_OPTION);
	bytes_put_be32(head + 8, option);
	bytes_put_be32(head + 12, len);
	if (net_writev(c->s, iov, len ? 2 : 1, err) == 0)
		return 0;
	if (err->code == ERR_NET_IO)
		err->code = ERR_SRC_EOF;
	return -1;
}

int source_nbd_read_option(struct nbd_conn *c, uint32_t option,
	struct nbd_option_reply *r, struct err *err)
{
	uint8_t head[20];

	r->data = NULL;
	if (source_nbd_read(c, head, sizeof(head), err) < 0)
		return -1;
	if (bytes_be64(head) != MAGIC_REPLY || bytes_be32(head + 8) != option)
		return source_nbd_broken(c, err, "wrong reply to option %" PRIu32,
			option);
	r->type = bytes_be32(head + 12);
	r->len = bytes_be32(head + 16);
	if (r->len > MAX_REPLY)
		return source_nbd_broken(c, err,
			"reply of %" PRIu32 " bytes to option %" PRIu32, r->len, option);
	r->data = malloc(r->len + 1);
	if (!r->data)
		return err_set(err, ERR_NOMEM, "%s: out of memory", c->name);
	if (source_nbd_read(c, r->data, r->len, err) < 0) {
		free(r->data);
		r->data = NULL;
		return -1;
	}
	r->data[r->len] = '\0';
	if (r->type == (NBD_REP_ERROR | NBD_ERR_SHUTDOWN)) {
		free(r->data);
		r->data = NULL;
		return err_set(err, ERR_SRC_EOF, "%s: the server is shutting down",
			c->name);
	}
	return 0;
}

int source_nbd_plain_option(struct nbd_conn *c, uint32_t option, uint32_t *ret_type,
	struct err *err)
{
	struct nbd_option_reply r;

	if (source_nbd_send_option(c, option, NULL, 0, err) < 0 ||
	    source_nbd_read_option(c, option, &r, err) < 0)
		return -1;
	free(r.data);
	*ret_type = r.type;
	if (r.type == NBD_REP_ACK)
		return r.len ? source_nbd_broken(c, err, "ACK with data") : 1;
	if (r.type & NBD_REP_ERROR)
		return 0;
	return source_nbd_broken(c, err, "reply %" PRIu32 " to option %" PRIu32, r.type,
		option);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NBD client: nbd.c is the transport, nbd-handshake.c the negotiation by
 * nbd-option.c's options, nbd-reply.c what the
 * server says afterwards, nbd-extents.c block status. Numbers are those of the NBD
 * project's doc/proto.md; everything is big-endian.
 */
#ifndef SOURCE_NBD_INTERNAL_H
#define SOURCE_NBD_INTERNAL_H

#include "net/net.h"
#include "source/source-internal.h"

#define NBD_PORT 10809
#define NBD_DEPTH 32             /* requests in flight a connection */
#define NBD_DEPTH_BYTES (16u << 20)
#define NBD_FRAGMENTS 64         /* chunks that answer one read */
#define NBD_MAX_EXTENTS (1u << 20)
#define NBD_NAME_MAX 4096

enum { NBD_FLAG_HAS_FLAGS = 1, NBD_FLAG_READ_ONLY = 2, NBD_FLAG_ROTATIONAL = 16,
	NBD_FLAG_CAN_MULTI_CONN = 256 };
enum { NBD_CMD_READ = 0, NBD_CMD_DISC = 2, NBD_CMD_BLOCK_STATUS = 7 };

struct nbd_target {              /* of the URI; the same for all connections */
	char *host, *socket_path, *export;
	uint16_t port;
	bool tls;
	struct net_psk psk;
	bool has_psk;
	char *ca, *cert, *key, *host_name;
	const char *bitmap;
	unsigned timeout_ms;
};

struct nbd_fragment {
	uint32_t off, end;           /* within the request; sorted, not touching */
};

/* A read on its way. */
struct nbd_slot {
	struct source_req *r;        /* NULL = free */
	uint64_t cookie, sent_ms;
	int error;                   /* NBD errno of an error chunk */
	unsigned n_fragments;
	struct nbd_fragment fragments[NBD_FRAGMENTS];
};

struct nbd_range {
	uint64_t len, flags;
};
#define NBD_RANGES 4096

/* The block status request on its way; one at a time. */
struct nbd_status {
	bool active, complete;
	uint64_t cookie;
	int error;
	struct nbd_range *lists[2];  /* [0] base:allocation, [1] dirty
				      * bitmap; NBD_RANGES each */
	unsigned n[2];
	bool seen[2];
};

/* What a session is left with: ABORT while options are haggled over, DISC in
 * transmission, nothing when the server broke the rules or the stream, or a TLS handshake
 * is under way. */
enum nbd_phase { NBD_HANG_UP, NBD_OPTIONS, NBD_TRANSMISSION };

struct nbd_conn {
	struct stream *s;
	enum nbd_phase phase;
	const char *name;            /* for messages */
	struct source *src;          /* counters; NULL in tests of the handshake */
	bool structured, extended, tls;
	uint64_t size;
	uint16_t flags;
	uint32_t min, preferred, max; /* block sizes; 0 = not told */
	bool has_context[2];
	uint32_t context[2];
	uint64_t next_cookie;
	unsigned in_flight;
	uint64_t in_flight_bytes;
	struct nbd_slot slots[NBD_DEPTH];
	struct nbd_status status;
	uint8_t out[(NBD_DEPTH + 4) * 32]; /* all that can be in flight, and DISC */
	size_t out_len;
	struct source_req *done, **done_tail;
};

/* nbd-handshake.c: from a connected stream to transmission; c->s, c->name are set. */
int source_nbd_handshake(struct nbd_conn *c, const struct nbd_target *t, struct err *err);
/* Ends what was begun, in whatever phase it is. */
void source_nbd_leave(struct nbd_conn *c);

/* nbd-option.c */
#define NBD_MAGIC_OPTION 0x49484156454f5054ull /* "IHAVEOPT" */
enum { NBD_REP_ACK = 1, NBD_REP_INFO = 3, NBD_REP_META = 4 };
#define NBD_REP_ERROR 0x80000000u
enum { NBD_ERR_UNSUP = 1, NBD_ERR_POLICY = 2, NBD_ERR_TLS_REQD = 5, NBD_ERR_UNKNOWN = 6,
	NBD_ERR_SHUTDOWN = 7, NBD_ERR_BLOCK_SIZE = 8 };
struct nbd_option_reply {
	uint32_t type, len;
	uint8_t *data; /* malloc, len bytes and a NUL */
};
const char *source_nbd_option_error(uint32_t type);
int source_nbd_send_option(struct nbd_conn *c, uint32_t option, const void *data,
	uint32_t len, struct err *err);
/* The caller frees r->data. */
int source_nbd_read_option(struct nbd_conn *c, uint32_t option,
	struct nbd_option_reply *r, struct err *err);
/* An option without data whose answer is ACK or an error. 1 ACK, 0 refused, -1 broken. */
int source_nbd_plain_option(struct nbd_conn *c, uint32_t option, uint32_t *ret_type,
	struct err *err);

/* nbd-reply.c */
void source_nbd_queue_request(struct nbd_conn *c, uint16_t cmd, uint64_t cookie,
	uint64_t off, uint64_t len);
int source_nbd_send_queued(struct nbd_conn *c, struct err *err);
/* Reads one reply (chunk) and does what it says. -1:
 * the connection is of no use any more. */
int source_nbd_take_reply(struct nbd_conn *c, struct err *err);
int source_nbd_errno(uint32_t nbd_error); /* the errno an NBD error number stands for */
/* Reads; the end of the stream is SRC_EOF. */
int source_nbd_read(struct nbd_conn *c, void *buf, size_t len, struct err *err);
int source_nbd_skip(struct nbd_conn *c, uint64_t len, struct err *err);
int source_nbd_broken(struct nbd_conn *c, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* nbd-extents.c */
int source_nbd_extents(struct source_chan *ch, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
	struct err *err);
/* A chunk of `len` payload bytes with the status of one context. */
int source_nbd_take_status(struct nbd_conn *c, uint32_t len, bool extended,
	struct err *err);
/* Both lists become extents from off on. Returns how many. */
size_t source_nbd_merge_status(const struct nbd_status *st, bool dirty, uint64_t off,
	uint64_t end, struct source_extent *ret, size_t max);

#endif

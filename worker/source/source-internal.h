/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transport (drive.c, nbd.c, file.c, pattern.c) fills in. source.c in front of it
 * has checked ranges and alignment, adds what a transport leaves out, counts and traces;
 * pattern.c is the complete small example to copy when a transport is added.
 */
#ifndef SOURCE_SOURCE_INTERNAL_H
#define SOURCE_SOURCE_INTERNAL_H

#include <stdatomic.h>

#include "source/source.h"

/* source.c */
struct source {
	const struct source_ops *ops;
	struct source_info info;     /* ops->open fills it; max_channels 0 becomes 1 */
	struct source_options opt;   /* copies: the strings live as long as the source */
	char name[160];              /* "nbd://10.0.2.2:10809/disk"; never a secret */
	uint64_t seed;               /* of the leaf hash; ops->open sets it
				      * where it has a session */
	_Atomic uint64_t wire_in, wire_out, requests, retries;
	_Atomic unsigned extents_failed; /* how often */
	void *priv;                  /* of the transport */
};

struct source_chan {
	struct source *src;
	void *priv;                   /* of the transport */
	unsigned in_flight;           /* submitted and not yet reaped */
	uint64_t in_flight_bytes;
};

struct source_uri;

/*
 * How a request fails by itself, the channel staying in order: status -1 and in err one
 * of
 *   SRC_READ with err.sys = EIO       the engine retries in smaller pieces, then lists
 *                                     the range
 *   SRC_READ with EINVAL, ENOMEM, EOVERFLOW  the engine halves the request
 *   SRC_READ with any other errno     the copy fails
 *   VERIFY_HASH                       damaged on the way; the engine asks again, twice
 *   SRC_CHANGED                       what it would read does not belong to what was read
 * A failure of submit, reap, extents, hashes, commit or resume itself means a broken
 * channel: the engine closes it and opens another with back-off when err_retryable(code),
 * else gives up.
 */
struct source_ops {
	const char *name;
	const char *const *schemes; /* without "://" or ":"; NULL-terminated */
	/* Whether the transport fills req->same itself (else
	 * source.c reads and compares). */
	bool diff;

	/* Connects once, learns the size and the rest of s->info,
	 * sets s->name, s->priv. */
	int (*open)(struct source *s, const struct source_uri *uri, struct err *err);
	/* Also called after a failed open; s->priv may be NULL.
	 * All channels are closed. */
	void (*close)(struct source *s);

	int (*chan_open)(struct source_chan *c, struct err *err);
	/* Also called after a failed chan_open; c->priv may be NULL. */
	void (*chan_close)(struct source_chan *c);
	/* From any thread, while another may be in any call on the same channel. */
	void (*chan_cancel)(struct source_chan *c);
	/* How many more requests of len bytes fit; source.c asks before each submit. */
	unsigned (*room)(const struct source_chan *c, uint32_t len);
	/* 0 < len <= SOURCE_MAX_REQUEST, in range; status, same and zero are cleared. May
	 * only queue; then reap sends. */
	int (*submit)(struct source_chan *c, struct source_req *r, struct err *err);
	/* As source_reap. Leaves known to be zero are flagged in r->zero and need no
	 * buffer content; other zero leaves are found by the engine. */
	int (*reap)(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
		struct err *err);

	/* The calls below may come while requests are in flight: what completes meanwhile
	 * is kept for reap. Each may be NULL. */

	/* Extents from off on, ascending and without gaps, at most max; they may end
	 * before off + len (at least one must be given) or reach beyond (source.c cuts).
	 * NULL: all data. *degrade = true on failure: extents are refused but the channel
	 * is in order. */
	int (*extents)(struct source_chan *c, uint64_t off, uint64_t len,
		struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
		struct err *err);
	/* NULL: source.c reads and hashes. off is a multiple of SOURCE_LEAF. */
	int (*hashes)(struct source_chan *c, uint64_t off, uint64_t len,
		struct source_hash *ret, struct err *err);
	/* NULL: no journal. */
	int (*commit)(struct source_chan *c, const uint8_t *units, size_t bytes,
		struct err *err);
	/* As source_limit. NULL: the server keeps no limit. */
	int (*limit)(struct source_chan *c, uint64_t rate, struct err *err);
	/* NULL: such a source never holds still. */
	int (*live)(struct source *s, bool live, struct err *err);
	/* As source_begin_anew. NULL: chan_open never fails with SRC_CHANGED. */
	int (*begin_anew)(struct source *s, struct err *err);
	/* As source_state; NULL: its content has no name. */
	void (*state)(struct source *s, char ret[40]);
	/* See source_consistency; NULL: the transport does not know. */
	void (*consistency)(struct source *s, char ret[16]);
	/* As source_finish; makes a connection of its own. NULL: nothing to tell. */
	int (*finish)(struct source *s, struct err *err);
	/* See source_let_go; NULL: there is nobody to tell. */
	int (*let_go)(struct source *s, struct err *err);
	/* See source_still_ms; NULL: the source never stands still. */
	uint64_t (*still_ms)(const struct source *s);
	int (*resume)(struct source_chan *c, uint8_t *units, size_t bytes,
		size_t *ret_bytes, struct err *err);
};

extern const struct source_ops source_drive_ops, source_nbd_ops, source_file_ops,
	source_pattern_ops;

/* uri.c: scheme://[user@]host[:port]/path?key=value&... or scheme:rest; %XX decoded. */
#define SOURCE_URI_MAX 4096
#define SOURCE_URI_PARAMS 8
struct source_uri {
	char *scheme;
	char *user;   /* NULL = none */
	char *host;   /* without brackets; NULL = none */
	uint16_t port; /* 0 = not given */
	char *path;   /* decoded, without the "/" in front after an
		       * authority; "" = none */
	struct {
		char *key, *value;
	} params[SOURCE_URI_PARAMS];
	unsigned n_params;
	char text[SOURCE_URI_MAX + 8]; /* the strings above point in here */
};
int source_uri_parse(const char *text, struct source_uri *ret, struct err *err);
/* NULL when the key is not given. */
const char *source_uri_param(const struct source_uri *u, const char *key);
/* CFG_INVALID when a key is given that is not in known (NULL-terminated). */
int source_uri_check_params(const struct source_uri *u, const char *const *known,
	struct err *err);

/* Bytes on the wire, called by transports. */
static inline void source_count_in(struct source *s, uint64_t n)
{
	atomic_fetch_add_explicit(&s->wire_in, n, memory_order_relaxed);
}

static inline void source_count_out(struct source *s, uint64_t n)
{
	atomic_fetch_add_explicit(&s->wire_out, n, memory_order_relaxed);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where bytes come from. A source is one drive at one server; a channel is one connection
 * to it and belongs to one thread. Requests are submitted and complete in any order, so
 * that a channel hides latency; source.c checks ranges, adds defaults, counts and traces,
 * so that a transport contains only its protocol.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SOURCE_MAX_REQUEST (1u << 20) /* bytes of one request, a power of two */
#define SOURCE_LEAF (64u << 10)       /* bytes hashed together */
#define SOURCE_MAX_LEAVES (SOURCE_MAX_REQUEST / SOURCE_LEAF)

struct source_hash {
	uint8_t b[16]; /* XXH3-128, canonical big-endian form, seed of the session */
};

enum source_extent_kind {
	SOURCE_DATA,    /* must be read */
	SOURCE_ZERO,    /* reads as zeroes */
	SOURCE_UNCHANGED, /* by a tracker asked for with source_options.bitmap or since */
};
struct source_extent {
	uint64_t off, len;
	enum source_extent_kind kind;
};

enum source_verb {
	SOURCE_READ,
	SOURCE_READ_IF_DIFF, /* only leaves whose hash differs from have[]
			      * are transferred */
};

/* One request. The caller owns it and buf until it is completed by source_reap. */
struct source_req {
	/* set by the caller */
	enum source_verb verb;
	uint64_t off;
	uint32_t len;               /* 1 to SOURCE_MAX_REQUEST */
	void *buf;                  /* len bytes rounded up to 4096, aligned to 4096 */
	/* READ_IF_DIFF: hashes of the target */
	struct source_hash have[SOURCE_MAX_LEAVES];
	/* set on completion */
	int status;                 /* 0, or -1 with err */
	struct err err;
	uint32_t same;              /* bit i: leaf i equals have[i]; its
				     * part of buf is undefined */
	uint32_t zero;              /* bit i: leaf i is zeroes; its part of
				     * buf is undefined */
	struct source_req *next;    /* free for the caller between reap and submit */
	void *priv;                 /* of the transport */
};

struct source_info {
	uint64_t size;              /* bytes; at most 2^63 - 1, need not be
				     * a sector multiple */
	uint32_t sector;            /* smallest aligned request, a power of
				     * two, usually 512 */
	uint32_t optimum;           /* good request size, 0 = unknown */
	uint32_t max_request;       /* power of two, 4096 to
				     * SOURCE_MAX_REQUEST; 0 = the latter */
	unsigned max_channels;      /* how many may be opened, at least 1 */
	uint32_t channel_memory;    /* bytes that one takes, beside the
				     * buffers of requests */
	bool extents;               /* the transport knows extents */
	bool limits;                /* source_limit is kept by the server:
				     * nobody else need do so */
	bool journals;              /* source_commit is kept: source_resume may find it */
	bool rotational;
	char serial[64], model[64], generation[40], consistency[16]; /* "" = unknown */
	char identity[48];          /* block_identity of what is on this
				     * machine, else "" */
};

struct source_options {
	const char *bitmap;         /* NBD: narrow to
				     * qemu:dirty-bitmap:NAME; NULL = all */
	const char *since;          /* drive protocol: what changed since
				     * this state; NULL = all */
	const char *psk;            /* "user:hex", overrides psk-file= of the URI */
	bool allow_plain;           /* tw:// */
	bool require_consistency;   /* SRC_CONSISTENCY where what is read may be of many
				     * moments, or nobody can tell */
	bool compress;              /* ask for LZ4 where the transport has it */
	const char *job_id;         /* for the server's log and journal; may be NULL */
	unsigned connect_timeout_ms; /* 0 = 10 s */
};

/* All waits of this thread for any source end with CANCELLED soon after *cancel became
 * true; NULL = never. Returns what it was before. */
const _Atomic bool *source_cancelled_by(const _Atomic bool *cancel);
bool source_is_cancelled(void);
/* For a last word: all waits of this thread together may take so long from now on,
 * whatever cancel says; 0 ends that. */
void source_hurry(unsigned ms);

struct source_counters {
	uint64_t wire_in, wire_out; /* bytes on the wire below TLS where
				     * known, else payload */
	uint64_t requests, retries;
};

struct source;
struct source_chan;

/* uri: tws://host[:5994]/drive[?psk-file=F], tw://, nbd://, nbds://,
 * nbd+unix:///export?socket=, file:PATH, pattern:SIZE[,options]. Connects once to learn
 * source_info. */
int source_open(const char *uri, const struct source_options *opt, struct source **ret,
	struct err *err);
/* The i-th scheme of a URI that source_open takes, NULL behind the last. */
const char *source_scheme(size_t i);
void source_close(struct source *s);
const struct source_info *source_get_info(const struct source *s);
/* What the source says of it, once something was read: "fs", "unused", "snapshot",
 * "crash" (PROTOCOL.md); "" = nothing. */
void source_consistency(struct source *s, char ret[16]);
/* Names the content that is read, for source_options.since of a later copy;
 * "" = it has no name. */
void source_state(struct source *s, char ret[40]);
const char *source_name(const struct source *s); /* for messages; never holds a secret */
void source_get_counters(const struct source *s, struct source_counters *ret);

/* Extents covering exactly [off, off + len), ascending, merged, written to ret. At most
 * max; when there are more, *ret_end says up to where they reach (else off + len). A
 * transport that fails to tell degrades to SOURCE_DATA with a warning, never to an
 * abort. */
int source_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, uint64_t *ret_end,
	struct err *err);

/* All channels of a source read the same content: SRC_CHANGED when the server has another
 * now (it was restarted, say), so that what was read must not be continued. */
int source_chan_open(struct source *s, struct source_chan **ret, struct err *err);
/* Bytes/s that all channels together may take from now on, 0 = any. Where info.limits is
 * set, each channel is told once it is open and at each change; elsewhere it does
 * nothing. */
int source_limit(struct source_chan *c, uint64_t rate, struct err *err);
/* After SRC_CHANGED, all channels being closed: what is read from here on is of another
 * time than what was read before. May change the seed of the leaf hash. */
int source_begin_anew(struct source *s, struct err *err);
/* With live, what is read from here on may be of many times, so that the source needs not
 * hold still; without, it is of one time again, another than before. All channels are
 * closed. */
int source_live(struct source *s, bool live, struct err *err);
void source_chan_close(struct source_chan *c);
/* Unblocks a thread in source_reap; from any thread. */
void source_chan_cancel(struct source_chan *c);
/* How many more requests of len bytes may be submitted now. */
unsigned source_room(const struct source_chan *c, uint32_t len);
/* Queues a request. A failure here, or in reap, means the channel is broken: all its
 * requests are still the caller's to submit again on another channel. */
int source_submit(struct source_chan *c, struct source_req *r, struct err *err);
/* Waits for at least one completed request and returns them as a list by next. *ret is
 * NULL when timeout_ms passed without one; the transport keeps the connection alive
 * meanwhile. */
int source_reap(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
	struct err *err);

/* Seeds the leaf hash of this source (0 for transports without a session). */
uint64_t source_hash_seed(const struct source *s);
void source_hash_leaf(const struct source *s, const void *buf, size_t len,
	struct source_hash *ret);
/* The hashes of the source's leaves, computed there if the transport can (else by
 * reading). n is len / SOURCE_LEAF rounded up. */
int source_hashes(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_hash *ret, struct err *err);
/* Tells the server that everything up to here is durable (journal) - bitmap of 64 MiB
 * units. 0 also when the transport has no journal. */
int source_commit(struct source_chan *c, const uint8_t *units, size_t bytes,
	struct err *err);
/* Tells the server that the job has read everything it will: file systems that were held
 * still are let go, journals removed. Once per job, after its last drive. 0 also without
 * such a server. */
int source_finish(struct source *s, struct err *err);
/* Tells the server that nobody reads for now, so that it need not hold still any longer:
 * what is read later is of another time. Makes a connection of its own and takes at most
 * 1.5 s, also when cancelled. 0 also without such a server. */
int source_let_go(struct source *s, struct err *err);
/* Since when the source stands still for what is read, by clock_now_ms;
 * 0 = it does not. */
uint64_t source_still_ms(const struct source *s);
/* The journal of an earlier run of the same job, drive and generation;
 * *ret_bytes 0 = none. */
int source_resume(struct source_chan *c, uint8_t *units, size_t bytes, size_t *ret_bytes,
	struct err *err);

#endif

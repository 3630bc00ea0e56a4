/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drive protocol, version 1: frames, negotiation, lists. Memory only; both ends share
 * it. PROTOCOL.md beside this file is the specification.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PROTO_PORT 5994
#define PROTO_VERSION 1
#define PROTO_HEADER 32                       /* bytes */
#define PROTO_LEAF (64u << 10)                /* bytes hashed together */
#define PROTO_MAX_READ (1u << 20)             /* bytes of one READ */
#define PROTO_MAX_LEAVES (PROTO_MAX_READ / PROTO_LEAF)
#define PROTO_MAX_PAYLOAD (PROTO_MAX_READ + (64u << 10))
#define PROTO_MAX_EXTENTS 4096
#define PROTO_MAX_HASH (64u << 20)            /* bytes of one HASH */
#define PROTO_UNIT (64u << 20)                /* bytes of one bit in COMMIT */
#define PROTO_JOURNAL_SPARE 64                /* bytes of a COMMIT behind its bitmap */
/* of a drive */
#define PROTO_JOURNAL_BYTES(size) \
	((((size) + PROTO_UNIT - 1) / PROTO_UNIT + 7) / 8 + PROTO_JOURNAL_SPARE)
/* default bytes in flight on a connection */
#define PROTO_CREDIT (8u << 20)
#define PROTO_HASH_LEN 16

/* Numbers are never used again. From 0x80 on a type may be skipped
 * by who does not know it. */
enum proto_type {
	PROTO_HELLO = 1,      /* c: versions, limits, session */
	PROTO_WELCOME = 2,
	PROTO_DISKS = 3,      /* c: raw = 1: the client will read, hold still first */
	PROTO_DISK_LIST = 4,
	PROTO_EXTENTS = 5,    /* c: off, raw = length in 4 KiB (0 = to the end) */
	PROTO_EXTENT_LIST = 6,
	PROTO_READ = 7,       /* c: off, raw = length */
	PROTO_READ_IF_DIFF = 8, /* c: off, raw = length, payload = hashes */
	PROTO_DATA = 9,
	PROTO_ERROR = 10,     /* raw = errno of the server, payload = text */
	PROTO_HASH = 11,      /* c: off, raw = length */
	PROTO_HASH_LIST = 12,
	PROTO_CHANGED = 13,   /* c: off; payload = an earlier state. EXTENT_LIST */
	PROTO_COMMIT = 14,    /* c: payload = bitmap of units */
	PROTO_RESUME = 15,    /* c */
	PROTO_JOURNAL = 16,   /* payload = bitmap, empty = none */
	PROTO_FREEZE = 17,    /* c */
	PROTO_THAW = 18,      /* c */
	PROTO_SNAPSHOT = 19,  /* c */
	PROTO_DONE = 20,
	PROTO_PING = 21,      /* either */
	PROTO_PONG = 22,
	PROTO_CANCEL = 23,    /* c: id of the request, 0 = all */
	PROTO_BYE = 24,       /* either: raw = enum proto_bye, payload = text */
	PROTO_LIMIT = 25,     /* c: off = bytes/s from now on, 0 = none */
	PROTO_PROGRESS = 0x80, /* off = bytes scanned so far for this request */
};

enum proto_flags { PROTO_LZ4 = 1 };

/* Why a BYE: in its raw field. */
enum proto_bye {
	PROTO_BYE_END = 0,      /* the session is over; a new one may follow */
	PROTO_BYE_COMPLETE = 1, /* c: everything was copied */
	PROTO_BYE_TLS = 2,      /* s: connections without TLS are not served */
	PROTO_BYE_VERSION = 3,  /* s: no common version or a needed feature is missing */
	PROTO_BYE_BUSY = 4,     /* s: too many connections or sessions */
	PROTO_BYE_RIGHTS = 5,   /* s: the client's key is not for this job */
};

struct proto_frame {
	uint8_t type, flags;
	uint16_t disk;
	uint32_t id;      /* of the request; replies carry the same */
	uint32_t len;     /* bytes of payload behind the header */
	uint64_t off;
	uint32_t raw;
};

void proto_put_header(uint8_t out[PROTO_HEADER], const struct proto_frame *f);
/* The first 8 bytes ever received: names what else may answer (SRC_IS_NBD,
 * SRC_IS_HTTP). */
#define PROTO_START 8
int proto_check_start(const uint8_t in[PROTO_START], struct err *err);
/* Magic, checksum, length and flags are checked. */
int proto_get_header(const uint8_t in[PROTO_HEADER], struct proto_frame *ret,
	struct err *err);
uint32_t proto_crc32c(const void *data, size_t len);

enum proto_feature { PROTO_FEATURE_LZ4 = 1, PROTO_FEATURE_XXH3 = 2 };

struct proto_hello {
	uint16_t min_version, max_version;
	uint8_t session[16]; /* random, the client's; connections with the
			      * same belong together */
	uint64_t seed;       /* of the leaf hash, the client's */
	uint32_t features;   /* wanted */
	uint32_t credit;     /* bytes the client takes in flight on this connection */
	char job[128], build[64];
};
struct proto_welcome {
	uint16_t version;
	uint32_t features; /* agreed */
	uint32_t credit, max_read;
	uint16_t max_connections;
	char build[64];
};
struct proto_disk {
	uint16_t id;
	uint64_t size;
	uint32_t sector, physical;
	bool rotational, extents;
	char name[64], serial[64], model[64], generation[40], consistency[16];
	char state[40]; /* names the content that the session reads */
	uint64_t still; /* ms since when file systems are held still for the session,
			 * at least 1; 0 = they are not */
};
enum { PROTO_UNCHANGED = 2 };
struct proto_extent {
	uint64_t len;
	uint32_t kind; /* 0 data, 1 zero, 2 unchanged */
};

/* Encoders return the bytes written, 0 when size is too small. Decoders: SRC_PROTO or
 * SRC_VERSION; unknown optional fields are skipped, unknown required ones are
 * SRC_VERSION. */
size_t proto_put_hello(uint8_t *out, size_t size, const struct proto_hello *h);
int proto_get_hello(const uint8_t *in, size_t len, struct proto_hello *ret,
	struct err *err);
size_t proto_put_welcome(uint8_t *out, size_t size, const struct proto_welcome *w);
int proto_get_welcome(const uint8_t *in, size_t len, struct proto_welcome *ret,
	struct err *err);
size_t proto_put_disk(uint8_t *out, size_t size, const struct proto_disk *d);
/* Takes one disk from *in; 1 got one, 0 at the end, -1 error. */
int proto_next_disk(const uint8_t **in, size_t *len, struct proto_disk *ret,
	struct err *err);

size_t proto_put_extents(uint8_t *out, size_t size, const struct proto_extent *e,
	size_t n);
/* At most max; each at least one byte, the sum without overflow and at most limit. */
int proto_get_extents(const uint8_t *in, size_t len, uint64_t limit,
	struct proto_extent *ret, size_t max, size_t *ret_n, struct err *err);

/* The payload of DATA: two bitmaps, the hashes of the leaves that follow, their bytes. */
struct proto_data {
	uint32_t same, zero;   /* bit i: leaf i of the request */
	unsigned n_hashes;     /* leaves in neither */
	const uint8_t *hashes; /* n_hashes * PROTO_HASH_LEN */
	const uint8_t *bytes;  /* raw bytes, or one LZ4 block */
	uint32_t len;          /* of bytes */
	uint32_t raw;          /* after decompression */
};
#define PROTO_DATA_PREFIX(leaves) (8u + (leaves) * PROTO_HASH_LEN)
/* request_len: what was asked for. Checks that the parts fit together exactly. */
int proto_get_data(const struct proto_frame *f, const uint8_t *payload,
	uint32_t request_len, struct proto_data *ret, struct err *err);
/* Bytes of leaf i of a request of len bytes. */
static inline uint32_t proto_leaf_len(uint32_t len, unsigned i)
{
	uint32_t at = i * PROTO_LEAF;

	return len - at < PROTO_LEAF ? len - at : PROTO_LEAF;
}
static inline unsigned proto_leaves(uint64_t len)
{
	return (unsigned)((len + PROTO_LEAF - 1) / PROTO_LEAF);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client end of the drive protocol: drive.c opens and connects, drive-frame.c sends
 * and takes frames, drive-request.c has the requests of an open channel.
 */
#ifndef SOURCE_DRIVE_INTERNAL_H
#define SOURCE_DRIVE_INTERNAL_H

#include <pthread.h>

#include "net/net.h"
#include "proto/proto.h"
#include "source/source-internal.h"

#define IN_FLIGHT 128
#define SILENT_MS 60000 /* three pings unanswered: the connection is taken for dead */

struct drive {
	char host[256], wanted[64];
	uint16_t port;
	bool tls, known;          /* known: it was open once, so the source
				   * is what it should be */
	bool live;                /* what is read may change: nothing is
				   * held still for it */
	bool newer;               /* under lock: a snapshot that there was
				   * is not good enough */
	struct net_psk psk;
	struct proto_hello hello; /* the same for all connections: one session */
	_Atomic bool untracked;   /* the server cannot tell what changed since
				   * source_options.since */
	_Atomic uint64_t still_ms; /* as source_still_ms */
	pthread_mutex_t lock;     /* what follows */
	char state[40];           /* what all connections that read must find */
	bool has_state;
	char consistency[16];     /* the worst that a connection of the session was
				   * told; "" = none yet */
};

struct drive_chan {
	struct stream *stream;
	uint16_t disk;            /* number of the drive at this server process */
	struct proto_welcome welcome;
	struct source_req *slots[IN_FLIGHT]; /* request id = slot + 1 +
					      * IN_FLIGHT * round */
	uint32_t ids[IN_FLIGHT];
	uint32_t next_id;
	unsigned in_flight;
	uint64_t in_flight_bytes;
	struct source_req *done; /* completed while something else was waited for */
	uint64_t heard_ms, pinged_ms;
	uint8_t *payload;  /* PROTO_MAX_PAYLOAD */
	uint8_t *scratch;  /* PROTO_MAX_READ: leaves before they are spread */
};

/* drive-frame.c; err of a broken stream is SRC_EOF: the engine comes back. */
int source_drive_send(struct source_chan *c, struct proto_frame *f, const void *payload,
	struct err *err);
/* The payload of the frame is in the channel's payload, valid until the next. */
int source_drive_receive(struct source_chan *c, struct proto_frame *f, struct err *err);
/* Frames that may come at any time. 1 dealt with, 0 it is a reply, -1 broken. */
int source_drive_take_common(struct source_chan *c, const struct proto_frame *f,
	struct err *err);
/* A reply to a read. -1: the connection cannot be trusted any more. */
int source_drive_take_reply(struct source_chan *c, const struct proto_frame *f,
	struct err *err);
/* Sends a request and receives frames until its reply; reads that complete are kept. */
int source_drive_ask(struct source_chan *c, struct proto_frame *f, const void *payload,
	enum proto_type want, struct proto_frame *reply, struct err *err);
/* Makes of a broken stream's error what the engine takes for "gone". Returns -1. */
int source_drive_gone(struct source_chan *c, struct err *err);

/* drive-request.c: of struct source_ops */
unsigned source_drive_room(const struct source_chan *c, uint32_t len);
int source_drive_submit(struct source_chan *c, struct source_req *r, struct err *err);
int source_drive_reap(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
	struct err *err);
int source_drive_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
	struct err *err);
int source_drive_hashes(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_hash *ret, struct err *err);
int source_drive_commit(struct source_chan *c, const uint8_t *units, size_t bytes,
	struct err *err);
int source_drive_limit(struct source_chan *c, uint64_t rate, struct err *err);
int source_drive_resume(struct source_chan *c, uint8_t *units, size_t bytes,
	size_t *ret_bytes, struct err *err);

#endif

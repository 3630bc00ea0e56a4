/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of an open channel (proto/PROTOCOL.md, section 7). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/drive-internal.h"

#define PING_AFTER_MS 10000

unsigned source_drive_room(const struct source_chan *c, uint32_t len)
{
	const struct drive_chan *d = c->priv;
	uint64_t left = d->in_flight_bytes < d->welcome.credit
		? d->welcome.credit - d->in_flight_bytes : 0;
	uint64_t n = left / len, slots = IN_FLIGHT / 2 - d->in_flight;

	if (!d->in_flight && !n)
		n = 1;
	return (unsigned)(n < slots ? n : slots);
}

int source_drive_submit(struct source_chan *c, struct source_req *r, struct err *err)
{
	struct drive_chan *d = c->priv;
	bool diff = r->verb == SOURCE_READ_IF_DIFF;
	struct proto_frame f = { .type = diff ? PROTO_READ_IF_DIFF : PROTO_READ,
		.disk = d->disk,
		.off = r->off, .raw = r->len,
		.len = diff ? proto_leaves(r->len) * PROTO_HASH_LEN : 0 };
	unsigned slot;

	do
		f.id = d->next_id++ & 0x7fffffffu;
	while (d->slots[slot = f.id % IN_FLIGHT]);
	if (source_drive_send(c, &f, r->have, err) < 0)
		return -1;
	d->slots[slot] = r;
	d->ids[slot] = f.id;
	d->in_flight++;
	d->in_flight_bytes += r->len;
	return 0;
}

/* Nothing to read: keeps the connection alive, or finds that it is not. */
static int idle(struct source_chan *c, struct err *err)
{
	struct drive_chan *d = c->priv;
	uint64_t now = clock_now_ms();
	struct proto_frame ping = { .type = PROTO_PING };

	if (now - d->heard_ms >= SILENT_MS) {
		err_set(err, ERR_SRC_EOF, "%s: silent for %d s", c->src->name,
			SILENT_MS / 1000);
		return -1;
	}
	if (now - d->heard_ms < PING_AFTER_MS || now - d->pinged_ms < PING_AFTER_MS)
		return 0;
	d->pinged_ms = now;
	return source_drive_send(c, &ping, NULL, err);
}

int source_drive_reap(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	uint64_t end = clock_now_ms() + timeout_ms;
	struct proto_frame f;

	while (!d->done) {
		uint64_t now = clock_now_ms();
		int r = net_wait_readable(d->stream,
			now < end ? (unsigned)(end - now) : 0, err);

		if (r < 0)
			return source_drive_gone(c, err);
		if (!r) {
			if (idle(c, err) < 0)
				return -1;
			if (clock_now_ms() >= end)
				break;
			continue;
		}
		if (source_drive_receive(c, &f, err) < 0)
			return -1;
		r = source_drive_take_common(c, &f, err);
		if (r < 0 || (!r && source_drive_take_reply(c, &f, err) < 0))
			return -1;
	}
	*ret = d->done;
	d->done = NULL;
	return 0;
}

/* 1 an EXTENT_LIST came, 0 the server cannot tell, -1 failed. */
static int changed(struct source_chan *c, uint64_t off, struct proto_frame *reply,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	struct drive *v = c->src->priv;
	const char *since = c->src->opt.since;
	struct proto_frame f = { .type = PROTO_CHANGED, .disk = d->disk, .off = off,
		.len = since ? (uint32_t)strlen(since) : 0 };

	if (!since || v->untracked)
		return 0;
	if (source_drive_ask(c, &f, since, PROTO_EXTENT_LIST, reply, err) == 0)
		return 1;
	if (err->sys != EOPNOTSUPP)
		return -1;
	if (!atomic_exchange(&v->untracked, true))
		log_info("%s: it cannot tell what changed since %s: everything is compared",
			c->src->name, since);
	err_clear(err);
	return 0;
}

int source_drive_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	uint64_t units = (len + 4095) / 4096;
	struct proto_frame reply, f = { .type = PROTO_EXTENTS, .disk = d->disk,
		.off = off,
		.raw = units < UINT32_MAX ? (uint32_t)units : 0 };
	struct proto_extent *list = (void *)d->scratch; /* 64 KiB, too much for a stack */
	size_t n;
	int told = changed(c, off, &reply, err);

	_Static_assert(PROTO_MAX_EXTENTS * sizeof(*list) <= PROTO_MAX_READ,
		"size of scratch");
	if (told < 0)
		return -1;
	if (!told && source_drive_ask(c, &f, NULL, PROTO_EXTENT_LIST, &reply, err) < 0) {
		*degrade = err->code == ERR_SRC_READ;
		return -1;
	}
	if (proto_get_extents(d->payload, reply.len, c->src->info.size - off, list,
		    PROTO_MAX_EXTENTS, &n, err) < 0)
		return err_wrap(err, "%s", c->src->name);
	if (n > max)
		n = max;
	for (size_t i = 0; i < n; off += list[i++].len)
		ret[i] = (struct source_extent){ .off = off, .len = list[i].len,
			.kind = list[i].kind == 1 ? SOURCE_ZERO
				: list[i].kind == PROTO_UNCHANGED &&
					told ? SOURCE_UNCHANGED
				: SOURCE_DATA };
	*ret_n = n;
	return 0;
}

int source_drive_hashes(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_hash *ret, struct err *err)
{
	struct drive_chan *d = c->priv;

	while (len) {
		uint32_t part = len < PROTO_MAX_HASH ? (uint32_t)len : PROTO_MAX_HASH;
		struct proto_frame reply,
			f = { .type = PROTO_HASH, .disk = d->disk, .off = off,
				.raw = part };
		unsigned n = proto_leaves(part);

		if (source_drive_ask(c, &f, NULL, PROTO_HASH_LIST, &reply, err) < 0)
			return -1;
		if (reply.len != n * PROTO_HASH_LEN)
			return err_set(err, ERR_SRC_PROTO,
				"%s: %" PRIu32 " bytes of hashes for "
				"%u leaves", c->src->name, reply.len, n);
		for (unsigned i = 0; i < n; i++)
			memcpy(ret[i].b, d->payload + i * PROTO_HASH_LEN, PROTO_HASH_LEN);
		ret += n;
		off += part;
		len -= part;
	}
	return 0;
}

int source_drive_commit(struct source_chan *c, const uint8_t *units, size_t bytes,
	struct err *err)
{
	struct drive_chan *d = c->priv;
	struct proto_frame reply,
		f = { .type = PROTO_COMMIT, .disk = d->disk, .len = (uint32_t)bytes };

	if (bytes > PROTO_MAX_PAYLOAD)
		return 0; /* 64 PiB: no journal, the hashes serve */
	return source_drive_ask(c, &f, units, PROTO_DONE, &reply, err);
}

int source_drive_limit(struct source_chan *c, uint64_t rate, struct err *err)
{
	struct proto_frame f = { .type = PROTO_LIMIT, .off = rate };

	return source_drive_send(c, &f, NULL, err);
}

int source_drive_resume(struct source_chan *c, uint8_t *units, size_t bytes,
	size_t *ret_bytes, struct err *err)
{
	struct drive_chan *d = c->priv;
	struct proto_frame reply, f = { .type = PROTO_RESUME, .disk = d->disk };

	if (source_drive_ask(c, &f, NULL, PROTO_JOURNAL, &reply, err) < 0)
		return -1;
	*ret_bytes = reply.len == bytes ? bytes : 0;
	memcpy(units, d->payload, *ret_bytes);
	return 0;
}

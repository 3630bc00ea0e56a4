/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a client's frames keep to. Whoever breaks one is not understood in the
 * rest either: its connection ends. */
#include "serve/serve-internal.h"

enum { KNOWN = 1, REQUEST = 2, DISK = 4, PAYLOAD = 8 };

static const unsigned char types[PROTO_LIMIT + 1] = {
	[PROTO_DISKS] = KNOWN | REQUEST,
	[PROTO_EXTENTS] = KNOWN | REQUEST | DISK,
	[PROTO_READ] = KNOWN | REQUEST | DISK,
	[PROTO_READ_IF_DIFF] = KNOWN | REQUEST | DISK | PAYLOAD,
	[PROTO_HASH] = KNOWN | REQUEST | DISK,
	[PROTO_CHANGED] = KNOWN | REQUEST | DISK | PAYLOAD,
	[PROTO_COMMIT] = KNOWN | REQUEST | DISK | PAYLOAD,
	[PROTO_RESUME] = KNOWN | REQUEST | DISK,
	[PROTO_FREEZE] = KNOWN | REQUEST,
	[PROTO_THAW] = KNOWN | REQUEST,
	[PROTO_SNAPSHOT] = KNOWN | REQUEST | DISK,
	[PROTO_PING] = KNOWN,
	[PROTO_PONG] = KNOWN,
	[PROTO_CANCEL] = KNOWN,
	[PROTO_LIMIT] = KNOWN,
	[PROTO_BYE] = KNOWN | REQUEST | PAYLOAD,
};

static bool is_read(const struct proto_frame *f)
{
	return f->type == PROTO_READ || f->type == PROTO_READ_IF_DIFF;
}

static int check_length(const struct proto_frame *f, struct err *err)
{
	uint32_t max = is_read(f) ? PROTO_MAX_READ : PROTO_MAX_HASH;

	if (f->type == PROTO_DISKS && f->raw > 1)
		return err_set(err, ERR_SRC_PROTO, "DISKS with %u", f->raw);
	if (!is_read(f) && f->type != PROTO_HASH)
		return 0;
	if (!f->raw || f->raw > max)
		return err_set(err, ERR_SRC_PROTO, "frame of type %u for %u bytes",
			f->type, f->raw);
	if (f->type == PROTO_READ_IF_DIFF &&
	    f->len != proto_leaves(f->raw) * PROTO_HASH_LEN)
		return err_set(err, ERR_SRC_PROTO, "%u bytes of hashes for %u leaves",
			f->len, proto_leaves(f->raw));
	return 0;
}

/* Counts what is open: in the queue, until its answer was sent. */
static int check_open(const struct serve_conn *c, const struct proto_frame *f,
	struct err *err)
{
	uint64_t reads = 0;

	for (unsigned i = 0; i < c->n_queued; i++) {
		const struct serve_request *q =
			&c->queue[(c->head + i) % SERVE_QUEUE];

		if (q->f.id == f->id)
			return err_set(err, ERR_SRC_PROTO, "request %u is open already",
				f->id);
		reads += is_read(&q->f) ? q->f.raw : 0;
	}
	if (is_read(f) && reads && reads + f->raw > c->credit)
		return err_set(err, ERR_SRC_PROTO,
			"reads of %llu bytes at once, %u are allowed",
			(unsigned long long)(reads + f->raw), c->credit);
	return 0;
}

bool serve_names_drive(const struct proto_frame *f)
{
	return f->type <= PROTO_LIMIT && (types[f->type] & DISK);
}

int serve_check_rules(const struct serve_conn *c, const struct proto_frame *f,
	struct err *err)
{
	unsigned is = f->type <= PROTO_LIMIT ? types[f->type] : 0;

	if (f->type >= PROTO_PROGRESS)
		return 0; /* may be skipped */
	if (!is)
		return err_set(err, ERR_SRC_PROTO, "frame of type %u", f->type);
	if ((f->disk && !(is & DISK)) || (f->len && !(is & PAYLOAD)))
		return err_set(err, ERR_SRC_PROTO,
			"frame of type %u with drive %u and %u bytes of payload", f->type,
			f->disk, f->len);
	if (check_length(f, err) < 0)
		return -1;
	return is & REQUEST ? check_open(c, f, err) : 0;
}

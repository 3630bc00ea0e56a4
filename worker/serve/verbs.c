/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may ask for, and who answers it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "serve/serve-internal.h"

static int disks(struct serve_conn *c, const struct proto_frame *f, struct err *err)
{
	struct serve *s = c->serve;
	uint64_t still = serve_session_holds(s, c->session) ?
		serve_freezer_still(s->freezer) : 0;
	size_t len = 0;

	if (!s->freezer)
		serve_holders_unheld(s->drives, s->n_drives);
	for (unsigned i = 0; i < s->n_drives; i++) {
		struct serve_drive *d = &s->drives[i];

		if (!serve_may_read(c, i))
			continue;
		struct proto_disk k = { .id = (uint16_t)i, .size = d->dev.size,
			.sector = d->dev.sector, .physical = d->dev.sector,
			.rotational = d->rotational, .extents = !d->dev.device ||
			d->unused, .still = s->caught[i].has ? 0 : still };

		memcpy(k.name, d->name, sizeof(k.name));
		memcpy(k.serial, d->serial, sizeof(k.serial));
		memcpy(k.model, d->model, sizeof(k.model));
		serve_generation(s, c->session, i, k.generation);
		serve_state(s, c->session, i, k.state);
		snprintf(k.consistency, sizeof(k.consistency), "%s",
			s->caught[i].has ? "snapshot" : serve_consistency(d));
		len += proto_put_disk(c->out + len, PROTO_MAX_PAYLOAD - len, &k);
	}
	return serve_conn_reply(c, f, PROTO_DISK_LIST, c->out, len, err);
}

static int extents(struct serve_conn *c, const struct proto_frame *f, struct err *err)
{
	struct serve_drive *d = &c->serve->drives[f->disk];
	struct proto_extent *list = (void *)c->buf;
	uint64_t left, len = (uint64_t)f->raw * 4096;
	size_t n = 1;

	if (f->off >= d->dev.size)
		return serve_conn_error(c, f, EINVAL, "extents behind the end", err);
	left = d->dev.size - f->off;
	if (!len || len > left)
		len = left;
	if (d->unused && serve_session_holds(c->serve, c->session))
		serve_unused_extents(d, f->off, len, list, PROTO_MAX_EXTENTS, &n);
	else if (serve_drive_extents(d, f->off, len, list, PROTO_MAX_EXTENTS, &n) < 0)
		list[0] = (struct proto_extent){ .len = len }; /* cannot tell: all data */
	return serve_conn_reply(c, f, PROTO_EXTENT_LIST, c->out,
		proto_put_extents(c->out, PROTO_MAX_PAYLOAD, list, n), err);
}

/* The token is a state: what is still in it did not change. There is no finer tracker. */
static int changed(struct serve_conn *c, const struct serve_request *q, struct err *err)
{
	const struct serve_drive *d = &c->serve->drives[q->f.disk];
	struct proto_extent all = { .kind = PROTO_UNCHANGED };
	char state[40];

	serve_state(c->serve, c->session, q->f.disk, state);
	if (q->f.off >= d->dev.size)
		return serve_conn_error(c, &q->f, EINVAL, "changes behind the end", err);
	if (q->f.len != strlen(state) || memcmp(q->payload, state, q->f.len))
		return serve_conn_error(c, &q->f, EOPNOTSUPP, "cannot tell what changed",
			err);
	all.len = d->dev.size - q->f.off;
	return serve_conn_reply(c, &q->f, PROTO_EXTENT_LIST, c->out,
		proto_put_extents(c->out, PROTO_MAX_PAYLOAD, &all, 1), err);
}

static int journal(struct serve_conn *c, const struct serve_request *q, struct err *err)
{
	struct serve *s = c->serve;
	struct serve_drive *d = &s->drives[q->f.disk];
	char state[40];
	struct serve_journal_key k = { .owner = c->session->owner,
		.job = c->session->job, .drive = d->name, .state = state,
		.size = d->dev.size };
	struct err failed = ERR_INIT;
	bool may_write;
	int status;

	serve_state(s, c->session, q->f.disk, state);
	if (q->f.type == PROTO_RESUME)
		return serve_conn_reply(c, &q->f, PROTO_JOURNAL, c->out, k.job[0] ?
			serve_journal_get(s->journal, &k, c->out, PROTO_MAX_PAYLOAD) :
			0, err);
	if (q->f.len > PROTO_JOURNAL_BYTES(d->dev.size))
		return serve_conn_error(c, &q->f, EINVAL,
			"a journal larger than the drive needs", err);
	/* A session that let go has no claim on the state that it read. */
	if (!k.job[0] || serve_session_is_released(s, c->session))
		return serve_conn_reply(c, &q->f, PROTO_DONE, NULL, 0, err);
	may_write = serve_freezer_begin_write(s->freezer);
	status = serve_journal_put(s->journal, &k, q->payload, q->f.len, may_write,
		&failed);
	if (may_write)
		serve_freezer_end_write(s->freezer);
	return status < 0 ? serve_conn_error(c, &q->f, EIO, failed.text, err) :
		serve_conn_reply(c, &q->f, PROTO_DONE, NULL, 0, err);
}

/* Range of a READ or HASH; leaves of READ_IF_DIFF. */
static bool sound(const struct serve_conn *c, const struct serve_request *q)
{
	const struct proto_frame *f = &q->f;
	uint32_t max = f->type == PROTO_HASH ? PROTO_MAX_HASH : PROTO_MAX_READ;

	if (!f->raw || f->raw > max ||
		!bytes_in_range(f->off, f->raw, c->serve->drives[f->disk].dev.size))
		return false;
	return f->type != PROTO_READ_IF_DIFF ||
		f->len == proto_leaves(f->raw) * PROTO_HASH_LEN;
}

static bool of_content(const struct proto_frame *f)
{
	enum proto_type type = f->type;

	return (type == PROTO_DISKS && f->raw) || type == PROTO_EXTENTS ||
		type == PROTO_READ || type == PROTO_READ_IF_DIFF ||
		type == PROTO_HASH || type == PROTO_COMMIT || type == PROTO_RESUME ||
		type == PROTO_FREEZE || type == PROTO_CHANGED;
}

struct waiting {
	struct serve_conn *c;
	const struct serve_request *q;
	bool moving; /* the session had let go before, as in live passes */
};

/* The client sees that it is worked for, and is seen when it leaves. */
static int wait_tick(void *ctx, struct err *err)
{
	const struct waiting *w = ctx;
	struct proto_frame f = { .type = PROTO_PROGRESS, .id = w->q->f.id };

	if (w->c->serve->stop)
		return err_set(err, ERR_SRC_READ, "source-server ends");
	if (w->q->cancelled || (!w->moving &&
		serve_session_is_released(w->c->serve, w->c->session)))
		return err_set(err, ERR_SRC_READ, "nobody waits for it any more");
	if (serve_conn_send(w->c, &f, NULL, err) < 0)
		return -1;
	return serve_conn_drain(w->c, err);
}

int serve_verb(struct serve_conn *c, const struct serve_request *q, struct err *err)
{
	enum proto_type type = q->f.type;
	struct err failed = ERR_INIT;
	struct waiting waiting = { c, q,
		serve_session_is_released(c->serve, c->session) };
	const struct serve_wait wait = { wait_tick, &waiting };

	if (q->cancelled)
		return serve_conn_error(c, &q->f, ECANCELED, "cancelled", err);
	if (serve_names_drive(&q->f) && (q->f.disk >= c->serve->n_drives ||
		!serve_may_read(c, q->f.disk)))
		return serve_conn_error(c, &q->f, ENODEV, "no such drive", err);
	/* Snapshots first: lvm should not meet frozen file systems. */
	c->wait = &wait;
	if (of_content(&q->f) &&
	    (serve_session_check(c->serve, c->session, &failed) < 0 ||
		    serve_caught_bind(c, &q->f, &failed) < 0 ||
		    serve_session_hold(c->serve, c->session, &wait, &failed) < 0))
		return serve_conn_error(c, &q->f,
			failed.sys ? failed.sys : ESTALE, failed.text, err);
	switch (type) {
	case PROTO_DISKS:
		return disks(c, &q->f, err);
	case PROTO_EXTENTS:
		return extents(c, &q->f, err);
	case PROTO_READ:
	case PROTO_READ_IF_DIFF:
	case PROTO_HASH:
		if (!sound(c, q))
			return serve_conn_error(c, &q->f, EINVAL, "impossible range",
				err);
		return type == PROTO_HASH ? serve_content_hash(c, q, err)
					  : serve_content_read(c, q, err);
	case PROTO_COMMIT:
	case PROTO_RESUME:
		return journal(c, q, err);
	case PROTO_THAW:
		serve_session_release(c->serve, c->session, false);
		return serve_conn_reply(c, &q->f, PROTO_DONE, NULL, 0, err);
	case PROTO_FREEZE:
		return serve_conn_reply(c, &q->f, PROTO_DONE, NULL, 0, err);
	case PROTO_CHANGED:
		return changed(c, q, err);
	case PROTO_SNAPSHOT:
		if (serve_caught_take(c, q->f.disk, &failed) < 0)
			return serve_conn_error(c, &q->f, failed.sys, failed.text, err);
		return disks(c, &q->f, err);
	default:
		return err_set(err, ERR_SRC_PROTO, "frame of type %u is not a request",
			type);
	}
}

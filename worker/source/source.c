/* SPDX-License-Identifier: Apache-2.0 */
/* The gate in front of the transports: ranges, defaults, counters, traces. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "net/net.h"
#include "source/source-internal.h"

#define LAST_WORD_MS 1500
#define EXTENT_FAILURES 8 /* after so many the whole drive is read */

static const struct source_ops *const transports[] = {
	&source_drive_ops, &source_nbd_ops, &source_file_ops, &source_pattern_ops,
};

static const struct source_ops *find_transport(const char *scheme)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		for (const char *const *s = transports[i]->schemes; *s; s++)
			if (!strcmp(*s, scheme))
				return transports[i];
	return NULL;
}

const char *source_scheme(size_t i)
{
	for (size_t t = 0; t < sizeof(transports) / sizeof(transports[0]); t++)
		for (const char *const *s = transports[t]->schemes; *s; s++)
			if (i-- == 0)
				return *s;
	return NULL;
}

static int copy_string(const char **field, struct err *err)
{
	if (!*field)
		return 0;
	*field = strdup(*field);
	return *field ? 0 : err_set(err, ERR_NOMEM, "open a source: out of memory");
}

static int copy_options(struct source *s, const struct source_options *opt,
	struct err *err)
{
	const char **strings[] = { &s->opt.bitmap, &s->opt.since, &s->opt.psk,
		&s->opt.job_id };
	int failed = 0;

	if (opt)
		s->opt = *opt;
	if (!s->opt.connect_timeout_ms)
		s->opt.connect_timeout_ms = 10000;
	/* All of them, also after a failure: source_close frees what is there. */
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (copy_string(strings[i], err) < 0)
			failed = -1;
	return failed;
}

static int check_info(struct source *s, struct err *err)
{
	struct source_info *i = &s->info;

	if (i->size > INT64_MAX)
		return err_set(err, ERR_SRC_SIZE, "%s: size %" PRIu64 " is impossible",
			s->name, i->size);
	i->limits = s->ops->limit;
	i->journals = s->ops->commit;
	if (!i->sector)
		i->sector = 512;
	if (i->sector & (i->sector - 1) || i->sector > SOURCE_MAX_REQUEST)
		return err_set(err, ERR_SRC_SIZE, "%s: sector of %" PRIu32 " bytes",
			s->name, i->sector);
	if (!i->max_channels)
		i->max_channels = 1;
	if (!i->max_request || i->max_request > SOURCE_MAX_REQUEST)
		i->max_request = SOURCE_MAX_REQUEST;
	return 0;
}

/* Who asks for what only another transport has would believe that it was done. */
static int check_tracker(const struct source *s, struct err *err)
{
	if (s->opt.bitmap && s->ops != &source_nbd_ops)
		return err_set(err, ERR_USAGE,
			"source: only NBD servers have dirty bitmaps");
	if (s->opt.since && s->ops != &source_drive_ops)
		return err_set(err, ERR_USAGE,
			"source: only source-server (tws://, tw://) knows what changed since a state");
	if (s->opt.require_consistency && !s->ops->consistency)
		return err_set(err, ERR_SRC_CONSISTENCY,
			"source: only source-server (tws://, tw://) can tell whether a drive is held still");
	return 0;
}

const _Atomic bool *source_cancelled_by(const _Atomic bool *cancel)
{
	return net_cancelled_by(cancel);
}

bool source_is_cancelled(void)
{
	return net_is_cancelled();
}

void source_hurry(unsigned ms)
{
	net_hurry(ms);
}

/* A wait that was given up ends with different errors in different places. */
static int judge_failure(int r, struct err *err)
{
	if (r < 0 && net_is_cancelled())
		err->code = ERR_CANCELLED;
	return r;
}

int source_open(const char *uri, const struct source_options *opt, struct source **ret,
	struct err *err)
{
	struct source_uri *u = malloc(sizeof(*u));
	struct source *s = calloc(1, sizeof(*s));
	int r = -1;

	if (!u || !s) {
		err_set(err, ERR_NOMEM, "open a source: out of memory");
		goto out;
	}
	if (copy_options(s, opt, err) < 0 || source_uri_parse(uri, u, err) < 0)
		goto out;
	s->ops = find_transport(u->scheme);
	if (!s->ops) {
		err_set(err, ERR_USAGE, "source: unknown scheme \"%.32s\"", u->scheme);
		goto out;
	}
	if (check_tracker(s, err) < 0 || s->ops->open(s, u, err) < 0 ||
	    check_info(s, err) < 0)
		goto out;
	log_debug("%s: %" PRIu64 " bytes, sector %" PRIu32 ", %u channels", s->name,
		s->info.size, s->info.sector, s->info.max_channels);
	*ret = s;
	r = 0;
out:
	if (r < 0)
		source_close(s);
	if (u)
		explicit_bzero(u, sizeof(*u));
	free(u);
	return judge_failure(r, err);
}

void source_close(struct source *s)
{
	if (!s)
		return;
	if (s->ops)
		s->ops->close(s);
	if (s->opt.psk)
		explicit_bzero((char *)s->opt.psk, strlen(s->opt.psk));
	free((char *)s->opt.bitmap);
	free((char *)s->opt.since);
	free((char *)s->opt.psk);
	free((char *)s->opt.job_id);
	free(s);
}

const struct source_info *source_get_info(const struct source *s)
{
	return &s->info;
}

const char *source_name(const struct source *s)
{
	return s->name;
}

void source_get_counters(const struct source *s, struct source_counters *ret)
{
	ret->wire_in = s->wire_in;
	ret->wire_out = s->wire_out;
	ret->requests = s->requests;
	ret->retries = s->retries;
}

int source_chan_open(struct source *s, struct source_chan **ret, struct err *err)
{
	struct source_chan *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ERR_NOMEM, "%s: out of memory", s->name);
	c->src = s;
	if (s->ops->chan_open(c, err) < 0) {
		s->ops->chan_close(c);
		free(c);
		return judge_failure(-1, err);
	}
	*ret = c;
	return 0;
}

void source_chan_close(struct source_chan *c)
{
	if (!c)
		return;
	c->src->ops->chan_close(c);
	free(c);
}

void source_chan_cancel(struct source_chan *c)
{
	c->src->ops->chan_cancel(c);
}

unsigned source_room(const struct source_chan *c, uint32_t len)
{
	return c->src->ops->room(c, len);
}

int source_submit(struct source_chan *c, struct source_req *r, struct err *err)
{
	struct source *s = c->src;

	if (!r->len || r->len > SOURCE_MAX_REQUEST ||
		!bytes_in_range(r->off, r->len, s->info.size))
		return err_set(err, ERR_INTERNAL,
			"%s: request of %" PRIu32 " at %" PRIu64, s->name, r->len,
			r->off);
	r->status = 0;
	r->same = r->zero = 0;
	r->next = NULL;
	if (s->ops->submit(c, r, err) < 0)
		return judge_failure(-1, err);
	atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed);
	c->in_flight++;
	c->in_flight_bytes += r->len;
	return 0;
}

/* For transports that know no READ_IF_DIFF: the leaves have come, compare them here. */
static void compare(const struct source *s, struct source_req *r)
{
	uint8_t *buf = r->buf;

	for (uint32_t i = 0; i * SOURCE_LEAF < r->len; i++) {
		uint32_t at = i * SOURCE_LEAF;
		uint32_t n = r->len - at < SOURCE_LEAF ? r->len - at : SOURCE_LEAF;
		struct source_hash h;

		if (r->zero & 1u << i)
			memset(buf + at, 0, n);
		source_hash_leaf(s, buf + at, n, &h);
		if (((const uint64_t *)(const void *)h.b)[0] ==
				((const uint64_t *)(const void *)r->have[i].b)[0] &&
			((const uint64_t *)(const void *)h.b)[1] ==
				((const uint64_t *)(const void *)r->have[i].b)[1])
			r->same |= 1u << i;
	}
}

int source_reap(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
	struct err *err)
{
	struct source_req *list = NULL;

	if (c->src->ops->reap(c, timeout_ms, &list, err) < 0)
		return judge_failure(-1, err);
	for (struct source_req *r = list; r; r = r->next) {
		c->in_flight--;
		c->in_flight_bytes -= r->len;
		if (!r->status && r->verb == SOURCE_READ_IF_DIFF && !c->src->ops->diff)
			compare(c->src, r);
	}
	*ret = list;
	return 0;
}

/* Cuts the list to [off, off + len), merges neighbours of a kind,
 * checks that it has no gaps. */
static int tidy(const struct source *s, uint64_t off, uint64_t len,
	struct source_extent *e, size_t n, size_t *ret_n, uint64_t *ret_end,
	struct err *err)
{
	uint64_t at = off, end = off + len;
	size_t out = 0;

	for (size_t i = 0; i < n && at < end; i++) {
		uint64_t stop = e[i].off + e[i].len;

		if (e[i].off != at || !e[i].len || stop < at)
			return err_set(err, ERR_SRC_PROTO,
				"%s: extents with a gap at %" PRIu64, s->name, at);
		if (stop > end)
			stop = end;
		if (out && e[out - 1].kind == e[i].kind) {
			e[out - 1].len += stop - at;
		} else {
			e[out] = (struct source_extent){ at, stop - at, e[i].kind };
			out++;
		}
		at = stop;
	}
	if (at == off)
		return err_set(err, ERR_SRC_PROTO, "%s: no extents at %" PRIu64,
			s->name, off);
	*ret_n = out;
	*ret_end = at;
	return 0;
}

int source_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, uint64_t *ret_end,
	struct err *err)
{
	struct source *s = c->src;
	bool degrade = false;
	size_t n = 0;

	if (!len || !max || !bytes_in_range(off, len, s->info.size))
		return err_set(err, ERR_INTERNAL,
			"%s: extents of %" PRIu64 " at %" PRIu64, s->name, len, off);
	if (s->ops->extents && s->info.extents && s->extents_failed < EXTENT_FAILURES) {
		if (!s->ops->extents(c, off, len, ret, max, &n, &degrade, err))
			return tidy(s, off, len, ret, n, ret_n, ret_end, err);
		if (!degrade)
			return -1;
		if (++s->extents_failed == EXTENT_FAILURES)
			log_warn("%s: is not asked for extents any more: %s", s->name,
				err->text);
		else
			log_info("%s: reads without extents: %s", s->name, err->text);
		err_clear(err);
	}
	ret[0] = (struct source_extent){ off, len, SOURCE_DATA };
	*ret_n = 1;
	*ret_end = off + len;
	return 0;
}

int source_commit(struct source_chan *c, const uint8_t *units, size_t bytes,
	struct err *err)
{
	return c->src->ops->commit ?
		judge_failure(c->src->ops->commit(c, units, bytes, err), err) : 0;
}

int source_resume(struct source_chan *c, uint8_t *units, size_t bytes, size_t *ret_bytes,
	struct err *err)
{
	*ret_bytes = 0;
	return c->src->ops->resume ? c->src->ops->resume(c, units, bytes, ret_bytes,
		err) : 0;
}

int source_limit(struct source_chan *c, uint64_t rate, struct err *err)
{
	return c->src->ops->limit ? c->src->ops->limit(c, rate, err) : 0;
}

void source_state(struct source *s, char ret[40])
{
	ret[0] = '\0';
	if (s->ops->state)
		s->ops->state(s, ret);
}

void source_consistency(struct source *s, char ret[16])
{
	ret[0] = '\0';
	if (s->ops->consistency)
		s->ops->consistency(s, ret);
}

int source_begin_anew(struct source *s, struct err *err)
{
	return s->ops->begin_anew ? s->ops->begin_anew(s, err) : 0;
}

int source_live(struct source *s, bool live, struct err *err)
{
	return s->ops->live ? s->ops->live(s, live, err) : 0;
}

int source_finish(struct source *s, struct err *err)
{
	return s->ops->finish ? s->ops->finish(s, err) : 0;
}

int source_let_go(struct source *s, struct err *err)
{
	int r;

	if (!s->ops->let_go)
		return 0;
	net_hurry(LAST_WORD_MS);
	r = s->ops->let_go(s, err);
	net_hurry(0);
	return r;
}

uint64_t source_still_ms(const struct source *s)
{
	return s->ops->still_ms ? s->ops->still_ms(s) : 0;
}

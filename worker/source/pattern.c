/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern:SIZE[?fail=N&zero=N&delay=MS&break=N&gap=N] - generated data, for tests, and
 * the example of a transport. Each 8 bytes are their offset, big-endian, as in nbdkit's
 * plugin of this name. Every Nth MiB is zeroes (zero=N); every Nth request fails once
 * with EIO (fail=N) or breaks the channel (break=N); each answer takes MS milliseconds.
 * The Nth extent of each list leaves its first block out (gap=N, with zero), as a faulty
 * server would.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "source/source-internal.h"

#define DEPTH 8
#define ZERO_UNIT (1u << 20)
#define GAP 4096

struct pattern {
	uint64_t fail, zero, delay_ms, break_every, gap;
	_Atomic uint64_t requests;
};

struct pattern_chan {
	struct source_req *queue[DEPTH];
	unsigned n;
	_Atomic bool cancelled;
};

static int number(const char *text, uint64_t *ret, struct err *err)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (end == text || *end || errno)
		return err_set(err, ERR_USAGE, "pattern: \"%.32s\" is no number", text);
	return 0;
}

static int pattern_open(struct source *s, const struct source_uri *uri, struct err *err)
{
	static const char *const known[] = { "fail", "zero", "delay", "break",
		"gap", NULL };
	struct pattern *p = calloc(1, sizeof(*p));
	uint64_t *fields[5];

	s->priv = p;
	if (!p)
		return err_set(err, ERR_NOMEM, "pattern: out of memory");
	fields[0] = &p->fail;
	fields[1] = &p->zero;
	fields[2] = &p->delay_ms;
	fields[3] = &p->break_every;
	fields[4] = &p->gap;
	if (source_uri_check_params(uri, known, err) < 0 ||
		number(uri->path, &s->info.size, err) < 0)
		return -1;
	for (int i = 0; known[i]; i++) {
		const char *v = source_uri_param(uri, known[i]);

		if (v && number(v, fields[i], err) < 0)
			return -1;
	}
	snprintf(s->name, sizeof(s->name), "pattern:%" PRIu64, s->info.size);
	snprintf(s->info.generation, sizeof(s->info.generation), "always the same");
	s->info.max_channels = 4;
	s->info.extents = p->zero;
	return 0;
}

static void pattern_close(struct source *s)
{
	free(s->priv);
}

static int pattern_chan_open(struct source_chan *c, struct err *err)
{
	c->priv = calloc(1, sizeof(struct pattern_chan));
	return c->priv ? 0 : err_set(err, ERR_NOMEM, "%s: out of memory", c->src->name);
}

static void pattern_chan_close(struct source_chan *c)
{
	free(c->priv);
}

static void pattern_chan_cancel(struct source_chan *c)
{
	((struct pattern_chan *)c->priv)->cancelled = true;
}

static unsigned pattern_room(const struct source_chan *c, uint32_t len)
{
	(void)len;
	return DEPTH - ((struct pattern_chan *)c->priv)->n;
}

static int pattern_submit(struct source_chan *c, struct source_req *r, struct err *err)
{
	struct pattern_chan *ch = c->priv;

	(void)err;
	ch->queue[ch->n++] = r;
	return 0;
}

static bool is_zero(const struct pattern *p, uint64_t off)
{
	return p->zero && !(off / ZERO_UNIT % p->zero);
}

static void fill(const struct pattern *p, uint8_t *buf, uint64_t off, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		buf[i] = is_zero(p, at) ? 0 :
			(uint8_t)((at & ~7ull) >> (56 - at % 8 * 8));
	}
}

/* Newest first, so that out-of-order completion is tested too. */
static int pattern_reap(struct source_chan *c, unsigned timeout_ms,
	struct source_req **ret, struct err *err)
{
	struct pattern_chan *ch = c->priv;
	struct pattern *p = c->src->priv;
	struct timespec t = { .tv_sec = (time_t)(p->delay_ms / 1000),
		.tv_nsec = (long)(p->delay_ms % 1000 * 1000000) };
	struct source_req *r;
	uint64_t count;

	(void)timeout_ms;
	if (p->delay_ms)
		nanosleep(&t, NULL);
	if (ch->cancelled)
		return err_set(err, ERR_CANCELLED, "%s: cancelled", c->src->name);
	*ret = NULL;
	if (!ch->n)
		return 0;
	count = ++p->requests;
	if (p->break_every && count % p->break_every == 0)
		return err_set(err, ERR_SRC_EOF, "%s: broken on purpose", c->src->name);
	r = ch->queue[--ch->n];
	r->next = NULL;
	*ret = r;
	if (p->fail && count % p->fail == 0) {
		errno = EIO;
		r->status = err_sys(&r->err, ERR_SRC_READ, "%s: at %" PRIu64,
			c->src->name, r->off);
		return 0;
	}
	fill(p, r->buf, r->off, r->len);
	source_count_in(c->src, r->len);
	return 0;
}

static int pattern_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
	struct err *err)
{
	const struct pattern *p = c->src->priv;
	uint64_t at = off;
	size_t n = 0;

	(void)degrade;
	(void)err;
	for (; at < off + len && n < max; n++) {
		uint64_t next = (at / ZERO_UNIT + 1) * ZERO_UNIT;

		ret[n] = (struct source_extent){ at, next - at,
			is_zero(p, at) ? SOURCE_ZERO : SOURCE_DATA };
		if (n + 1 == p->gap)
			ret[n].off += GAP;
		at = next;
	}
	*ret_n = n;
	return 0;
}

static const char *const schemes[] = { "pattern", NULL };

const struct source_ops source_pattern_ops = {
	.name = "pattern",
	.schemes = schemes,
	.open = pattern_open,
	.close = pattern_close,
	.chan_open = pattern_chan_open,
	.chan_close = pattern_chan_close,
	.chan_cancel = pattern_chan_cancel,
	.room = pattern_room,
	.submit = pattern_submit,
	.reap = pattern_reap,
	.extents = pattern_extents,
};

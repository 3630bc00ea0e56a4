/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work list: a cursor over the drive, cut by extents, units and the size of requests.
 * Ranges that failed come first. Nothing is kept for the whole drive, so its size costs
 * no memory.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "copy/copy-internal.h"

#define MAX_AGAIN 8192
#define PROBE_SAMPLES 64
#define PROBE_LAST_UNITS 4
#define PROBE_LAST 8       /* one MiB of so many */
#define PROBE_UNFINISHED 4
#define SAMPLE_EVERY 100 /* 1 % */

/* Where the last units begin that the journal has: a lost flush would show there. */
static uint64_t journal_end(const struct copy_job *job)
{
	size_t u = job->n_units;

	for (unsigned seen = 0; u && seen < PROBE_LAST_UNITS; u--)
		seen += copy_unit_durable(job, (u - 1) * (uint64_t)COPY_UNIT);
	return u * (uint64_t)COPY_UNIT;
}

void copy_plan_start(struct copy_job *job, enum copy_mode mode)
{
	job->probe_near = mode == COPY_MODE_PROBE ? journal_end(job) : 0;
	job->mode = mode;
	job->cursor = job->head;
	copy_map_start(job);
	job->pass_total = job->size - job->cursor;
	job->pass_done = 0;
	job->differences = 0;
}

int copy_plan_again(struct copy_job *job, const struct copy_piece *p)
{
	struct copy_piece *copy;

	if (job->n_again >= MAX_AGAIN)
		return -1;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -1;
	*copy = *p;
	copy->next = job->again;
	job->again = copy;
	job->n_again++;
	return 0;
}

void copy_plan_free(struct copy_job *job)
{
	while (job->again) {
		struct copy_piece *p = job->again;

		job->again = p->next;
		free(p);
	}
	job->n_again = 0;
	copy_map_free(job);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* splitmix64: spreads sample positions evenly and differently in each run. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static bool one_in(const struct copy_job *job, uint64_t off, uint64_t n)
{
	return mix(off ^ job->salt) % n == 0;
}

/* Takes the first range that may be tried now, or a part of it. */
static bool take_again(struct copy_job *job, struct copy_piece *ret)
{
	uint64_t now = clock_now_ms();

	for (struct copy_piece **at = &job->again; *at; at = &(*at)->next) {
		struct copy_piece *p = *at;

		if (p->not_before_ms > now)
			continue;
		*ret = *p;
		if (p->len > p->step) {
			ret->len = p->step;
			p->off += p->step;
			p->len -= p->step;
			return true;
		}
		*at = p->next;
		job->n_again--;
		free(p);
		return true;
	}
	return false;
}

static enum copy_act act_for_probe(struct copy_job *job, uint64_t base, uint64_t leaf)
{
	uint64_t pieces = job->size / SOURCE_MAX_REQUEST + 1;
	bool durable;

	copy_durable_run(job, leaf, &durable);
	if (!durable)
		return COPY_ACT_SKIP;
	if (one_in(job, base, pieces / PROBE_SAMPLES + 1))
		return COPY_ACT_DIFF;
	if (!copy_unit_durable(job, leaf))
		return one_in(job, base, PROBE_UNFINISHED) ? COPY_ACT_DIFF :
			COPY_ACT_SKIP;
	return leaf >= job->probe_near && one_in(job, base, PROBE_LAST) ? COPY_ACT_DIFF :
									  COPY_ACT_SKIP;
}

/* Samples are whole MiB: the first and the last ones and one in a hundred; and the leaves
 * that look like metadata. What could not be read is not asked for again. */
static void plan_verify(struct copy_job *job, uint64_t off, struct copy_piece *ret)
{
	uint64_t base = off / SOURCE_MAX_REQUEST * SOURCE_MAX_REQUEST;
	bool look = true, bad;

	ret->len = smaller(base + SOURCE_MAX_REQUEST, job->size) - off;
	if (!job->everything && base >= 2 * SOURCE_MAX_REQUEST &&
		off + ret->len <= job->size - SOURCE_MAX_REQUEST &&
		!one_in(job, base, SAMPLE_EVERY))
		ret->len = copy_metadata_run(job, off, ret->len, &look);
	if (look) {
		ret->len = copy_bad_run(job, off, ret->len, &bad);
		look = !bad;
	}
	ret->act = look ? COPY_ACT_DIFF : COPY_ACT_SKIP;
}

static enum copy_act act_for_extent(const struct copy_job *job,
	const struct source_extent *e, uint64_t off, bool *sample)
{
	if (e->kind == SOURCE_ZERO)
		return COPY_ACT_ZERO;
	if (e->kind == SOURCE_DATA || job->distrust)
		return job->delta ? COPY_ACT_DIFF : COPY_ACT_READ;
	/* A tracker only narrows: some of what it calls unchanged is looked at. */
	*sample = off < 2 * SOURCE_MAX_REQUEST || one_in(job, off, SAMPLE_EVERY);
	return *sample ? COPY_ACT_DIFF : COPY_ACT_SKIP;
}

/*
 * Pieces keep to whole leaves: data is read up to the end of its last leaf, and what is
 * zero or unchanged is cut to whole leaves; a leaf that is shared is read.
 */
static void plan_extent(struct copy_job *job, uint64_t off, struct copy_piece *ret)
{
	const struct source_extent *e = copy_map_at(job, off);
	uint64_t end = e->off + e->len;
	uint64_t whole = end == job->size ? end : end / SOURCE_LEAF * SOURCE_LEAF, run;
	bool durable;

	run = copy_durable_run(job, off, &durable);
	ret->act = durable ? COPY_ACT_SKIP : act_for_extent(job, e, off, &ret->sample);
	if ((ret->act == COPY_ACT_ZERO || ret->act == COPY_ACT_SKIP) && whole > off) {
		ret->len = whole - off;
	} else if (ret->act == COPY_ACT_ZERO || ret->act == COPY_ACT_SKIP) {
		if (!durable)
			ret->act = job->delta ? COPY_ACT_DIFF : COPY_ACT_READ;
		ret->len = SOURCE_LEAF;
	} else {
		ret->len = (end + SOURCE_LEAF - 1) / SOURCE_LEAF * SOURCE_LEAF - off;
	}
	ret->len = smaller(ret->len, run);
	/* Samples of what is unchanged are chosen by the MiB, whatever the extent. */
	if (e->kind == SOURCE_UNCHANGED && !job->distrust)
		ret->len =
			smaller(ret->len, SOURCE_MAX_REQUEST - off % SOURCE_MAX_REQUEST);
}

/*
 * A probe looks at one leaf of each MiB that it has chosen: a flush that was lost shows
 * at many places, and over NBD what is looked at comes over the link.
 */
static void plan_probe(struct copy_job *job, uint64_t off, struct copy_piece *ret)
{
	uint64_t base = off / SOURCE_MAX_REQUEST * SOURCE_MAX_REQUEST;
	uint64_t end = smaller(base + SOURCE_MAX_REQUEST, job->size), n, leaf;

	n = (end - base + SOURCE_LEAF - 1) / SOURCE_LEAF;
	leaf = base + mix(~(base ^ job->salt)) % n * SOURCE_LEAF;
	ret->act = off <= leaf ? act_for_probe(job, base, leaf) : COPY_ACT_SKIP;
	ret->len = end - off;
	if (ret->act == COPY_ACT_SKIP)
		return;
	if (off < leaf) {
		ret->act = COPY_ACT_SKIP;
		ret->len = leaf - off;
	} else {
		ret->len = smaller(SOURCE_LEAF, ret->len);
	}
}

static void plan_at(struct copy_job *job, uint64_t off, struct copy_piece *ret)
{
	uint32_t step = SOURCE_MAX_REQUEST;

	ret->off = off;
	ret->step = SOURCE_MAX_REQUEST;
	if (job->mode == COPY_MODE_COPY) {
		plan_extent(job, off, ret);
		step = copy_pool_request_size(job);
	} else if (job->mode == COPY_MODE_PROBE) {
		plan_probe(job, off, ret);
	} else {
		plan_verify(job, off, ret);
	}
	if (ret->act == COPY_ACT_READ || ret->act == COPY_ACT_DIFF) {
		/* Requests end on multiples of their size,
		 * so that all but edges are aligned. */
		step = (uint32_t)smaller(step, job->request_cap);
		ret->len = smaller(ret->len, step - off % step);
	}
	ret->len = smaller(ret->len, COPY_UNIT - off % COPY_UNIT);
	ret->len = smaller(ret->len, job->size - off);
	job->cursor = off + ret->len;
}

int copy_plan_next(struct copy_slot *slot, struct copy_piece *ret)
{
	struct copy_job *job = slot->job;

	memset(ret, 0, sizeof(*ret));
	if (take_again(job, ret))
		return 1;
	if (job->cursor >= job->size)
		return job->again || job->outstanding ? 0 : -1;
	if (job->mode == COPY_MODE_COPY) {
		int r = copy_map_ready(slot);

		if (r <= 0)
			return r;
	}
	plan_at(job, job->cursor, ret);
	return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which leaves of units that are not whole yet are done, for the local journal: a unit of
 * 64 MiB is much to send again. Some units at a time are known so; the leaves of others
 * are sent again.
 */
#include <string.h>

#include "copy/copy-internal.h"

#define LEAVES (COPY_UNIT / SOURCE_LEAF)

struct copy_unit_leaves *copy_leaves_find(struct copy_leaves *l, uint64_t unit)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->list[i].unit == unit)
			return &l->list[i];
	return NULL;
}

static struct copy_unit_leaves *find_or_add(struct copy_leaves *l, uint64_t unit)
{
	struct copy_unit_leaves *u = copy_leaves_find(l, unit);

	if (u || l->n == COPY_UNFINISHED)
		return u;
	u = &l->list[l->n++];
	memset(u, 0, sizeof(*u));
	u->unit = unit;
	return u;
}

void copy_leaves_done(struct copy_job *job, uint64_t off, uint64_t len)
{
	uint64_t first = (off + SOURCE_LEAF - 1) / SOURCE_LEAF,
		end = (off + len) / SOURCE_LEAF;
	struct copy_unit_leaves *u;

	/* The last leaf of an odd drive is short. */
	if (off + len == job->size)
		end = (off + len + SOURCE_LEAF - 1) / SOURCE_LEAF;
	if (!copy_journal_kept(job) || job->mode != COPY_MODE_COPY || first >= end)
		return;
	u = find_or_add(&job->leaves_done, off / COPY_UNIT);
	for (uint64_t i = first; u && i < end; i++)
		u->bits[i % LEAVES / 64] |= 1ull << i % 64;
}

void copy_leaves_forget(struct copy_leaves *l, uint64_t unit)
{
	struct copy_unit_leaves *u = copy_leaves_find(l, unit);

	if (u)
		*u = l->list[--l->n];
}

static bool durable(const struct copy_unit_leaves *u, uint64_t leaf)
{
	return u->bits[leaf / 64] >> leaf % 64 & 1;
}

uint64_t copy_durable_run(struct copy_job *job, uint64_t off, bool *ret_durable)
{
	struct copy_unit_leaves *u = copy_leaves_find(&job->leaves_durable,
		off / COPY_UNIT);
	uint64_t at = off % COPY_UNIT, leaf = at / SOURCE_LEAF;

	*ret_durable = copy_unit_durable(job, off);
	if (*ret_durable || !u)
		return COPY_UNIT - at;
	*ret_durable = durable(u, leaf);
	do
		leaf++;
	while (leaf < LEAVES && durable(u, leaf) == *ret_durable);
	return leaf * SOURCE_LEAF - at;
}

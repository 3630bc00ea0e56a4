/* SPDX-License-Identifier: Apache-2.0 */
/* What came back goes to the target: runs of data are written,
 * runs of zeroes are zeroed. */
#include <string.h>

#include "base/bytes.h"
#include "copy/copy-internal.h"

static uint32_t smaller(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static enum copy_kind kind_of(const struct source_req *r, uint32_t leaf, uint32_t len)
{
	if (r->same & 1u << leaf)
		return COPY_EQUAL;
	if (r->zero & 1u << leaf)
		return COPY_ZERO;
	return bytes_are_zero((uint8_t *)r->buf + leaf * SOURCE_LEAF, len) ? COPY_ZERO :
		COPY_DATA;
}

static void hash_for_root(struct copy_job *job, const struct copy_req *q, uint32_t leaf,
	uint32_t len, enum copy_kind kind, struct source_hash *ret)
{
	if (kind == COPY_EQUAL)
		*ret = q->plain[leaf];
	else if (kind == COPY_ZERO)
		copy_root_zero_hash(job->root, len, ret);
	else
		copy_leaf_hash((uint8_t *)q->r.buf + leaf * SOURCE_LEAF, len, ret);
}

static int put(struct copy_job *job, const struct copy_req *q, uint32_t at, uint32_t len,
	enum copy_kind kind, struct err *err)
{
	if (kind == COPY_DATA)
		return sink_write(job->dst, (uint8_t *)q->r.buf + at, len, q->r.off + at,
			err);
	/* A zero leaf that differs from the target,
	 * or on a target that may hold anything. */
	if (kind == COPY_ZERO && !(job->known_zero && q->r.verb == SOURCE_READ))
		return sink_zero(job->dst, q->r.off + at, len, err);
	return 0;
}

/* Neighbours of a kind together. */
static int put_runs(struct copy_job *job, const struct copy_req *q,
	const enum copy_kind *kinds, struct err *err)
{
	for (uint32_t at = 0, end; at < q->r.len; at = end) {
		enum copy_kind kind = kinds[at / SOURCE_LEAF];

		end = at;
		do
			end += smaller(SOURCE_LEAF, q->r.len - end);
		while (end < q->r.len && kinds[end / SOURCE_LEAF] == kind);
		if (put(job, q, at, end - at, kind, err) < 0)
			return -1;
	}
	return 0;
}

static int apply_copy(struct copy_job *job, struct copy_req *q, struct err *err)
{
	struct source_hash hashes[SOURCE_MAX_LEAVES];
	enum copy_kind kinds[SOURCE_MAX_LEAVES];
	uint32_t n = 0, sums[COPY_BAD] = { 0 }, len = q->r.len, unequal = 0, metadata = 0;

	for (uint32_t at = 0; at < len; at += SOURCE_LEAF, n++) {
		uint32_t part = smaller(SOURCE_LEAF, len - at);

		kinds[n] = kind_of(&q->r, n, part);
		hash_for_root(job, q, n, part, kinds[n], &hashes[n]);
		sums[kinds[n]] += part;
		unequal += kinds[n] != COPY_EQUAL;
		if (kinds[n] == COPY_DATA &&
			copy_metadata_in(job, (uint8_t *)q->r.buf + at, part))
			metadata |= 1u << n;
	}
	if (put_runs(job, q, kinds, err) < 0)
		return -1;
	copy_root_leaves(job->root, q->r.off, len, hashes);
	pthread_mutex_lock(&job->lock);
	copy_leaves_done(job, q->r.off, len);
	for (unsigned kind = 0; kind < COPY_BAD; kind++)
		if (sums[kind])
			copy_account(job, q->r.off, sums[kind], (enum copy_kind)kind);
	for (uint32_t i = 0; metadata >> i; i++)
		if (metadata >> i & 1)
			copy_metadata_mark(job, q->r.off + (uint64_t)i * SOURCE_LEAF);
	if (q->piece.sample)
		job->differences += unequal;
	pthread_mutex_unlock(&job->lock);
	return 0;
}

/* Whether at least one whole leaf begins there. */
static bool is_leaf(const struct copy_job *job, uint64_t off, uint32_t len)
{
	return off % SOURCE_LEAF == 0 && (len >= SOURCE_LEAF || off + len == job->size);
}

static void apply_check(struct copy_job *job, struct copy_req *q)
{
	uint32_t leaves = (q->r.len + SOURCE_LEAF - 1) / SOURCE_LEAF;

	pthread_mutex_lock(&job->lock);
	for (uint32_t i = 0; i < leaves; i++) {
		uint64_t off = q->r.off + i * SOURCE_LEAF;

		if (q->r.same & 1u << i)
			continue;
		if (!job->differences++ || off < job->first_difference)
			job->first_difference = off;
		if (job->mode == COPY_MODE_VERIFY)
			copy_received_differs(job, off,
				is_leaf(job, off, q->r.len - i * SOURCE_LEAF) ?
				&q->plain[i] : NULL);
	}
	copy_account(job, q->r.off, q->r.len, COPY_EQUAL);
	pthread_mutex_unlock(&job->lock);
}

int copy_apply(struct copy_job *job, struct copy_req *q, struct err *err)
{
	if (job->mode == COPY_MODE_COPY)
		return apply_copy(job, q, err);
	apply_check(job, q);
	return 0;
}

int copy_hash_target(struct copy_job *job, struct copy_req *q, struct err *err)
{
	bool target_root = job->mode == COPY_MODE_VERIFY && job->everything;
	uint8_t *buf = q->r.buf;

	if (sink_read(job->dst, buf, q->r.len, q->r.off, err) < 0)
		return -1;
	for (uint32_t at = 0, i = 0; at < q->r.len; at += SOURCE_LEAF, i++) {
		uint32_t n = smaller(SOURCE_LEAF, q->r.len - at);

		copy_leaf_hash(buf + at, n, &q->plain[i]);
		if (source_hash_seed(job->src))
			source_hash_leaf(job->src, buf + at, n, &q->r.have[i]);
		else
			q->r.have[i] = q->plain[i];
	}
	if (target_root)
		copy_root_leaves(job->root, q->r.off, q->r.len, q->plain);
	return 0;
}

/* Zeroes only what is not: an unchanged thin target stays thin,
 * and a delta stays small. */
static int zero_where_needed(struct copy_slot *slot, uint64_t off, uint64_t len,
	struct err *err)
{
	struct copy_job *job = slot->job;
	uint64_t end = off + len;
	uint32_t n;

	for (uint64_t at = sink_next_data(job->dst, off, end); at < end;
		at = sink_next_data(job->dst, at + n, end)) {
		n = smaller(COPY_SCRATCH, end - at);
		if (sink_read(job->dst, slot->scratch, n, at, err) < 0)
			return -1;
		if (!bytes_are_zero(slot->scratch, n) &&
		    sink_zero(job->dst, at, n, err) < 0)
			return -1;
	}
	return 0;
}

int copy_apply_zero(struct copy_slot *slot, const struct copy_piece *p, struct err *err)
{
	struct copy_job *job = slot->job;

	copy_root_zero(job->root, p->off, p->len);
	if (job->known_zero && !job->delta)
		return 0;
	return job->delta ? zero_where_needed(slot, p->off, p->len, err) :
			    sink_zero(job->dst, p->off, p->len, err);
}

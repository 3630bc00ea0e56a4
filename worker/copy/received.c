/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying while the source is in use: a leaf that is another one there now is no fault
 * of the target when the target holds what the source had sent. The root has the hashes
 * of that: of each leaf while its unit is incomplete, afterwards of the unit, so that a
 * unit of which a leaf differs is read from the target as a whole.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "copy/copy-internal.h"

int copy_received_begin(struct copy_job *job, struct err *err)
{
	job->not_received = job->not_as_sent = 0;
	job->changed = 0;
	job->first_not_as_sent = UINT64_MAX;
	free(job->look_units);
	job->look_units = calloc(1, job->bitmap_bytes + 1);
	return job->look_units ? 0 : err_set(err, ERR_NOMEM, "verify: out of memory");
}

static void note_wrong(struct copy_job *job, uint64_t off)
{
	job->not_as_sent++;
	if (off < job->first_not_as_sent)
		job->first_not_as_sent = off;
}

void copy_received_differs(struct copy_job *job, uint64_t off,
	const struct source_hash *h)
{
	struct copy_root *known = job->received ? job->received : job->root;
	size_t unit = (size_t)(off / COPY_UNIT);

	switch (copy_root_look(known, off / SOURCE_LEAF * SOURCE_LEAF, h)) {
	case COPY_SEEN_NOT:
		job->not_received++;
		break;
	case COPY_SEEN_OTHER:
		note_wrong(job, off);
		break;
	case COPY_SEEN_UNIT:
		job->look_units[unit / 8] |= (uint8_t)(1u << unit % 8);
		break;
	case COPY_SEEN_SAME:
		break;
	}
}

/* Reads a unit of the target, as far as the drive goes. */
static int hash_unit(struct copy_job *job, size_t unit, struct source_hash *ret,
	struct err *err)
{
	uint64_t off = (uint64_t)unit * COPY_UNIT, end = off + COPY_UNIT;
	uint8_t *buf = job->slots[0].scratch;

	end = end < job->size ? end : job->size;
	for (; off < end; off += SOURCE_LEAF, ret++) {
		size_t n = end - off < SOURCE_LEAF ? (size_t)(end - off) : SOURCE_LEAF;

		if (sink_read(job->dst, buf, n, off, err) < 0)
			return -1;
		copy_leaf_hash(buf, n, ret);
	}
	return 0;
}

static int look_at_units(struct copy_job *job, struct err *err)
{
	struct copy_root *known = job->received ? job->received : job->root;
	struct source_hash *leaves = calloc(COPY_UNIT_LEAVES, sizeof(*leaves));
	int r = 0;

	if (!leaves)
		return err_set(err, ERR_NOMEM, "verify: out of memory");
	for (size_t u = 0; u < job->n_units && !r; u++) {
		if (!(job->look_units[u / 8] >> u % 8 & 1))
			continue;
		r = hash_unit(job, u, leaves, err);
		if (!r && !copy_root_is_unit(known, u, leaves))
			note_wrong(job, (uint64_t)u * COPY_UNIT);
	}
	free(leaves);
	return r;
}

/* Words for what a source has that is said to stand still. */
static int fail_strictly(struct copy_job *job, struct err *err)
{
	return err_set(err, ERR_VERIFY_HASH,
		"%s: %u leaves of 64 KiB differ from the source, the first at byte %" PRIu64
		"%s", sink_name(job->dst), job->differences, job->first_difference,
		job->not_as_sent || job->not_received ? "" :
		"; it holds what the source had sent, which has changed since");
}

int copy_received_judge(struct copy_job *job, struct err *err)
{
	if (look_at_units(job, err) < 0)
		return -1;
	if (!job->in_use)
		return fail_strictly(job, err);
	if (job->not_as_sent)
		return err_set(err, ERR_VERIFY_HASH,
			"%s: is not what the source had sent, the first difference is at or "
			"behind byte %" PRIu64, sink_name(job->dst),
			job->first_not_as_sent);
	job->changed = (uint64_t)job->differences * SOURCE_LEAF;
	log_info("%s: %u leaves of 64 KiB changed at the source since they were copied",
		source_name(job->src), job->differences);
	if (job->not_received)
		log_warn("%s: %u of these were not copied by this run and could not be "
			"verified", sink_name(job->dst), job->not_received);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While a copy is under way the held-back first MiB of the target carries a mark: a
 * random number that the journals carry, too. A journal counts only for the target that
 * has its number, so neither a new disk in the old one's place nor one whose guest was
 * touched already (the mark is gone with the head's release) is taken for what the
 * journal describes. Firmware does not look at the mark's place; the rest of the head is
 * zeroes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "copy/copy-internal.h"

#define MARK_AT 4096u
#define MARK_BLOCK 4096u /* written as one aligned block */
#define MAGIC "target-worker copy under way\n\0\0"
#define MAGIC_LEN 32

static bool fits(const struct copy_job *job)
{
	return job->head >= MARK_AT + MARK_BLOCK;
}

int copy_mark_read(struct copy_job *job, struct err *err)
{
	CLEANUP_FREE uint8_t *block = NULL;

	job->mark_found = false;
	if (job->opt->resume && fits(job)) {
		block = aligned_alloc(4096, MARK_BLOCK);
		if (!block)
			return err_set(err, ERR_NOMEM,
				"mark of the target: out of memory");
		if (sink_read(job->dst, block, MARK_BLOCK, MARK_AT, err) < 0)
			return -1;
		job->mark_found = !memcmp(block, MAGIC, MAGIC_LEN);
		if (job->mark_found)
			memcpy(job->mark, block + MAGIC_LEN, COPY_MARK);
	}
	if (!job->mark_found && getrandom(job->mark, COPY_MARK, 0) != COPY_MARK)
		return err_sys(err, ERR_INTERNAL, "random numbers");
	return 0;
}

int copy_mark_write(struct copy_job *job, struct err *err)
{
	CLEANUP_FREE uint8_t *block = NULL;

	if (!fits(job))
		return 0;
	block = aligned_alloc(4096, MARK_BLOCK);
	if (!block)
		return err_set(err, ERR_NOMEM, "mark of the target: out of memory");
	memset(block, 0, MARK_BLOCK);
	memcpy(block, MAGIC, MAGIC_LEN);
	memcpy(block + MAGIC_LEN, job->mark, COPY_MARK);
	return sink_write(job->dst, block, MARK_BLOCK, MARK_AT, err);
}

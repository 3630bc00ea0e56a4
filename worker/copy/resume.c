/* SPDX-License-Identifier: Apache-2.0 */
/* What earlier runs have left: believed after samples, and given up when it is not so. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "copy/copy-internal.h"

/* What was taken for durable is not what the source has. The journals must not say so
 * either: the target gets a new mark, which ends every journal of it, also one that
 * cannot be reached. */
int copy_drop_durable(struct copy_job *job, struct err *err)
{
	copy_account_reset(job);
	if (copy_bad_forget(job, err) < 0)
		return -1;
	for (unsigned i = 0; i < COPY_MARK; i++)
		job->mark[i] = (uint8_t)~job->mark[i];
	return copy_mark_write(job, err) < 0 ? -1 : sink_flush(job->dst, err);
}

static int read_journal(struct copy_job *job, uint8_t *units, struct copy_leaves *leaves,
	size_t *ret_bytes, struct err *err)
{
	struct copy_slot *slot = &job->slots[0];

	if (copy_journal_load(job, units, leaves, ret_bytes, err) < 0 || *ret_bytes)
		return *ret_bytes ? 0 : -1;
	/* A source that is away now is not the end:
	 * the hashes of the target say the same. */
	if (source_chan_open(job->src, &slot->chan, err) < 0 ||
		source_resume(slot->chan, units, copy_journal_bytes(job), ret_bytes,
			err) < 0) {
		log_info("no journal from %s: %s", source_name(job->src), err->text);
		source_chan_close(slot->chan);
		slot->chan = NULL;
		err_clear(err);
		*ret_bytes = 0;
	}
	return 0;
}

int copy_resume(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	uint8_t *units = calloc(1, copy_journal_bytes(job));
	struct copy_leaves *leaves = calloc(1, sizeof(*leaves));
	size_t bytes = 0, n = 0;
	int r = 0;

	if (!units || !leaves)
		r = err_set(err, ERR_NOMEM, "resume: out of memory");
	else
		r = read_journal(job, units, leaves, &bytes, err);
	if (!r && bytes == copy_journal_bytes(job) && !copy_journal_fits(job, units))
		log_info("%s: the journal is of another target; everything is compared",
			sink_name(job->dst));
	else if (!r && bytes == copy_journal_bytes(job)) {
		copy_set_durable(job, units, leaves);
		for (size_t u = 0; u < job->n_units; u++)
			n += units[u / 8] >> (u % 8) & 1;
		log_info("%s: the journal has %zu of %zu units and parts of %u",
			sink_name(job->dst), n, job->n_units, leaves->n);
		r = copy_pass(job, COPY_MODE_PROBE, "probe", pace, err);
		if (!r && job->differences) {
			log_warn("%s: is not what the journal says (byte %" PRIu64
				"); everything is compared", sink_name(job->dst),
				job->first_difference);
			r = copy_drop_durable(job, err);
		}
	}
	free(units);
	free(leaves);
	return r;
}

int copy_compare_anew(struct copy_job *job, struct err *err)
{
	err_clear(&job->err);
	copy_plan_free(job);
	for (unsigned i = 0; i < job->n_slots; i++) {
		job->slots[i].failures = 0;
		job->slots[i].given_up = false;
	}
	job->stop = job->failed = job->flusher_stop = false;
	job->delta = job->distrust = true;
	job->known_zero = false;
	copy_root_free(job->root);
	job->root = copy_root_new(job->size);
	return copy_drop_durable(job, err);
}

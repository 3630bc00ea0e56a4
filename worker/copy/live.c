/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes over a drive that is in use, before the one that counts. Each makes the next one
 * shorter, as less has changed meanwhile; the last pass, in which the source holds still,
 * compares everything again. Nothing of these passes enters a journal: what they copy is
 * of many times.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"

#define DOWNTIME_S 30
#define SHRINK 10 /* a pass that wrote more than 9/10 of the one before gains nothing */

static uint64_t written(const struct copy_job *job)
{
	struct sink_counters c;

	sink_get_counters(job->dst, &c);
	return c.written;
}

/* The last pass reads and compares as much as this one did, and transfers about as much:
 * so its time is the best guess of how long the source will have to hold still. */
static const char *why_enough(const struct copy_job *job, unsigned n, uint64_t ms,
	uint64_t bytes, uint64_t before)
{
	unsigned target = job->opt->downtime_s ? job->opt->downtime_s : DOWNTIME_S;

	if (ms <= target * 1000ull)
		return "the next one fits the downtime";
	if (bytes > before / SHRINK * (SHRINK - 1))
		return "another would not be shorter";
	return n == job->opt->live_passes ? "no more are allowed" : NULL;
}

static int live_pass(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	int r = copy_pass(job, COPY_MODE_COPY, "live", pace, err);

	copy_close_channels(job);
	if (r < 0 || sink_flush(job->dst, err) < 0)
		return -1;
	return 0;
}

int copy_live_passes(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	uint64_t bytes, begin, ms, before = UINT64_MAX;
	const char *enough = NULL;

	if (!job->opt->live_passes)
		return 0;
	/* An earlier run's journals end here: what they call durable is written over. */
	if (copy_drop_durable(job, err) < 0)
		return -1;
	for (unsigned n = 1; !enough; n++) {
		begin = clock_now_ms();
		bytes = written(job);
		/* Each from another snapshot, where the source has them. */
		if (source_live(job->src, true, err) < 0 || live_pass(job, pace, err) < 0)
			return -1;
		ms = clock_now_ms() - begin;
		bytes = written(job) - bytes;
		enough = why_enough(job, n, ms, bytes, before);
		log_info("%s: pass %u, the source in use: %" PRIu64 " bytes written in %" PRIu64
			".%" PRIu64 " s; %s", source_name(job->src), n, bytes, ms / 1000,
			ms / 100 % 10, enough ? enough : "another one follows");
		before = bytes;
		job->live_passes = n;
		if (copy_compare_anew(job, err) < 0)
			return -1;
	}
	return source_live(job->src, false, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How far, how fast, how long still. Rates count flushed bytes, as percentages do. */
#include "base/clock.h"
#include "copy/copy-internal.h"

#define SMOOTH 0.2
#define QUIET_MS 10000 /* no guess before */
#define WINDOW (sizeof(((struct copy_pace *)0)->recent) / sizeof(double))

static uint64_t seconds(uint64_t bytes, double rate)
{
	return rate >= 1 ? (uint64_t)((double)bytes / rate + 0.5) : UINT64_MAX;
}

static void take_rate(struct copy_pace *pace, uint64_t flushed, uint64_t now)
{
	double rate;

	if (now <= pace->last_ms)
		return;
	rate = (double)(flushed - pace->last_flushed) * 1000 /
		(double)(now - pace->last_ms);
	pace->rate = pace->n_recent ? pace->rate + SMOOTH * (rate - pace->rate) : rate;
	pace->recent[pace->n_recent++ % WINDOW] = rate;
	pace->last_ms = now;
	pace->last_flushed = flushed;
}

/* The band: the mean rate of thirds of the window, best and worst. Flushes come in steps,
 * so single seconds say nothing. */
static void band(const struct copy_pace *pace, double *ret_low, double *ret_high)
{
	unsigned n = pace->n_recent < WINDOW ? pace->n_recent : WINDOW;
	unsigned part = n / 3 ? n / 3 : 1;

	*ret_low = *ret_high = pace->rate;
	for (unsigned i = 0; i + part <= n; i += part) {
		double sum = 0;

		for (unsigned j = 0; j < part; j++)
			sum += pace->recent[i + j];
		sum /= part;
		if (sum < *ret_low)
			*ret_low = sum;
		if (sum > *ret_high)
			*ret_high = sum;
	}
}

void copy_pace_tell(struct copy_job *job, struct copy_pace *pace, bool end)
{
	struct copy_progress p = { .eta_s = UINT64_MAX, .eta_lo_s = UINT64_MAX,
		.eta_hi_s = UINT64_MAX };
	struct source_counters wire;
	uint64_t now = clock_now_ms(), left;
	double low, high;

	if (!pace->begin_ms)
		pace->begin_ms = pace->last_ms = now;
	if (!end && now - pace->last_ms < 1000)
		return;
	source_get_counters(job->src, &wire);
	pthread_mutex_lock(&job->lock);
	p.total = job->size;
	p.done = job->done;
	p.flushed = job->flushed;
	p.phase = job->phase;
	if (job->mode != COPY_MODE_COPY) {
		p.total = job->pass_total;
		p.done = p.flushed = job->pass_done;
	}
	pthread_mutex_unlock(&job->lock);
	p.wire = wire.wire_in;
	/* A new pass counts from zero. */
	if (p.flushed < pace->last_flushed)
		*pace = (struct copy_pace){ .begin_ms = now, .last_ms = now };
	take_rate(pace, p.flushed, now);
	p.rate = (uint64_t)pace->rate;
	left = p.total - p.flushed;
	if (now - pace->begin_ms >= QUIET_MS) {
		band(pace, &low, &high);
		p.eta_s = seconds(left, pace->rate);
		p.eta_lo_s = seconds(left, high);
		p.eta_hi_s = seconds(left, low);
	}
	if (job->opt->progress)
		job->opt->progress(job->opt->ctx, &p);
}

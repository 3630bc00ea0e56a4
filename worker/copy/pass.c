/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a drive: a thread for each channel, and the caller's,
 * which watches them. */
#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"

#define STALL_S 600
#define WATCH_MS 50
#define DRAIN_MS 1000 /* what is on the way may still arrive after a cancel */

void copy_fail_locked(struct copy_job *job, const struct err *err)
{
	if (!job->failed)
		job->err = *err;
	job->failed = job->stop = true;
	pthread_cond_broadcast(&job->cond);
	pthread_cond_broadcast(&job->watch);
}

void copy_fail(struct copy_job *job, const struct err *err)
{
	pthread_mutex_lock(&job->lock);
	copy_fail_locked(job, err);
	pthread_mutex_unlock(&job->lock);
}

static void cancel_channels(struct copy_job *job)
{
	for (unsigned i = 0; i < job->n_slots; i++) {
		pthread_mutex_lock(&job->slots[i].guard);
		if (job->slots[i].chan)
			source_chan_cancel(job->slots[i].chan);
		pthread_mutex_unlock(&job->slots[i].guard);
	}
}

static void check_stall(struct copy_job *job)
{
	unsigned limit = job->opt->stall_s ? job->opt->stall_s : STALL_S;
	struct err err = ERR_INIT;

	if (job->ctl->pause)
		job->last_byte_ms = clock_now_ms();
	if (clock_now_ms() - job->last_byte_ms < limit * 1000ull)
		return;
	err_set(&err, ERR_SRC_SLOW, "%s: no byte for %u s", source_name(job->src), limit);
	copy_fail_locked(job, &err);
}

void copy_let_go(struct copy_job *job)
{
	struct err err = ERR_INIT;

	if (job->let_go || !source_still_ms(job->src))
		return;
	job->let_go = true;
	if (job->opt->let_go)
		job->opt->let_go(job->opt->ctx);
	else if (source_let_go(job->src, &err) < 0)
		log_warn("%s", err.text);
}

/* Why a pass ends before its time. With the lock held. */
static void check_end(struct copy_job *job)
{
	struct err err = ERR_INIT;

	if (job->ctl->cancel) {
		err_set(&err, ERR_CANCELLED, "%s: cancelled", source_name(job->src));
		job->err = err;
		job->stop = true;
	} else if (job->ctl->pause && source_still_ms(job->src)) {
		job->paused = true;
		err_set(&err, ERR_SRC_CHANGED, "%s: paused, and let go meanwhile",
			source_name(job->src));
		copy_fail_locked(job, &err);
	} else {
		check_stall(job);
	}
}

/* Watches until all threads of the pass have ended. */
static void watch(struct copy_job *job, struct copy_pace *pace)
{
	uint64_t stop_at = 0;
	bool ends;

	pthread_mutex_lock(&job->lock);
	while (job->running) {
		copy_wait(job, &job->watch, WATCH_MS);
		if (!job->stop)
			check_end(job);
		if (job->stop && !stop_at)
			stop_at = clock_now_ms() + (job->failed ? 0 : DRAIN_MS);
		/* The source holds nothing for a pass that its change has ended. */
		ends = job->stop && (job->paused || job->err.code != ERR_SRC_CHANGED);
		pthread_mutex_unlock(&job->lock);
		if (ends)
			copy_let_go(job);
		if (stop_at && clock_now_ms() >= stop_at) {
			job->abandon = true;
			cancel_channels(job);
		}
		copy_pace_tell(job, pace, false);
		pthread_mutex_lock(&job->lock);
	}
	pthread_mutex_unlock(&job->lock);
}

int copy_start_thread(pthread_t *t, void *(*fn)(void *), void *arg, struct err *err)
{
	int e = pthread_create(t, NULL, fn, arg);

	if (!e)
		return 0;
	errno = e;
	return err_sys(err, ERR_NOMEM, "start a thread");
}

int copy_pass(struct copy_job *job, enum copy_mode mode, const char *phase,
	struct copy_pace *pace, struct err *err)
{
	struct err start = ERR_INIT;
	bool stopped;

	pthread_mutex_lock(&job->lock);
	copy_plan_start(job, mode);
	job->abandon = false;
	job->phase = phase;
	job->last_byte_ms = clock_now_ms();
	for (unsigned i = 0; i < job->n_slots; i++) {
		struct copy_slot *slot = &job->slots[i];

		slot->started = false;
		if (copy_start_thread(&slot->thread, copy_channel, slot, &start) < 0) {
			copy_fail_locked(job, &start);
			break;
		}
		slot->started = true;
		job->running++;
	}
	pthread_mutex_unlock(&job->lock);
	watch(job, pace);
	for (unsigned i = 0; i < job->n_slots; i++)
		if (job->slots[i].started)
			pthread_join(job->slots[i].thread, NULL);
	/* The flusher is at work still. */
	pthread_mutex_lock(&job->lock);
	stopped = job->stop;
	if (stopped)
		*err = job->err;
	pthread_mutex_unlock(&job->lock);
	if (stopped)
		return -1;
	if (mode == COPY_MODE_COPY && !copy_account_complete(job))
		return err_set(err, ERR_INTERNAL,
			"%s: the pass ended with ranges left over", sink_name(job->dst));
	return 0;
}

void copy_close_channels(struct copy_job *job)
{
	for (unsigned i = 0; i < job->n_slots; i++) {
		source_chan_close(job->slots[i].chan);
		job->slots[i].chan = NULL;
	}
}

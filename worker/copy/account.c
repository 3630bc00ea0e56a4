/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done and what is durable. A unit is done when its last byte was handed to the
 * sink, and durable when a flush that began after that has returned; only then it enters
 * a journal.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"

#define FLUSH_BYTES (1ull << 30)
#define FLUSH_MS 5000
/* What a journal can tell is worth a barrier sooner: then it is not sent again. How much
 * sooner depends on what a barrier costs. */
#define FLUSH_SOON_MS 500 /* the journal is written to the disk of the source, too */
#define FLUSH_SOON_SHARE 10

void copy_wait(struct copy_job *job, pthread_cond_t *cond, unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000l;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(cond, &job->lock, &t);
}

int copy_account_init(struct copy_job *job, struct err *err)
{
	job->n_units = (size_t)((job->size + COPY_UNIT - 1) / COPY_UNIT);
	job->bitmap_bytes = (job->n_units + 7) / 8;
	job->left = calloc(job->n_units + 1, sizeof(*job->left));
	job->done_units = calloc(1, job->bitmap_bytes + 1);
	job->durable_units = calloc(1, job->bitmap_bytes + 1);
	job->bad_units = calloc(1, job->bitmap_bytes + 1);
	if (!job->left || !job->done_units || !job->durable_units || !job->bad_units)
		return err_set(err, ERR_NOMEM, "account for %zu units: out of memory",
			job->n_units);
	copy_account_reset(job);
	return 0;
}

void copy_account_reset(struct copy_job *job)
{
	pthread_mutex_lock(&job->lock);
	/* A barrier under way would bring back what is taken away here. */
	while (job->in_barrier)
		pthread_cond_wait(&job->watch, &job->lock);
	memset(job->done_units, 0, job->bitmap_bytes);
	memset(job->durable_units, 0, job->bitmap_bytes);
	memset(job->bad_units, 0, job->bitmap_bytes);
	job->leaves_done.n = job->leaves_durable.n = 0;
	job->done = job->flushed = job->unflushed = 0;
	job->data = job->zero = job->equal = job->bad = 0;
	for (size_t u = 0; u < job->n_units; u++) {
		uint64_t end = (uint64_t)(u + 1) * COPY_UNIT;

		job->left[u] = (uint32_t)((end < job->size ? end : job->size) -
			(uint64_t)u * COPY_UNIT);
	}
	if (job->n_units) {
		job->left[0] -= (uint32_t)job->head;
		if (!job->left[0])
			job->done_units[0] |= 1;
	}
	pthread_mutex_unlock(&job->lock);
}

bool copy_account_complete(const struct copy_job *job)
{
	for (size_t u = 0; u < job->n_units; u++)
		if (job->left[u])
			return false;
	return true;
}

void copy_account_free(struct copy_job *job)
{
	free(job->left);
	free(job->done_units);
	free(job->durable_units);
	free(job->bad_units);
}

void copy_account(struct copy_job *job, uint64_t off, uint64_t len, enum copy_kind kind)
{
	size_t unit = (size_t)(off / COPY_UNIT);

	job->pass_done += len;
	if (job->mode != COPY_MODE_COPY)
		return;
	job->left[unit] -= (uint32_t)len;
	/* A unit with unreadable ranges stays out of the journals: the next run tries
	 * them again, and lists them again when it fails. */
	if (kind == COPY_BAD)
		job->bad_units[unit / 8] |= (uint8_t)(1u << unit % 8);
	if (!job->left[unit])
		copy_leaves_forget(&job->leaves_done, unit);
	if (!job->left[unit] && !(job->bad_units[unit / 8] >> unit % 8 & 1)) {
		job->done_units[unit / 8] |= (uint8_t)(1u << unit % 8);
		job->unit_done = true;
	}
	job->done += len;
	if (kind == COPY_DATA)
		job->unflushed += len;
	*(kind == COPY_DATA ? &job->data :
		kind == COPY_ZERO ? &job->zero :
		kind == COPY_EQUAL ? &job->equal : &job->bad) += len;
}

bool copy_unit_durable(const struct copy_job *job, uint64_t off)
{
	uint64_t unit = off / COPY_UNIT;

	return job->durable_units[unit / 8] >> (unit % 8) & 1;
}

void copy_set_durable(struct copy_job *job, const uint8_t *units,
	const struct copy_leaves *leaves)
{
	memcpy(job->durable_units, units, job->bitmap_bytes);
	job->leaves_done = job->leaves_durable = *leaves;
}

static int journals(struct copy_job *job, const uint8_t *units, bool more,
	struct err *err)
{
	uint8_t *all = malloc(copy_journal_bytes(job));
	int r;

	if (!all)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	/* The source is told by a thread that owns a channel, and of whole units only. */
	if (more)
		job->commit_pending = true;
	copy_journal_fill(job, units, all);
	r = copy_journal_save(job, all, err);
	free(all);
	return r;
}

int copy_barrier(struct copy_job *job, struct err *err)
{
	uint8_t *units = malloc(job->bitmap_bytes + 1);
	bool more = false;
	uint64_t done;
	int r;

	if (!units)
		return err_set(err, ERR_NOMEM, "barrier: out of memory");
	pthread_mutex_lock(&job->lock);
	if (job->flush_failed) {
		pthread_mutex_unlock(&job->lock);
		free(units);
		return err_set(err, ERR_DISK_IO, "%s: an earlier flush failed",
			sink_name(job->dst));
	}
	job->in_barrier = true;
	memcpy(units, job->done_units, job->bitmap_bytes);
	job->leaves_flushing = job->leaves_done;
	done = job->done;
	job->unflushed = 0;
	job->unit_done = false;
	pthread_mutex_unlock(&job->lock);
	r = sink_flush(job->dst, err);
	if (r < 0) {
		pthread_mutex_lock(&job->lock);
		job->flush_failed = true;
		pthread_mutex_unlock(&job->lock);
	} else {
		pthread_mutex_lock(&job->lock);
		for (size_t i = 0; i < job->bitmap_bytes; i++) {
			more |= (units[i] & ~job->durable_units[i]) != 0;
			job->durable_units[i] |= units[i];
		}
		memcpy(units, job->durable_units, job->bitmap_bytes);
		job->leaves_durable = job->leaves_flushing;
		pthread_mutex_unlock(&job->lock);
		r = journals(job, units, more, err);
	}
	pthread_mutex_lock(&job->lock);
	/* What a local journal could not keep would be sent again. */
	if (!r && done > job->flushed)
		job->flushed = done;
	job->in_barrier = false;
	pthread_cond_broadcast(&job->watch);
	pthread_mutex_unlock(&job->lock);
	free(units);
	return r;
}

/* Whether a journal could tell more than it does: the local one of leaves,
 * the source's of units. */
static bool journal_waits(const struct copy_job *job, uint64_t seen)
{
	return copy_journal_kept(job) ? job->done != seen :
		job->journals && job->unit_done;
}

/* Makes durable every GiB, every 5 seconds, or when a journal waits,
 * beside the copying threads. */
void *copy_flusher(void *arg)
{
	struct copy_job *job = arg;
	uint64_t last = clock_now_ms(), seen = 0, soon_ms = FLUSH_SOON_MS;
	struct err err = ERR_INIT;

	pthread_mutex_lock(&job->lock);
	while (!job->flusher_stop && !job->failed) {
		uint64_t past = clock_now_ms() - last;
		bool due = job->unflushed >= FLUSH_BYTES ||
			(past >= soon_ms && journal_waits(job, seen)) ||
			(past >= FLUSH_MS && job->done != seen);

		if (due) {
			seen = job->done;
			pthread_mutex_unlock(&job->lock);
			last = clock_now_ms();
			if (copy_barrier(job, &err) < 0)
				copy_fail(job, &err);
			pthread_mutex_lock(&job->lock);
			soon_ms = FLUSH_SOON_MS +
				(clock_now_ms() - last) * FLUSH_SOON_SHARE;
			last = clock_now_ms();
			continue;
		}
		copy_wait(job, &job->watch, 100);
	}
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies where, as the source tells: asked ahead of the cursor, by all channels at
 * once where there is nothing else to do. A window is one question; the cursor goes
 * through them in their order. A source may answer for less than it was asked for: the
 * rest of a window is asked again when the cursor gets there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "copy/copy-internal.h"

#define ASK_FIRST (1ull << 30)
#define ASK_MAX ((4ull << 30) - (1u << 20)) /* 32-bit lengths of NBD, aligned */

void copy_map_start(struct copy_job *job)
{
	job->first_window = job->n_windows = 0;
	job->asked = job->cursor;
	job->ask = ASK_FIRST;
}

void copy_map_free(struct copy_job *job)
{
	for (int i = 0; i < COPY_WINDOWS; i++) {
		free(job->windows[i].list);
		job->windows[i].list = NULL;
	}
	job->n_windows = 0;
}

static struct copy_window *window(struct copy_job *job, unsigned i)
{
	return &job->windows[(job->first_window + i) % COPY_WINDOWS];
}

static struct copy_window *open_window(struct copy_job *job)
{
	struct copy_window *w = window(job, job->n_windows++);
	uint64_t left = job->size - job->asked;

	w->told = job->asked;
	job->asked += left < job->ask ? left : job->ask;
	w->end = job->asked;
	w->n = w->next = 0;
	return w;
}

/* Asks for what the window does not hold yet. With the lock held, released meanwhile. */
static int fetch(struct copy_slot *slot, struct copy_window *w)
{
	struct copy_job *job = slot->job;
	uint64_t off = job->cursor > w->told ? job->cursor : w->told, told = off;
	struct err err = ERR_INIT;
	size_t n = 0;
	int r;

	w->busy = true;
	pthread_mutex_unlock(&job->lock);
	if (!w->list)
		w->list = malloc(sizeof(*w->list) * COPY_EXTENTS);
	if (!w->list)
		r = err_set(&err, ERR_NOMEM, "list extents: out of memory");
	else
		r = source_extents(slot->chan, off, w->end - off, w->list, COPY_EXTENTS,
			&n, &told, &err);
	pthread_mutex_lock(&job->lock);
	w->busy = false;
	pthread_cond_broadcast(&job->cond);
	if (r < 0) {
		slot->failures++;
		log_info("%s: %s", source_name(job->src), err.text);
		if (!err_retryable(err.code) || err.code == ERR_SRC_CHANGED)
			copy_fail_locked(job, &err);
		return -1;
	}
	w->n = n;
	w->next = 0;
	w->told = told;
	/* Emptiness is asked about in large steps. */
	job->ask = n < 4 && told == w->end ? ASK_MAX : ASK_FIRST;
	return 0;
}

int copy_map_ready(struct copy_slot *slot)
{
	struct copy_job *job = slot->job;

	while (!job->stop) {
		struct copy_window *w;
		bool ready, more;

		while (job->n_windows && job->cursor >= window(job, 0)->end) {
			job->first_window++;
			job->n_windows--;
		}
		w = job->n_windows ? window(job, 0) : NULL;
		ready = w && !w->busy && job->cursor < w->told;
		more = job->asked < job->size &&
			job->n_windows < (ready ? 2 : COPY_WINDOWS);
		/* One ahead, while the answers to reads are under way anyway. */
		if (ready && !(more && slot->in_flight))
			return 1;
		if (!w || ready || w->busy) {
			if (!more)
				return 0;
			w = open_window(job);
		}
		if (fetch(slot, w) < 0)
			return -2;
	}
	return 0;
}

const struct source_extent *copy_map_at(struct copy_job *job, uint64_t off)
{
	struct copy_window *w = window(job, 0);

	while (w->list[w->next].off + w->list[w->next].len <= off)
		w->next++;
	return &w->list[w->next];
}

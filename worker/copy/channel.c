/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of one channel: asks ahead as far as it may, writes what comes,
 * connects anew. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"

#define BACKOFF_MAX_MS 30000
#define EXTRA_TRIES 3      /* after these a channel is given up while another works */
#define ABSENT_TRIES 5     /* about 15 s */
#define REAP_MS 200
#define WAIT_MS 20

/* Others look at it with the lock; the watcher, which cancels it, has the guard. With the
 * lock held. Returns the one before. */
static struct source_chan *set_channel(struct copy_slot *slot, struct source_chan *chan)
{
	struct source_chan *before = slot->chan;

	pthread_mutex_lock(&slot->guard);
	slot->chan = chan;
	pthread_mutex_unlock(&slot->guard);
	return before;
}

/* What was on the way is asked again, by this channel or another. Takes the lock. */
static void broken(struct copy_slot *slot, const struct err *err)
{
	struct copy_job *job = slot->job;
	struct source_chan *chan;

	pthread_mutex_lock(&job->lock);
	chan = set_channel(slot, NULL);
	pthread_mutex_unlock(&job->lock);
	source_chan_close(chan);
	pthread_mutex_lock(&job->lock);
	for (int i = 0; i < COPY_MAX_REQS; i++) {
		struct copy_req *q = &job->reqs[i];

		if (q->owner != slot)
			continue;
		if (copy_plan_again(job, &q->piece) < 0) {
			struct err full = ERR_INIT;

			err_set(&full, ERR_NOMEM, "too many ranges to ask again");
			copy_fail_locked(job, &full);
		}
		copy_pool_give(job, q);
		job->outstanding--;
	}
	slot->in_flight = 0;
	slot->in_flight_bytes = 0;
	slot->failures++;
	if (!job->stop) {
		atomic_fetch_add(&job->retries, 1);
		log_info("%s: connection %u: %s", source_name(job->src), slot->number,
			err->text);
		if (!err_retryable(err->code))
			copy_fail_locked(job, err);
	}
	pthread_cond_broadcast(&job->cond);
	pthread_mutex_unlock(&job->lock);
}

static bool another_works(const struct copy_slot *slot)
{
	const struct copy_job *job = slot->job;

	for (unsigned i = 0; i < job->n_slots; i++)
		if (&job->slots[i] != slot && job->slots[i].chan)
			return true;
	return false;
}

/* Sleeps 0, 1, 2, 4 ... 30 s with a quarter of jitter, awake for a stop.
 * With the lock. */
static void back_off(struct copy_slot *slot)
{
	struct copy_job *job = slot->job;
	unsigned n = slot->failures > 6 ? 6 : slot->failures;
	uint64_t ms = n < 2 ? 0 : 500ull << (n - 1), until;

	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	ms -= ms / 4 * (clock_now_ns() / 1000 % 1000) / 1000;
	until = clock_now_ms() + ms;
	while (!job->stop && clock_now_ms() < until)
		copy_wait(job, &job->cond, 100);
}

/* A server that restarts, or has not seen yet that its only client hung up, may deny for
 * a moment a drive that this run has already opened. */
static bool passes(const struct copy_slot *slot, const struct err *err)
{
	return err_retryable(err->code) ||
		(err->code == ERR_SRC_NO_DRIVE && slot->failures <= ABSENT_TRIES);
}

/* With the lock held; released while connecting. -1: this channel ends. */
static int connect_channel(struct copy_slot *slot)
{
	struct copy_job *job = slot->job;
	struct source_chan *chan = NULL;
	struct err err = ERR_INIT;
	int r;

	if (slot->failures >= EXTRA_TRIES && another_works(slot)) {
		log_info("%s: goes on without connection %u", source_name(job->src),
			slot->number);
		slot->given_up = true;
		return -1;
	}
	if (slot->failures)
		back_off(slot);
	if (job->stop)
		return -1;
	pthread_mutex_unlock(&job->lock);
	r = source_chan_open(job->src, &chan, &err);
	pthread_mutex_lock(&job->lock);
	set_channel(slot, chan);
	if (!r) {
		slot->limit_told = UINT64_MAX;
		return 0;
	}
	slot->failures++;
	atomic_fetch_add(&job->retries, 1);
	log_info("%s: connection %u: %s", source_name(job->src), slot->number, err.text);
	/* Not one byte of the other content: run.c begins anew. */
	if (err.code == ERR_SRC_CHANGED)
		copy_fail_locked(job, &err);
	/* Only the first connection has to work: a server may take no more than one. */
	if (!passes(slot, &err) && !another_works(slot))
		copy_fail_locked(job, &err);
	return job->stop ? -1 : 0;
}

static enum source_verb verb_for(const struct copy_job *job, const struct copy_piece *p)
{
	bool leaves = !(p->off % SOURCE_LEAF) &&
		(!(p->len % SOURCE_LEAF) || p->off + p->len == job->size);

	if (p->act != COPY_ACT_DIFF)
		return SOURCE_READ;
	/* A piece of a leaf cannot be compared; it is simply copied. */
	return leaves || job->mode != COPY_MODE_COPY ? SOURCE_READ_IF_DIFF : SOURCE_READ;
}

/* A request for the piece goes out. With the lock held, released meanwhile.
 * 0, -1 broken. */
static int send_request(struct copy_slot *slot, struct copy_req *q, struct err *err)
{
	struct copy_job *job = slot->job;
	struct err target = ERR_INIT;
	int r = 0;

	q->r.verb = verb_for(job, &q->piece);
	q->r.off = q->piece.off;
	q->owner = slot;
	slot->in_flight++;
	slot->in_flight_bytes += q->r.len;
	pthread_mutex_unlock(&job->lock);
	if (q->r.verb == SOURCE_READ_IF_DIFF && copy_hash_target(job, q, &target) < 0) {
		copy_fail(job, &target);
	} else {
		q->submitted_ns = clock_now_ns();
		r = source_submit(slot->chan, &q->r, err);
	}
	pthread_mutex_lock(&job->lock);
	return r;
}

/* Work that needs no answer of the source. With the lock held, released meanwhile. */
static void do_locally(struct copy_slot *slot, const struct copy_piece *p)
{
	struct copy_job *job = slot->job;
	struct err err = ERR_INIT;
	int r = 0;

	if (p->act == COPY_ACT_ZERO) {
		pthread_mutex_unlock(&job->lock);
		r = copy_apply_zero(slot, p, &err);
		pthread_mutex_lock(&job->lock);
	}
	if (r < 0) {
		copy_fail_locked(job, &err);
	} else {
		copy_leaves_done(job, p->off, p->len);
		copy_account(job, p->off, p->len,
			p->act == COPY_ACT_ZERO ? COPY_ZERO : COPY_EQUAL);
		job->last_byte_ms = clock_now_ms();
	}
	job->outstanding--;
}

/* What the next piece may need; in the buffers, a run that long has to be free. */
static uint32_t largest(const struct copy_job *job)
{
	return job->mode == COPY_MODE_COPY && !job->again ? job->request :
		SOURCE_MAX_REQUEST;
}

/* Fills the channel. With the lock held. 1 goes on, 0 nothing to ask now, -1 the pass is
 * over for this channel, -2 broken. */
static int fill(struct copy_slot *slot, struct err *err)
{
	struct copy_job *job = slot->job;

	while (!job->stop && !job->ctl->pause) {
		struct copy_piece p;
		struct copy_req *q;
		int r;

		if (!source_room(slot->chan, job->request) ||
			!copy_pool_has_room(slot, largest(job)))
			return 0;
		r = copy_plan_next(slot, &p);
		if (r == -2)
			err_set(err, ERR_SRC_EOF, "extents failed");
		if (r <= 0)
			return r;
		job->outstanding++;
		if (p.act == COPY_ACT_ZERO || p.act == COPY_ACT_SKIP) {
			do_locally(slot, &p);
			continue;
		}
		q = copy_pool_allowed(job, (uint32_t)p.len) ?
			copy_pool_take(job, (uint32_t)p.len) : NULL;
		if (!q) {
			p.not_before_ms = clock_now_ms() + WAIT_MS;
			if (copy_plan_again(job, &p) < 0) {
				err_set(err, ERR_NOMEM,
					"put a range back: out of memory");
				copy_fail_locked(job, err);
				return -2;
			}
			job->outstanding--;
			return 0;
		}
		q->piece = p;
		if (send_request(slot, q, err) < 0)
			return -2;
	}
	return 0;
}

/* One completed request. Takes the lock. */
static void complete(struct copy_slot *slot, struct copy_req *q)
{
	struct copy_job *job = slot->job;
	struct err err = ERR_INIT;
	int r = q->r.status < 0 ? copy_retry(job, q, &err) : copy_apply(job, q, &err);

	pthread_mutex_lock(&job->lock);
	if (r < 0)
		copy_fail_locked(job, &err);
	if (!q->r.status) {
		copy_pool_measure(job, q);
		slot->failures = 0;
		job->last_byte_ms = clock_now_ms();
	}
	slot->in_flight_bytes -= q->r.len;
	copy_pool_give(job, q);
	slot->in_flight--;
	job->outstanding--;
	pthread_cond_broadcast(&job->cond);
	pthread_mutex_unlock(&job->lock);
}

static int tell_source(struct copy_slot *slot, struct err *err)
{
	struct copy_job *job = slot->job;
	uint8_t *units;
	int r;

	if (!atomic_exchange(&job->commit_pending, false) || job->let_go)
		return 0;
	units = malloc(copy_journal_bytes(job));
	if (!units)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	pthread_mutex_lock(&job->lock);
	copy_journal_fill(job, job->durable_units, units);
	pthread_mutex_unlock(&job->lock);
	r = source_commit(slot->chan, units, copy_journal_bytes(job), err);
	free(units);
	if (r < 0 && err->code == ERR_SRC_READ) {
		/* It answered: the connection is in order, its journal is not. */
		log_warn("%s keeps no journal: %s", source_name(job->src), err->text);
		err_clear(err);
		return 0;
	}
	return r;
}

/* The limit may change at any time. */
static int tell_limit(struct copy_slot *slot, struct err *err)
{
	uint64_t rate = slot->job->ctl->bandwidth;

	if (slot->limit_told == rate)
		return 0;
	slot->limit_told = rate;
	return source_limit(slot->chan, rate, err);
}

static bool has_failed(struct copy_job *job)
{
	bool failed;

	pthread_mutex_lock(&job->lock);
	failed = job->failed;
	pthread_mutex_unlock(&job->lock);
	return failed;
}

/* Asks and takes until the pass is over, a stop or a break (-1). */
static int work(struct copy_slot *slot, struct err *err)
{
	struct copy_job *job = slot->job;
	struct source_req *list, *next;

	for (;;) {
		int r;

		if (tell_limit(slot, err) < 0)
			return -1;
		pthread_mutex_lock(&job->lock);
		r = fill(slot, err);
		if (!slot->in_flight && (r == -1 || job->stop)) {
			pthread_mutex_unlock(&job->lock);
			return 0;
		}
		if (!slot->in_flight && r == 0)
			copy_wait(job, &job->cond, WAIT_MS);
		pthread_mutex_unlock(&job->lock);
		if (r == -2 || tell_source(slot, err) < 0)
			return -1;
		if (!slot->in_flight)
			continue;
		if (source_reap(slot->chan, REAP_MS, &list, err) < 0)
			return -1;
		for (; list; list = next) {
			next = list->next;
			complete(slot, (struct copy_req *)list);
		}
		/* A cancel drains; the watcher ends it after a second. */
		if (has_failed(job))
			return err_set(err, ERR_CANCELLED, "stopped");
	}
}

void *copy_channel(void *arg)
{
	struct copy_slot *slot = arg;
	struct copy_job *job = slot->job;
	struct err err = ERR_INIT;
	bool over = false;

	source_cancelled_by(&job->abandon);
	while (!over) {
		pthread_mutex_lock(&job->lock);
		if (job->stop || slot->given_up)
			over = true;
		else if (!slot->chan && connect_channel(slot) < 0)
			over = true;
		else if (!slot->chan && job->cursor >= job->size && !job->again &&
			!job->outstanding)
			over = true; /* the others did everything meanwhile */
		pthread_mutex_unlock(&job->lock);
		if (over || !slot->chan)
			continue;
		if (work(slot, &err) < 0)
			broken(slot, &err);
		else
			over = true;
	}
	pthread_mutex_lock(&job->lock);
	job->running--;
	pthread_cond_broadcast(&job->watch);
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that failed by themselves: asked again in smaller pieces,
 * at the end listed as bad. */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"

#define ATTEMPTS 3
#define HASH_ATTEMPTS 2

/* 64 KiB, 16 KiB, 4 KiB; never below what the source can address. */
static uint32_t smaller_step(const struct copy_job *job, uint64_t len)
{
	uint32_t least = job->sector > COPY_PIECE_MIN ? job->sector : COPY_PIECE_MIN;
	uint32_t step = len > SOURCE_LEAF ? SOURCE_LEAF :
		len > SOURCE_LEAF / 4	  ? SOURCE_LEAF / 4 : least;

	return step > least ? step : least;
}

static int again(struct copy_job *job, const struct copy_piece *p, struct err *err)
{
	int r;

	pthread_mutex_lock(&job->lock);
	r = copy_plan_again(job, p);
	atomic_fetch_add(&job->retries, 1);
	pthread_mutex_unlock(&job->lock);
	return r < 0 ? err_wrap(err, "too many failed ranges") : 0;
}

/* The range is unreadable for good. What the target holds there is
 * not left from before. */
static int give_up(struct copy_job *job, const struct copy_req *q, struct err *err)
{
	int r = 0;

	if (!job->bad_max)
		return -1;
	log_warn("%s%s", q->r.err.text,
		job->mode == COPY_MODE_COPY ? "" : "; it is not compared");
	if (job->mode == COPY_MODE_COPY &&
		sink_zero(job->dst, q->r.off, q->r.len, err) < 0)
		return -1;
	pthread_mutex_lock(&job->lock);
	if (job->mode != COPY_MODE_COPY) {
		/* It was read before, and the target has it. */
		copy_account(job, q->r.off, q->r.len, COPY_EQUAL);
	} else if ((r = copy_bad_add(job, q->r.off, q->r.len, err)) == 0) {
		copy_account(job, q->r.off, q->r.len, COPY_BAD);
		copy_root_break(job->root);
	}
	pthread_mutex_unlock(&job->lock);
	return r;
}

static int read_error(struct copy_job *job, const struct copy_req *q, struct err *err)
{
	static const unsigned pause_ms[ATTEMPTS] = { 300, 2000, 5000 };
	struct copy_piece p = q->piece;
	uint32_t step = smaller_step(job, p.len);

	if (p.len > step) {
		p.step = step;
		return again(job, &p, err);
	}
	if (p.attempt == ATTEMPTS)
		return give_up(job, q, err);
	p.not_before_ms = clock_now_ms() + pause_ms[p.attempt++];
	return again(job, &p, err);
}

/* The source cannot answer this much at once. */
static int too_large(struct copy_job *job, const struct copy_req *q, struct err *err)
{
	struct copy_piece p = q->piece;
	uint32_t half = (uint32_t)(p.len / 2 / COPY_PIECE_MIN * COPY_PIECE_MIN);

	if (half < COPY_PIECE_MIN || half < job->sector)
		return read_error(job, q, err);
	p.step = half;
	pthread_mutex_lock(&job->lock);
	if (half < job->request_cap) {
		uint32_t cap = job->request_cap;

		while (cap > half)
			cap /= 2;
		job->request_cap = cap;
		log_info("%s: requests are now at most %" PRIu32 " bytes",
			source_name(job->src), cap);
	}
	pthread_mutex_unlock(&job->lock);
	return again(job, &p, err);
}

int copy_retry(struct copy_job *job, const struct copy_req *q, struct err *err)
{
	struct copy_piece p = q->piece;

	*err = q->r.err;
	if (err->code == ERR_VERIFY_HASH) {
		if (p.attempt++ == HASH_ATTEMPTS)
			return -1;
		return again(job, &p, err);
	}
	if (err->code != ERR_SRC_READ)
		return -1;
	switch (err->sys) {
	case EIO:
		return read_error(job, q, err);
	case EINVAL:
	case ENOMEM:
	case EOVERFLOW:
		return too_large(job, q, err);
	default:
		return -1;
	}
}

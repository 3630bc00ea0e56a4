/* SPDX-License-Identifier: Apache-2.0 */
/* The first MiB: held back while the drive is copied; and reads of single ranges. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "copy/head-internal.h"

#define FETCH_TRIES 8
#define ANSWER_MS 60000
#define LOOK_MS 250 /* how often a wait looks for a cancel */

void copy_fetcher_end(struct copy_fetcher *f)
{
	source_chan_close(f->chan);
	free(f->buf);
}

static bool cancelled(const struct copy_fetcher *f)
{
	return f->ctl && f->ctl->cancel;
}

static int fetch_once(struct copy_fetcher *f, struct source_req *r, struct err *err)
{
	struct source_req *done = NULL;

	if (!f->chan && source_chan_open(f->src, &f->chan, err) < 0)
		return -1;
	if (source_submit(f->chan, r, err) < 0)
		return -1;
	for (int ms = 0; !done && ms < ANSWER_MS && !cancelled(f); ms += LOOK_MS)
		if (source_reap(f->chan, LOOK_MS, &done, err) < 0)
			return -1;
	if (!done && cancelled(f))
		return err_set(err, ERR_CANCELLED, "%s: cancelled", source_name(f->src));
	if (!done)
		return err_set(err, ERR_SRC_SLOW, "%s: no answer for %d s", source_name(f->src),
			ANSWER_MS / 1000);
	if (r->status < 0)
		*err = r->err;
	return r->status;
}

/* The drive was there when the source was opened: without it the server restarts, or counts a
 * connection still that is closed already. */
static bool passes(const struct err *err)
{
	return (err_retryable(err->code) && err->code != ERR_SRC_CHANGED) ||
		err->code == ERR_SRC_NO_DRIVE;
}

static int fetch_piece(struct copy_fetcher *f, struct source_req *r, struct err *err)
{
	int i;

	for (i = 0; fetch_once(f, r, err) < 0; i++) {
		struct timespec t = { .tv_sec = 1 + i };

		source_chan_close(f->chan);
		f->chan = NULL;
		if (!passes(err) || i == FETCH_TRIES || cancelled(f))
			return -1;
		log_info("%s; again in %d s", err->text, 1 + i);
		nanosleep(&t, NULL);
	}
	err_clear(err);
	return 0;
}

int copy_fetch(struct copy_fetcher *f, void *out, size_t len, uint64_t off, struct err *err)
{
	uint32_t step = source_get_info(f->src)->max_request;
	uint8_t *to = out;

	if (step > (f->step ? f->step : COPY_MIN_REQUEST))
		step = f->step ? f->step : COPY_MIN_REQUEST;
	if (!f->buf)
		f->buf = aligned_alloc(4096, SOURCE_MAX_REQUEST);
	if (!f->buf)
		return err_set(err, ERR_NOMEM, "%s: out of memory", source_name(f->src));
	while (len) {
		struct source_req r = { .verb = SOURCE_READ, .off = off, .buf = f->buf };

		r.len = (uint32_t)(len < step ? len : step);
		if (fetch_piece(f, &r, err) < 0)
			return -1;
		for (uint32_t at = 0, i = 0; at < r.len; at += SOURCE_LEAF, i++)
			if (r.zero & 1u << i)
				memset((uint8_t *)f->buf + at, 0,
					r.len - at < SOURCE_LEAF ? r.len - at : SOURCE_LEAF);
		memcpy(to, f->buf, r.len);
		to += r.len;
		off += r.len;
		len -= r.len;
	}
	return 0;
}

bool copy_same_bytes(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	uint8_t acc = 0;

	for (size_t i = 0; i < len; i++)
		acc |= x[i] ^ y[i];
	return !acc;
}

int copy_head_clear(struct copy_job *job, struct err *err)
{
	copy_forget_masked(job->dst);
	if (!job->head)
		return 0;
	if (copy_mark_read(job, err) < 0)
		return -1;
	if (!sink_get_info(job->dst)->reads_zero && sink_zero(job->dst, 0, job->head, err) < 0)
		return -1;
	if (copy_mark_write(job, err) < 0)
		return -1;
	return sink_flush(job->dst, err);
}

int copy_head_release(struct copy_job *job, struct err *err)
{
	/* The server has answered requests of this size. */
	struct copy_fetcher f = { .src = job->src, .ctl = job->ctl, .step = job->request };
	uint8_t *buf = calloc(2, job->head + 1);
	int r = -1;

	if (f.step > job->request_cap)
		f.step = job->request_cap;
	if (!buf) {
		err_set(err, ERR_NOMEM, "first MiB: out of memory");
		goto out;
	}
	if (copy_fetch(&f, buf, job->head, 0, err) < 0 ||
		sink_write(job->dst, buf, job->head, 0, err) < 0 ||
		sink_flush(job->dst, err) < 0 ||
		sink_read(job->dst, buf + job->head, job->head, 0, err) < 0)
		goto out;
	if (job->opt->verify != COPY_VERIFY_NONE && !copy_same_bytes(buf, buf + job->head, job->head)) {
		err_set(err, ERR_VERIFY_HASH, "%s: the first MiB differs when read again",
			sink_name(job->dst));
		goto out;
	}
	copy_root_data(job->root, 0, buf, job->head);
	r = 0;
out:
	copy_fetcher_end(&f);
	free(buf);
	return r;
}

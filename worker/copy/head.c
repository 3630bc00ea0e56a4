/* SPDX-License-Identifier: Apache-2.0 */
/* The first MiB: held back while the drive is copied; and reads of single ranges. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "copy/head-internal.h"

#define FETCH_TRIES 8
#define FETCH_AHEAD 8 /* requests on the way at once */
#define ANSWER_MS 60000
#define FIRST_BLOCK 4096u /* the largest logical sector of a disk */
#define PATIENT 4 /* blocks that cannot be read */
#define LOOK_MS 250 /* how often a wait looks for a cancel */

void copy_fetcher_end(struct copy_fetcher *f)
{
	source_chan_close(f->chan);
	if (f->own)
		free(f->buf);
}

/* All n at once, as far as the channel takes them; after a failure it is of no use. */
static int fetch_once(struct copy_fetcher *f, struct source_req *r, unsigned n,
	struct err *err)
{
	unsigned sent = 0, left = n, ms = 0;

	if (!f->chan && source_chan_open(f->src, &f->chan, err) < 0)
		return -1;
	while (left) {
		struct source_req *done = NULL;

		for (; sent < n && source_room(f->chan, r[sent].len); sent++)
			if (source_submit(f->chan, &r[sent], err) < 0)
				return -1;
		if (source_is_cancelled())
			return err_set(err, ERR_CANCELLED, "%s: cancelled",
				source_name(f->src));
		if (ms >= ANSWER_MS)
			return err_set(err, ERR_SRC_SLOW, "%s: no answer for %d s",
				source_name(f->src), ANSWER_MS / 1000);
		if (source_reap(f->chan, LOOK_MS, &done, err) < 0)
			return -1;
		ms = done ? 0 : ms + LOOK_MS;
		for (; done; done = done->next, left--)
			if (done->status < 0) {
				*err = done->err;
				return -1;
			}
	}
	return 0;
}

/* The drive was there when the source was opened: without it the server restarts, or
 * counts a connection still that is closed already. */
static bool passes(const struct err *err)
{
	return (err_retryable(err->code) && err->code != ERR_SRC_CHANGED) ||
		err->code == ERR_SRC_NO_DRIVE;
}

/* Only a sector that cannot be read: the connection is in order. */
static bool is_unreadable(const struct err *err)
{
	return err->code == ERR_SRC_READ && err->sys == EIO;
}

/* A block, or zeroes when it cannot be read after some tries. Where many cannot, the
 * others are not waited for. */
static int fetch_block(struct copy_fetcher *f, struct source_req *r, struct err *err)
{
	static const unsigned pause_ms[] = { 300, 2000 };
	unsigned tries = f->lost < PATIENT ? 2 : 0, i;
	int rc;

	for (i = 0; (rc = fetch_once(f, r, 1, err)) < 0 && is_unreadable(err) &&
	    i < tries; i++) {
		usleep(pause_ms[i] * 1000);
		err_clear(err);
	}
	if (rc == 0 || !is_unreadable(err))
		return rc;
	log_warn("%s", err->text);
	f->lost++;
	r->zero = UINT32_MAX;
	if (!f->lists)
		return 0;
	if (copy_bad_add(f->lists, r->off, r->len, err) < 0)
		return -1;
	f->lists->bad += r->len;
	copy_root_break(f->lists->root);
	return 0;
}

/* In blocks, so that no more is lost than cannot be read. */
static int fetch_around(struct copy_fetcher *f, struct source_req *r, unsigned n,
	struct err *err)
{
	uint32_t sector = source_get_info(f->src)->sector;
	uint32_t block = sector > COPY_PIECE_MIN ? sector : COPY_PIECE_MIN;

	for (unsigned i = 0; i < n; i++) {
		for (uint32_t at = 0; at < r[i].len; at += block) {
			struct source_req one = { .verb = SOURCE_READ,
				.off = r[i].off + at,
				.buf = (uint8_t *)r[i].buf + at };

			one.len = r[i].len - at < block ? r[i].len - at : block;
			err_clear(err);
			if (fetch_block(f, &one, err) < 0)
				return -1;
			if (one.zero)
				memset(one.buf, 0, one.len);
		}
		r[i].zero = 0;
	}
	err_clear(err);
	return 0;
}

static int fetch_pieces(struct copy_fetcher *f, struct source_req *r, unsigned n,
	struct err *err)
{
	static const struct timespec moment = { .tv_nsec = LOOK_MS * 1000000 };
	int i;

	for (i = 0; fetch_once(f, r, n, err) < 0; i++) {
		source_chan_close(f->chan);
		f->chan = NULL;
		if (f->around && is_unreadable(err))
			return fetch_around(f, r, n, err);
		if (!passes(err) || i == FETCH_TRIES || source_is_cancelled())
			return -1;
		log_info("%s; again in %d s", err->text, 1 + i);
		for (int ms = 0; ms < 1000 * (1 + i) && !source_is_cancelled();
		    ms += LOOK_MS)
			nanosleep(&moment, NULL);
	}
	err_clear(err);
	return 0;
}

static void take(const struct source_req *r, uint8_t *to)
{
	for (uint32_t at = 0, i = 0; at < r->len; at += SOURCE_LEAF, i++)
		if (r->zero & 1u << i)
			memset((uint8_t *)r->buf + at, 0,
				r->len - at < SOURCE_LEAF ? r->len - at : SOURCE_LEAF);
	memcpy(to, r->buf, r->len);
}

int copy_fetch(struct copy_fetcher *f, void *out, size_t len, uint64_t off,
	struct err *err)
{
	uint32_t step = source_get_info(f->src)->max_request;
	struct source_req r[FETCH_AHEAD];
	uint8_t *to = out;

	if (step > (f->step ? f->step : COPY_MIN_REQUEST))
		step = f->step ? f->step : COPY_MIN_REQUEST;
	if (!f->buf) {
		f->buf = aligned_alloc(4096, SOURCE_MAX_REQUEST);
		f->own = true;
	}
	if (!f->buf)
		return err_set(err, ERR_NOMEM, "%s: out of memory", source_name(f->src));
	while (len) {
		size_t part = 0;
		unsigned n = 0;

		for (; n < FETCH_AHEAD && part < len && part + step <= SOURCE_MAX_REQUEST;
		    n++) {
			r[n] = (struct source_req){ .verb = SOURCE_READ,
				.off = off + part,
				.buf = (uint8_t *)f->buf + part };
			r[n].len = (uint32_t)(len - part < step ? len - part : step);
			part += r[n].len;
		}
		if (fetch_pieces(f, r, n, err) < 0)
			return -1;
		for (unsigned i = 0; i < n; to += r[i++].len)
			take(&r[i], to);
		off += part;
		len -= part;
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
		return copy_tail_clear(job, err);
	if (copy_mark_read(job, err) < 0)
		return -1;
	if (!sink_get_info(job->dst)->reads_zero &&
	    sink_zero(job->dst, 0, job->head, err) < 0)
		return -1;
	if (copy_mark_write(job, err) < 0 || copy_tail_clear(job, err) < 0)
		return -1;
	return sink_flush(job->dst, err);
}

/* Takes over a channel that is open and at rest; NULL when there is none. */
static struct source_chan *take_channel(struct copy_job *job)
{
	for (unsigned i = 0; i < job->n_slots; i++) {
		struct source_chan *chan = job->slots[i].chan;

		if (!chan || job->slots[i].in_flight)
			continue;
		job->slots[i].chan = NULL;
		return chan;
	}
	return NULL;
}

/* Firmware looks at the first block before anything else. It comes last and alone: a
 * worker that is killed in a write leaves a part of it, and with a whole first block that
 * would start. */
static int put_head(struct copy_job *job, const uint8_t *head, struct err *err)
{
	size_t first = job->head < FIRST_BLOCK ? job->head : FIRST_BLOCK;

	if (first < job->head &&
		(sink_write(job->dst, head + first, job->head - first, first, err) < 0 ||
			sink_flush(job->dst, err) < 0))
		return -1;
	return sink_write(job->dst, head, first, 0, err) < 0 ? -1 :
		sink_flush(job->dst, err);
}

static void lay_head(void *ctx, uint8_t *buf, size_t len, uint64_t off)
{
	const struct copy_job *job = ctx;

	copy_lay_over(buf, len, off, job->buffers, job->head, 0);
}

/* The table in the head, when the target is larger than the drive. */
static int move_table(struct copy_job *job, uint8_t *head, struct err *err)
{
	struct copy_larger l = { .dst = job->dst, .lay = lay_head, .ctx = job };
	int n = copy_move_table(&l, job->size, err);

	if (n == 1) {
		if (l.moved.header_off)
			memcpy(head + l.moved.header_off, l.moved.header,
				sizeof(l.moved.header));
		memcpy(head, l.moved.sector0, sizeof(l.moved.sector0));
	}
	return n < 0 ? -1 : 0;
}

/* All requests are at rest: their buffers serve for what comes and on the way. The server
 * has answered requests of this size, and may allow no more connections than it has. */
static struct copy_fetcher head_fetcher(struct copy_job *job, void *buf)
{
	struct copy_fetcher f = { .src = job->src, .step = job->request,
		.chan = take_channel(job), .buf = buf, .around = job->bad_max != 0,
		.lists = job };

	copy_close_channels(job);
	if (f.step > job->request_cap)
		f.step = job->request_cap;
	return f;
}

int copy_head_hash(struct copy_job *job, struct err *err)
{
	struct copy_fetcher f;
	int r;

	/* Nothing that the head could tell would be of use. */
	if (!job->head || (!job->bad_max && !copy_root_lacks_head(job->root, job->head)))
		return 0;
	f = head_fetcher(job, job->buffers + COPY_HEAD);
	r = copy_fetch(&f, job->buffers, job->head, 0, err);
	if (!r)
		copy_root_data(job->root, 0, job->buffers, job->head);
	copy_fetcher_end(&f);
	return r;
}

int copy_head_release(struct copy_job *job, struct err *err)
{
	uint8_t *buf = job->buffers, *again = buf + COPY_HEAD;
	struct copy_fetcher f = head_fetcher(job, again + COPY_HEAD);
	int r = -1;

	if (copy_fetch(&f, buf, job->head, 0, err) < 0)
		goto out;
	copy_root_data(job->root, 0, buf, job->head);
	if (move_table(job, buf, err) < 0 || put_head(job, buf, err) < 0 ||
		sink_read(job->dst, again, job->head, 0, err) < 0)
		goto out;
	if (job->opt->verify != COPY_VERIFY_NONE &&
	    !copy_same_bytes(buf, again, job->head)) {
		err_set(err, ERR_VERIFY_HASH, "%s: the first MiB differs when read again",
			sink_name(job->dst));
		goto out;
	}
	r = 0;
out:
	copy_fetcher_end(&f);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first MiB and the second GPT: what firmware starts from. Held back while the drive is
 * copied, masked while the guest is prepared, exact at the commit.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/log.h"
#include "block/block.h"
#include "copy/copy-internal.h"

#define TAIL (64u << 10)
#define SECTOR 512
#define BLOCK 4096
#define BOOT_CODE 440   /* bytes of sector 0 in front of the disk signature */
#define FETCH_TRIES 8
#define ANSWER_MS 60000

/* Reads of a few ranges, one after the other, over a connection of its own. */
struct fetcher {
	struct source *src;
	struct source_chan *chan;
	void *buf;
};

static void fetcher_end(struct fetcher *f)
{
	source_chan_close(f->chan);
	free(f->buf);
}

static int fetch_once(struct fetcher *f, struct source_req *r, struct err *err)
{
	struct source_req *done = NULL;

	if (!f->chan && source_chan_open(f->src, &f->chan, err) < 0)
		return -1;
	if (source_submit(f->chan, r, err) < 0 ||
		source_reap(f->chan, ANSWER_MS, &done, err) < 0)
		return -1;
	if (!done)
		return err_set(err, ERR_SRC_SLOW, "%s: no answer for %d s", source_name(f->src),
			ANSWER_MS / 1000);
	if (r->status < 0)
		*err = r->err;
	return r->status;
}

static int fetch_piece(struct fetcher *f, struct source_req *r, struct err *err)
{
	int i;

	for (i = 0; fetch_once(f, r, err) < 0; i++) {
		struct timespec t = { .tv_sec = 1 + i };

		source_chan_close(f->chan);
		f->chan = NULL;
		if (!err_retryable(err->code) || i == FETCH_TRIES)
			return -1;
		log_info("%s; again in %d s", err->text, 1 + i);
		nanosleep(&t, NULL);
	}
	err_clear(err);
	return 0;
}

static int fetch(struct fetcher *f, void *out, size_t len, uint64_t off, struct err *err)
{
	uint32_t step = source_get_info(f->src)->max_request;
	uint8_t *to = out;

	if (step > COPY_MIN_REQUEST)
		step = COPY_MIN_REQUEST;
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

/* Both ends of a drive as the source has them, and masked. */
struct ends {
	struct fetcher f;
	uint64_t size;
	size_t head_len, tail_len;
	uint8_t *head, *tail;     /* exact */
	uint8_t *mhead, *mtail;   /* masked */
	uint8_t *thead, *ttail;   /* of the target */
};

static void ends_free(struct ends *e)
{
	fetcher_end(&e->f);
	free(e->head);
}

/* In whole 4096-byte blocks: an NBD server may refuse less. */
static int read_source(void *ctx, void *buf, size_t len, uint64_t off, struct err *err)
{
	struct fetcher *f = ctx;
	uint64_t size = source_get_info(f->src)->size, from = off / BLOCK * BLOCK;
	uint64_t to = (off + len + BLOCK - 1) / BLOCK * BLOCK;
	uint8_t *blocks;
	int r;

	to = to < size ? to : size;
	blocks = malloc((size_t)(to - from));
	if (!blocks)
		return err_set(err, ERR_NOMEM, "%s: out of memory", source_name(f->src));
	r = fetch(f, blocks, (size_t)(to - from), from, err);
	if (!r)
		memcpy(buf, blocks + (off - from), len);
	free(blocks);
	return r;
}

static int ends_load(struct ends *e, struct source *src, struct err *err)
{
	struct block_reader reader = { .read = read_source, .ctx = &e->f };
	struct block_mask mask;
	size_t len;

	e->f.src = src;
	e->size = reader.size = source_get_info(src)->size;
	e->head_len = e->size < COPY_HEAD ? (size_t)e->size : COPY_HEAD;
	e->tail_len = (size_t)(e->size - e->head_len);
	if (e->tail_len > TAIL)
		e->tail_len = (size_t)(e->size - (e->size - TAIL) / BLOCK * BLOCK);
	len = e->head_len + e->tail_len;
	e->head = calloc(3, len + 1);
	if (!e->head)
		return err_set(err, ERR_NOMEM, "%s: out of memory", source_name(src));
	e->tail = e->head + e->head_len;
	e->mhead = e->head + len;
	e->mtail = e->mhead + e->head_len;
	e->thead = e->mhead + len;
	e->ttail = e->thead + e->head_len;
	if (fetch(&e->f, e->head, e->head_len, 0, err) < 0 ||
		fetch(&e->f, e->tail, e->tail_len, e->size - e->tail_len, err) < 0)
		return -1;
	memcpy(e->mhead, e->head, len);
	mask = (struct block_mask){ e->mhead, e->head_len, e->mtail, e->tail_len };
	return block_mask(&reader, &mask, err);
}

static bool same(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	uint8_t acc = 0;

	for (size_t i = 0; i < len; i++)
		acc |= x[i] ^ y[i];
	return !acc;
}

int copy_head_clear(struct copy_job *job, struct err *err)
{
	if (!job->head)
		return 0;
	if (!sink_get_info(job->dst)->reads_zero && sink_zero(job->dst, 0, job->head, err) < 0)
		return -1;
	return sink_flush(job->dst, err);
}

int copy_head_release(struct copy_job *job, struct err *err)
{
	struct fetcher f = { .src = job->src };
	uint8_t *buf = calloc(2, job->head + 1);
	int r = -1;

	if (!buf) {
		err_set(err, ERR_NOMEM, "first MiB: out of memory");
		goto out;
	}
	if (fetch(&f, buf, job->head, 0, err) < 0 ||
		sink_write(job->dst, buf, job->head, 0, err) < 0 ||
		sink_flush(job->dst, err) < 0 ||
		sink_read(job->dst, buf + job->head, job->head, 0, err) < 0)
		goto out;
	if (job->opt->verify != COPY_VERIFY_NONE && !same(buf, buf + job->head, job->head)) {
		err_set(err, ERR_VERIFY_HASH, "%s: the first MiB differs when read again",
			sink_name(job->dst));
		goto out;
	}
	copy_root_data(job->root, 0, buf, job->head);
	r = 0;
out:
	fetcher_end(&f);
	free(buf);
	return r;
}

int copy_release_masked(struct source *src, struct sink *dst, struct err *err)
{
	struct ends e = { .size = 0 };
	int r = -1;

	if (ends_load(&e, src, err) == 0 &&
		sink_write(dst, e.mtail, e.tail_len, e.size - e.tail_len, err) == 0 &&
		sink_flush(dst, err) == 0 &&
		sink_write(dst, e.mhead, e.head_len, 0, err) == 0)
		r = sink_flush(dst, err);
	ends_free(&e);
	return r;
}

/* Whether every sector that the mask changed is still masked, or exact already. The boot code may
 * also be new: then a tool of the guest installed it, and it stays. */
static int check_block(const uint8_t *exact, const uint8_t *masked, const uint8_t *target,
	uint64_t off, size_t len, struct err *err)
{
	if (same(exact, masked, len) || same(target, masked, len) || same(target, exact, len))
		return 0;
	return err_set(err, ERR_DISK_TABLE,
		"the partition table at byte %" PRIu64 " was changed during the preparation", off);
}

static int check_ends(const struct ends *e, struct err *err)
{
	size_t at = BOOT_CODE, len = SECTOR - BOOT_CODE;

	for (; at + len <= e->head_len; at += len, len = SECTOR)
		if (check_block(e->head + at, e->mhead + at, e->thead + at, at, len, err) < 0)
			return -1;
	for (at = 0; at + SECTOR <= e->tail_len; at += SECTOR)
		if (check_block(e->tail + at, e->mtail + at, e->ttail + at,
			    e->size - e->tail_len + at, SECTOR, err) < 0)
			return -1;
	return 0;
}

/* Puts exact bytes back where the target still has masked ones, in whole sectors. */
static int restore(struct sink *dst, const uint8_t *exact, const uint8_t *masked,
	uint8_t *target, size_t from, size_t to, uint64_t base, struct err *err)
{
	for (size_t at = from; at + SECTOR <= to; at += SECTOR) {
		if (same(exact + at, masked + at, SECTOR) || same(target + at, exact + at, SECTOR))
			continue;
		memcpy(target + at, exact + at, SECTOR);
		if (sink_write(dst, target + at, SECTOR, base + at, err) < 0)
			return -1;
	}
	return 0;
}

/* Sector 0 last: with it everything is found. New boot code stays as it is. */
static int restore_sector0(struct ends *e, struct sink *dst, struct err *err)
{
	if (same(e->thead, e->mhead, BOOT_CODE))
		memcpy(e->thead, e->head, BOOT_CODE);
	memcpy(e->thead + BOOT_CODE, e->head + BOOT_CODE, SECTOR - BOOT_CODE);
	return sink_write(dst, e->thead, SECTOR, 0, err);
}

int copy_commit(struct source *src, struct sink *dst, struct err *err)
{
	struct ends e = { .size = 0 };
	int r = -1;

	if (ends_load(&e, src, err) < 0 || sink_read(dst, e.thead, e.head_len, 0, err) < 0 ||
		sink_read(dst, e.ttail, e.tail_len, e.size - e.tail_len, err) < 0 ||
		check_ends(&e, err) < 0)
		goto out;
	if (restore(dst, e.tail, e.mtail, e.ttail, 0, e.tail_len, e.size - e.tail_len, err) < 0 ||
		restore(dst, e.head, e.mhead, e.thead, SECTOR, e.head_len, 0, err) < 0 ||
		sink_flush(dst, err) < 0)
		goto out;
	if (e.head_len >= SECTOR && restore_sector0(&e, dst, err) < 0)
		goto out;
	r = sink_flush(dst, err);
out:
	ends_free(&e);
	return r;
}

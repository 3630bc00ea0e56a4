/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware starts from, masked while the guest is prepared and exact at the commit.
 * Only the sectors that differ are kept for that, some ten KiB a drive. On a larger
 * target the commit moves the second copy of a GPT to the end.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block.h"
#include "copy/head-internal.h"

#define TAIL (64u << 10)
#define SECTOR 512
#define BLOCK 4096
#define BOOT_CODE 440   /* bytes of sector 0 in front of the disk signature */

/* A sector that the mask changed. */
struct patch {
	uint64_t off;
	uint8_t exact[SECTOR], masked[SECTOR];
};

/* What was masked on one target, kept until its commit: then the source may be away. */
struct kept {
	char target[256];
	uint64_t size;
	unsigned n;
	struct kept *next;
	struct patch patches[];
};
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *kept_list;

/* Both ends of a drive as the source has them, and masked. */
struct ends {
	struct copy_fetcher f;
	uint64_t size;
	size_t head_len, tail_len;
	uint8_t *head, *tail;     /* exact */
	uint8_t *mhead, *mtail;   /* masked */
	struct block_mask mask;
};

static void ends_free(struct ends *e)
{
	copy_fetcher_end(&e->f);
	free(e->head);
}

static int ends_load(struct ends *e, struct source *src, bool around, struct err *err)
{
	struct block_reader reader = { .read = copy_read_source, .ctx = &e->f };
	size_t len;

	e->f.src = src;
	e->f.around = around;
	e->size = reader.size = source_get_info(src)->size;
	e->head_len = e->size < COPY_HEAD ? (size_t)e->size : COPY_HEAD;
	e->tail_len = (size_t)(e->size - e->head_len);
	if (e->tail_len > TAIL)
		e->tail_len = (size_t)(e->size - (e->size - TAIL) / BLOCK * BLOCK);
	len = e->head_len + e->tail_len;
	e->head = calloc(2, len + 1);
	if (!e->head)
		return err_set(err, ERR_NOMEM, "%s: out of memory", source_name(src));
	e->tail = e->head + e->head_len;
	e->mhead = e->head + len;
	e->mtail = e->mhead + e->head_len;
	if (copy_fetch(&e->f, e->head, e->head_len, 0, err) < 0 ||
		copy_fetch(&e->f, e->tail, e->tail_len, e->size - e->tail_len, err) < 0)
		return -1;
	memcpy(e->mhead, e->head, len);
	reader.sector = copy_table_sector(e->head, e->head_len, e->size,
		source_get_info(src)->sector);
	e->mask = (struct block_mask){ .head = e->mhead, .head_len = e->head_len,
		.tail = e->mtail, .tail_len = e->tail_len };
	return block_mask(&reader, &e->mask, err);
}

/* Sectors of one end that differ, added to k; without k they are only counted. A last
 * part of a sector is never masked. */
static unsigned add_patches(struct kept *k, unsigned n, const uint8_t *exact,
	const uint8_t *masked, size_t len, uint64_t base)
{
	for (size_t at = 0; at + SECTOR <= len; at += SECTOR) {
		if (copy_same_bytes(exact + at, masked + at, SECTOR))
			continue;
		if (k) {
			k->patches[n].off = base + at;
			memcpy(k->patches[n].exact, exact + at, SECTOR);
			memcpy(k->patches[n].masked, masked + at, SECTOR);
		}
		n++;
	}
	return n;
}

static unsigned add_ends(struct kept *k, const struct ends *e)
{
	unsigned n = add_patches(k, 0, e->head, e->mhead, e->head_len, 0);

	return add_patches(k, n, e->tail, e->mtail, e->tail_len, e->size - e->tail_len);
}

/* With room for two more, of a table that moves. */
static size_t bytes_of(unsigned n)
{
	return sizeof(struct kept) + (n + 2) * sizeof(struct patch);
}

/* The difference between exact and masked. */
static struct kept *make_patches(struct ends *e, const struct sink *dst, struct err *err)
{
	unsigned n = add_ends(NULL, e) + (unsigned)e->mask.n_held;
	struct kept *k = calloc(1, bytes_of(n));

	if (!k) {
		err_set(err, ERR_NOMEM, "%s: out of memory", sink_name(dst));
		return NULL;
	}
	snprintf(k->target, sizeof(k->target), "%s", sink_name(dst));
	k->size = e->size;
	k->n = add_ends(k, e);
	for (int i = 0; i < e->mask.n_held; i++) {
		struct patch *p = &k->patches[k->n++];

		p->off = e->mask.held[i];
		if (copy_read_source(&e->f, p->exact, SECTOR, p->off, err) < 0) {
			free(k);
			return NULL;
		}
	}
	return k;
}

static struct kept **find_kept(const struct sink *dst)
{
	struct kept **at = &kept_list;

	while (*at && strcmp((*at)->target, sink_name(dst)))
		at = &(*at)->next;
	return at;
}

/* Replaces what is kept for the target; NULL forgets it. */
static void keep(const struct sink *dst, struct kept *k)
{
	struct kept **at, *old;

	pthread_mutex_lock(&kept_lock);
	at = find_kept(dst);
	old = *at;
	if (old)
		*at = old->next;
	if (k) {
		k->next = kept_list;
		kept_list = k;
	}
	pthread_mutex_unlock(&kept_lock);
	free(old);
}

void copy_forget_masked(const struct sink *dst)
{
	keep(dst, NULL);
}

/* What is written must also be there. */
static int read_back(struct sink *dst, const void *want, size_t len, uint64_t off,
	struct err *err)
{
	uint8_t *got = malloc(len + 1);
	int r;

	if (!got)
		return err_set(err, ERR_NOMEM, "%s: out of memory", sink_name(dst));
	r = sink_read(dst, got, len, off, err);
	if (!r && !copy_same_bytes(got, want, len))
		r = err_set(err, ERR_VERIFY_HASH, "%s: %zu bytes at %" PRIu64
			" differ when read again", sink_name(dst), len, off);
	free(got);
	return r;
}

static int write_held(const struct ends *e, struct sink *dst, struct err *err)
{
	static const uint8_t zeroes[SECTOR];

	for (int i = 0; i < e->mask.n_held; i++)
		if (sink_write(dst, zeroes, SECTOR, e->mask.held[i], err) < 0)
			return -1;
	return 0;
}

static int write_masked(const struct ends *e, struct sink *dst, struct err *err)
{
	uint64_t tail = e->size - e->tail_len;

	/* The head comes last: without it nothing of the rest is found. */
	if (write_held(e, dst, err) < 0 ||
		sink_write(dst, e->mtail, e->tail_len, tail, err) < 0 ||
		sink_flush(dst, err) < 0 ||
		sink_write(dst, e->mhead, e->head_len, 0, err) < 0 ||
		sink_flush(dst, err) < 0)
		return -1;
	if (read_back(dst, e->mtail, e->tail_len, tail, err) < 0)
		return -1;
	return read_back(dst, e->mhead, e->head_len, 0, err);
}

int copy_release_masked(struct source *src, struct sink *dst, bool around,
	struct err *err)
{
	struct ends e = { .size = 0 };
	struct kept *k = NULL;
	int r = ends_load(&e, src, around, err);

	if (!r)
		r = copy_check_table(&e.f, sink_get_info(dst)->sector, sink_name(dst),
			err);
	if (!r) {
		k = make_patches(&e, dst, err);
		r = k ? write_masked(&e, dst, err) : -1;
	}
	if (!r)
		keep(dst, k);
	else
		free(k);
	ends_free(&e);
	return r;
}

/* What a sector of the target shall be: exact where it is still masked. Other bytes that
 * the mask did not touch belong to the preparation. -1: it changed what was masked. */
static int mend(const struct patch *p, uint8_t *t)
{
	size_t from;

	/* A commit that was cut off may have moved the table to the end of the target. */
	block_gpt_unmove(t, p->exact);

	/* Without the signature the head was never released:
	 * a commit would make half a table. */
	if (!p->off && !copy_same_bytes(t + SECTOR - 2, p->masked + SECTOR - 2, 2))
		return -1;
	/* Boot code that is neither ours nor the old:
	 * a tool of the guest installed its own. */
	from = !p->off && !copy_same_bytes(t, p->masked, BOOT_CODE) ? BOOT_CODE : 0;

	for (size_t i = from; i < SECTOR; i++) {
		if (p->exact[i] == p->masked[i])
			continue;
		if (t[i] == p->masked[i])
			t[i] = p->exact[i];
		else if (t[i] != p->exact[i])
			return -1;
	}
	return 0;
}

static int mend_all(struct kept *k, struct sink *dst, struct err *err)
{
	for (unsigned i = 0; i < k->n; i++) {
		struct patch *p = &k->patches[i];
		uint8_t t[SECTOR];

		if (sink_read(dst, t, SECTOR, p->off, err) < 0)
			return -1;
		if (mend(p, t) < 0)
			return err_set(err, ERR_DISK_TABLE,
				"%s: the partition table at byte %" PRIu64
				" was changed during the preparation", sink_name(dst),
				p->off);
		memcpy(p->masked, t, SECTOR); /* from here on: what to write */
	}
	return 0;
}

/* Sector 0 last: with it everything is found. */
static int write_mended(const struct kept *k, struct sink *dst, struct err *err)
{
	for (int zero = 0; zero < 2; zero++) {
		for (unsigned i = k->n; i-- > 0;)
			if ((k->patches[i].off == 0) == zero &&
				sink_write(dst, k->patches[i].masked, SECTOR,
					k->patches[i].off, err) < 0)
				return -1;
		if (sink_flush(dst, err) < 0)
			return -1;
	}
	for (unsigned i = 0; i < k->n; i++)
		if (read_back(dst, k->patches[i].masked, SECTOR, k->patches[i].off,
			err) < 0)
			return -1;
	return 0;
}

/* A copy of what copy_release_masked kept;
 * from the source when this process did not mask. */
static struct kept *get_patches(struct source *src, struct sink *dst, struct err *err)
{
	struct ends e = { .size = 0 };
	struct kept *found, *k = NULL;
	size_t len;

	pthread_mutex_lock(&kept_lock);
	found = *find_kept(dst);
	if (found) {
		len = bytes_of(found->n);
		k = malloc(len);
		if (k)
			memcpy(k, found, len);
		else
			err_set(err, ERR_NOMEM, "%s: out of memory", sink_name(dst));
	}
	pthread_mutex_unlock(&kept_lock);
	if (found)
		return k;
	if (ends_load(&e, src, false, err) == 0)
		k = make_patches(&e, dst, err);
	ends_free(&e);
	return k;
}

static void lay_patches(void *ctx, uint8_t *buf, size_t len, uint64_t off)
{
	const struct kept *k = ctx;

	for (unsigned i = 0; i < k->n; i++)
		copy_lay_over(buf, len, off, k->patches[i].masked, SECTOR,
			k->patches[i].off);
}

/* The sector will be written with the others; there is room for two more. */
static void set_patch(struct kept *k, uint64_t off, const uint8_t *sector)
{
	unsigned i = 0;

	while (i < k->n && k->patches[i].off != off)
		i++;
	k->n += i == k->n;
	k->patches[i].off = off;
	memcpy(k->patches[i].masked, sector, SECTOR);
}

/* The second copy of a GPT first: nobody looks for it until the first one names it. */
static int move_table(struct kept *k, struct sink *dst, struct err *err)
{
	struct copy_larger l = { .dst = dst, .lay = lay_patches, .ctx = k };
	int n = copy_move_table(&l, k->size, err);

	if (n == 1) {
		if (l.moved.header_off)
			set_patch(k, l.moved.header_off, l.moved.header);
		set_patch(k, 0, l.moved.sector0);
	}
	return n < 0 ? -1 : 0;
}

int copy_commit(struct source *src, struct sink *dst, struct err *err)
{
	struct kept *k = get_patches(src, dst, err);
	int r = -1;

	if (k && mend_all(k, dst, err) == 0 && move_table(k, dst, err) == 0)
		r = write_mended(k, dst, err);
	free(k);
	if (!r)
		keep(dst, NULL);
	return r;
}

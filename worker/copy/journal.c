/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local journal: what is durable, for sources that keep no journal. All
 * little-endian: "TWJRNL3\n", size of the drive u64, bytes of the rest u32, XXH3-128 of
 * the source's name and generation and of the rest (16 bytes); the rest is the bitmap of
 * units, the mark of the target, and of each unfinished unit with durable leaves its
 * number u64 and a bitmap of its 1024 leaves. "TWJRNL2\n" ends with the mark. Another
 * drive, or a damaged file, is no journal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "copy/copy-internal.h"

#define MAGIC "TWJRNL3\n"
#define MAGIC_BEFORE "TWJRNL2\n"
#define HEADER (8 + 8 + 4 + 16)
#define WORDS (COPY_UNIT / SOURCE_LEAF / 64)
#define ENTRY (8 + 8 * WORDS)
#define UNFINISHED_BYTES (COPY_UNFINISHED * ENTRY)

static int digest(const struct copy_job *job, const void *rest, size_t len,
	struct source_hash *ret, struct err *err)
{
	const char *name = source_name(job->src);
	const char *gen = source_get_info(job->src)->generation;
	size_t n = strlen(name) + 1, g = strlen(gen) + 1;
	CLEANUP_FREE uint8_t *all = malloc(n + g + len);

	if (!all)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	memcpy(all, name, n);
	memcpy(all + n, gen, g);
	memcpy(all + n + g, rest, len);
	copy_leaf_hash(all, n + g + len, ret);
	return 0;
}

void copy_journal_fill(const struct copy_job *job, const uint8_t *units, uint8_t *ret)
{
	memcpy(ret, units, job->bitmap_bytes);
	memcpy(ret + job->bitmap_bytes, job->mark, COPY_MARK);
}

bool copy_journal_fits(const struct copy_job *job, const uint8_t *journal)
{
	return job->mark_found &&
		!memcmp(journal + job->bitmap_bytes, job->mark, COPY_MARK);
}

int copy_journal_leaves(const struct copy_job *job, const uint8_t *in, size_t len,
	struct copy_leaves *ret)
{
	ret->n = 0;
	if (len % ENTRY || len > UNFINISHED_BYTES)
		return -1;
	for (; len; len -= ENTRY, in += ENTRY) {
		struct copy_unit_leaves *u = &ret->list[ret->n];

		u->unit = bytes_le64(in);
		if (u->unit >= job->n_units || copy_leaves_find(ret, u->unit)) {
			ret->n = 0;
			return -1;
		}
		for (unsigned i = 0; i < WORDS; i++)
			u->bits[i] = bytes_le64(in + 8 + i * 8);
		ret->n++;
	}
	return 0;
}

/* Whether the file is a journal of this source, and then what it says.
 * -1 only without memory. */
static int decode(const struct copy_job *job, const char *text, size_t len,
	uint8_t *units, struct copy_leaves *leaves, bool *ret_ours, struct err *err)
{
	size_t head = copy_journal_bytes(job), n;
	struct source_hash h;
	const uint8_t *rest;

	*ret_ours = false;
	if (len < HEADER + head)
		return 0;
	rest = (const uint8_t *)text + HEADER;
	n = len - HEADER;
	if (bytes_le64(text + 8) != job->size || bytes_le32(text + 16) != n ||
		(memcmp(text, MAGIC, 8) && (memcmp(text, MAGIC_BEFORE, 8) || n != head)))
		return 0;
	if (digest(job, rest, n, &h, err) < 0)
		return -1;
	if (memcmp(h.b, text + 20, 16) ||
	    copy_journal_leaves(job, rest + head, n - head, leaves) < 0)
		return 0;
	memcpy(units, rest, head);
	*ret_ours = true;
	return 0;
}

static int load(const struct copy_job *job, char **ret, size_t *ret_len, struct err *err)
{
	size_t max = HEADER + copy_journal_bytes(job) + UNFINISHED_BYTES;
	const struct copy_keeper *k = job->opt->keeper;

	return k ? k->load(k->ctx, max, ret, ret_len, err) :
		   fdio_read_file(job->opt->journal, max, ret, ret_len, err);
}

int copy_journal_load(struct copy_job *job, uint8_t *units, struct copy_leaves *leaves,
	size_t *ret_bytes, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct err why = ERR_INIT;
	size_t len;
	bool ours;

	*ret_bytes = 0;
	leaves->n = 0;
	if (!copy_journal_kept(job))
		return 0;
	if (!*source_get_info(job->src)->generation) {
		log_info("%s: nothing says whether it is what it was: no journal counts",
			source_name(job->src));
		return 0;
	}
	if (load(job, &text, &len, &why) < 0) {
		log_info("no journal: %s", why.text);
		return 0;
	}
	if (!len)
		return 0;
	if (decode(job, text, len, units, leaves, &ours, err) < 0)
		return -1;
	if (ours)
		*ret_bytes = copy_journal_bytes(job);
	else
		log_warn("%s is no journal of this drive as it is now, or is damaged",
			job->opt->keeper ?
			"what was kept" : job->opt->journal);
	return 0;
}

int copy_journal_check(const struct copy_job *job, struct err *err)
{
	const char *path = job->opt->journal, *slash = path ? strrchr(path, '/') : NULL;
	char dir[4096] = ".";

	if (slash &&
		(size_t)snprintf(dir, sizeof(dir), "%.*s",
			slash > path ? (int)(slash - path) : 1, path) >= sizeof(dir))
		return err_set(err, ERR_USAGE, "journal: name too long");
	return !path || !access(dir, W_OK) ? 0 :
		err_sys(err, ERR_USAGE, "keep a journal in %s", dir);
}

static uint8_t *put_leaves(const struct copy_leaves *l, uint8_t *out)
{
	for (unsigned i = 0; i < l->n; i++, out += ENTRY) {
		bytes_put_le64(out, l->list[i].unit);
		for (unsigned w = 0; w < WORDS; w++)
			bytes_put_le64(out + 8 + w * 8, l->list[i].bits[w]);
	}
	return out;
}

int copy_journal_save(struct copy_job *job, const uint8_t *units, struct err *err)
{
	const struct copy_keeper *k = job->opt->keeper;
	size_t head = copy_journal_bytes(job), n;
	CLEANUP_FREE uint8_t *out = NULL;
	struct source_hash h;

	if (!copy_journal_kept(job))
		return 0;
	out = malloc(HEADER + head + UNFINISHED_BYTES);
	if (!out)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	memcpy(out + HEADER, units, head);
	n = (size_t)(put_leaves(&job->leaves_durable,
		out + HEADER + head) - out) - HEADER;
	if (digest(job, out + HEADER, n, &h, err) < 0)
		return -1;
	memcpy(out, MAGIC, 8);
	bytes_put_le64(out + 8, job->size);
	bytes_put_le32(out + 16, (uint32_t)n);
	memcpy(out + 20, h.b, 16);
	return k ? k->save(k->ctx, out, HEADER + n, err) :
		   fdio_replace_file(job->opt->journal, out, HEADER + n, 0600, err);
}

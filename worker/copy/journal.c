/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local journal: which units are durable, for sources that keep none. All little-endian:
 * "TWJRNL2\n", size of the drive u64, bytes of the rest u32, XXH3-128 of the source's name and
 * generation and of the rest (16 bytes), bitmap, mark of the target. Another drive, or a damaged file, is no journal.
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

#define MAGIC "TWJRNL2\n"
#define HEADER (8 + 8 + 4 + 16)

static int digest(const struct copy_job *job, const uint8_t *units, struct source_hash *ret,
	struct err *err)
{
	const char *name = source_name(job->src);
	const char *gen = source_get_info(job->src)->generation;
	size_t n = strlen(name) + 1, g = strlen(gen) + 1;
	CLEANUP_FREE uint8_t *all = malloc(n + g + copy_journal_bytes(job));

	if (!all)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	memcpy(all, name, n);
	memcpy(all + n, gen, g);
	memcpy(all + n + g, units, copy_journal_bytes(job));
	copy_leaf_hash(all, n + g + copy_journal_bytes(job), ret);
	return 0;
}

void copy_journal_fill(const struct copy_job *job, const uint8_t *units, uint8_t *ret)
{
	memcpy(ret, units, job->bitmap_bytes);
	memcpy(ret + job->bitmap_bytes, job->mark, COPY_MARK);
}

bool copy_journal_fits(const struct copy_job *job, const uint8_t *journal)
{
	return job->mark_found && !memcmp(journal + job->bitmap_bytes, job->mark, COPY_MARK);
}

int copy_journal_load(struct copy_job *job, uint8_t *units, size_t *ret_bytes, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct source_hash h;
	struct err why = ERR_INIT;
	size_t len;

	*ret_bytes = 0;
	if (!job->opt->journal)
		return 0;
	if (fdio_read_file(job->opt->journal, HEADER + copy_journal_bytes(job), &text, &len, &why) < 0) {
		log_info("no journal: %s", why.text);
		return 0;
	}
	if (len != HEADER + copy_journal_bytes(job) || strncmp(text, MAGIC, 8) ||
		bytes_le64(text + 8) != job->size || bytes_le32(text + 16) != copy_journal_bytes(job)) {
		log_warn("%s is no journal of this drive", job->opt->journal);
		return 0;
	}
	if (digest(job, (uint8_t *)text + HEADER, &h, err) < 0)
		return -1;
	if (bytes_le64(h.b) != bytes_le64(text + 20) ||
		bytes_le64(h.b + 8) != bytes_le64(text + 28)) {
		log_warn("%s belongs to another drive, or is damaged", job->opt->journal);
		return 0;
	}
	memcpy(units, text + HEADER, copy_journal_bytes(job));
	*ret_bytes = copy_journal_bytes(job);
	return 0;
}

int copy_journal_check(const struct copy_job *job, struct err *err)
{
	const char *path = job->opt->journal, *slash = path ? strrchr(path, '/') : NULL;
	char dir[4096] = ".";

	if (slash && (size_t)snprintf(dir, sizeof(dir), "%.*s", slash > path ? (int)(slash - path) : 1,
		path) >= sizeof(dir))
		return err_set(err, ERR_USAGE, "journal: name too long");
	return !path || !access(dir, W_OK) ? 0 :
		err_sys(err, ERR_USAGE, "keep a journal in %s", dir);
}

int copy_journal_save(struct copy_job *job, const uint8_t *units, struct err *err)
{
	CLEANUP_FREE uint8_t *out = NULL;
	struct source_hash h;

	if (!job->opt->journal)
		return 0;
	out = malloc(HEADER + copy_journal_bytes(job));
	if (!out)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	if (digest(job, units, &h, err) < 0)
		return -1;
	memcpy(out, MAGIC, 8);
	bytes_put_le64(out + 8, job->size);
	bytes_put_le32(out + 16, (uint32_t)copy_journal_bytes(job));
	memcpy(out + 20, h.b, 16);
	memcpy(out + HEADER, units, copy_journal_bytes(job));
	return fdio_replace_file(job->opt->journal, out, HEADER + copy_journal_bytes(job), 0600, err);
}

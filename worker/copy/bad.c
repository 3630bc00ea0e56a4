/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the ranges that the source cannot read: in a list that is in order, though they
 * come in any, and in the file that the operator asked for. A range is added once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/copy-internal.h"

int copy_bad_init(struct copy_job *job, struct err *err)
{
	job->bad_max = job->opt->bad_max;
	if (!job->opt->bad_ranges)
		return 0;
	if (!job->bad_max)
		job->bad_max = UINT64_MAX;
	job->bad_file = fopen(job->opt->bad_ranges, "we");
	return job->bad_file ? 0 : err_sys(err, ERR_USAGE, "create %s",
		job->opt->bad_ranges);
}

void copy_bad_free(struct copy_job *job)
{
	if (job->bad_file)
		fclose(job->bad_file);
	free(job->bad_list);
}

/* The first range that ends behind off. */
static size_t find_behind(const struct copy_job *job, uint64_t off)
{
	size_t low = 0, high = job->n_bad;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (job->bad_list[mid].off + job->bad_list[mid].len <= off)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int make_room(struct copy_job *job, struct err *err)
{
	size_t room = job->bad_room ? job->bad_room * 2 : 64;
	struct copy_range *list;

	if (job->n_bad < job->bad_room)
		return 0;
	list = realloc(job->bad_list, room * sizeof(*list));
	if (!list)
		return err_set(err, ERR_NOMEM, "list unreadable ranges: out of memory");
	job->bad_list = list;
	job->bad_room = room;
	return 0;
}

/* Joins it with the neighbours that it touches. */
static int insert_range(struct copy_job *job, uint64_t off, uint64_t len, struct err *err)
{
	size_t i = find_behind(job, off);
	struct copy_range *at;

	if (i && job->bad_list[i - 1].off + job->bad_list[i - 1].len == off) {
		at = &job->bad_list[--i];
		at->len += len;
	} else {
		if (make_room(job, err) < 0)
			return -1;
		at = &job->bad_list[i];
		memmove(at + 1, at, (job->n_bad - i) * sizeof(*at));
		*at = (struct copy_range){ off, len };
		job->n_bad++;
	}
	if (i + 1 < job->n_bad && at[1].off == at->off + at->len) {
		at->len += at[1].len;
		job->n_bad--;
		memmove(at + 1, at + 2, (job->n_bad - i - 1) * sizeof(*at));
	}
	return 0;
}

int copy_bad_add(struct copy_job *job, uint64_t off, uint64_t len, struct err *err)
{
	uint64_t before = job->bad;

	if (len > job->bad_max || before > job->bad_max - len)
		return err_wrap(err, "more than %" PRIu64 " bytes cannot be read",
			job->bad_max);
	if (job->bad_file && (fprintf(job->bad_file, "%" PRIu64 " %" PRIu64 "\n", off,
		len) < 0 || fflush(job->bad_file)))
		return err_sys(err, ERR_DISK_FULL, "write %s", job->opt->bad_ranges);
	return insert_range(job, off, len, err);
}

int copy_bad_forget(struct copy_job *job, struct err *err)
{
	job->n_bad = 0;
	if (!job->bad_file)
		return 0;
	if (fflush(job->bad_file) || ftruncate(fileno(job->bad_file), 0) < 0)
		return err_sys(err, ERR_DISK_IO, "empty %s", job->opt->bad_ranges);
	rewind(job->bad_file);
	return 0;
}

uint64_t copy_bad_run(const struct copy_job *job, uint64_t off, uint64_t len, bool *ret)
{
	uint64_t leaf = off / SOURCE_LEAF * SOURCE_LEAF, from, to;
	size_t i = find_behind(job, leaf);

	*ret = false;
	if (i == job->n_bad)
		return len;
	from = job->bad_list[i].off / SOURCE_LEAF * SOURCE_LEAF;
	to = (job->bad_list[i].off + job->bad_list[i].len + SOURCE_LEAF - 1) /
		SOURCE_LEAF * SOURCE_LEAF;
	if (from > off)
		return from - off < len ? from - off : len;
	*ret = true;
	return to - off < len ? to - off : len;
}

void copy_bad_tell(const struct copy_job *job, struct copy_result *ret)
{
	size_t n = job->n_bad < COPY_BAD_TOLD ? job->n_bad : COPY_BAD_TOLD;

	ret->bad_bytes = job->bad;
	ret->n_bad = (unsigned)n;
	ret->n_bad_left_out = (unsigned)(job->n_bad - n);
	if (n)
		memcpy(ret->bad, job->bad_list, n * sizeof(ret->bad[0]));
}

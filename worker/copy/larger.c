/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target that is larger than the drive. Behind the drive's end lies what an earlier use
 * of the disk left there, and much of it is looked for at the end of a disk: the
 * superblock of md 0.90, 1.0 and of DRBD, labels of ZFS, DDF and other RAID firmware, the
 * second superblock of NILFS, the second copy of a GPT. Today's kernels and tools would
 * believe it, so it goes before anything is copied. All of these lie within the last MiB
 * (ZFS reaches furthest: two labels of 256 KiB, the disk's end rounded down to as much).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "copy/head-internal.h"

#define EDGE (1u << 20)

int copy_tail_clear(struct copy_job *job, struct err *err)
{
	uint64_t end = sink_get_info(job->dst)->size, from = job->size, last;

	if (end <= from || sink_get_info(job->dst)->reads_zero)
		return 0;
	/* Also what would become the first block of a partition made there. */
	if (end - from > 2 * EDGE && sink_zero(job->dst, from, EDGE, err) < 0)
		return -1;
	last = end - from > 2 * EDGE ? end - EDGE : from;
	return sink_zero(job->dst, last, end - last, err);
}

void copy_lay_over(uint8_t *buf, size_t len, uint64_t off, const uint8_t *bytes, size_t n,
	uint64_t at)
{
	uint64_t from = off > at ? off : at;
	uint64_t to = off + len < at + n ? off + len : at + n;

	if (from < to)
		memcpy(buf + (from - off), bytes + (from - at), (size_t)(to - from));
}

static int read_larger(void *ctx, void *buf, size_t len, uint64_t off, struct err *err)
{
	struct copy_larger *l = ctx;

	if (sink_read(l->dst, buf, len, off, err) < 0)
		return -1;
	l->lay(l->ctx, buf, len, off);
	return 0;
}

static int write_backup(struct copy_larger *l, struct err *err)
{
	const struct block_moved *m = &l->moved;
	uint8_t *again;
	int r;

	if (sink_write(l->dst, m->backup, m->backup_len, m->backup_off, err) < 0 ||
		sink_flush(l->dst, err) < 0)
		return -1;
	again = malloc(m->backup_len);
	if (!again)
		return err_set(err, ERR_NOMEM, "%s: out of memory", sink_name(l->dst));
	r = sink_read(l->dst, again, m->backup_len, m->backup_off, err);
	if (!r && !copy_same_bytes(again, m->backup, m->backup_len))
		r = err_set(err, ERR_VERIFY_HASH,
			"%s: the second copy of the GPT differs when read again",
			sink_name(l->dst));
	free(again);
	return r;
}

int copy_move_table(struct copy_larger *l, uint64_t size, struct err *err)
{
	const struct sink_info *info = sink_get_info(l->dst);
	struct block_reader r = { .read = read_larger, .ctx = l, .size = info->size };
	uint32_t units[2] = { info->sector ? info->sector : 512,
		info->sector ? 0 : 4096 };
	int n = 0;

	if (info->size <= size)
		return 0;
	for (int i = 0; i < 2 && units[i] && !n; i++) {
		r.sector = units[i];
		n = block_gpt_move(&r, size, &l->moved, err);
	}
	if (n == 1) {
		n = write_backup(l, err) < 0 ? -1 : 1;
		free(l->moved.backup);
		l->moved.backup = NULL;
	}
	if (n == 1)
		log_info("%s is larger than the drive: the second copy of its GPT is at byte %"
			PRIu64 " now", sink_name(l->dst), l->moved.backup_off);
	return n;
}

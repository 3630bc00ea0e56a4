/* SPDX-License-Identifier: Apache-2.0 */
/* What head.c and commit.c share. */
#ifndef COPY_HEAD_INTERNAL_H
#define COPY_HEAD_INTERNAL_H

#include "block/block.h"
#include "copy/copy-internal.h"

/* Reads of a few ranges, one after the other, over a connection of its own or one taken
 * over, until this thread is cancelled (source_cancelled_by). */
struct copy_fetcher {
	struct source *src;
	struct source_chan *chan; /* NULL = none yet; closed by copy_fetcher_end */
	uint32_t step;            /* largest read; 0 = COPY_MIN_REQUEST */
	void *buf;                /* SOURCE_MAX_REQUEST, aligned to 4096;
				   * NULL = makes one */
	bool own;                 /* made that one */
	bool around;              /* what cannot be read is zeroes */
	unsigned lost;            /* blocks that were zeroed */
	struct copy_job *lists;   /* and is listed there; NULL = it has been already */
};
int copy_fetch(struct copy_fetcher *f, void *out, size_t len, uint64_t off,
	struct err *err);
void copy_fetcher_end(struct copy_fetcher *f);

/* sectors.c */
/* A block_reader's, of the copy_fetcher ctx: in whole blocks of 4096 bytes, as an NBD
 * server may refuse less. */
int copy_read_source(void *ctx, void *buf, size_t len, uint64_t off, struct err *err);
/* For block_reader.sector: the unit of the table on a drive of size bytes that begins
 * with head, when the source tells sectors of so many bytes. */
uint32_t copy_table_sector(const uint8_t *head, size_t len, uint64_t size, uint32_t told);
/* Does the same as copy_check_sectors, but always looks. target: its name, for
 * messages. */
int copy_check_table(struct copy_fetcher *f, uint32_t sector, const char *target,
	struct err *err);

/* larger.c: a target that is larger than the drive */
struct copy_larger {
	struct sink *dst;
	/* Lays over what was read of [off, off + len) what is not written yet. */
	void (*lay)(void *ctx, uint8_t *buf, size_t len, uint64_t off);
	void *ctx;
	struct block_moved moved; /* filled, but for the backup, which is written */
};
/* Puts the second copy of the GPT to the end of the target, durably; 1: the sectors of
 * moved are to be written by the caller, 0: nothing is to be done. size: of the drive. */
int copy_move_table(struct copy_larger *l, uint64_t size, struct err *err);
/* Copies the part of n bytes at `at` that lies in [off, off + len) into buf. */
void copy_lay_over(uint8_t *buf, size_t len, uint64_t off, const uint8_t *bytes, size_t n,
	uint64_t at);

bool copy_same_bytes(const void *a, const void *b, size_t len);
/* A new copy of this target begins: what was masked before is of no use. */
void copy_forget_masked(const struct sink *dst);

#endif

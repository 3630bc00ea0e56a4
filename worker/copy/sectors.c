/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables count in logical sectors. On a disk with others the partitions would
 * be anywhere or nowhere, so such a target is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "copy/head-internal.h"

#define SECTOR 512
#define BLOCK 4096

int copy_read_source(void *ctx, void *buf, size_t len, uint64_t off, struct err *err)
{
	struct copy_fetcher *f = ctx;
	uint64_t size = source_get_info(f->src)->size, from = off / BLOCK * BLOCK;
	uint64_t to = (off + len + BLOCK - 1) / BLOCK * BLOCK;
	uint8_t *blocks;
	int r;

	to = to < size ? to : size;
	blocks = malloc((size_t)(to - from));
	if (!blocks)
		return err_set(err, ERR_NOMEM, "%s: out of memory", source_name(f->src));
	r = copy_fetch(f, blocks, (size_t)(to - from), from, err);
	if (!r)
		memcpy(buf, blocks + (off - from), len);
	free(blocks);
	return r;
}

/* An NBD server does not tell the logical sector: its smallest request may be 4096 bytes
 * over a drive of 512. So 4096 must also fit the partitions. */
uint32_t copy_table_sector(const uint8_t *head, size_t len, uint64_t size, uint32_t told)
{
	const uint8_t *entry = head + 446;

	if (told != BLOCK || len < SECTOR || head[446 + 4] == 0xee)
		return 0;
	for (int i = 0; i < 4; i++, entry += 16) {
		uint64_t end = (uint64_t)bytes_le32(entry + 8) + bytes_le32(entry + 12);

		if (bytes_le32(entry + 12) && end * BLOCK > size)
			return 0;
	}
	return BLOCK;
}

/* -1 with DISK_TABLE: damaged, which is not this function's business. */
static int read_table(struct copy_fetcher *f, struct block_table *t, struct err *err)
{
	const struct source_info *info = source_get_info(f->src);
	struct block_reader r = { .read = copy_read_source, .ctx = f,
		.size = info->size };
	uint8_t head[SECTOR];

	memset(t, 0, sizeof(*t));
	if (info->size < sizeof(head))
		return 0;
	if (copy_read_source(f, head, sizeof(head), 0, err) < 0)
		return -1;
	r.sector = copy_table_sector(head, sizeof(head), info->size, info->sector);
	return block_read_table(&r, t, err);
}

int copy_check_table(struct copy_fetcher *f, uint32_t sector, const char *target,
	struct err *err)
{
	uint32_t told = source_get_info(f->src)->sector;
	struct block_table *t;
	int r;

	if (!sector)
		return 0;
	t = malloc(sizeof(*t));
	if (!t)
		return err_set(err, ERR_NOMEM, "partition table: out of memory");
	r = read_table(f, t, err);
	if (r < 0 && err->code == ERR_DISK_TABLE) {
		err_clear(err);
		r = 0;
	} else if (!r && t->kind != BLOCK_TABLE_NONE && t->sector != sector) {
		r = err_set(err, ERR_DISK_SECTOR,
			"the partition table of %s counts in sectors of %u bytes, "
			"and %s has sectors of %u: nobody would find a partition there",
			source_name(f->src), t->sector, target, sector);
	} else if (!r && t->kind == BLOCK_TABLE_NONE && sector > told) {
		log_warn("%s has sectors of %u bytes and %s of %u: a file system or volume with "
			"smaller blocks cannot be opened there", target, sector,
			source_name(f->src), told);
	}
	free(t);
	return r;
}

int copy_check_sectors(struct source *src, uint32_t sector, const char *target,
	struct err *err)
{
	struct copy_fetcher f = { .src = src };
	int r;

	if (!sector || (sector == SECTOR && source_get_info(src)->sector == SECTOR))
		return 0;
	r = copy_check_table(&f, sector, target, err);
	copy_fetcher_end(&f);
	return r;
}

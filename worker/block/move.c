/* SPDX-License-Identifier: Apache-2.0 */
/* A GPT on a disk that is larger than the one it was made for; see block.h. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block-internal.h"

#define SECTOR 512
#define MAX_SECTOR 4096

static void seal_header(uint8_t *h)
{
	uint32_t size = bytes_le32(h + BLOCK_GPT_HEADER_SIZE);

	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, 0);
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, block_crc32(h, size));
}

/* The protective partition covers the disk again, where it covered the smaller one. */
static void stretch_protective(uint8_t *sector0, uint64_t old_last, uint64_t alternate,
	uint64_t last)
{
	for (int i = 0; i < 4; i++) {
		uint8_t *e = sector0 + BLOCK_MBR_ENTRIES + 16 * i;
		uint64_t start = bytes_le32(e + BLOCK_MBR_START);
		uint64_t end = start + bytes_le32(e + BLOCK_MBR_COUNT);
		uint64_t len = last - start + 1;

		if (e[BLOCK_MBR_TYPE] != BLOCK_MBR_PROTECTIVE ||
			(end != old_last + 1 && end != alternate + 1))
			continue;
		bytes_put_le32(e + BLOCK_MBR_COUNT,
			len > UINT32_MAX ? UINT32_MAX : (uint32_t)len);
	}
}

/* Fills in what both copies say of themselves on the larger disk. */
static void fill_header(uint8_t *h, uint64_t my, uint64_t other, uint64_t entries,
	uint64_t last_usable)
{
	bytes_put_le64(h + BLOCK_GPT_MY_LBA, my);
	bytes_put_le64(h + BLOCK_GPT_ALTERNATE, other);
	bytes_put_le64(h + BLOCK_GPT_ENTRIES_LBA, entries);
	bytes_put_le64(h + BLOCK_GPT_LAST_USABLE, last_usable);
	seal_header(h);
}

static int move_copies(const struct block_reader *r, const struct block_gpt *g,
	uint64_t old_last, struct block_moved *ret, struct err *err)
{
	uint32_t sector = r->sector;
	size_t len = (size_t)g->count * g->entry_size;
	uint64_t last = r->size / sector - 1, taken = (len + sector - 1) / sector;
	bool first = g->lba == 1;
	uint8_t h[MAX_SECTOR];

	/* No partition may lie where the second copy goes. */
	if (last <= old_last || (first && g->alternate >= last) ||
		last - taken <= g->last_usable)
		return 0;
	if (r->read(r->ctx, h, sector, g->lba * sector, err) < 0 ||
		r->read(r->ctx, ret->sector0, SECTOR, 0, err) < 0)
		return -1;
	ret->backup_len = (size_t)(taken + 1) * sector;
	ret->backup = calloc(1, ret->backup_len);
	if (!ret->backup)
		return err_set(err, ERR_NOMEM, "GPT: out of memory");
	ret->backup_off = (last - taken) * sector;
	memcpy(ret->backup, g->entries, len);
	fill_header(h, last, 1, last - taken, last - taken - 1);
	memcpy(ret->backup + taken * sector, h, sector);
	stretch_protective(ret->sector0, old_last, g->alternate, last);
	ret->header_off = first ? sector : 0;
	if (first) {
		fill_header(h, 1, last, g->entries_lba, last - taken - 1);
		memcpy(ret->header, h, SECTOR);
	}
	return 1;
}

int block_gpt_move(const struct block_reader *r, uint64_t old_size,
	struct block_moved *ret, struct err *err)
{
	struct err ignored = ERR_INIT; /* a damaged copy is none that can be moved */
	struct block_reader one = *r;
	struct block_gpt g;
	uint64_t old_last;
	int n;

	memset(ret, 0, sizeof(*ret));
	if (one.sector < SECTOR || one.sector > MAX_SECTOR ||
		old_size < 4ull * one.sector)
		return 0;
	old_last = old_size / one.sector - 1;
	if (one.read(one.ctx, ret->sector0, SECTOR, 0, err) < 0)
		return -1;
	if (!block_mbr_protective(ret->sector0))
		return 0;
	n = block_gpt_read(&one, one.sector, 1, &g, &ignored);
	if (n != 1)
		n = block_gpt_read(&one, one.sector, old_last, &g, &ignored);
	if (n != 1)
		return 0;
	n = move_copies(&one, &g, old_last, ret, err);
	block_gpt_free(&g);
	return n;
}

void block_gpt_unmove(uint8_t *header, const uint8_t *before)
{
	static const uint8_t signature[] = { 'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T' };

	if (bytes_le64(header) != bytes_le64(signature) ||
		bytes_le64(before) != bytes_le64(signature) ||
		bytes_le64(header + BLOCK_GPT_ALTERNATE) ==
		bytes_le64(before + BLOCK_GPT_ALTERNATE) ||
		bytes_le32(header + BLOCK_GPT_HEADER_SIZE) > SECTOR)
		return;
	bytes_put_le64(header + BLOCK_GPT_ALTERNATE,
		bytes_le64(before + BLOCK_GPT_ALTERNATE));
	bytes_put_le64(header + BLOCK_GPT_LAST_USABLE,
		bytes_le64(before + BLOCK_GPT_LAST_USABLE));
	seal_header(header);
}

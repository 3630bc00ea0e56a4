/* SPDX-License-Identifier: Apache-2.0 */
/* Which partition table a disk has, and its partitions. */
#include <string.h>

#include "base/bytes.h"
#include "block/block-internal.h"

/* OEM name and signature say nothing; firmware looks at the
 * numbers (FAT specification 3.1). */
bool block_is_fat(const uint8_t *s)
{
	uint32_t bytes = bytes_le16(s + 11), cluster = s[13],
		reserved = bytes_le16(s + 14);
	uint32_t fats = s[16], media = s[21];

	return s[510] == 0x55 && s[511] == 0xaa && (s[0] == 0xeb || s[0] == 0xe9) &&
		(bytes == 512 || bytes == 1024 || bytes == 2048 || bytes == 4096) &&
		cluster && !(cluster & (cluster - 1)) && reserved &&
		(fats == 1 || fats == 2) && (media == 0xf0 || media >= 0xf8);
}

bool block_boots_as_fat(const uint8_t *s)
{
	uint32_t bytes = bytes_le16(s + 11), cluster = s[13], media = s[21];

	return bytes >= 512 && bytes <= 32768 && !(bytes & (bytes - 1)) && cluster &&
		!(cluster & (cluster - 1)) && bytes_le16(s + 14) && s[16] &&
		(bytes_le16(s + 19) || bytes_le32(s + 32)) && (media < 2 || media > 0xf7);
}

/* The second copy is at the last sector, or where the first says (a disk that grew). */
static int second_gpt(const struct block_reader *r, uint32_t sector, uint64_t lba,
	struct block_gpt *ret)
{
	struct err ignored = ERR_INIT; /* a damaged copy is the other one's backup */
	int n = block_gpt_read(r, sector, lba, ret, &ignored);

	return n == 1;
}

/* 1 found, 0 none, -1 damaged. */
static int read_gpt(const struct block_reader *r, uint32_t sector, struct block_table *t,
	struct err *err)
{
	struct block_gpt first, second;
	uint64_t last = r->size / sector - 1;
	int n = block_gpt_read(r, sector, 1, &first, err);

	t->sector = sector;
	if (n == 1) {
		t->backup_bad = !second_gpt(r, sector, first.alternate, &second);
		if (!t->backup_bad)
			block_gpt_free(&second);
		block_gpt_parts(&first, sector, t);
		block_gpt_free(&first);
	} else if (second_gpt(r, sector, last, &second)) {
		err_clear(err);
		t->backup_only = true;
		block_gpt_parts(&second, sector, t);
		block_gpt_free(&second);
	} else {
		return n;
	}
	t->kind = BLOCK_TABLE_GPT;
	return 1;
}

int block_read_table(const struct block_reader *r, struct block_table *ret,
	struct err *err)
{
	uint8_t sector0[512];
	uint32_t sizes[2] = { r->sector ? r->sector : 512, r->sector ? 0 : 4096 };
	struct err why = ERR_INIT;
	int n = 0;

	memset(ret, 0, sizeof(*ret));
	ret->sector = sizes[0];
	if (r->size < 1024)
		return 0;
	if (r->read(r->ctx, sector0, sizeof(sector0), 0, err) < 0)
		return -1;
	if (block_mbr_protective(sector0)) {
		for (int i = 0; i < 2 && sizes[i] && n <= 0; i++) {
			if (r->size < 4ull * sizes[i])
				continue;
			n = read_gpt(r, sizes[i], ret, &why);
		}
		if (n == 1)
			return 0;
		memset(ret, 0, sizeof(*ret));
		ret->sector = sizes[0];
		if (n < 0) {
			*err = why;
			return -1;
		}
	}
	if (!block_mbr_valid(sector0))
		return 0;
	ret->kind = BLOCK_TABLE_MBR;
	return block_mbr_parts(r, sector0, ret->sector, ret, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* MBR partition tables with their chain of logical partitions. */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block-internal.h"

#define MAX_LOGICAL 128 /* bounds the chain, which may be a circle */

static const uint8_t *entry(const uint8_t *sector0, int i)
{
	return sector0 + BLOCK_MBR_ENTRIES + 16 * i;
}

static bool signed_55aa(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

/* A boot sector of a file system carries the signature too: flags must be 0 or 0x80. */
bool block_mbr_valid(const uint8_t *sector0)
{
	bool any = false;

	if (!signed_55aa(sector0) || block_is_fat(sector0))
		return false;
	for (int i = 0; i < 4; i++) {
		const uint8_t *e = entry(sector0, i);

		if (e[0] & 0x7f)
			return false;
		any |= bytes_le32(e + BLOCK_MBR_COUNT) != 0;
	}
	return any;
}

bool block_mbr_protective(const uint8_t *sector0)
{
	if (!signed_55aa(sector0))
		return false;
	for (int i = 0; i < 4; i++)
		if (entry(sector0, i)[BLOCK_MBR_TYPE] == BLOCK_MBR_PROTECTIVE)
			return true;
	return false;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static void add(struct block_table *t, const uint8_t *e, int number, uint64_t base,
	uint64_t disk_size)
{
	struct block_part *p = &t->parts[t->n_parts];
	uint64_t off = (base + bytes_le32(e + BLOCK_MBR_START)) * t->sector;
	uint64_t len = (uint64_t)bytes_le32(e + BLOCK_MBR_COUNT) * t->sector;

	if (t->n_parts == BLOCK_MAX_PARTS || !len || !bytes_in_range(off, len, disk_size))
		return;
	*p = (struct block_part){ .number = number, .off = off, .len = len,
		.mbr_type = e[BLOCK_MBR_TYPE], .active = e[0] == 0x80,
		.esp = e[BLOCK_MBR_TYPE] == BLOCK_MBR_ESP, .masked = !e[BLOCK_MBR_TYPE] };
	t->n_parts++;
}

static int logical(const struct block_reader *r, uint64_t first, struct block_table *t,
	struct err *err)
{
	uint64_t at = first;
	uint8_t ebr[512];
	int number = 5;

	for (int i = 0; i < MAX_LOGICAL; i++) {
		const uint8_t *e = entry(ebr, 0), *next = entry(ebr, 1);

		if (!bytes_in_range(at * t->sector, sizeof(ebr), r->size))
			return 0;
		if (r->read(r->ctx, ebr, sizeof(ebr), at * t->sector, err) < 0)
			return -1;
		if (!signed_55aa(ebr))
			return 0;
		if (bytes_le32(e + BLOCK_MBR_COUNT))
			add(t, e, number++, at, r->size);
		if (!is_extended(next[BLOCK_MBR_TYPE]) ||
		    !bytes_le32(next + BLOCK_MBR_COUNT))
			return 0;
		at = first + bytes_le32(next + BLOCK_MBR_START);
	}
	return 0;
}

int block_mbr_parts(const struct block_reader *r, const uint8_t *sector0, uint32_t sector,
	struct block_table *t, struct err *err)
{
	bool chained = false;

	t->sector = sector;
	memcpy(t->disk_id, sector0 + BLOCK_MBR_ID, 4);
	for (int i = 0; i < 4; i++) {
		const uint8_t *e = entry(sector0, i);

		if (!is_extended(e[BLOCK_MBR_TYPE])) {
			add(t, e, i + 1, 0, r->size);
		} else if (!chained) {
			chained = true;
			if (logical(r, bytes_le32(e + BLOCK_MBR_START), t, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* GUID partition tables: read and checked; every number of the disk is hostile. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block-internal.h"

const uint8_t block_esp_type[16] = { 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
	0xba, 0x4b,
	0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b };

static const uint8_t signature[8] = { 'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T' };

/* The reflected polynomial 0x04c11db7, as the UEFI specification wants it. */
uint32_t block_crc32(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint32_t crc = ~0u;

	while (len--) {
		crc ^= *b++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

static bool same16(const uint8_t *a, const uint8_t *b)
{
	return bytes_le64(a) == bytes_le64(b) && bytes_le64(a + 8) == bytes_le64(b + 8);
}

static int damaged(struct err *err, uint64_t lba, const char *what)
{
	return err_set(err, ERR_DISK_TABLE, "GPT at sector %" PRIu64 ": %s", lba, what);
}

static int check_header(const struct block_reader *r, uint32_t sector, uint8_t *h,
	struct block_gpt *g, struct err *err)
{
	uint32_t size = bytes_le32(h + BLOCK_GPT_HEADER_SIZE);
	uint32_t crc = bytes_le32(h + BLOCK_GPT_HEADER_CRC);
	uint64_t sectors = r->size / sector, bytes;

	if (size < BLOCK_GPT_HEADER || size > sector)
		return damaged(err, g->lba, "header size");
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, 0);
	if (block_crc32(h, size) != crc)
		return damaged(err, g->lba, "header checksum");
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, crc);
	if (bytes_le64(h + BLOCK_GPT_MY_LBA) != g->lba)
		return damaged(err, g->lba, "header is not at its place");
	g->entries_lba = bytes_le64(h + BLOCK_GPT_ENTRIES_LBA);
	g->alternate = bytes_le64(h + BLOCK_GPT_ALTERNATE);
	g->first_usable = bytes_le64(h + BLOCK_GPT_FIRST_USABLE);
	g->last_usable = bytes_le64(h + BLOCK_GPT_LAST_USABLE);
	g->count = bytes_le32(h + BLOCK_GPT_ENTRY_COUNT);
	g->entry_size = bytes_le32(h + BLOCK_GPT_ENTRY_SIZE);
	if (!g->count || g->count > BLOCK_GPT_MAX_ENTRIES || g->entry_size < 128 ||
		g->entry_size > BLOCK_GPT_MAX_ENTRY || g->entry_size % 8)
		return damaged(err, g->lba, "number or size of entries");
	bytes = (uint64_t)g->count * g->entry_size;
	if (g->entries_lba < 2 || g->entries_lba >= sectors ||
		!bytes_in_range(g->entries_lba * sector, bytes, r->size))
		return damaged(err, g->lba, "entries outside of the disk");
	memcpy(g->header, h, BLOCK_GPT_HEADER);
	return 0;
}

int block_gpt_read(const struct block_reader *r, uint32_t sector, uint64_t lba,
	struct block_gpt *ret, struct err *err)
{
	struct block_gpt g = { .lba = lba };
	uint8_t h[4096];
	size_t len;

	if (sector > sizeof(h) || lba >= r->size / sector)
		return 0;
	if (r->read(r->ctx, h, sector, lba * sector, err) < 0)
		return -1;
	if (bytes_le64(h) != bytes_le64(signature))
		return 0;
	if (check_header(r, sector, h, &g, err) < 0)
		return -1;
	len = (size_t)g.count * g.entry_size;
	g.entries = malloc(len);
	if (!g.entries)
		return err_set(err, ERR_NOMEM, "GPT: out of memory");
	if (r->read(r->ctx, g.entries, len, g.entries_lba * sector, err) < 0) {
		free(g.entries);
		return -1;
	}
	if (block_crc32(g.entries, len) != bytes_le32(g.header + BLOCK_GPT_ENTRIES_CRC)) {
		free(g.entries);
		return damaged(err, lba, "checksum of the entries");
	}
	*ret = g;
	return 1;
}

void block_gpt_free(struct block_gpt *g)
{
	free(g->entries);
	g->entries = NULL;
}

static void copy_name(const uint8_t *utf16, char *ret)
{
	int i;

	for (i = 0; i < 36; i++) {
		uint16_t c = bytes_le16(utf16 + 2 * i);

		if (!c)
			break;
		ret[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	ret[i] = '\0';
}

void block_gpt_parts(const struct block_gpt *g, uint32_t sector, struct block_table *t)
{
	static const uint8_t unused[16];

	memcpy(t->disk_id, g->header + BLOCK_GPT_DISK_GUID, 16);
	for (uint32_t i = 0; i < g->count && t->n_parts < BLOCK_MAX_PARTS; i++) {
		const uint8_t *e = g->entries + (size_t)i * g->entry_size;
		struct block_part *p = &t->parts[t->n_parts];
		uint64_t start = bytes_le64(e + BLOCK_GPT_START);
		uint64_t end = bytes_le64(e + BLOCK_GPT_END);

		/* As the kernel: what does not lie in the usable area is no partition. */
		if (same16(e, unused) || start < g->first_usable ||
			end > g->last_usable || end < start || end >= UINT64_MAX / sector)
			continue;
		memset(p, 0, sizeof(*p));
		p->number = (int)i + 1;
		p->off = start * sector;
		p->len = (end - start + 1) * sector;
		memcpy(p->type, e + BLOCK_GPT_TYPE, 16);
		memcpy(p->uuid, e + BLOCK_GPT_UUID, 16);
		copy_name(e + BLOCK_GPT_NAME, p->name);
		p->masked = same16(e, block_mask_esp_type);
		p->esp = p->masked || same16(e, block_esp_type);
		p->active = bytes_le64(e + BLOCK_GPT_ATTRIBUTES) & BLOCK_GPT_LEGACY_BOOT;
		t->n_parts++;
	}
}

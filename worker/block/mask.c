/* SPDX-License-Identifier: Apache-2.0 */
/* What firmware would start from is masked while a copied disk is prepared;
 * see block.h. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block-internal.h"

#define SECTOR 512

/* A random GUID of our own: 8D9F1CE2-6B0B-4F0E-9C53-7457A1D0E5B6 as stored. */
const uint8_t block_mask_esp_type[16] = { 0xe2, 0x1c, 0x9f, 0x8d, 0x0b, 0x6b, 0x0e, 0x4f,
	0x9c, 0x53,
	0x74, 0x57, 0xa1, 0xd0, 0xe5, 0xb6 };

/*
 * Prints a line and lets the BIOS try its next device:
 *   xor ax,ax; mov ds,ax; mov si,0x7c19; cld; next: lodsb; test al,al; jz end; mov
 *   ah,0x0e; int 0x10; jmp next; end: int 0x18; hlt loop
 */
static const uint8_t boot_code[] = {
	0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x19, 0x7c, 0xfc, 0xac, 0x84, 0xc0, 0x74, 0x06,
	0xb4, 0x0e, 0xcd, 0x10, 0xeb, 0xf5, 0xcd, 0x18, 0xf4, 0xeb, 0xfd, 0x90,
	'T', 'h', 'i', 's', ' ', 'd', 'i', 's', 'k', ' ', 'i', 's', ' ', 'n', 'o', 't',
	' ', 'c', 'o', 'm', 'p', 'l', 'e', 't', 'e', 'l', 'y', ' ', 'm', 'i', 'g', 'r',
	'a', 't', 'e', 'd', ' ', 'y', 'e', 't', '.', '\r', '\n', 0,
};

/* The bytes of [off, off + len) in head or tail; NULL when they are in neither. */
static uint8_t *in_ends(const struct block_reader *r, struct block_mask *m, uint64_t off,
	uint64_t len)
{
	uint64_t tail = r->size - m->tail_len;

	if (bytes_in_range(off, len, m->head_len))
		return m->head + off;
	if (m->tail_len && off >= tail && bytes_in_range(off - tail, len, m->tail_len))
		return m->tail + (off - tail);
	return NULL;
}

/* 1 FAT, 0 something else, -1 error. */
static int is_fat_at(const struct block_reader *r, uint64_t off, struct err *err)
{
	uint8_t s[512];

	if (!bytes_in_range(off, sizeof(s), r->size))
		return 0;
	if (r->read(r->ctx, s, sizeof(s), off, err) < 0)
		return -1;
	return block_boots_as_fat(s);
}

static int mask_entries(const struct block_reader *r, struct block_gpt *g,
	uint32_t sector, bool *ret_changed, struct err *err)
{
	static const uint8_t unused[16];

	for (uint32_t i = 0; i < g->count; i++) {
		uint8_t *e = g->entries + (size_t)i * g->entry_size;
		uint64_t start = bytes_le64(e + BLOCK_GPT_START);
		bool esp = bytes_le64(e) == bytes_le64(block_esp_type) &&
			bytes_le64(e + 8) == bytes_le64(block_esp_type + 8);
		int fat;

		if (bytes_le64(e) == bytes_le64(unused) && !bytes_le64(e + 8))
			continue;
		fat = start < r->size / sector ? is_fat_at(r, start * sector, err) : 0;
		if (fat < 0)
			return -1;
		if (!esp && !fat)
			continue;
		if (esp)
			memcpy(e, block_mask_esp_type, 16);
		bytes_put_le64(e + BLOCK_GPT_ATTRIBUTES,
			bytes_le64(e + BLOCK_GPT_ATTRIBUTES) | BLOCK_GPT_NO_BLOCK_IO);
		*ret_changed = true;
	}
	return 0;
}

/* A copy outside of both ends cannot be changed and so is refused:
 * it would be a way around. */
static int mask_gpt(const struct block_reader *r, struct block_mask *m, uint32_t sector,
	struct block_gpt *g, struct err *err)
{
	size_t len = (size_t)g->count * g->entry_size;
	uint8_t *header = in_ends(r, m, g->lba * sector, sector);
	uint8_t *entries = in_ends(r, m, g->entries_lba * sector, len);
	bool changed = false;
	uint32_t size;

	if (mask_entries(r, g, sector, &changed, err) < 0)
		return -1;
	if (!changed)
		return 0;
	if (!header || !entries)
		return err_set(err, ERR_DISK_TABLE,
			"a copy of the GPT lies at an unusual place");
	size = bytes_le32(header + BLOCK_GPT_HEADER_SIZE);
	memcpy(entries, g->entries, len);
	bytes_put_le32(header + BLOCK_GPT_ENTRIES_CRC, block_crc32(entries, len));
	bytes_put_le32(header + BLOCK_GPT_HEADER_CRC, 0);
	bytes_put_le32(header + BLOCK_GPT_HEADER_CRC, block_crc32(header, size));
	return 0;
}

static int mask_gpts(const struct block_reader *r, struct block_mask *m,
	const struct block_table *t, struct err *err)
{
	uint64_t last = r->size / t->sector - 1, alternate = last;
	struct block_gpt g;
	int status = 0;

	if (!t->backup_only) {
		if (block_gpt_read(r, t->sector, 1, &g, err) < 0)
			return -1;
		alternate = g.alternate;
		status = mask_gpt(r, m, t->sector, &g, err);
		block_gpt_free(&g);
	}
	if (status < 0 || (t->backup_bad && !t->backup_only))
		return status;
	if (block_gpt_read(r, t->sector, t->backup_only ? last : alternate, &g, err) != 1)
		return -1;
	status = mask_gpt(r, m, t->sector, &g, err);
	block_gpt_free(&g);
	return status;
}

/* The first sector of a volume that cannot be hidden otherwise. */
static int hold(const struct block_reader *r, struct block_mask *m, uint64_t off,
	struct err *err)
{
	uint8_t *here = in_ends(r, m, off, SECTOR);

	if (here) {
		memset(here, 0, SECTOR);
		return 0;
	}
	for (int i = 0; i < m->n_held; i++)
		if (m->held[i] == off) /* a chain may be a circle */
			return 0;
	if (m->n_held == BLOCK_MASK_HELD)
		return err_set(err, ERR_DISK_TABLE,
			"more than %d FAT volumes in logical partitions",
			BLOCK_MASK_HELD);
	m->held[m->n_held++] = off;
	return 0;
}

static int mask_mbr(const struct block_reader *r, struct block_mask *m,
	const struct block_table *t, struct err *err)
{
	for (int i = 0; i < t->n_parts; i++) {
		const struct block_part *p = &t->parts[i];
		int fat = is_fat_at(r, p->off, err);

		if (fat < 0)
			return -1;
		if (p->number <= 4 && (fat || p->esp))
			m->head[BLOCK_MBR_ENTRIES + 16 * (p->number - 1) +
				BLOCK_MBR_TYPE] = 0;
		else if (fat && hold(r, m, p->off, err) < 0)
			return -1;
	}
	return 0;
}

/* Sector 0 of a disk without table may be a file system's:
 * only plain boot code is masked. */
static bool has_boot_code(const uint8_t *head)
{
	return head[510] == 0x55 && head[511] == 0xaa && !block_is_fat(head) &&
		bytes_le32(head + 3) != 0x5346544eu /* "NTFS" */ &&
		bytes_le32(head) != 0x42534658u /* "XFSB" */ &&
		bytes_le32(head + 3) != 0x41465845u /* "EXFA" of exFAT */;
}

int block_mask(const struct block_reader *r, struct block_mask *m, struct err *err)
{
	struct block_table *t;
	int status = 0;

	m->n_held = 0;
	if (m->head_len < SECTOR)
		return 0;
	t = malloc(sizeof(*t));
	if (!t)
		return err_set(err, ERR_NOMEM, "partition table: out of memory");
	status = block_read_table(r, t, err);
	if (!status && t->kind == BLOCK_TABLE_GPT)
		status = mask_gpts(r, m, t, err);
	else if (!status && t->kind == BLOCK_TABLE_MBR)
		status = mask_mbr(r, m, t, err);
	else if (!status && block_boots_as_fat(m->head))
		status = hold(r, m, 0, err);
	if (!status && (t->kind != BLOCK_TABLE_NONE || has_boot_code(m->head))) {
		memset(m->head, 0, BLOCK_MBR_CODE);
		memcpy(m->head, boot_code, sizeof(boot_code));
	}
	free(t);
	return status;
}

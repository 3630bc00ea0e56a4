/* SPDX-License-Identifier: Apache-2.0 */
/* What table.c, gpt.c, mbr.c and mask.c share. */
#ifndef BLOCK_BLOCK_INTERNAL_H
#define BLOCK_BLOCK_INTERNAL_H

#include "block/block.h"

/* MBR: 440 bytes of boot code, disk id u32, u16, 4 entries of 16 bytes, 0x55 0xaa. */
#define BLOCK_MBR_CODE 440
#define BLOCK_MBR_ID 440
#define BLOCK_MBR_ENTRIES 446
#define BLOCK_MBR_TYPE 4       /* in an entry */
#define BLOCK_MBR_START 8
#define BLOCK_MBR_COUNT 12
#define BLOCK_MBR_PROTECTIVE 0xee
#define BLOCK_MBR_ESP 0xef

/* GPT header (UEFI 2.10, 5.3.2), little-endian. */
#define BLOCK_GPT_HEADER 92
#define BLOCK_GPT_HEADER_SIZE 12
#define BLOCK_GPT_HEADER_CRC 16
#define BLOCK_GPT_MY_LBA 24
#define BLOCK_GPT_ALTERNATE 32
#define BLOCK_GPT_FIRST_USABLE 40
#define BLOCK_GPT_LAST_USABLE 48
#define BLOCK_GPT_DISK_GUID 56
#define BLOCK_GPT_ENTRIES_LBA 72
#define BLOCK_GPT_ENTRY_COUNT 80
#define BLOCK_GPT_ENTRY_SIZE 84
#define BLOCK_GPT_ENTRIES_CRC 88
/* entry */
#define BLOCK_GPT_TYPE 0
#define BLOCK_GPT_UUID 16
#define BLOCK_GPT_START 32
#define BLOCK_GPT_END 40
#define BLOCK_GPT_ATTRIBUTES 48
#define BLOCK_GPT_NAME 56
#define BLOCK_GPT_NO_BLOCK_IO 2ull   /* attribute bit 1 */
#define BLOCK_GPT_LEGACY_BOOT 4ull   /* attribute bit 2 */

#define BLOCK_GPT_MAX_ENTRIES 512
#define BLOCK_GPT_MAX_ENTRY 4096

/* C12A7328-F81F-11D2-BA4B-00A0C93EC93B as stored */
extern const uint8_t block_esp_type[16];

/* One copy of a GPT, checked. */
struct block_gpt {
	uint64_t lba;               /* of the header */
	uint64_t entries_lba, first_usable, last_usable, alternate;
	uint32_t count, entry_size;
	uint8_t header[BLOCK_GPT_HEADER];
	uint8_t *entries;           /* malloc, count * entry_size bytes */
};
/* 1 there is a good copy, 0 there is none (no signature), -1 damaged or unreadable. */
int block_gpt_read(const struct block_reader *r, uint32_t sector, uint64_t lba,
	struct block_gpt *ret, struct err *err);
void block_gpt_free(struct block_gpt *g);
void block_gpt_parts(const struct block_gpt *g, uint32_t sector, struct block_table *t);
uint32_t block_crc32(const void *p, size_t len);

bool block_mbr_valid(const uint8_t *sector0);
bool block_mbr_protective(const uint8_t *sector0);
int block_mbr_parts(const struct block_reader *r, const uint8_t *sector0, uint32_t sector,
	struct block_table *t, struct err *err);

/* Whether a sector is the first of a FAT file system: with signature,
 * as mkfs makes it. */
bool block_is_fat(const uint8_t *sector);
/* Whether EDK2 would take it for one (FatPkg, FatOpenDevice):
 * it wants neither signature nor jump. */
bool block_boots_as_fat(const uint8_t *sector);

#endif

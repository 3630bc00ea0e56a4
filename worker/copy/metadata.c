/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the leaves that were written look like a file system's own records, or a
 * volume manager's: verify=sample reads back every one of them, as a wrong one costs more
 * than one file. A block of 4096 bytes is told by the magic numbers of its kind (Linux'
 * headers of ext4, jbd2, XFS, btrfs, md and device-mapper; NTFS and FAT as ntfs3 and vfat
 * read them; UEFI 2.10 5.3.2 for GPT). What only looks alike is compared for nothing;
 * what has no number, such as an inode table of ext4, is left to chance.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "copy/copy-internal.h"

#define BLOCK 4096
/* 8 MiB: a bit per leaf up to 4 TiB, then per 128 KiB and so on */
#define MAP_BITS (64ull << 20)

#define FOUR(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* What a block begins with. */
static bool begins_like_metadata(const uint8_t *b)
{
	switch (bytes_be32(b)) {
	case FOUR('X', 'F', 'S', 'B'): /* XFS: superblock, then trees and
					* directories, old and new */
	case FOUR('A', 'B', 'T', 'B'):
	case FOUR('A', 'B', 'T', 'C'):
	case FOUR('A', 'B', '3', 'B'):
	case FOUR('A', 'B', '3', 'C'):
	case FOUR('I', 'A', 'B', 'T'):
	case FOUR('I', 'A', 'B', '3'):
	case FOUR('F', 'I', 'B', '3'):
	case FOUR('R', 'M', 'B', '3'):
	case FOUR('R', '3', 'F', 'C'):
	case FOUR('B', 'M', 'A', 'P'):
	case FOUR('B', 'M', 'A', '3'):
	case FOUR('X', 'D', '2', 'B'):
	case FOUR('X', 'D', '2', 'D'):
	case FOUR('X', 'D', 'B', '3'):
	case FOUR('X', 'D', 'D', '3'):
	case FOUR('F', 'I', 'L', 'E'): /* NTFS */
	case FOUR('I', 'N', 'D', 'X'):
	case FOUR('R', 'S', 'T', 'R'):
	case FOUR('R', 'C', 'R', 'D'):
	case 0xc03b3998:               /* jbd2 */
	case 0xfc4e2ba9:               /* md, a92b4efc in its own order */
	case FOUR('L', 'U', 'K', 'S'):
		return true;
	default:
		break;
	}
	/* inodes of XFS: "IN", a mode, a version from 1 to 3 */
	if (b[0] == 'I' && b[1] == 'N' && b[4] >= 1 && b[4] <= 3)
		return true;
	/* ext4: a node of an extent tree, its entries at most as many as fit,
	 * and its depth */
	return bytes_le16(b) == 0xf30a && bytes_le16(b + 2) <= bytes_le16(b + 4) &&
		bytes_le16(b + 4) <= BLOCK / 12 && bytes_le16(b + 6) <= 5;
}

/* ext4: s_magic, and s_log_block_size of up to 64 KiB */
static bool is_ext_superblock(const uint8_t *b)
{
	return bytes_le16(b + 56) == 0xef53 && bytes_le32(b + 24) <= 6;
}

static bool is_metadata(const uint8_t *b)
{
	static const struct {
		uint16_t at, len;
		const char *magic;
	} inside[] = {
		/* ext4: the first block of a directory */
		{ 4, 5, "\x0c\0\1\2." },
		{ 56, 8, "\1\0\0\0\0\0\0\1" },     /* btrfs: flags of a tree's block */
		{ 64, 8, "_BHRfS_M" },             /* and the superblock */
		{ 512, 4, "XAGF" },                /* XFS */
		{ 4, 16, " LVM2 x[5A%r0N*>" },
		{ 512, 8, "LABELONE" },
		{ 3, 8, "NTFS    " },
		{ 54, 3, "FAT" },
		{ 82, 5, "FAT32" },
		{ 512, 8, "EFI PART" },
		{ BLOCK - 512, 8, "EFI PART" },
	};

	if (begins_like_metadata(b) || is_ext_superblock(b) ||
	    is_ext_superblock(b + 1024))
		return true;
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		if (b[inside[i].at] == (uint8_t)inside[i].magic[0] &&
			!memcmp(b + inside[i].at, inside[i].magic, inside[i].len))
			return true;
	return false;
}

int copy_metadata_init(struct copy_job *job, struct err *err)
{
	if (job->opt->verify != COPY_VERIFY_SAMPLE)
		return 0;
	job->metadata_step = SOURCE_LEAF;
	while (job->size / job->metadata_step >= MAP_BITS)
		job->metadata_step *= 2;
	job->metadata = calloc(1, (size_t)(job->size / job->metadata_step / 8 + 1));
	if (!job->metadata)
		return err_set(err, ERR_NOMEM, "start the copy: out of memory");
	return 0;
}

bool copy_metadata_in(const struct copy_job *job, const uint8_t *leaf, uint32_t len)
{
	if (!job->metadata)
		return false;
	for (uint32_t at = 0; at + BLOCK <= len; at += BLOCK)
		if (is_metadata(leaf + at))
			return true;
	return false;
}

void copy_metadata_mark(struct copy_job *job, uint64_t off)
{
	uint64_t n = off / job->metadata_step;

	job->metadata[n / 8] |= (uint8_t)(1u << n % 8);
}

static bool marked(const struct copy_job *job, uint64_t off)
{
	uint64_t n = off / job->metadata_step;

	return job->metadata && job->metadata[n / 8] >> n % 8 & 1;
}

uint64_t copy_metadata_run(const struct copy_job *job, uint64_t off, uint64_t len,
	bool *ret)
{
	uint64_t n = SOURCE_LEAF - off % SOURCE_LEAF;

	*ret = marked(job, off);
	while (n < len && marked(job, off + n) == *ret)
		n += SOURCE_LEAF;
	return n < len ? n : len;
}

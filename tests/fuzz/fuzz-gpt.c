/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables of a hostile disk: read, and masked as for a copied one. The first
 * byte chooses the sector size; the rest is the disk from its beginning. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/block.h"

#define SIZE (256u << 10)
#define TAIL (64u << 10)

static uint8_t disk[SIZE], head[SIZE], tail[TAIL];

static int read_disk(void *ctx, void *buf, size_t len, uint64_t off, struct err *err)
{
	(void)ctx;
	if (!bytes_in_range(off, len, SIZE))
		abort(); /* the code under test has to check */
	(void)err;
	memcpy(buf, disk + off, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct block_table t;
	struct block_reader r = { .read = read_disk, .size = SIZE };
	struct block_mask m = { .head = head, .head_len = 128u << 10, .tail = tail,
		.tail_len = TAIL };
	struct err err = ERR_INIT;

	if (size < 2)
		return 0;
	r.sector = data[0] & 1 ? 4096 : data[0] & 2 ? 512 : 0;
	memset(disk, 0, sizeof(disk));
	size--;
	memcpy(disk, data + 1, size < SIZE ? size : SIZE);
	if (block_read_table(&r, &t, &err) == 0 &&
	    (t.n_parts < 0 || t.n_parts > BLOCK_MAX_PARTS))
		abort();
	for (int i = 0; i < t.n_parts; i++)
		if (t.kind == BLOCK_TABLE_MBR &&
		    !bytes_in_range(t.parts[i].off, t.parts[i].len, SIZE))
			abort();
	memcpy(head, disk, m.head_len);
	memcpy(tail, disk + SIZE - TAIL, TAIL);
	block_mask(&r, &m, &err);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables: made here byte by byte, read, damaged, masked. */
#include "base/bytes.h"
#include "block/block-internal.h"
#include "tests/unit/test.h"

#define SIZE (4u << 20)
#define HEAD (1u << 20)
#define TAIL 65536

static uint8_t disk[SIZE];

static int read_disk(void *ctx, void *buf, size_t len, uint64_t off, struct err *err)
{
	(void)ctx;
	if (!bytes_in_range(off, len, SIZE))
		return err_set(err, ERR_DISK_IO, "outside");
	memcpy(buf, disk + off, len);
	return 0;
}

static const struct block_reader reader = { .read = read_disk, .size = SIZE,
	.sector = 512 };

static void seal(uint64_t lba)
{
	uint8_t *h = disk + lba * 512;
	uint64_t entries = bytes_le64(h + BLOCK_GPT_ENTRIES_LBA) * 512;

	bytes_put_le32(h + BLOCK_GPT_ENTRIES_CRC, block_crc32(disk + entries, 128 * 128));
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, 0);
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, block_crc32(h, 92));
}

static void make_gpt_copy(uint64_t lba, uint64_t other, uint64_t entries)
{
	uint8_t *h = disk + lba * 512, *e = disk + entries * 512;

	memcpy(h, "EFI PART\0\0\1\0", 12);
	bytes_put_le32(h + BLOCK_GPT_HEADER_SIZE, 92);
	bytes_put_le64(h + BLOCK_GPT_MY_LBA, lba);
	bytes_put_le64(h + BLOCK_GPT_ALTERNATE, other);
	bytes_put_le64(h + BLOCK_GPT_FIRST_USABLE, 34);
	bytes_put_le64(h + BLOCK_GPT_LAST_USABLE, SIZE / 512 - 34);
	bytes_put_le64(h + BLOCK_GPT_ENTRIES_LBA, entries);
	bytes_put_le32(h + BLOCK_GPT_ENTRY_COUNT, 128);
	bytes_put_le32(h + BLOCK_GPT_ENTRY_SIZE, 128);
	memcpy(e, block_esp_type, 16);
	bytes_put_le64(e + BLOCK_GPT_START, 2048);
	bytes_put_le64(e + BLOCK_GPT_END, 4095);
	memcpy(e + BLOCK_GPT_NAME, "E\0S\0P\0", 6);
	memset(e + 256, 0x5a, 16); /* the third entry; the second is unused */
	bytes_put_le64(e + 256 + BLOCK_GPT_START, 4096);
	bytes_put_le64(e + 256 + BLOCK_GPT_END, 6143);
	seal(lba);
}

static void make_fat(uint64_t off)
{
	uint8_t *s = disk + off;

	memcpy(s, "\xeb\x3c\x90mkfs.fat\0\2\4\1\0\2", 17);
	s[19] = s[20] = 16;
	s[21] = 0xf8;
	s[510] = 0x55;
	s[511] = 0xaa;
}

static void make_gpt(void)
{
	memset(disk, 0, sizeof(disk));
	memset(disk, 0x90, 440);
	disk[446 + 4] = 0xee;
	bytes_put_le32(disk + 446 + 8, 1);
	bytes_put_le32(disk + 446 + 12, SIZE / 512 - 1);
	disk[510] = 0x55;
	disk[511] = 0xaa;
	make_gpt_copy(1, SIZE / 512 - 1, 2);
	make_gpt_copy(SIZE / 512 - 1, 1, SIZE / 512 - 33);
	make_fat(2048 * 512);
}

static void make_mbr(void)
{
	memset(disk, 0, sizeof(disk));
	memset(disk, 0x90, 440);
	disk[510] = 0x55;
	disk[511] = 0xaa;
	disk[446] = 0x80;
	disk[446 + 4] = 0x83;
	bytes_put_le32(disk + 446 + 8, 2048);
	bytes_put_le32(disk + 446 + 12, 1024);
	disk[462 + 4] = 0xef;
	bytes_put_le32(disk + 462 + 8, 3072);
	bytes_put_le32(disk + 462 + 12, 512);
	disk[478 + 4] = 0x05;
	bytes_put_le32(disk + 478 + 8, 4096);
	bytes_put_le32(disk + 478 + 12, 2048);
	/* one logical partition, then a link back to itself */
	disk[4096 * 512 + 446 + 4] = 0x82;
	bytes_put_le32(disk + 4096 * 512 + 446 + 8, 64);
	bytes_put_le32(disk + 4096 * 512 + 446 + 12, 100);
	disk[4096 * 512 + 462 + 4] = 0x05;
	bytes_put_le32(disk + 4096 * 512 + 462 + 12, 2048);
	disk[4096 * 512 + 510] = 0x55;
	disk[4096 * 512 + 511] = 0xaa;
}

static struct block_table t;

TEST(gpt)
{
	struct err err = ERR_INIT;

	make_gpt();
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(t.kind == BLOCK_TABLE_GPT && !t.backup_only && !t.backup_bad);
	CHECK_U64(t.n_parts, 2);
	CHECK(t.parts[0].esp && !t.parts[0].masked);
	CHECK_STR(t.parts[0].name, "ESP");
	CHECK_U64(t.parts[1].number, 3);
	CHECK_U64(t.parts[1].off, 4096 * 512);
	CHECK_U64(t.parts[1].len, 2048 * 512);
}

TEST(gpt_crc)
{
	struct err err = ERR_INIT;

	make_gpt();
	disk[1024 + 60] ^= 1; /* the name of the first entry, first copy */
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(t.backup_only);
	CHECK_U64(t.n_parts, 2);
	disk[SIZE - 512 + 30] ^= 1;
	CHECK(block_read_table(&reader, &t, &err) < 0);
	CHECK(err.code == ERR_DISK_TABLE);
}

TEST(gpt_hostile)
{
	static const struct {
		unsigned at;
		uint64_t value;
		int bytes;
	} lies[] = {
		{ BLOCK_GPT_ENTRY_COUNT, 0xffffffff, 4 }, { BLOCK_GPT_ENTRY_COUNT, 0, 4 },
		{ BLOCK_GPT_ENTRY_SIZE, 0xffffffff, 4 }, { BLOCK_GPT_ENTRY_SIZE, 1, 4 },
		{ BLOCK_GPT_ENTRIES_LBA, UINT64_MAX, 8 }, { BLOCK_GPT_ENTRIES_LBA, 0, 8 },
		{ BLOCK_GPT_ENTRIES_LBA, UINT64_MAX / 512 + 2, 8 },
		{ BLOCK_GPT_HEADER_SIZE, 0xffffffff, 4 },
		{ BLOCK_GPT_HEADER_SIZE, 10, 4 },
		{ BLOCK_GPT_MY_LBA, 2, 8 },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct err err = ERR_INIT;

		make_gpt();
		memset(disk + SIZE - 512, 0, 512);
		if (lies[i].bytes == 8)
			bytes_put_le64(disk + 512 + lies[i].at, lies[i].value);
		else
			bytes_put_le32(disk + 512 + lies[i].at, (uint32_t)lies[i].value);
		bytes_put_le32(disk + 512 + BLOCK_GPT_HEADER_CRC, 0);
		bytes_put_le32(disk + 512 + BLOCK_GPT_HEADER_CRC,
			block_crc32(disk + 512, 92));
		if (!CHECK(block_read_table(&reader, &t, &err) < 0))
			printf("lie %zu was believed\n", i);
	}
}

TEST(gpt_range)
{
	struct err err = ERR_INIT;

	make_gpt();
	bytes_put_le64(disk + 1024 + BLOCK_GPT_END, UINT64_MAX);
	seal(1);
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK_U64(t.n_parts, 1);
}

TEST(mbr)
{
	struct err err = ERR_INIT;

	make_mbr();
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(t.kind == BLOCK_TABLE_MBR);
	REQUIRE(t.n_parts >= 3);
	CHECK(t.parts[0].active && t.parts[0].mbr_type == 0x83);
	CHECK(t.parts[1].esp);
	CHECK_U64(t.parts[2].number, 5);
	CHECK_U64(t.parts[2].off, (4096 + 64) * 512);
}

TEST(no_table)
{
	struct err err = ERR_INIT;

	memset(disk, 0, sizeof(disk));
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(t.kind == BLOCK_TABLE_NONE);
	make_fat(0);
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(t.kind == BLOCK_TABLE_NONE);
}

static uint8_t masked[SIZE];
static struct block_mask m;

static int mask(struct err *err)
{
	int r;

	m = (struct block_mask){ .head = masked, .head_len = HEAD,
		.tail = masked + SIZE - TAIL,
		.tail_len = TAIL };

	memcpy(masked, disk, SIZE);
	r = block_mask(&reader, &m, err);
	memcpy(disk, masked, SIZE);
	return r;
}

TEST(mask_gpt)
{
	static uint8_t exact[SIZE];
	struct err err = ERR_INIT;

	make_gpt();
	make_fat(4096 * 512); /* a FAT volume that is no ESP */
	memcpy(exact, disk, SIZE);
	REQUIRE(mask(&err) == 0);
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(!t.backup_only && !t.backup_bad);
	CHECK_U64(t.n_parts, 2);
	CHECK(t.parts[0].masked && t.parts[0].esp);
	for (unsigned copy = 0; copy < 2; copy++) {
		const uint8_t *e = disk + (copy ? SIZE - 33 * 512 : 1024);

		CHECK_U64(bytes_le64(e + BLOCK_GPT_ATTRIBUTES), 2);
		CHECK_U64(bytes_le64(e + 256 + BLOCK_GPT_ATTRIBUTES), 2);
		CHECK(bytes_le64(e) != bytes_le64(block_esp_type));
		CHECK(bytes_le64(e + 256) == 0x5a5a5a5a5a5a5a5aull);
	}
	CHECK(disk[0] != 0x90 && disk[510] == 0x55);
	/* nothing but both tables and the boot code changed */
	CHECK(!memcmp(disk + 440, exact + 440, 72));
	CHECK(!memcmp(disk + 34 * 512, exact + 34 * 512, SIZE - 67 * 512));
}

TEST(mask_mbr)
{
	struct err err = ERR_INIT;

	make_mbr();
	REQUIRE(mask(&err) == 0);
	CHECK_U64(disk[446 + 4], 0x83);
	CHECK_U64(disk[462 + 4], 0);
	REQUIRE(block_read_table(&reader, &t, &err) == 0);
	CHECK(t.n_parts >= 3 && t.parts[1].masked);
}

TEST(mask_none)
{
	static uint8_t exact[SIZE];
	struct err err = ERR_INIT;

	memset(disk, 0, sizeof(disk));
	memcpy(disk, "XFSB", 4);
	disk[510] = 0x55;
	disk[511] = 0xaa;
	memcpy(exact, disk, SIZE);
	REQUIRE(mask(&err) == 0);
	CHECK(!memcmp(disk, exact, SIZE));
}

/* EDK2 opens FAT without signature, in logical partitions,
 * and on a disk without a table. */
TEST(mask_fat)
{
	struct err err = ERR_INIT;
	uint64_t logical = (4096 + 64) * 512;

	make_mbr();
	make_fat(2048 * 512);
	disk[2048 * 512 + 510] = disk[2048 * 512] = 0;
	make_fat(logical);
	disk[logical + 16] = 7;
	REQUIRE(mask(&err) == 0);
	CHECK_U64(disk[446 + 4], 0);
	/* the chain is a circle: the same partition comes again and again */
	REQUIRE(m.n_held == 1);
	CHECK_U64(m.held[0], logical);
	memset(disk, 0, sizeof(disk));
	make_fat(0);
	REQUIRE(mask(&err) == 0);
	CHECK(bytes_are_zero(disk, SIZE) && !m.n_held);
}

static const struct test tests[] = {
	TEST_ENTRY(gpt, "a sound GPT is read"),
	TEST_ENTRY(gpt_crc,
		"a damaged copy is replaced by the other; both damaged is an error"),
	TEST_ENTRY(gpt_hostile, "impossible numbers in the header are refused"),
	TEST_ENTRY(gpt_range, "an entry outside of the usable area is no partition"),
	TEST_ENTRY(mbr, "primary and logical partitions; a circle ends"),
	TEST_ENTRY(no_table, "neither emptiness nor a FAT boot sector is a table"),
	TEST_ENTRY(mask_gpt,
		"the mask hides ESP and FAT volumes in both copies, and nothing else"),
	TEST_ENTRY(mask_mbr, "the mask hides the ESP of an MBR"),
	TEST_ENTRY(mask_fat, "FAT volumes that EDK2 would find otherwise are held back"),
	TEST_ENTRY(mask_none, "a file system in sector 0 is left alone"),
};
TEST_MAIN(tests)

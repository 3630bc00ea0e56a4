/* SPDX-License-Identifier: Apache-2.0 */
/* A target larger than the drive: what lay behind the drive's end, and where the second
 * copy of a GPT is after a copy and after a commit. */
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "block/block-internal.h"
#include "copy/copy.h"
#include "tests/unit/test.h"

#define SIZE (8u << 20)
#define LARGE (13u << 20)

static char src_path[] = "/tmp/tw-larger-s-XXXXXX",
	dst_path[] = "/tmp/tw-larger-d-XXXXXX";
static uint8_t drive[SIZE], target[LARGE];
static struct source *src;
static struct sink *dst;
static struct err err;

static void seal(uint32_t sector, uint64_t lba)
{
	uint8_t *h = drive + lba * sector;
	uint64_t entries = bytes_le64(h + BLOCK_GPT_ENTRIES_LBA) * sector;

	bytes_put_le32(h + BLOCK_GPT_ENTRIES_CRC,
		block_crc32(drive + entries, 128 * 128));
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, 0);
	bytes_put_le32(h + BLOCK_GPT_HEADER_CRC, block_crc32(h, 92));
}

static void make_copy(uint32_t sector, uint64_t lba, uint64_t other, uint64_t entries)
{
	uint64_t last = SIZE / sector - 1;
	uint8_t *h = drive + lba * sector, *e = drive + entries * sector;

	memcpy(h, "EFI PART\0\0\1\0", 12);
	bytes_put_le32(h + BLOCK_GPT_HEADER_SIZE, 92);
	bytes_put_le64(h + BLOCK_GPT_MY_LBA, lba);
	bytes_put_le64(h + BLOCK_GPT_ALTERNATE, other);
	bytes_put_le64(h + BLOCK_GPT_FIRST_USABLE, 2 + 16384 / sector);
	bytes_put_le64(h + BLOCK_GPT_LAST_USABLE, last - 1 - 16384 / sector);
	bytes_put_le64(h + BLOCK_GPT_ENTRIES_LBA, entries);
	bytes_put_le32(h + BLOCK_GPT_ENTRY_COUNT, 128);
	bytes_put_le32(h + BLOCK_GPT_ENTRY_SIZE, 128);
	memcpy(e, block_esp_type, 16);
	bytes_put_le64(e + BLOCK_GPT_START, (2u << 20) / sector);
	bytes_put_le64(e + BLOCK_GPT_END, (4u << 20) / sector - 1);
	seal(sector, lba);
}

static void make_drive(uint32_t sector)
{
	uint64_t last = SIZE / sector - 1;

	memset(drive, 0, SIZE);
	memset(drive, 0x90, 440);
	drive[446 + 4] = 0xee;
	bytes_put_le32(drive + 446 + 8, 1);
	bytes_put_le32(drive + 446 + 12, (uint32_t)last);
	drive[510] = 0x55;
	drive[511] = 0xaa;
	make_copy(sector, 1, last, 2);
	make_copy(sector, last, 1, last - 16384 / sector);
	memset(drive + (5u << 20), 0x33, 1u << 20);
}

static void save(const char *path, const uint8_t *bytes, size_t len)
{
	FILE *f = fopen(path, "we");

	CHECK(f && fwrite(bytes, 1, len, f) == len && !fclose(f));
}

/* The target holds 'x' everywhere. */
static void begin(void)
{
	char uri[64];

	log_set_level(LOG_LEVEL_ERROR);
	err_clear(&err);
	save(src_path, drive, SIZE);
	memset(target, 'x', LARGE);
	save(dst_path, target, LARGE);
	snprintf(uri, sizeof(uri), "file:%s", src_path);
	CHECK(source_open(uri, NULL, &src, &err) == 0);
	CHECK(sink_open(dst_path, SIZE, &dst, &err) == 0);
}

static void end(void)
{
	FILE *f = fopen(dst_path, "re");

	sink_close(dst);
	source_close(src);
	CHECK(f && fread(target, 1, LARGE, f) == LARGE && !fclose(f));
}

static int run(bool keep_head_back)
{
	struct copy_control ctl = { .cancel = false };
	struct copy_options opt = { .keep_head_back = keep_head_back,
		.verify = COPY_VERIFY_FULL };
	struct copy_result result;

	return copy_run(src, dst, &opt, &ctl, &result, &err);
}

static int read_target(void *ctx, void *buf, size_t len, uint64_t off, struct err *why)
{
	(void)ctx;
	(void)why;
	memcpy(buf, target + off, len);
	return 0;
}

/* Both copies are good and where they belong, and all of the disk is usable. */
static void check_table(uint32_t sector)
{
	static struct block_table t;
	const struct block_reader r = { .read = read_target, .size = LARGE,
		.sector = sector };
	uint64_t last = LARGE / sector - 1, taken = 16384 / sector;
	const uint8_t *h = target + sector;

	REQUIRE(block_read_table(&r, &t, &err) == 0);
	CHECK(t.kind == BLOCK_TABLE_GPT && !t.backup_bad && !t.backup_only);
	CHECK(t.n_parts == 1 && t.parts[0].esp && !t.parts[0].masked);
	CHECK_U64(bytes_le64(h + BLOCK_GPT_ALTERNATE), last);
	CHECK_U64(bytes_le64(h + BLOCK_GPT_LAST_USABLE), last - taken - 1);
	CHECK_U64(bytes_le32(target + 446 + 12), last);
	CHECK(!memcmp(target + (last - taken) * sector, target + 2 * sector, 16384));
	/* Nothing else of the drive is changed. */
	memcpy(target + sector, drive + sector, 512);
	memcpy(target + 446, drive + 446, 16);
	CHECK(!memcmp(target, drive, SIZE));
}

static void check_tail(uint64_t from, uint64_t to, uint8_t want)
{
	for (uint64_t i = from; i < to; i++)
		if (target[i] != want) {
			CHECK_U64(target[i], want);
			printf("at %llu\n", (unsigned long long)i);
			return;
		}
}

TEST(copied)
{
	static const uint32_t sectors[] = { 512, 4096 };

	for (int i = 0; i < 2; i++) {
		make_drive(sectors[i]);
		begin();
		CHECK(run(false) == 0);
		end();
		check_table(sectors[i]);
		check_tail(SIZE, SIZE + (1u << 20), 0);
		check_tail(SIZE + (1u << 20), LARGE - (1u << 20), 'x');
		check_tail(LARGE - (1u << 20), LARGE - (64u << 10), 0);
	}
}

/* Between release and commit the old place holds; a commit that is made again, too. */
TEST(committed)
{
	make_drive(512);
	begin();
	CHECK(run(true) == 0);
	CHECK(copy_release_masked(src, dst, false, &err) == 0);
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK(copy_commit(src, dst, &err) == 0);
	end();
	check_table(512);
	check_tail(SIZE, SIZE + (1u << 20), 0);
}

/* Firmware mends the first copy from the second one, when it finds that at the end. */
TEST(only_second)
{
	static struct block_table t;
	const struct block_reader r = { .read = read_target, .size = LARGE,
		.sector = 512 };

	make_drive(512);
	memset(drive + 512, 0xee, 512);
	begin();
	CHECK(run(false) == 0);
	end();
	REQUIRE(block_read_table(&r, &t, &err) == 0);
	CHECK(t.kind == BLOCK_TABLE_GPT && t.backup_only && t.n_parts == 1);
}

/* A partition that reaches to where the second copy would go keeps it where it is. */
TEST(no_room)
{
	uint64_t last = SIZE / 512 - 1;

	make_drive(512);
	bytes_put_le64(drive + 512 + BLOCK_GPT_LAST_USABLE, LARGE / 512 - 33);
	seal(512, 1);
	begin();
	CHECK(run(false) == 0);
	end();
	CHECK_U64(bytes_le64(target + 512 + BLOCK_GPT_ALTERNATE), last);
	CHECK(!memcmp(target, drive, SIZE));
}

TEST(without_table)
{
	memset(drive, 0x44, SIZE);
	begin();
	CHECK(run(false) == 0);
	end();
	CHECK(!memcmp(target, drive, SIZE));
	check_tail(SIZE, SIZE + (1u << 20), 0);
	check_tail(LARGE - (1u << 20), LARGE, 0);
}

TEST(other_sectors)
{
	make_drive(512);
	begin();
	CHECK(copy_check_sectors(src, 4096, "vda", &err) < 0);
	CHECK(err.code == ERR_DISK_SECTOR);
	err_clear(&err);
	CHECK(copy_check_sectors(src, 512, "vda", &err) == 0);
	CHECK(copy_check_sectors(src, 0, "file", &err) == 0);
	end();
	make_drive(4096);
	begin();
	CHECK(copy_check_sectors(src, 4096, "vda", &err) == 0);
	end();
	memset(drive, 0, SIZE);
	begin();
	CHECK(copy_check_sectors(src, 4096, "vda", &err) == 0);
	end();
}

static const struct test tests[] = {
	TEST_ENTRY(copied, "the GPT's second copy is at the end, old labels are gone"),
	TEST_ENTRY(committed, "a commit moves it, too, and can be made again"),
	TEST_ENTRY(only_second, "the first copy is damaged: the second one is moved"),
	TEST_ENTRY(no_room, "a second copy that finds no room stays"),
	TEST_ENTRY(without_table, "a drive without table is copied as it is"),
	TEST_ENTRY(other_sectors, "a table of other sectors than the target's is refused"),
};

int main(int argc, char **argv)
{
	int a = mkstemp(src_path), b = mkstemp(dst_path), r;

	if (a < 0 || b < 0)
		return 1;
	close(a);
	close(b);
	r = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	unlink(src_path);
	unlink(dst_path);
	return r;
}

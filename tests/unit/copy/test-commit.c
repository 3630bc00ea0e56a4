/* SPDX-License-Identifier: Apache-2.0 */
/* The commit needs no source, restores only what was masked,
 * and reads back what it wrote. */
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "copy/copy.h"
#include "tests/unit/test.h"

#define SIZE (8u << 20)
#define LOGICAL (12288u * 512) /* first sector of the FAT volume in a logical partition */

static char src_path[] = "/tmp/tw-commit-s-XXXXXX",
	dst_path[] = "/tmp/tw-commit-d-XXXXXX";
static uint8_t drive[SIZE];
static struct source *src;
static struct sink *dst;
static struct err err;

static void entry(uint8_t *e, uint8_t type, uint32_t start, uint32_t count)
{
	e[4] = type;
	bytes_put_le32(e + 8, start);
	bytes_put_le32(e + 12, count);
}

/* Linux, an ESP, and a FAT volume in a logical partition. */
static void make_drive(void)
{
	uint8_t *ebr = drive + 12000 * 512, *fat = drive + LOGICAL;

	memset(drive, 0, SIZE);
	memset(drive, 0x90, 440);
	entry(drive + 446, 0x83, 2048, 2048);
	entry(drive + 462, 0xef, 4096, 4096);
	entry(drive + 478, 0x05, 12000, 4000);
	drive[510] = ebr[510] = 0x55;
	drive[511] = ebr[511] = 0xaa;
	entry(ebr + 446, 0x0c, 288, 1000);
	memcpy(fat, "\xeb\x3c\x90mkfs.fat\0\2\4\1\0\2\0\2\0\2\xf8", 22);
}

static void save(const char *path)
{
	FILE *f = fopen(path, "we");

	CHECK(f && fwrite(drive, 1, SIZE, f) == SIZE && !fclose(f));
}

static void begin(void)
{
	char uri[64];

	log_set_level(LOG_LEVEL_ERROR);
	err_clear(&err);
	make_drive();
	save(src_path);
	save(dst_path);
	snprintf(uri, sizeof(uri), "file:%s", src_path);
	CHECK(source_open(uri, NULL, &src, &err) == 0);
	CHECK(sink_open(dst_path, SIZE, &dst, &err) == 0);
	CHECK(copy_release_masked(src, dst, false, &err) == 0);
}

static void end(void)
{
	sink_close(dst);
	source_close(src);
}

static int at(const char *path, long off)
{
	FILE *f = fopen(path, "re");
	int c = f && !fseek(f, off, SEEK_SET) ? getc(f) : -1;

	if (f)
		fclose(f);
	return c;
}

static void put(const char *path, long off, int c)
{
	FILE *f = fopen(path, "r+e");

	CHECK(f && !fseek(f, off, SEEK_SET) && putc(c, f) == c && !fclose(f));
}

TEST(without_source)
{
	begin();
	CHECK_U64((unsigned)at(dst_path, 462 + 4), 0);
	CHECK_U64((unsigned)at(dst_path, LOGICAL), 0);
	/* The source is gone, and another drive has its place. */
	memset(drive, 0xee, SIZE);
	save(src_path);
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK_U64((unsigned)at(dst_path, 0), 0x90);
	CHECK_U64((unsigned)at(dst_path, 462 + 4), 0xef);
	CHECK_U64((unsigned)at(dst_path, LOGICAL), 0xeb);
	CHECK_U64((unsigned)at(dst_path, LOGICAL + 21), 0xf8);
	end();
}

TEST(keeps_changes)
{
	begin();
	put(dst_path, 446, 0x80);  /* the active flag */
	put(dst_path, 440, 0x31);  /* the disk signature */
	put(dst_path, 100, 0x77);  /* boot code of its own */
	put(dst_path, LOGICAL + 100, 0x66); /* behind what FAT is known by */
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK_U64((unsigned)at(dst_path, 446), 0x80);
	CHECK_U64((unsigned)at(dst_path, 440), 0x31);
	CHECK_U64((unsigned)at(dst_path, 100), 0x77);
	CHECK_U64((unsigned)at(dst_path, 462 + 4), 0xef);
	CHECK_U64((unsigned)at(dst_path, LOGICAL + 100), 0x66);
	CHECK_U64((unsigned)at(dst_path, LOGICAL), 0xeb);
	end();
}

TEST(conflict)
{
	begin();
	put(dst_path, 462 + 4, 0x42);
	CHECK(copy_commit(src, dst, &err) < 0 && err.code == ERR_DISK_TABLE);
	CHECK(at(dst_path, 0) != 0x90);
	CHECK_U64((unsigned)at(dst_path, LOGICAL), 0);
	/* Once that is undone the commit can be tried again. */
	put(dst_path, 462 + 4, 0);
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK_U64((unsigned)at(dst_path, LOGICAL), 0xeb);
	end();
}

/* After a restart of the worker nothing is kept: the source tells again. */
TEST(restarted)
{
	struct copy_control ctl = { .cancel = false };
	struct copy_options opt = { .keep_head_back = true };
	struct copy_result result;

	begin();
	CHECK(copy_commit(src, dst, &err) == 0); /* forgets */
	CHECK(copy_run(src, dst, &opt, &ctl, &result, &err) == 0);
	CHECK_U64((unsigned)at(dst_path, 0), 0);
	CHECK(copy_commit(src, dst, &err) < 0 && err.code == ERR_DISK_TABLE);
	CHECK(copy_release_masked(src, dst, false, &err) == 0);
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK_U64((unsigned)at(dst_path, 0), 0x90);
	end();
}

static const struct test tests[] = {
	TEST_ENTRY(without_source, "the commit does not need the source any more"),
	TEST_ENTRY(keeps_changes, "only masked bytes are restored"),
	TEST_ENTRY(conflict, "a changed table is an error, and nothing is written"),
	TEST_ENTRY(restarted, "a new copy forgets, a new process asks the source"),
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

/* SPDX-License-Identifier: Apache-2.0 */
/* The zero ladder with ways that refuse and ways that lie; files; ranges. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "sink/sink-internal.h"
#include "tests/unit/test.h"

#define SIZE (1u << 20)

static uint8_t memory[SIZE];
static unsigned calls[3];

static int mem_write(struct sink *k, const void *buf, size_t len, uint64_t off,
	struct err *err)
{
	(void)k;
	(void)err;
	memcpy(memory + off, buf, len);
	return 0;
}

static int mem_read(struct sink *k, void *buf, size_t len, uint64_t off, struct err *err)
{
	(void)k;
	(void)err;
	memcpy(buf, memory + off, len);
	return 0;
}

static int refuses(int fd, uint64_t off, uint64_t len)
{
	(void)fd;
	(void)off;
	(void)len;
	calls[0]++;
	errno = EOPNOTSUPP;
	return -1;
}

/* Says yes, and cuts the range: nbdkit up to 1.44 did that to long requests. */
static int lies(int fd, uint64_t off, uint64_t len)
{
	(void)fd;
	calls[1]++;
	memset(memory + off, 0, len / 2);
	return 0;
}

static int works(int fd, uint64_t off, uint64_t len)
{
	(void)fd;
	calls[2]++;
	memset(memory + off, 0, len);
	return 0;
}

static const struct sink_zero_way ways[] = {
	{ "refuses", refuses }, { "lies", lies }, { "works", works }, { NULL, NULL },
};
static const struct sink_zero_way bad_ways[] = {
	{ "refuses", refuses }, { "lies", lies }, { NULL, NULL },
};
static const struct sink_ops mem_ops = { .name = "mem", .write = mem_write,
	.read = mem_read };
static struct sink mem = { .ops = &mem_ops, .info = { .size = SIZE }, .name = "memory" };

static void zero(struct sink_zeroer *z, uint64_t off, uint64_t len)
{
	struct err err = ERR_INIT;

	memset(memory, 0xff, SIZE);
	CHECK(sink_zero_range(&mem, z, off, len, &err) == 0);
	CHECK(bytes_are_zero(memory + off, len));
	CHECK(!off || memory[off - 1] == 0xff);
	CHECK(off + len == SIZE || memory[off + len] == 0xff);
}

TEST(ladder)
{
	struct sink_zeroer z = { .ways = ways, .granule = 4096 };

	log_set_level(LOG_LEVEL_ERROR);
	memset(calls, 0, sizeof(calls));
	zero(&z, 0, SIZE);
	zero(&z, 5, 99999);
	zero(&z, 4096, 4096);
	zero(&z, 100, 200);
	CHECK_U64(calls[0], 1);
	CHECK_U64(calls[1], 1);
	CHECK_U64(calls[2], 3);
}

TEST(written)
{
	struct sink_zeroer z = { .ways = bad_ways, .granule = 65536 };

	memset(calls, 0, sizeof(calls));
	zero(&z, 65536, SIZE - 65536);
	zero(&z, 1, SIZE - 1);
	CHECK_U64(calls[1], 1);
}

TEST(file)
{
	char path[] = "/tmp/tw-sink-XXXXXX";
	uint8_t buf[5000], back[5000];
	struct err err = ERR_INIT;
	struct sink *k = NULL;
	struct stat st;
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	memset(buf, 7, sizeof(buf));
	REQUIRE(sink_open(path, 100001, &k, &err) == 0);
	CHECK(sink_get_info(k)->reads_zero);
	CHECK_U64(sink_get_info(k)->size, 100001);
	CHECK(sink_write(k, buf, sizeof(buf), 95001, &err) == 0);
	CHECK(sink_write(k, buf, sizeof(buf), 95002, &err) < 0);
	CHECK(err.code == ERR_INTERNAL);
	CHECK(sink_write(k, buf, 1, UINT64_MAX, &err) < 0);
	CHECK(sink_zero(k, 96000, 4001, &err) == 0);
	CHECK(sink_read(k, back, 5000, 95001, &err) == 0);
	CHECK(back[998] == 7 && bytes_are_zero(back + 999, 4001));
	CHECK(sink_flush(k, &err) == 0);
	sink_close(k);
	/* Opened for less: it stays as long as it is, and does not read as zeroes. */
	REQUIRE(sink_open(path, 10, &k, &err) == 0);
	CHECK(!sink_get_info(k)->reads_zero);
	sink_close(k);
	CHECK(!fstat(fd, &st) && st.st_size == 100001);
	close(fd);
	unlink(path);
	CHECK(sink_open("/nonexistent/x", 10, &k, &err) < 0 &&
		err.code == ERR_DISK_NOT_FOUND);
	CHECK(sink_open("/tmp", 10, &k, &err) < 0);
}

TEST(holes)
{
	char path[] = "/tmp/tw-sink-XXXXXX";
	uint8_t buf[4096] = { 1 };
	struct err err = ERR_INIT;
	struct sink *k = NULL;
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	REQUIRE(sink_open(path, 4 << 20, &k, &err) == 0);
	CHECK_U64(sink_next_data(k, 0, 4 << 20), 4 << 20);
	REQUIRE(sink_write(k, buf, sizeof(buf), 2 << 20, &err) == 0);
	CHECK_U64(sink_next_data(k, 0, 4 << 20), 2 << 20);
	CHECK_U64(sink_next_data(k, 1 << 20, 2 << 20), 2 << 20);
	CHECK_U64(sink_next_data(k, 4096, 8192), 8192);
	CHECK_U64(sink_next_data(k, (2 << 20) + 5, 4 << 20), (2 << 20) + 5);
	CHECK_U64(sink_next_data(k, (2 << 20) + 4096, 4 << 20), 4 << 20);
	sink_close(k);
	close(fd);
	unlink(path);
	/* What cannot tell has to be read. */
	CHECK_U64(sink_next_data(&mem, 77, SIZE), 77);
}

/* Pages of a file that are in memory. */
static unsigned resident(const char *path, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char pages[256] = { 0 };
	unsigned n = 0;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(fd >= 0 && map != MAP_FAILED && mincore(map, size, pages) == 0);
	for (size_t i = 0; i < size / 4096; i++)
		n += pages[i] & 1;
	munmap(map, size);
	close(fd);
	return n;
}

TEST(forgets)
{
	char path[] = "/tmp/tw-forget-XXXXXX";
	struct err err = ERR_INIT;
	struct sink *k = NULL;
	struct statfs fs;

	close(mkstemp(path));
	if (!statfs(path, &fs) && fs.f_type == TMPFS_MAGIC) {
		puts("  /tmp is memory: nothing to forget here");
		unlink(path);
		return;
	}
	memset(memory, 7, SIZE);
	REQUIRE(sink_open(path, SIZE, &k, &err) == 0 &&
		sink_write(k, memory, SIZE, 0, &err) == 0 && sink_flush(k, &err) == 0);
	CHECK(resident(path, SIZE) > 0);
	sink_forget(k);
	CHECK_U64(resident(path, SIZE), 0);
	sink_close(k);
	unlink(path);
}

static const struct test tests[] = {
	TEST_ENTRY(ladder,
		"a way that refuses or lies is not used again; edges are written"),
	TEST_ENTRY(written, "with no way left zeroes are written"),
	TEST_ENTRY(holes, "what a file has no data for need not be read"),
	TEST_ENTRY(file, "files grow, keep their end, check ranges"),
	TEST_ENTRY(forgets, "what was written to a file is read from the disk again"),
};
TEST_MAIN(tests)

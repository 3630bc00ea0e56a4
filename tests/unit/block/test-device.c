/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/block.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/tw-device-XXXXXX";

static void refused(const char *path)
{
	struct block_dev d;
	struct err err = ERR_INIT;
	char want[128];

	snprintf(want, sizeof(want), "%s is neither a block device nor a file", path);
	REQUIRE(block_open(path, BLOCK_DIRECT, &d, &err) < 0);
	CHECK_U64(err.code, ERR_DISK_NOT_FOUND);
	CHECK_STR(err.text, want);
}

TEST(kinds)
{
	struct block_dev d;
	struct err err = ERR_INIT;
	char path[64];
	int fd;

	REQUIRE(mkdtemp(dir));
	refused(dir);
	refused("/dev/null");
	snprintf(path, sizeof(path), "%s/pipe", dir);
	REQUIRE(!mkfifo(path, 0600));
	alarm(60); /* opening it would wait for a writer for ever */
	refused(path);
	alarm(0);
	unlink(path);

	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0 && !ftruncate(fd, 12345));
	close(fd);
	REQUIRE(!block_open(path, BLOCK_WRITE | BLOCK_EXCLUSIVE, &d, &err));
	CHECK(!d.device && d.sector == 512 && d.align == 4096);
	CHECK_U64(d.size, 12345);
	block_close(&d);
	unlink(path);
	err = (struct err)ERR_INIT;
	REQUIRE(block_open(path, 0, &d, &err) < 0);
	CHECK_U64(err.code, ERR_DISK_NOT_FOUND);
	rmdir(dir);
}

static const struct test tests[] = {
	TEST_ENTRY(kinds, "a file is opened and measured; a folder, a pipe, a character device are not"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* Unmounting: a file system in use is never reported as gone. Needs root;
 * in a mount namespace. */
#include "fs/fs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../test.h"

static char dir[64];

static int prepare(void)
{
	if (geteuid() || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		puts("(not root: left out)");
		return -1;
	}
	snprintf(dir, sizeof(dir), "/tmp/tw-mount-XXXXXX");
	return mkdtemp(dir) && !mount("tmpfs", dir, "tmpfs", 0, NULL) ? 0 : -1;
}

TEST(busy)
{
	struct err err = ERR_INIT;
	int fd;

	if (prepare() < 0)
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	CHECK(fs_unmount(dir, &err) == -1);
	CHECK_U64(err.code, ERR_DISK_BUSY);
	close(fd);
	CHECK(!rmdir(dir)); /* and yet it is out of the tree */
}

TEST(idle)
{
	struct err err = ERR_INIT;

	if (prepare() < 0)
		return;
	CHECK(!fs_unmount(dir, &err));
	CHECK(fs_unmount(dir, &err) == -1); /* nothing is mounted there any more */
	CHECK_U64(err.code, ERR_FS_MOUNT);
	CHECK(!rmdir(dir));
}

static const struct test tests[] = {
	TEST_ENTRY(busy, "a mount in use goes out of the tree and is DISK_BUSY"),
	TEST_ENTRY(idle, "an idle mount goes"),
};
TEST_MAIN(tests)

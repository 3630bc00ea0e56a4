/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts are made and undone by descriptors: links that appear meanwhile lead nowhere, a
 * value of an option is one value, and a file system in use is never reported as gone.
 * Needs root; in a mount namespace.
 */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "block/block.h"
#include "../test.h"

static char dir[64];
static struct block_loop loop = BLOCK_LOOP_INIT;

static int put(const char *name, char *ret)
{
	return snprintf(ret, 128, "%s/%s", dir, name);
}

/* A folder, and an ext4 in a file of it behind a loop device. */
static int prepare(void)
{
	char image[128], command[400];
	struct err err = ERR_INIT;

	if (geteuid() || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		puts("(not root: left out)");
		return -1;
	}
	snprintf(dir, sizeof(dir), "/tmp/tw-mount-XXXXXX");
	if (!CHECK(mkdtemp(dir) != NULL))
		return -1;
	put("image", image);
	snprintf(command, sizeof(command),
		"truncate -s 4M %s && mke2fs -q -F -t ext4 %s && mkdir %s/at", image,
		image, dir);
	return CHECK(!system(command)) &&
		CHECK(!block_loop_attach(image, false, &loop, &err)) ? 0 : -1;
}

static void done(void)
{
	char command[100];
	struct err err = ERR_INIT;

	CHECK(!block_loop_detach(&loop, &err));
	snprintf(command, sizeof(command), "rm -rf --one-file-system %s", dir);
	CHECK(!system(command));
}

static int mount_at(const char *name, const struct fs_option *o, struct err *err)
{
	char path[128];
	int at, fd;

	put(name, path);
	at = open(path, O_PATH | O_DIRECTORY);
	fd = at < 0 ? -1 : fs_mount(loop.node, "ext4", at, false, o, err);
	close(at);
	return fd;
}

/* Whether something is mounted on the folder. */
static bool is_mounted(const char *name)
{
	char path[128];
	int at;
	bool is;

	put(name, path);
	at = open(path, O_PATH | O_DIRECTORY);
	is = fs_is_mounted(at);
	close(at);
	return is;
}

TEST(busy)
{
	struct err err = ERR_INIT;
	int mount, held;

	if (prepare() < 0)
		return;
	mount = mount_at("at", NULL, &err);
	REQUIRE(mount >= 0);
	held = openat(mount, ".", O_RDONLY | O_DIRECTORY);
	CHECK(held >= 0);
	CHECK(!fs_unmount(&mount, "at", &err));
	CHECK(mount == -1);
	CHECK(!is_mounted("at")); /* out of the tree */
	CHECK(fs_wait_free(loop.node, 0, &err) == -1);
	CHECK_U64(err.code, ERR_DISK_BUSY);
	close(held);
	CHECK(!fs_wait_free(loop.node, 1, &err));
	done();
}

/* The folder that the mount is on moves, and its name becomes a link to another mount. */
TEST(links)
{
	struct err err = ERR_INIT;
	char at[128], moved[128], other[128];
	int mounted;

	if (prepare() < 0)
		return;
	put("up", at);
	put("moved", moved);
	put("other", other);
	CHECK(!mkdir(at, 0700) && !mkdir(other, 0700));
	put("up/in", at);
	CHECK(!mkdir(at, 0700));
	put("other/in", other);
	CHECK(!mkdir(other, 0700) && !mount("tmpfs", other, "tmpfs", 0, NULL));
	mounted = mount_at("up/in", NULL, &err);
	REQUIRE(mounted >= 0);
	put("up", at);
	CHECK(!rename(at, moved) && !symlink("other", at));
	CHECK(!fs_unmount(&mounted, "up/in", &err));
	CHECK(is_mounted("other/in"));
	CHECK(!is_mounted("moved/in"));
	CHECK(!fs_wait_free(loop.node, 1, &err));
	CHECK(!umount2(other, MNT_DETACH));
	done();
}

/* "commit=5,noload" is no number of seconds, and not two options. */
TEST(values)
{
	static const struct fs_option good[] = { { "commit", "5" }, { NULL, NULL } };
	static const struct fs_option bad[] = { { "commit", "5,nodelalloc" },
		{ NULL, NULL } };
	struct err err = ERR_INIT;
	int mount;

	if (prepare() < 0)
		return;
	mount = mount_at("at", bad, &err);
	CHECK(mount < 0);
	CHECK_U64(err.code, ERR_FS_MOUNT);
	CHECK(!is_mounted("at"));
	mount = mount_at("at", good, &err);
	REQUIRE(mount >= 0);
	CHECK(is_mounted("at"));
	CHECK(!fs_unmount(&mount, "at", &err));
	CHECK(!fs_wait_free(loop.node, 1, &err));
	done();
}

static const struct test tests[] = {
	TEST_ENTRY(busy, "a mount in use goes out of the tree, and its device is not free"),
	TEST_ENTRY(links, "links on the way to a mount do not lead its end elsewhere"),
	TEST_ENTRY(values, "a value of an option is never split"),
};
TEST_MAIN(tests)

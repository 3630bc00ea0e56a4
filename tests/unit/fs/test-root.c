/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile tree: nothing outside of it is read or written through it. */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "../test.h"

static char top[64], outside[96];
static struct fs_root root = { .fd = -1 };

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/root%s", top, path);
	f = fopen(full, "w");
	if (!CHECK(f != NULL))
		return;
	fputs(text, f);
	fclose(f);
}

static void setup(void)
{
	struct err err = ERR_INIT;
	char path[256];

	if (root.fd >= 0)
		return;
	snprintf(top, sizeof(top), "/tmp/tw-fs-XXXXXX");
	REQUIRE(mkdtemp(top));
	snprintf(path, sizeof(path), "%s/root", top);
	mkdir(path, 0755);
	REQUIRE(!fs_root_open(&root, path, &err));
	snprintf(outside, sizeof(outside), "%s/secret", top);
	fclose(fopen(outside, "w"));
	CHECK(!fs_mkdirs(&root, "/etc/deep/er", 0755, &err));
	put("/etc/fstab", "inside\n");
	CHECK(!fs_symlink(&root, "/etc/fstab", "/absolute", &err));
	CHECK(!fs_symlink(&root, "../../../../../../secret", "/etc/up", &err));
	CHECK(!fs_symlink(&root, outside, "/etc/out", &err));
	CHECK(!fs_symlink(&root, "loop2", "/loop1", &err));
	CHECK(!fs_symlink(&root, "loop1", "/loop2", &err));
	CHECK(!fs_symlink(&root, "/nowhere", "/dangling", &err));
	CHECK(!fs_symlink(&root, "/proc/self/root", "/magic", &err));
	CHECK(!fs_symlink(&root, "etc", "/link-to-etc", &err));
}

TEST(reads_inside)
{
	struct err err = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	char real[256];
	size_t len;

	setup();
	REQUIRE(fs_read(&root, "/absolute", 100, &text, &len, &err) == 0);
	CHECK_STR(text, "inside\n");
	CHECK(!fs_real(&root, "/absolute", real, sizeof(real), &err));
	CHECK_STR(real, "/etc/fstab");
	CHECK(!fs_real(&root, "/link-to-etc/../link-to-etc/fstab", real, sizeof(real),
		&err));
	CHECK_STR(real, "/etc/fstab");
	CHECK(fs_is_file(&root, "/link-to-etc/fstab"));
	CHECK(fs_is_dir(&root, "/../../../.."));
}

TEST(never_outside)
{
	struct err err = ERR_INIT;
	char *text = NULL, real[256];
	size_t len;

	setup();
	CHECK(fs_read(&root, "/etc/up", 100, &text, &len, &err) == 1);
	CHECK(fs_read(&root, "/etc/out", 100, &text, &len, &err) == 1);
	CHECK(fs_read(&root, "/dangling", 100, &text, &len, &err) == 1);
	CHECK(fs_read(&root, "/../secret", 100, &text, &len, &err) == 1);
	CHECK(fs_read(&root, "/magic", 100, &text, &len, &err) == 1);
	CHECK(fs_read(&root, "/loop1", 100, &text, &len, &err) == -1);
	CHECK_U64(err.code, ERR_FS_UNSAFE);
	CHECK(fs_real(&root, "/loop1", real, sizeof(real), &err) == -1);
	CHECK_U64(err.code, ERR_FS_UNSAFE);
	CHECK(fs_replace(&root, "/etc/..", "x", 1, 0644, &err) == -1);
	CHECK(fs_replace(&root, "/loop1/x", "x", 1, 0644, &err) == -1);
	CHECK_U64(err.code, ERR_FS_UNSAFE);
	/* the last part is never followed: a link is not written through */
	CHECK(fs_replace(&root, "/etc/out", "x", 1, 0644, &err) == -1);
	CHECK_U64(err.code, ERR_FS_UNSAFE);
	CHECK(!text);
}

TEST(only_files)
{
	struct err err = ERR_INIT;
	char *text = NULL, path[256];
	size_t len;

	setup();
	snprintf(path, sizeof(path), "%s/root/pipe", top);
	REQUIRE(!mkfifo(path, 0600));
	/* and does not hang */
	CHECK(fs_read(&root, "/pipe", 100, &text, &len, &err) == -1);
	CHECK_U64(err.code, ERR_FS_UNSAFE);
	CHECK(fs_read(&root, "/etc", 100, &text, &len, &err) == -1);
	snprintf(path, sizeof(path), "%s/root/huge", top);
	CHECK(!close(open(path, O_WRONLY | O_CREAT, 0600)) && !truncate(path, 1ll << 40));
	CHECK(fs_read(&root, "/huge", 1 << 20, &text, &len, &err) == -1);
	CHECK_U64(err.code, ERR_FS_UNSAFE);
	CHECK(!text);
}

TEST(replaces)
{
	struct err err = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	char path[256], sha[65];
	struct stat st;
	size_t len;

	setup();
	put("/etc/conf", "old");
	snprintf(path, sizeof(path), "%s/root/etc/conf", top);
	REQUIRE(!chmod(path, 0640));
	CHECK(!fs_replace(&root, "/etc/conf", "new text", 8, 0600, &err));
	REQUIRE(!fs_stat(&root, "/etc/conf", &st));
	CHECK_U64(st.st_mode & 07777, 0640); /* the old one's mode */
	REQUIRE(!fs_read(&root, "/etc/conf", 100, &text, &len, &err));
	CHECK_STR(text, "new text");
	CHECK(!fs_replace(&root, "/etc/fresh", "", 0, 0600, &err));
	REQUIRE(!fs_stat(&root, "/etc/fresh", &st));
	CHECK_U64(st.st_mode & 07777, 0600);
	CHECK(!fs_copy(&root, "/etc/conf", "/etc/deep/copy", false, sha, &err));
	CHECK(fs_copy(&root, "/etc/conf", "/etc/deep/copy", false, sha, &err) == -1);
	CHECK(!fs_copy(&root, "/etc/conf", "/etc/deep/copy", true, sha, &err));
	CHECK_STR(sha,
		"cb0208b0b1fa06bc59f85c8b2be1e45ff2ef6ddbf0cef02e9f276b8208ea48ab");
	CHECK(!fs_remove(&root, "/etc/deep/copy", &err));
	CHECK(!fs_remove(&root, "/etc/deep/copy", &err)); /* gone is gone */
}

TEST(cleanup)
{
	char cmd[128];

	setup();
	fs_root_close(&root);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	CHECK(!system(cmd));
}

static const struct test tests[] = {
	TEST_ENTRY(reads_inside, "absolute links and .. start again at the guest's root"),
	TEST_ENTRY(never_outside, "loops, magic links and paths upwards lead nowhere"),
	TEST_ENTRY(only_files, "pipes, folders and huge files are refused"),
	TEST_ENTRY(replaces,
		"a replaced file keeps its mode; copies are never made over others"),
	TEST_ENTRY(cleanup, "the test tree goes away"),
};
TEST_MAIN(tests)

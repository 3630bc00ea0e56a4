/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a file beside its content, when it is replaced, copied and brought
 * back. The attributes need root. */
#include "fs/fs.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../test.h"

static char top[64];
static struct fs_root root = { .fd = -1 };

static const char *at(const char *path)
{
	static char full[256];

	snprintf(full, sizeof(full), "%s%s", top, path);
	return full;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(at(path), "w");

	if (!CHECK(f != NULL))
		return;
	fputs(text, f);
	fclose(f);
}

static bool is_root(void)
{
	if (geteuid())
		puts("(not root: left out)");
	return !geteuid();
}

/* Root's attributes: all file systems of a machine that tests run on have them. */
static void mark(const char *path, const char *value)
{
	CHECK(!lsetxattr(at(path), "trusted.note", value, strlen(value), 0));
}

static void has_mark(const char *path, const char *value)
{
	char got[32] = "";

	lgetxattr(at(path), "trusted.note", got, sizeof(got) - 1);
	CHECK_STR(got, value);
}

static void setup(void)
{
	struct err err = ERR_INIT;

	if (root.fd >= 0)
		return;
	snprintf(top, sizeof(top), "/var/tmp/tw-meta-XXXXXX");
	REQUIRE(mkdtemp(top));
	REQUIRE(!fs_root_open(&root, top, &err));
}

TEST(keeps)
{
	struct err err = ERR_INIT;
	struct stat st;

	setup();
	if (!is_root())
		return;
	put("/old", "old");
	mark("/old", "kept");
	REQUIRE(!chmod(at("/old"), 0640) && !chown(at("/old"), 12, 34));
	CHECK(!fs_replace(&root, "/old", "new text", 8, 0600, &err));
	has_mark("/old", "kept");
	CHECK(!fs_append(&root, "/old", "more", 4, &err));
	has_mark("/old", "kept");
	CHECK(!fs_copy(&root, "/old", "/copy", false, NULL, &err));
	has_mark("/copy", "kept");
	REQUIRE(!fs_lstat(&root, "/copy", &st));
	CHECK_U64(st.st_mode & 07777, 0640);
	CHECK_U64(st.st_uid, 12);
	CHECK_U64(st.st_gid, 34);
	CHECK_U64(st.st_size, 12);
}

TEST(holes)
{
	static const char data[] = "data behind a hole", zeroes[65536];
	struct err err = ERR_INIT;
	char sha[65], copied[65];
	struct stat st;
	int fd;

	setup();
	fd = open(at("/holes"), O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	CHECK(pwrite(fd, data, sizeof(data), 0) > 0);
	CHECK(pwrite(fd, data, sizeof(data), 8 << 20) > 0);
	CHECK(!ftruncate(fd, 16 << 20) && !fsync(fd) && !close(fd));
	CHECK(!fs_copy(&root, "/holes", "/copied", false, copied, &err));
	REQUIRE(!fs_lstat(&root, "/copied", &st));
	CHECK_U64(st.st_size, 16 << 20);
	CHECK(st.st_blocks < 2048);
	/* of the same bytes, without holes */
	fd = open(at("/full"), O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	for (int i = 0; i < 16 << 20; i += (int)sizeof(zeroes))
		CHECK(write(fd, zeroes, sizeof(zeroes)) == (ssize_t)sizeof(zeroes));
	CHECK(pwrite(fd, data, sizeof(data), 0) > 0);
	CHECK(pwrite(fd, data, sizeof(data), 8 << 20) > 0);
	CHECK(!close(fd));
	CHECK(!fs_sha256(&root, "/full", sha, &err));
	CHECK_STR(copied, sha);
}

static int no_xattr(void *ctx, const struct fs_xattr *x)
{
	(void)ctx;
	(void)x;
	return 0;
}

/* Attributes are set exactly: others go. */
TEST(sets)
{
	static const char *const paths[] = { "/dir", "/link", "/file" };
	static const struct fs_xattr one = { "trusted.note", "back", 4 };
	struct fs_meta m = { .xattrs = &one, .n_xattrs = 1 }, now;
	struct err err = ERR_INIT;

	setup();
	if (!is_root())
		return;
	REQUIRE(!mkdir(at("/dir"), 0700));
	CHECK(!fs_symlink(&root, "nowhere", "/link", &err));
	put("/file", "x");
	m.st.st_mode = 0711;
	m.st.st_uid = 5;
	m.st.st_mtim.tv_sec = m.st.st_atim.tv_sec = 1000000;
	for (size_t i = 0; i < 3; i++) {
		mark(paths[i], "changed");
		CHECK(!lsetxattr(at(paths[i]), "trusted.more", "x", 1, 0));
		CHECK(!fs_set_meta(&root, paths[i], &m, &err));
		has_mark(paths[i], "back");
		CHECK(lgetxattr(at(paths[i]), "trusted.more", NULL, 0) < 0);
		REQUIRE(!fs_get_meta(&root, paths[i], &now, no_xattr, NULL, &err));
		CHECK_U64(now.st.st_uid, 5);
		CHECK_U64(now.st.st_mtim.tv_sec, 1000000);
		if (i != 1)
			CHECK_U64(now.st.st_mode & 07777, 0711);
	}
	/* -1: they stay */
	m.n_xattrs = -1;
	mark("/file", "stays");
	CHECK(!fs_set_meta(&root, "/file", &m, &err));
	has_mark("/file", "stays");
}

TEST(takes_place)
{
	struct err err = ERR_INIT;
	char target[64];
	struct stat a, b;

	setup();
	put("/first", "1");
	put("/second", "2");
	CHECK(!fs_link(&root, "/first", "/second", &err));
	CHECK(!fs_link(&root, "/first", "/second", &err)); /* again */
	REQUIRE(!fs_lstat(&root, "/first", &a) && !fs_lstat(&root, "/second", &b));
	CHECK_U64(a.st_ino, b.st_ino);
	CHECK_U64(a.st_nlink, 2);
	CHECK(!fs_symlink(&root, "there", "/second", &err));
	CHECK(fs_readlink(&root, "/second", target, sizeof(target)) == 0);
	CHECK_STR(target, "there");
	put("/third.tw-new", "half");
	CHECK(!fs_remove_unfinished(&root, "/third", &err));
	CHECK(fs_lstat(&root, "/third.tw-new", &a) < 0);
	CHECK(!fs_remove_unfinished(&root, "/none/there", &err));
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
	TEST_ENTRY(keeps, "what is replaced, grows or is copied keeps its attributes"),
	TEST_ENTRY(holes, "a copy has the holes, and the hash counts their zeroes"),
	TEST_ENTRY(sets, "files, folders and links get exactly these attributes"),
	TEST_ENTRY(takes_place, "links take the place of what is there"),
	TEST_ENTRY(cleanup, "the test tree goes away"),
};
TEST_MAIN(tests)

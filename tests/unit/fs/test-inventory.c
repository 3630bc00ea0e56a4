/* SPDX-License-Identifier: Apache-2.0 */
/* Inventories of a tree, and what they tell of it later: also of folders with very many
 * files and of those that are nested without end. */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "../test.h"

#define FOLD_AT 20

static char top[64];
static struct fs_root root = { .fd = -1 };
static struct err err = ERR_INIT;

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", top, path);
	f = fopen(full, "w");
	if (!CHECK(f != NULL))
		return;
	fputs(text, f);
	fclose(f);
}

static void begin(void)
{
	err_clear(&err);
	snprintf(top, sizeof(top), "/tmp/tw-inventory-XXXXXX");
	REQUIRE(mkdtemp(top));
	REQUIRE(!fs_root_open(&root, top, &err));
}

static void end(void)
{
	char cmd[128];

	fs_root_close(&root);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	CHECK(!system(cmd));
}

struct seen {
	char text[1024];
};

/* "+path", "~path", "-path"; "?path": something there is lost. */
static int note(void *ctx, enum fs_change c, const char *path, unsigned mode)
{
	struct seen *s = ctx;
	size_t used = strlen(s->text);

	snprintf(s->text + used, sizeof(s->text) - used, "%c%s ",
		mode == FS_MODE_LOST ? '?' : "+~-"[c], path);
	return 0;
}

/* Not what is in /skip. */
static struct fs_inventory *take(const struct fs_inventory *like, uint32_t fold_at)
{
	struct stat skip;
	const struct fs_inventory_rules rules = { .skip = &skip,
		.n_skip = !fs_lstat(&root, "/skip", &skip), .like = like,
		.fold_at = fold_at };
	struct fs_inventory *inv = NULL;

	CHECK(!fs_inventory_take(&root, &rules, &inv, &err));
	return inv;
}

static void check_since_at(const struct fs_inventory *before, uint32_t fold_at,
	const char *want)
{
	struct fs_inventory *after = take(before, fold_at);
	struct seen s = { "" };

	if (!after)
		return;
	CHECK(!fs_inventory_diff(before, after, note, &s, &err));
	CHECK_STR(s.text, want);
	fs_inventory_free(after);
}

static void check_since(const struct fs_inventory *before, const char *want)
{
	check_since_at(before, FOLD_AT, want);
}

TEST(changes)
{
	struct fs_inventory *a;

	begin();
	CHECK(!fs_mkdirs(&root, "/skip", 0755, &err));
	CHECK(!fs_mkdirs(&root, "/d/e", 0755, &err));
	put("/d/stays", "1");
	put("/d/changes", "1");
	put("/d/goes", "1");
	a = take(NULL, FOLD_AT);
	REQUIRE(a);
	check_since(a, "");
	put("/skip/x", "1");
	put("/d/changes", "2");
	put("/d/e/new", "1");
	CHECK(!fs_remove(&root, "/d/goes", &err));
	check_since(a, "~/d/changes +/d/e/new -/d/goes ");
	fs_inventory_free(a);
	end();
}

/* Whether the tree is what it was, but for what is below a folder, in one number. */
TEST(digest)
{
	struct fs_inventory *a, *b;

	begin();
	CHECK(!fs_mkdirs(&root, "/d/e", 0755, &err));
	CHECK(!fs_mkdirs(&root, "/many", 0755, &err));
	put("/d/stays", "1");
	for (int i = 0; i < 2 * FOLD_AT; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/many/%d", i);
		put(path, "1");
	}
	a = take(NULL, FOLD_AT);
	put("/d/e/new", "1");
	b = take(NULL, FOLD_AT);
	REQUIRE(a && b);
	CHECK_U64(fs_inventory_digest(a, "/d/e"), fs_inventory_digest(b, "/d/e"));
	CHECK(fs_inventory_digest(a, "/d/x") != fs_inventory_digest(b, "/d/x"));
	fs_inventory_free(b);
	put("/many/3", "22");
	b = take(a, FOLD_AT);
	REQUIRE(b);
	CHECK(fs_inventory_digest(a, "/d/e") != fs_inventory_digest(b, "/d/e"));
	fs_inventory_free(b);
	put("/d/stays", "22");
	b = take(a, FOLD_AT);
	REQUIRE(b);
	CHECK(fs_inventory_digest(a, "/many") != fs_inventory_digest(b, "/many"));
	fs_inventory_free(a);
	fs_inventory_free(b);
	end();
}

/* /srv/mail has more files than that, in folders of its own, and /etc has not; /usr has
 * in all, but they are of interest one by one. */
static void make_many(void)
{
	char path[64];

	CHECK(!fs_mkdirs(&root, "/srv/mail/new", 0755, &err));
	CHECK(!fs_mkdirs(&root, "/etc", 0755, &err));
	for (int i = 0; i < 2 * FOLD_AT; i++) {
		snprintf(path, sizeof(path), "/srv/mail/%s%d", i % 2 ? "new/" : "", i);
		put(path, "1");
		snprintf(path, sizeof(path), "/usr/%d", i / 8);
		CHECK(!fs_mkdirs(&root, path, 0755, &err));
		snprintf(path, sizeof(path), "/usr/%d/%d", i / 8, i);
		put(path, "1");
	}
	put("/etc/goes", "1");
	/* the clock of files ticks a few hundred times in a second */
	usleep(50000);
}

TEST(many_files)
{
	struct fs_inventory *a;
	char from[96], to[96];

	begin();
	make_many();
	a = take(NULL, FOLD_AT);
	REQUIRE(a);
	CHECK_U64(fs_inventory_get_gaps(a)->folded, 1);
	usleep(50000);
	check_since(a, "");
	/* Of a new name nobody knows that it is one. */
	snprintf(from, sizeof(from), "%s/srv/mail/2", top);
	snprintf(to, sizeof(to), "%s/srv/mail/renamed", top);
	CHECK(!rename(from, to));
	check_since(a, "~/srv/mail ~/srv/mail/renamed ");
	CHECK(!rename(to, from));
	fs_inventory_free(a);
	usleep(50000);
	a = take(NULL, FOLD_AT);
	REQUIRE(a);
	usleep(50000);
	put("/srv/mail/new/3", "2");
	put("/srv/mail/new/more", "1");
	CHECK(!fs_mkdirs(&root, "/srv/mail/cur/x", 0755, &err));
	put("/usr/1/9", "2");
	CHECK(!fs_remove(&root, "/etc/goes", &err));
	check_since(a, "-/etc/goes ~/srv/mail +/srv/mail/cur +/srv/mail/cur/x ~/srv/mail/new/3 "
		"+/srv/mail/new/more ~/usr/1/9 ");
	/* What goes in such a folder has no name any more. */
	CHECK(!fs_remove(&root, "/srv/mail/new/5", &err));
	CHECK(!fs_remove(&root, "/srv/mail/new/more", &err));
	CHECK(!fs_remove(&root, "/srv/mail/cur/x", &err));
	CHECK(!fs_remove(&root, "/srv/mail/cur", &err));
	check_since(a, "-/etc/goes ?/srv/mail ~/srv/mail/new/3 ~/usr/1/9 ");
	fs_inventory_free(a);
	end();
}

/* A second list counts from the first one's time: what changed between is no news. */
TEST(second_list)
{
	struct fs_inventory *a, *b;

	begin();
	make_many();
	a = take(NULL, FOLD_AT);
	REQUIRE(a);
	usleep(50000);
	put("/srv/mail/new/3", "2");
	put("/srv/mail/early", "1");
	b = take(a, FOLD_AT);
	REQUIRE(b);
	put("/srv/mail/late", "1");
	check_since(b, "~/srv/mail +/srv/mail/late ");
	fs_inventory_free(a);
	fs_inventory_free(b);
	end();
}

/* What was saved of a list with a folder in one says nothing of what lies in it. */
TEST(saved)
{
	CLEANUP_FREE char *text = NULL;
	struct fs_inventory *a, *b;
	struct seen s = { "" };
	size_t len = 0;

	begin();
	make_many();
	a = take(NULL, FOLD_AT);
	REQUIRE(a);
	CHECK(!fs_mkdirs(&root, "/skip", 0755, &err));
	CHECK(!fs_inventory_save(a, &root, "/skip/list", &err));
	REQUIRE(!fs_read(&root, "/skip/list", 1 << 20, &text, &len, &err));
	put("/etc/new", "1");
	put("/srv/mail/more", "1");
	b = take(NULL, 1000); /* nothing is folded */
	REQUIRE(b);
	CHECK_U64(fs_inventory_get_gaps(b)->folded, 0);
	CHECK(!fs_inventory_added(b, text, len, note, &s, &err));
	CHECK_STR(s.text, "+/etc/new ");
	fs_inventory_free(a);
	fs_inventory_free(b);
	end();
}

TEST(deep)
{
	const struct rlimit few = { 300, 300 };
	struct fs_inventory *a;
	int fd, sub = -1;

	begin();
	CHECK(!setrlimit(RLIMIT_NOFILE, &few));
	fd = open(top, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 5000 && fd >= 0; i++, fd = sub) {
		CHECK(!mkdirat(fd, "d", 0755));
		sub = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		close(fd);
	}
	REQUIRE(fd >= 0);
	close(fd);
	a = take(NULL, 0);
	REQUIRE(a);
	CHECK_U64(fs_inventory_get_gaps(a)->deep, 1);
	put("/d/new", "1");
	check_since_at(a, 0, "+/d/new ");
	fs_inventory_free(a);
	end();
}

static const struct test tests[] = {
	TEST_ENTRY(changes,
		"added, changed and removed files are found, skipped ones are not"),
	TEST_ENTRY(digest, "one number tells whether anything is different"),
	TEST_ENTRY(many_files, "a folder of many files is one entry, changes have names"),
	TEST_ENTRY(second_list, "two lists with changes between them"),
	TEST_ENTRY(saved, "new paths by a list that was saved"),
	TEST_ENTRY(deep, "folders that are nested without end do not end the walk"),
};
TEST_MAIN(tests)

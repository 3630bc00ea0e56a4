/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of journals: bounded by number, size and age; each job's by its owner. */
#include "serve/serve-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#include "../test.h"

static char dir[] = "/tmp/tw-journals.XXXXXX";
static struct serve_journal *j;

static bool set_up(void)
{
	struct err err = ERR_INIT;
	char cmd[128];

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(cmd, sizeof(cmd), "rm -rf %s && mkdir %s", dir, dir);
	return !system(cmd) && !serve_journal_open(dir, &j, &err);
}

static void put(const char *owner, const char *job, size_t len)
{
	struct serve_journal_key k = { .owner = owner, .job = job, .drive = "sda",
		.state = "s", .size = 1 << 20 };
	uint8_t *bitmap = calloc(1, len);
	struct err err = ERR_INIT;

	CHECK(!serve_journal_put(j, &k, bitmap, len, true, &err));
	free(bitmap);
}

static size_t get(const char *owner, const char *job)
{
	struct serve_journal_key k = { .owner = owner, .job = job, .drive = "sda",
		.state = "s", .size = 1 << 20 };
	static uint8_t bitmap[1 << 20];

	return serve_journal_get(j, &k, bitmap, sizeof(bitmap));
}

static uint64_t count(uint64_t *bytes)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	uint64_t n = 0;

	*bytes = 0;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !fstatat(dirfd(d), e->d_name, &st, 0)) {
			*bytes += (uint64_t)st.st_size;
			n++;
		}
	if (d)
		closedir(d);
	return n;
}

TEST(number)
{
	uint64_t bytes;
	char job[32];

	REQUIRE(set_up());
	for (unsigned i = 0; i < SERVE_MAX_JOURNALS + 50; i++) {
		snprintf(job, sizeof(job), "job %u", i);
		put("", job, 1);
	}
	CHECK_U64(count(&bytes), SERVE_MAX_JOURNALS);
	CHECK_U64(get("", job), 1); /* the youngest is there */
	serve_journal_close(j);
}

TEST(size)
{
	uint64_t bytes;
	char job[32];

	REQUIRE(set_up());
	for (unsigned i = 0; i < 80; i++) {
		snprintf(job, sizeof(job), "job %u", i);
		put("", job, 1 << 20);
	}
	count(&bytes);
	CHECK(bytes <= SERVE_MAX_JOURNAL_BYTES && bytes > SERVE_MAX_JOURNAL_BYTES / 2);
	serve_journal_close(j);
}

static void touch(const char *name, unsigned days)
{
	struct timespec t[2] = { { .tv_sec = time(NULL) - days * 86400l } };
	char path[128];
	int fd;

	t[1] = t[0];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && !futimens(fd, t));
	close(fd);
}

TEST(age)
{
	struct err err = ERR_INIT;
	uint64_t bytes;

	REQUIRE(set_up());
	serve_journal_close(j);
	touch("0000000000000001.journal", 31);
	touch("0000000000000002.journal", 29);
	touch("0000000000000003.journal.tw-new", 2);
	touch("0000000000000004.journal.tw-new", 0);
	touch("somebody's file", 1000);
	REQUIRE(!serve_journal_open(dir, &j, &err));
	CHECK_U64(count(&bytes), 3);
	serve_journal_close(j);
}

TEST(owners)
{
	struct err err = ERR_INIT;

	REQUIRE(set_up());
	put("one", "job", 5);
	put("two", "job", 6);
	put("", "one", 7);
	CHECK_U64(get("one", "job"), 5);
	CHECK_U64(get("two", "job"), 6);
	serve_journal_drop(j, "one", "job", true);
	CHECK_U64(get("one", "job"), 0);
	CHECK_U64(get("two", "job"), 6);
	CHECK_U64(get("", "one"), 7);
	serve_journal_close(j);
	REQUIRE(!serve_journal_open(dir, &j, &err)); /* from their files */
	CHECK_U64(get("one", "job"), 0);
	CHECK_U64(get("two", "job"), 6);
	serve_journal_close(j);
}

static const struct test tests[] = {
	TEST_ENTRY(number, "so many files, the youngest"),
	TEST_ENTRY(size, "so many bytes"),
	TEST_ENTRY(age, "what is too old, and what a killed server left half"),
	TEST_ENTRY(owners, "a job of another key is another one"),
};

int main(int argc, char **argv)
{
	int r = mkdtemp(dir) ? test_main(tests, sizeof(tests) / sizeof(tests[0]), argc,
		argv) : 1;
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) ? 1 : r;
}

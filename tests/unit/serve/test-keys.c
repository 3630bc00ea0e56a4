/* SPDX-License-Identifier: Apache-2.0 */
/* Key files and what they allow. */
#include "serve/serve-internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "../test.h"

#define K1 "00112233445566778899aabbccddeeff"

static struct serve_keys keys;

static int load(const char *text, struct err *err)
{
	char path[] = "/tmp/tw-keys.XXXXXX";
	int fd = mkstemp(path), r;

	serve_keys_wipe(&keys);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -2;
	close(fd);
	r = serve_keys_load(path, &keys, err);
	unlink(path);
	return r;
}

TEST(lines)
{
	struct err err = ERR_INIT;

	REQUIRE(!load("# keys\n\none:" K1 "\r\nthe second:" K1 "  drives=sda,data-*"
		"\tjobs=m-1\nthree:" K1 " jobs=*", &err));
	CHECK_U64(keys.n, 3);
	CHECK(keys.list[0] == &keys.psks[0] && !keys.list[3]);
	CHECK(!keys.rights[0].drives && !keys.rights[0].jobs);
	CHECK_STR(keys.psks[1].identity, "the second");
	CHECK_U64(keys.psks[1].key_len, 16);
	CHECK_STR(keys.rights[1].drives, "sda,data-*");
	CHECK_STR(keys.rights[1].jobs, "m-1");
	CHECK(!keys.rights[2].drives);
	serve_keys_wipe(&keys);
}

TEST(refused)
{
	static const char *const bad[] = { "", "# nothing\n", "one:0011\n",
		"one:" K1 " drive=sda", "one:" K1 " drives=", "one:" K1 " jobs=a,,b",
		"one:" K1 " jobs=,a", "one:" K1 " jobs=a,", "one:" K1 " jobs=a jobs=b",
		"one:" K1 "\none:" K1, "one:" K1 " " K1, "one " K1 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;

		if (!CHECK(load(bad[i], &err) == -1))
			printf("taken: %s\n", bad[i]);
		CHECK(!strstr(err.text, "0011"));
	}
	serve_keys_wipe(&keys);
}

TEST(lists)
{
	static struct serve s;
	static struct serve_conn c;
	struct serve_rights r = { .drives = "sda,data-*", .jobs = "m-1,x" };

	c.serve = &s;
	strcpy(s.drives[0].name, "sda");
	strcpy(s.drives[1].name, "sdab");
	strcpy(s.drives[2].name, "data-7");
	strcpy(s.drives[3].name, "data");
	strcpy(s.drives[4].name, "sd");
	CHECK(serve_may_read(&c, 1)); /* no rights are given: all */
	c.rights = &r;
	CHECK(serve_may_read(&c, 0));
	CHECK(!serve_may_read(&c, 1));
	CHECK(serve_may_read(&c, 2));
	CHECK(!serve_may_read(&c, 3));
	CHECK(!serve_may_read(&c, 4));
	CHECK(serve_may_job(NULL, "any"));
	CHECK(serve_may_job(&r, "m-1") && serve_may_job(&r, "x"));
	CHECK(!serve_may_job(&r, "m-10") && !serve_may_job(&r, "") &&
		!serve_may_job(&r, "m-1,x"));
}

static const struct test tests[] = {
	TEST_ENTRY(lines, "users, keys and what follows them"),
	TEST_ENTRY(refused, "lines that mean nothing, without the key in the message"),
	TEST_ENTRY(lists, "names and beginnings of names"),
};
TEST_MAIN(tests)

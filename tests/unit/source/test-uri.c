/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source-internal.h"
#include "tests/unit/test.h"

static struct source_uri u;

static int parse(const char *text)
{
	struct err err = ERR_INIT;
	int r = source_uri_parse(text, &u, &err);

	CHECK(r == 0 || err.code == ERR_USAGE);
	return r;
}

TEST(parts)
{
	REQUIRE(parse("nbds://al%69ce@[2001:db8::1]:1234/a%20b/c?tls-psk-file=/k%3f&x=") == 0);
	CHECK_STR(u.scheme, "nbds");
	CHECK_STR(u.user, "alice");
	CHECK_STR(u.host, "2001:db8::1");
	CHECK_U64(u.port, 1234);
	CHECK_STR(u.path, "a b/c");
	CHECK_STR(source_uri_param(&u, "tls-psk-file"), "/k?");
	CHECK_STR(source_uri_param(&u, "x"), "");
	CHECK(!source_uri_param(&u, "y"));
}

TEST(short_forms)
{
	REQUIRE(parse("file:/dev/sda") == 0);
	CHECK_STR(u.path, "/dev/sda");
	CHECK(!u.host);
	REQUIRE(parse("nbd+unix:///?socket=/s") == 0);
	CHECK(!u.host);
	CHECK_STR(u.path, "");
	REQUIRE(parse("nbd://host") == 0);
	CHECK_STR(u.host, "host");
	CHECK_U64(u.port, 0);
	CHECK_STR(u.path, "");
}

TEST(refused)
{
	static const char *const bad[] = { "", "x", ":", "//h/", "nbd://h:0/",
		"nbd://h:65536/",
		"nbd://h:/", "nbd://h:1a/", "nbd://[::1/", "nbd://[::1]x/", "nbd://u@/e",
		"file:%", "file:%0", "file:%zz", "file:a%00b", "nbd://h/?novalue",
		"nbd://%00/", "a:?1=1&2=2&3=3&4=4&5=5&6=6&7=7&8=8&9=9" };
	static char longest[SOURCE_URI_MAX + 10];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(parse(bad[i]) < 0))
			printf("taken: %s\n", bad[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[4] = ':';
	CHECK(parse(longest) < 0);
}

static const struct test tests[] = {
	TEST_ENTRY(parts, "all parts, decoded"),
	TEST_ENTRY(short_forms, "what may be left out"),
	TEST_ENTRY(refused, "what is no URI is refused"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS tables, good and hostile, and base64. */
#include "tests/unit/test.h"

#include "job/job-internal.h"

static unsigned char table[8192];
static size_t len;

static void begin(unsigned type, unsigned formatted)
{
	memset(table + len, 0, formatted);
	table[len] = (unsigned char)type;
	table[len + 1] = (unsigned char)formatted;
	len += formatted;
}

static void string(const char *s)
{
	strcpy((char *)table + len, s);
	len += strlen(s) + 1;
}

static void end(int had_strings)
{
	table[len++] = 0;
	if (!had_strings)
		table[len++] = 0;
}

/* A BIOS structure, a port without strings, then ours. */
static void start(void)
{
	len = 0;
	begin(0, 24);
	string("SeaBIOS");
	string("target-worker:job={\"not\":\"ours\"}");
	end(1);
	begin(8, 9);
	end(0);
	begin(11, 5);
}

static int parse(struct job_smbios *s, struct err *err)
{
	/* A copy of exactly this size: the sanitizer sees a read past its end. */
	unsigned char *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, table, len);
	rc = job_smbios_parse(copy, len, s, err);
	free(copy);
	return rc;
}

TEST(plain)
{
	struct err err = ERR_INIT;
	struct job_smbios s;

	start();
	string("other");
	string("target-worker:job=  {\"version\": 1}");
	end(1);
	begin(127, 4);
	end(0);
	REQUIRE(parse(&s, &err) == 0);
	REQUIRE(s.job);
	CHECK(s.job_len == 16 && !memcmp(s.job, "  {\"version\": 1}", 16));
	CHECK(!s.announce_volume);
	job_smbios_free(&s);
}

TEST(joined)
{
	struct err err = ERR_INIT;
	struct job_smbios s;

	start();
	string("target-worker:announce=volume");
	string("target-worker:job=eyJ2ZX");
	string("target-worker:unknown=x");
	end(1);
	begin(11, 5);
	string("target-worker:job=JzaW9uIjogMX0=");
	end(1);
	REQUIRE(parse(&s, &err) == 0);
	REQUIRE(s.job);
	CHECK(s.job_len == 14 && !memcmp(s.job, "{\"version\": 1}", 14));
	CHECK(s.announce_volume);
	job_smbios_free(&s);
}

TEST(nothing)
{
	struct err err = ERR_INIT;
	struct job_smbios s;

	start();
	string("target-worker:announce=other");
	end(1);
	CHECK(parse(&s, &err) == 0 && !s.job && !s.announce_volume);
	len = 0;
	CHECK(parse(&s, &err) == 0 && !s.job);
	begin(127, 4);
	end(0);
	start();
	string("target-worker:job={}");
	end(1);
	table[0] = 127; /* the end comes first: what follows does not count */
	CHECK(parse(&s, &err) == 0 && !s.job);
}

TEST(bad_job)
{
	struct err err = ERR_INIT;
	struct job_smbios s;

	start();
	string("target-worker:job=%%%");
	end(1);
	CHECK(parse(&s, &err) == -1 && err.code == ERR_CFG_INVALID);
	CHECK(!s.job);
}

TEST(hostile)
{
	struct err err = ERR_INIT;
	struct job_smbios s;
	size_t whole, i;

	start();
	string("target-worker:job={}");
	end(1);
	whole = len;
	for (len = 0; len < whole; len++) {
		CHECK(parse(&s, &err) == 0);
		/* the string counts as soon as its NUL is there */
		CHECK(len >= whole - 1 ? !!s.job : !s.job);
		job_smbios_free(&s);
	}
	for (i = 0; i < whole; i++) {
		unsigned char was = table[i];

		for (int v = 0; v < 256; v++) {
			table[i] = (unsigned char)v;
			if (parse(&s, &err) == 0)
				job_smbios_free(&s);
		}
		table[i] = was;
	}
	len = sizeof(table);
	memset(table, 'A', sizeof(table));
	CHECK(parse(&s, &err) == 0 && !s.job);
	memset(table, 0, sizeof(table));
	CHECK(parse(&s, &err) == 0 && !s.job);
	memset(table, 4, sizeof(table));
	CHECK(parse(&s, &err) == 0 && !s.job);
}

TEST(base64)
{
	static const struct { const char *in, *out; } good[] = {
		{ "", "" }, { "Zg==", "f" }, { "Zg", "f" }, { "Zm8=", "fo" },
		{ "Zm9v", "foo" },
		{ "Zm9v\nYmFy", "foobar" }, { " Zm9vYg = = ", "foob" },
	};
	static const char *const bad[] = { "Z", "Zg=", "Zg===", "Zg==Zg", "Zm9v=", "Z-8=",
		"====" };
	char out[64];
	size_t n, i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		n = 99;
		if (CHECK(job_base64_decode(good[i].in, strlen(good[i].in), out,
			&n) == 0))
			CHECK(n == strlen(good[i].out) && !memcmp(out, good[i].out, n));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(job_base64_decode(bad[i], strlen(bad[i]), out, &n) == -1))
			printf("  %s\n", bad[i]);
}

static const struct test tests[] = {
	TEST_ENTRY(plain, "a raw document in one OEM string"),
	TEST_ENTRY(joined,
		"a base64 document over two strings and two structures; announcement"),
	TEST_ENTRY(nothing,
		"other strings, other structures and empty tables say nothing"),
	TEST_ENTRY(bad_job, "a job in neither form is CFG_INVALID"),
	TEST_ENTRY(hostile, "cut off and damaged tables are never read past their end"),
	TEST_ENTRY(base64, "base64 with and without padding, and what is none"),
};
TEST_MAIN(tests)

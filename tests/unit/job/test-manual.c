/* SPDX-License-Identifier: Apache-2.0 */
/* worker.8 names every code, every state and every key of the job. */
#include "tests/unit/test.h"

#include <ctype.h>

#include "base/fdio.h"
#include "job/job-internal.h"

static char *manual;

/* A word begins behind anything but a letter, or behind a change of font: \fB. */
static int begins(const char *p)
{
	if (p - manual >= 3 && p[-3] == '\\' && p[-2] == 'f')
		return 1;
	return p == manual || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
}

/* Whether the word stands in the manual by itself. */
static int has_word(const char *word)
{
	size_t n = strlen(word);
	const char *p = manual;

	while ((p = strstr(p, word))) {
		if (begins(p) && !isalnum((unsigned char)p[n]) && p[n] != '_')
			return 1;
		p++;
	}
	return 0;
}

static int load(void)
{
	struct err err = ERR_INIT;
	size_t len;

	if (manual)
		return 1;
	if (fdio_read_file("worker/worker.8", 1 << 20, &manual, &len, &err) == 0)
		return 1;
	printf("%s\n", err.text);
	return 0;
}

TEST(codes)
{
	REQUIRE(load());
	for (int i = 1; i < ERR_COUNT; i++) {
		char line[64];

		snprintf(line, sizeof(line), "\n.B %s\n", err_name((enum err_code)i));
		if (!CHECK(strstr(manual, line) != NULL))
			printf("  no entry for %s\n", err_name((enum err_code)i));
	}
	CHECK(!has_word("DISK_NOT_FOUN"));
}

TEST(states)
{
	REQUIRE(load());
	for (int i = 0; i < JOB_N_STATES; i++) {
		char line[64];

		snprintf(line, sizeof(line), "\n.B %s\n",
			job_state_name((enum job_state)i));
		if (!CHECK(strstr(manual, line) != NULL))
			printf("  no entry for %s\n", job_state_name((enum job_state)i));
	}
	CHECK_STR(job_state_name((enum job_state)JOB_N_STATES), "UNKNOWN");
}

/* The names in a file with tables of the parser: {"name", job_read_...
 * Returns how many. */
static int check_keys(const char *path)
{
	struct err err = ERR_INIT;
	char *text, *p;
	int n = 0;
	size_t len;

	if (!CHECK(fdio_read_file(path, 1 << 20, &text, &len, &err) == 0))
		return 0;
	for (p = text; (p = strstr(p, "\t{ \"")); n++) {
		char *end = strchr(p += 4, '"');

		*end = '\0';
		if (!CHECK(has_word(p)))
			printf("  no word about \"%s\"\n", p);
		p = end + 1;
	}
	free(text);
	return n;
}

TEST(keys)
{
	REQUIRE(load());
	CHECK(check_keys("worker/job/parse.c") > 25);
	CHECK(check_keys("worker/job/parse-drives.c") > 8);
	CHECK(check_keys("worker/job/parse-prepare.c") > 10);
	free(manual);
	manual = NULL;
}

static const struct test tests[] = {
	TEST_ENTRY(codes, "every error code has an entry in worker.8"),
	TEST_ENTRY(states, "every state has an entry in worker.8"),
	TEST_ENTRY(keys, "every key of the job is described in worker.8"),
};
TEST_MAIN(tests)

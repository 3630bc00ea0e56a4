/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit test program: functions made by TEST(), listed in a table, run by TEST_MAIN.
 * Each test prints "ok NAME: description" or the failed checks; the program's last line
 * is "N passed, N failed". Arguments are names of tests to run (default: all).
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name, *description;
	void (*run)(void);
};

static int test_failures; /* of the running test */

#define TEST(name) static void name(void)
#define TEST_ENTRY(fn, desc) { #fn, desc, fn }

/* A failed CHECK goes on, a failed REQUIRE returns from the test function. */
#define CHECK(cond) \
	((cond) ? 1 : (test_failures++, printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #cond), 0))
#define REQUIRE(cond) \
	do { \
		if (!CHECK(cond)) \
			return; \
	} while (0)
#define CHECK_U64(a, b) \
	do { \
		unsigned long long a_ = (unsigned long long)(a); \
		unsigned long long b_ = (unsigned long long)(b); \
		if (a_ != b_) { \
			test_failures++; \
			printf("%s:%d: %s is %llu, not %llu (%s)\n", __FILE__, __LINE__, #a, a_, \
				b_, #b); \
		} \
	} while (0)
#define CHECK_STR(a, b) \
	do { \
		const char *a_ = (a), *b_ = (b); \
		if (!a_ || !b_ || strcmp(a_, b_)) { \
			test_failures++; \
			printf("%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a, \
				a_ ? a_ : "(null)", b_ ? b_ : "(null)"); \
		} \
	} while (0)

static inline int test_main(const struct test *tests, size_t n, int argc, char **argv)
{
	int passed = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < n; i++) {
		int wanted = argc < 2;

		for (int a = 1; a < argc; a++)
			wanted |= !strcmp(argv[a], tests[i].name);
		if (!wanted)
			continue;
		test_failures = 0;
		tests[i].run();
		printf("%s %s: %s\n", test_failures ? "FAILED" : "ok", tests[i].name,
			tests[i].description);
		if (test_failures)
			failed++;
		else
			passed++;
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed || !passed;
}

#define TEST_MAIN(table) \
	int main(int argc, char **argv) \
	{ \
		return test_main(table, sizeof(table) / sizeof((table)[0]), argc, argv); \
	}

#endif

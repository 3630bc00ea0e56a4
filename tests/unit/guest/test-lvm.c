/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of lvm.conf as odd as LVM itself reads them;
 * the usual ones are in test-texts.c. */
#include "guest/guest-internal.h"

#include "../test.h"

/* What LVM takes for a string, it does for us: what stands in one is no filter, and a
 * second run finds nothing. */
TEST(lvm_strings)
{
	static const char *const texts[][2] = {
		{ "a = \"x\nfilter = [ \\\"r|.*|\\\" ]\n\"\nfilter = [ \"r|.*|\" ]\nb = 1\n",
			"a = \"x\nfilter = [ \\\"r|.*|\\\" ]\n\"\n# target-worker: filter = [ \"r|.*|\" ]\nb = 1\n" },
		{ "filter = [ \"r|.*|\", \"a\nfilter = [ ]\nc = \" ]\nd = 1\n",
			"# target-worker: filter = [ \"r|.*|\", \"a\n# target-worker: filter = [ ]\n"
			"# target-worker: c = \" ]\nd = 1\n" },
		{ "filter = [ \"a|^/dev/sd|\",\nfilter = [ \"r|.*|\" ] ]\nfilter = [ \"r|.*|\" ]",
			"# target-worker: filter = [ \"a|^/dev/sd|\",\n# target-worker: filter = [ \"r|.*|\" ] ]\n"
			"# target-worker: filter = [ \"r|.*|\" ]" },
		{ "filter = [ \"x\",\nglobal_filter = \"r|.*|\" \"\n\"r|.*|\" ]\n",
			"filter = [ \"x\",\nglobal_filter = \"r|.*|\" \"\n\"r|.*|\" ]\n" },
		{ "filter = [ \"a|.*|\",\nfilter = [ \"r|.*|\" ] ]\n",
			"filter = [ \"a|.*|\",\nfilter = [ \"r|.*|\" ] ]\n" },
		{ "filter = [ \"r|.*|\" ] # it's \"so\nx = 'a\nfilter = [ \"r|.*|\" ]\n'\n",
			"# target-worker: filter = [ \"r|.*|\" ] # it's \"so\nx = 'a\nfilter = [ \"r|.*|\" ]\n'\n" },
		{ "filter = [ \"r|.*|\" ] y = \"z\nfilter = [ \"r|.*|\" ]\n",
			"filter = [ \"r|.*|\" ] y = \"z\nfilter = [ \"r|.*|\" ]\n" },
		{ "filter = \"r|.*|\n\"\ne = 1",
			"# target-worker: filter = \"r|.*|\n# target-worker: \"\ne = 1" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CLEANUP_STRBUF struct strbuf once = STRBUF_INIT, again = STRBUF_INIT;

		guest_lvm_rewrite(texts[i][0], strlen(texts[i][0]), NULL, &once);
		CHECK_STR(once.s, texts[i][1]);
		CHECK_U64(guest_lvm_rewrite(once.s, once.len, NULL, &again), 0);
	}
}

/* Patterns that would take all memory are none. */
TEST(lvm_patterns)
{
	static const char *const patterns[] = {
		"x++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++",
		"((((((((((((((((((((((((((((((x+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+",
		"((((x{1,255}){1,255}){1,255}){1,255}){1,255}",
	};
	char text[256], want[300];

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

		snprintf(text, sizeof(text), "filter = [ \"a|%s|\", \"r|.+|\" ]\n",
			patterns[i]);
		snprintf(want, sizeof(want), "# target-worker: %s", text);
		guest_lvm_rewrite(text, strlen(text), NULL, &out);
		CHECK_STR(out.s, want);
	}
}

static const struct test tests[] = {
	TEST_ENTRY(lvm_patterns, "a pattern cannot take all memory"),
	TEST_ENTRY(lvm_strings,
		"a string may go on in the next line, and have a filter in it"),
};
TEST_MAIN(tests)

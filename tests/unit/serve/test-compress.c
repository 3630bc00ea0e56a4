/* SPDX-License-Identifier: Apache-2.0 */
/* Compression that adapts: after some chunks that did not shrink, the server sends what
 * follows as it is for a while, and then tries again. */
#include "source/source.h"

#include "rig.h"

#define CHUNK (64u << 10)
#define TEXT (2u << 20) /* where the rig's drive holds 1 MiB of text */
#define POOR 8          /* chunks that do not shrink, in a row ... */
#define SKIPPED 32      /* ... and so many behind them are not tried */

static struct err err;

/* Reads one chunk; how many bytes came over the wire for it. */
static uint64_t read_chunk(struct source *s, struct source_chan *c, uint64_t off)
{
	static uint8_t buf[CHUNK];
	struct source_req r = { .verb = SOURCE_READ, .off = off, .len = CHUNK,
		.buf = buf }, *done = NULL;
	struct source_counters before, after;

	source_get_counters(s, &before);
	if (!CHECK(source_submit(c, &r, &err) == 0))
		return 0;
	while (!done)
		if (!CHECK(source_reap(c, 1000, &done, &err) == 0))
			return 0;
	CHECK(done == &r && !r.status);
	source_get_counters(s, &after);
	return after.wire_in - before.wire_in;
}

TEST(adapts)
{
	struct source_options opt = { .allow_plain = true, .compress = true };
	struct source_chan *c = NULL;
	struct source *s = NULL;
	char uri[64];
	struct rig r;

	REQUIRE(rig_up(&r, true, 0, false));
	snprintf(uri, sizeof(uri), "tw://127.0.0.1:%u/sda", serve_port(r.s));
	REQUIRE(source_open(uri, &opt, &s, &err) == 0);
	REQUIRE(source_chan_open(s, &c, &err) == 0);
	CHECK(read_chunk(s, c, TEXT) < CHUNK / 4);
	for (unsigned i = 0; i < POOR; i++)
		CHECK(read_chunk(s, c, i * CHUNK) > CHUNK);
	for (unsigned i = 0; i < SKIPPED; i++)
		CHECK(read_chunk(s, c, TEXT + i % 16 * CHUNK) > CHUNK);
	CHECK(read_chunk(s, c, TEXT) < CHUNK / 4);
	source_chan_close(c);
	source_close(s);
	rig_down(&r);
}

static const struct test tests[] = {
	TEST_ENTRY(adapts, "what does not shrink is not compressed for a while"),
};

TEST_MAIN(tests)

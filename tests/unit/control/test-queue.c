/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <yyjson.h>

static void add(struct control_queue *q, const char *type, const char *text, int drive,
	uint64_t flushed)
{
	struct copy_progress p = { .total = 100, .flushed = flushed, .phase = "copy",
		.eta_s = UINT64_MAX };
	struct job_event e = { .type = type, .state = JOB_COPY, .text = text,
		.drive = drive,
		.progress = drive >= 0 ? &p : NULL };

	control_queue_add(q, &e);
}

static void add_error(struct control_queue *q, const char *text, unsigned attempt)
{
	struct err err = ERR_INIT;
	struct job_event e = { .type = "error", .state = JOB_COPY, .drive = -1,
		.err = &err,
		.attempt = attempt };

	err_set(&err, ERR_SRC_EOF, "%s", text);
	control_queue_add(q, &e);
}

TEST(progress_is_coalesced)
{
	struct control_queue q = { .n = 0 };

	for (uint64_t i = 0; i < 1000; i++) {
		add(&q, "disk.progress", NULL, 0, i);
		add(&q, "disk.progress", NULL, 1, 2 * i);
	}
	CHECK_U64(q.n, 2);
	CHECK_U64(q.n_important, 0);
	CHECK_U64(q.head->progress.flushed, 999);
	CHECK_U64(q.tail->progress.flushed, 1998);
	control_queue_free(&q);
	CHECK(!q.head && !q.tail && !q.n);
}

TEST(sent_progress_stays)
{
	struct control_queue q = { .n = 0 };

	add(&q, "disk.progress", NULL, 0, 1);
	CHECK_U64(control_queue_batch(&q, 10), 1);
	add(&q, "disk.progress", NULL, 0, 2);
	add(&q, "disk.progress", NULL, 0, 3);
	CHECK_U64(q.n, 2);
	CHECK_U64(q.head->sequence, 1);
	CHECK_U64(q.head->progress.flushed, 1);
	control_queue_remove(&q, 1);
	CHECK_U64(control_queue_batch(&q, 10), 1);
	CHECK_U64(q.head->sequence, 2);
	CHECK_U64(q.head->progress.flushed, 3);
	control_queue_free(&q);
}

TEST(states_are_kept)
{
	struct control_queue q = { .n = 0 };

	for (int i = 0; i < 5000; i++)
		add(&q, "step.started", "x", -1, 0);
	CHECK_U64(q.n, 1024);
	CHECK_U64(q.dropped, 5000 - 1024);
	for (int i = 0; i < 3000; i++)
		add(&q, "state", "x", -1, 0);
	CHECK_U64(q.n_important, 3000);
	CHECK_U64(q.n, 1024 + 3000);
	control_queue_free(&q);
}

TEST(failures_are_counted)
{
	struct control_queue q = { .n = 0 };

	for (unsigned i = 1; i <= 5; i++)
		add_error(&q, "the source went away", i);
	CHECK_U64(q.n, 1);
	CHECK_U64(q.head->repeated, 4);
	CHECK_U64(q.head->attempt, 5);
	add_error(&q, "something else", 6);
	CHECK_U64(q.n, 2);
	CHECK_U64(control_queue_batch(&q, 10), 2);
	add_error(&q, "something else", 7);
	CHECK_U64(q.n, 3);
	control_queue_free(&q);
}

TEST(numbers_have_no_gaps)
{
	struct control_queue q = { .n = 0 };
	uint64_t expect = 1;

	for (int i = 0; i < 50; i++) {
		add(&q, "state", "x", -1, 0);
		add(&q, "disk.progress", NULL, i % 3, 1);
		if (i % 7 == 6) {
			unsigned n = control_queue_batch(&q, 4);
			struct control_event *e = q.head;

			for (unsigned k = 0; k < n; k++, e = e->next)
				CHECK_U64(e->sequence, expect + k);
			expect += n;
			control_queue_remove(&q, n);
		}
	}
	control_queue_free(&q);
}

TEST(own_times)
{
	struct control_queue q = { .n = 0 };
	struct job_event e = { .type = "state", .state = JOB_BOOT, .drive = -1,
		.at_ms = 1 };

	control_queue_add(&q, &e);
	e.at_ms = 0;
	control_queue_add(&q, &e);
	CHECK_U64(q.head->monotonic_ms, 1);
	CHECK(q.tail->monotonic_ms > 1);
	/* The wall clock goes as far back as the monotonic one. */
	CHECK(llabs(q.tail->time_ms - q.head->time_ms -
		(int64_t)(q.tail->monotonic_ms - 1)) < 5000);
	control_queue_free(&q);
}

static void clean(const char *src, size_t max, const char *want)
{
	char out[64];

	control_clean_text(src, out, max);
	CHECK_STR(out, want);
}

TEST(text_is_cleaned)
{
	clean("plain", 63, "plain");
	clean("a\nb\tc\x7f", 63, "a?b?c?");
	clean("gr\xc3\xbc\xc3\x9f", 63, "gr\xc3\xbc\xc3\x9f");
	clean("\xf0\x9f\x98\x80", 63, "\xf0\x9f\x98\x80");
	clean("\xff\xfe\x80", 63, "???");
	clean("\xc0\xaf\xed\xa0\x80\xf5", 63, "??????");
	clean("\xe2\x82", 63, "??");
	clean("ab\xc3\xbc", 3, "ab");
	clean("abcdef", 3, "abc");
	clean("", 3, "");
}

/* The whole path of hostile text: from an err into valid JSON. */
TEST(events_are_json)
{
	struct control_queue q = { .n = 0 };
	struct control_identity id = { "m-1", "b", "n", "w-1" };
	struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;
	yyjson_val *e;
	yyjson_doc *doc;

	add_error(&q, "read \"\xff\xfe\"\n/dev/sda", 2);
	add(&q, "disk.progress", "text", 0, 50);
	REQUIRE(control_queue_batch(&q, 10) == 2);
	REQUIRE(!control_encode_events(&id, &q, 2, &out, &err));
	doc = yyjson_read(out.s, out.len, 0);
	REQUIRE(doc);
	e = yyjson_arr_get(yyjson_doc_get_root(doc), 0);
	CHECK_STR(yyjson_get_str(yyjson_obj_get(e, "type")), "tw.error.v1");
	CHECK_STR(yyjson_get_str(yyjson_obj_get(e, "sequence")), "000000000001");
	e = yyjson_obj_get(yyjson_obj_get(e, "data"), "err");
	CHECK_STR(yyjson_get_str(yyjson_obj_get(e, "code")), "SRC_EOF");
	CHECK_STR(yyjson_get_str(yyjson_obj_get(e, "text")), "read \"?\?\"?/dev/sda");
	e = yyjson_arr_get(yyjson_doc_get_root(doc), 1);
	e = yyjson_obj_get(yyjson_obj_get(e, "data"), "progress");
	CHECK_U64(yyjson_get_uint(yyjson_obj_get(e, "flushed")), 50);
	CHECK(yyjson_is_null(yyjson_obj_get(e, "eta_s")));
	yyjson_doc_free(doc);
	strbuf_free(&out);
	control_queue_free(&q);
}

TEST(back_off_grows_and_obeys)
{
	uint64_t most = 0, ms;

	for (int round = 0; round < 200; round++) {
		struct control_backoff b = { 0 };

		CHECK(control_backoff_next(&b, 60, -1) <= 1050);
		CHECK(control_backoff_next(&b, 60, -1) <= 2050);
		for (int i = 0; i < 20; i++) {
			ms = control_backoff_next(&b, 60, -1);
			most = ms > most ? ms : most;
		}
	}
	CHECK(most <= 60050);
	CHECK(most > 30000);
	CHECK_U64(control_backoff_next(&(struct control_backoff){ 0 }, 60, 7), 7000);
	CHECK_U64(control_backoff_next(&(struct control_backoff){ 0 }, 60, 86400),
		300000);
	CHECK(control_backoff_next(&(struct control_backoff){ .tries = 9 }, 1,
		-1) <= 1050);
}

static const struct test tests[] = {
	TEST_ENTRY(progress_is_coalesced, "of a drive's progress only the newest waits"),
	TEST_ENTRY(sent_progress_stays, "what may have arrived is repeated as it was"),
	TEST_ENTRY(states_are_kept, "steps are dropped in a flood, state changes never"),
	TEST_ENTRY(failures_are_counted, "the same failure again is counted, not queued"),
	TEST_ENTRY(numbers_have_no_gaps, "sequences have no gaps"),
	TEST_ENTRY(own_times, "an event that was kept has the time at which it happened"),
	TEST_ENTRY(text_is_cleaned,
		"text becomes valid UTF-8 without control characters"),
	TEST_ENTRY(events_are_json, "hostile text in an error still makes valid JSON"),
	TEST_ENTRY(back_off_grows_and_obeys, "back-off with jitter, Retry-After, limits"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"
#include "tests/unit/test.h"

#define REGISTRATION(policy) \
	"{\"worker_id\":\"w-1\",\"session_token\":\"0123456789abcdef\",\"heartbeat_s\":15," \
	"\"lease_s\":60,\"extra\":[{}],\"policy\":" policy "}"

static int decode_register(const char *s, struct control_registration *r)
{
	struct err err = ERR_INIT;
	int rc = control_decode_register(s, strlen(s), r, &err);

	CHECK(rc == 0 || err.code == ERR_CTL_PROTO);
	return rc;
}

TEST(registration)
{
	struct control_registration r;

	REQUIRE(!decode_register(REGISTRATION("{\"paused\":true,\"bandwidth_bps\":5}"),
		&r));
	CHECK_STR(r.worker_id, "w-1");
	CHECK_STR(r.token, "0123456789abcdef");
	CHECK_U64(r.heartbeat_s, 15);
	CHECK(r.paused && r.has_bandwidth);
	CHECK_U64(r.bandwidth, 5);
	REQUIRE(!decode_register(REGISTRATION("{\"paused\":false,\"bandwidth_bps\":null}"), &r));
	CHECK(!r.paused && !r.has_bandwidth);
}

#define AT(time) \
	"{\"worker_id\":\"w-1\",\"session_token\":\"0123456789abcdef\",\"heartbeat_s\":15," \
	"\"lease_s\":60,\"server_time\":" time ",\"policy\":{\"paused\":true,\"bandwidth_bps\":null}}"

TEST(server_time)
{
	struct control_registration r;

	REQUIRE(!decode_register(AT("\"2026-01-02T03:04:05Z\""), &r));
	CHECK_U64(r.server_time, 1767323045);
	CHECK_U64(r.starts, 0);
	REQUIRE(!decode_register(AT("\"2026-01-02T03:04:05Z\",\"starts\":7"), &r));
	CHECK_U64(r.starts, 7);
	CHECK(decode_register(AT("\"2026-01-02T03:04:05Z\",\"starts\":-1"), &r));
	CHECK(decode_register(AT("\"2026-01-02T03:04:05Z\",\"starts\":\"7\""), &r));
	REQUIRE(!decode_register(AT("\"2026-01-02T03:04:05.999Z\""), &r));
	CHECK_U64(r.server_time, 1767323045);
	REQUIRE(!decode_register(REGISTRATION("{\"paused\":false,\"bandwidth_bps\":null}"), &r));
	CHECK_U64(r.server_time, 0);
	CHECK(!control_clock_is_off(1767323045, 0));
	CHECK(!control_clock_is_off(1767323045 - 60, 1767323045));
	CHECK(control_clock_is_off(1767323045 - 61, 1767323045));
	CHECK(control_clock_is_off(1767323045 + 7200, 1767323045));
	CHECK(control_clock_is_off(0, 1767323045));
}

TEST(bad_registration)
{
	static const char *const bad[] = {
		"", "null", "[]", "{}", "{\"worker_id\":\"w-1\"}",
		REGISTRATION("{}"), REGISTRATION("{\"paused\":1,\"bandwidth_bps\":null}"),
		REGISTRATION("{\"paused\":true,\"bandwidth_bps\":-1}"),
		REGISTRATION("{\"paused\":true,\"bandwidth_bps\":18446744073709551615}"),
		REGISTRATION("{\"paused\":true,\"bandwidth_bps\":1.5}"),
		REGISTRATION("{\"paused\":true}x"),
		AT("1767323045"), AT("\"\""), AT("\"2026-01-02\""),
		AT("\"2026-01-02T03:04:05\""), AT("\"2026-13-02T03:04:05Z\""),
		AT("\"2026-01-02T03:04:05+01:00\""), AT("null"),
		AT("\"1970-01-01T00:00:00Z\""), AT("\"2026-01-02T03:04:05Zx\""), /* a worker id that would leave its place in the path, a token that would end a header */
		"{\"worker_id\":\"../x\",\"session_token\":\"0123456789abcdef\",\"heartbeat_s\":15,"
		"\"lease_s\":60,\"policy\":{\"paused\":true,\"bandwidth_bps\":null}}",
		"{\"worker_id\":\"w-1\",\"session_token\":\"0123456789abcdef\\r\\nX: y\","
		"\"heartbeat_s\":15,\"lease_s\":60,\"policy\":{\"paused\":true,\"bandwidth_bps\":null}}",
		"{\"worker_id\":\"w-1\",\"session_token\":\"short\",\"heartbeat_s\":15,"
		"\"lease_s\":60,\"policy\":{\"paused\":true,\"bandwidth_bps\":null}}",
		"{\"worker_id\":\"w-1\",\"session_token\":\"0123456789abcdef\",\"heartbeat_s\":0,"
		"\"lease_s\":60,\"policy\":{\"paused\":true,\"bandwidth_bps\":null}}",
	};
	struct control_registration r = { .lease_s = 7 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(decode_register(bad[i], &r) < 0))
			printf("  %s\n", bad[i]);
	CHECK_U64(r.lease_s, 7);
}

static int decode_commands(const char *s, struct control_commands *list)
{
	struct err err = ERR_INIT;

	return control_decode_commands(s, strlen(s), list, &err);
}

TEST(commands)
{
	static struct control_commands list;

	REQUIRE(!decode_commands("{\"commands\":[{\"seq\":3,\"id\":\"c-1\",\"verb\":\"throttle\","
		"\"args\":{\"bandwidth_bps\":9}},{\"seq\":9,\"id\":\"c-2\",\"verb\":\"dance\","
		"\"args\":{}}]}", &list));
	CHECK_U64(list.n, 2);
	CHECK_U64(list.list[0].seq, 3);
	CHECK_STR(list.list[0].id, "c-1");
	CHECK(list.list[0].has_bandwidth);
	CHECK_U64(list.list[0].bandwidth, 9);
	CHECK_STR(list.list[1].verb, "dance");
	CHECK(!list.list[1].has_bandwidth);
	CHECK(!decode_commands("{\"commands\":[]}", &list));
	CHECK_U64(list.n, 0);
}

TEST(bad_commands)
{
	static const char *const bad[] = {
		"{}", "{\"commands\":{}}", "{\"commands\":[1]}",
		"{\"commands\":[{\"seq\":0,\"id\":\"c\",\"verb\":\"v\",\"args\":{}}]}",
		"{\"commands\":[{\"seq\":1,\"id\":\"\",\"verb\":\"v\",\"args\":{}}]}",
		"{\"commands\":[{\"seq\":1,\"id\":\"c\",\"verb\":\"V W\",\"args\":{}}]}",
		"{\"commands\":[{\"seq\":1,\"id\":\"c\",\"verb\":\"v\"}]}",
		"{\"commands\":[{\"seq\":2,\"id\":\"c\",\"verb\":\"v\",\"args\":{}},"
		"{\"seq\":2,\"id\":\"d\",\"verb\":\"v\",\"args\":{}}]}",
	};
	static struct control_commands list;
	struct strbuf many = STRBUF_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(decode_commands(bad[i], &list) < 0))
			printf("  %s\n", bad[i]);
	strbuf_str(&many, "{\"commands\":[");
	for (int i = 1; i <= CONTROL_MAX_COMMANDS + 1; i++)
		strbuf_fmt(&many,
			"%s{\"seq\":%d,\"id\":\"c\",\"verb\":\"v\",\"args\":{}}",
			i > 1 ? "," : "", i);
	strbuf_str(&many, "]}");
	CHECK(decode_commands(many.s, &list) < 0);
	strbuf_free(&many);
}

TEST(small_answers)
{
	struct err err = ERR_INIT;
	struct control_problem p;
	char sha256[65];
	uint64_t size = 0;
	char *bytes = NULL;
	size_t len = 0;
	int then = 5;

#define DECODE(fn, text, ...) fn(text, strlen(text), __VA_ARGS__)
	CHECK(!DECODE(control_decode_events, "{\"accepted\":2,\"duplicates\":1}", 3,
		&err));
	CHECK(DECODE(control_decode_events, "{\"accepted\":2,\"duplicates\":0}", 3,
		&err) < 0);
	CHECK(!DECODE(control_decode_log, "{\"size\":12}", &size, &err));
	CHECK_U64(size, 12);
	CHECK(!DECODE(control_decode_journal, "{\"journal\":\"00ff10\"}", 3, &bytes, &len,
		&err));
	CHECK(len == 3 && !memcmp(bytes, "\0\xff\x10", 3));
	CHECK(DECODE(control_decode_journal, "{\"journal\":\"00ff10\"}", 2, &bytes, &len,
		&err) < 0);
	CHECK(DECODE(control_decode_journal, "{\"journal\":\"00ff1\"}", 9, &bytes, &len,
		&err) < 0);
	CHECK(DECODE(control_decode_journal, "{\"journal\":\"0G\"}", 9, &bytes, &len,
		&err) < 0);
	CHECK(DECODE(control_decode_journal, "{\"journal\":3}", 9, &bytes, &len,
		&err) < 0);
	CHECK_U64(len, 3);
	free(bytes);
	CHECK(!DECODE(control_decode_journal, "{\"journal\":\"\"}", 9, &bytes, &len,
		&err));
	CHECK(!len && !bytes);
	CHECK(!DECODE(control_decode_result, "{\"sha256\":\"ab\"}", sha256, &then, &err));
	CHECK(then == -1);
	CHECK(!DECODE(control_decode_result, "{\"sha256\":\"ab\",\"then\":\"hold\"}",
		sha256, &then, &err));
	CHECK(then == JOB_HOLD);
	CHECK(DECODE(control_decode_result, "{\"sha256\":\"ab\",\"then\":\"explode\"}",
		sha256, &then, &err) < 0);
	DECODE(control_decode_problem,
		"{\"code\":\"CTL_GONE\",\"detail\":\"a\\nb\",\"size\":4}", &p);
	CHECK_STR(p.code, "CTL_GONE");
	CHECK_STR(p.detail, "a?b");
	CHECK(p.has_size);
	DECODE(control_decode_problem, "<html>", &p);
	CHECK_STR(p.code, "");
}

static const struct test tests[] = {
	TEST_ENTRY(registration, "a registration with and without policy"),
	TEST_ENTRY(server_time, "the controller's clock, and when this one is off"),
	TEST_ENTRY(bad_registration,
		"wrong registrations are CTL_PROTO and leave outputs alone"),
	TEST_ENTRY(commands, "commands in order, unknown verbs included"),
	TEST_ENTRY(bad_commands, "wrong commands, wrong order, too many"),
	TEST_ENTRY(small_answers, "events, logs, results, problems"),
};
TEST_MAIN(tests)

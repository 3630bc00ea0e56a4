/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets end with the job: the document is masked in place, is a job as before, and says
 * that it has ended. */
#include "tests/unit/test.h"

#include <unistd.h>

#include "job/job-internal.h"

#define PSK "user:00112233445566778899aabbccddeeff"
#define CONTROLLER_KEYS \
	"\"controller\":{\"url\":\"https://c\",\"token\":\"to\\u006Ben-1\"," \
	"\"pins\":[\"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]},"
#define WHOLE \
	"{\"version\":1,\"migration\":\"m-1\",\"mode\":\"full\"," CONTROLLER_KEYS \
	"\"source\":{\"url\":\"tws://h\",\"psk\":\"" PSK "\"}," \
	"\"drives\":[{\"source\":\"sda\",\"target\":{\"serial\":\"TW0\"}}]," \
	"\"prepare\":{\"keys\":[\"pass \\\"one\\\"\",{\"device\":\"sda2\",\"key\":\"pass two\"}," \
	"{\"key_base64\":\"cGFzcyB0aHJlZQ\"},{\"key_base64\":\"cGE=\"}]}," \
	"\"extensions\":[{\"when\":\"mounted\",\"run\":\"echo pw | passwd\\nexit 0\"}]}"

static char text[2048];

static int wipe(const char *from, bool keep_token)
{
	snprintf(text, sizeof(text), "%s", from);
	return job_wipe_text(text, strlen(text), keep_token);
}

static struct job *parse(void)
{
	struct err err = ERR_INIT;
	struct job *j = NULL;

	if (!CHECK(job_parse(text, strlen(text), &j, &err) == 0))
		printf("%s\n%s\n", err.text, text);
	return j;
}

TEST(whole)
{
	static const char *const secrets[] = { "00112233", "ccddeeff", "to\\u006Ben", "pass",
		"cGFz", "cGE", "echo", "exit 0" };
	struct job *j;

	CHECK(wipe(WHOLE, false) == 7);
	CHECK_U64(strlen(text), strlen(WHOLE));
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (!CHECK(!strstr(text, secrets[i])))
			printf("%s stays\n", secrets[i]);
	/* All else is what a second start needs. */
	REQUIRE((j = parse()));
	CHECK_STR(j->migration, "m-1");
	CHECK(j->mode == JOB_FULL && j->n_drives == 1 && j->prepare.n_keys == 4);
	CHECK_STR(j->controller.url, "https://c");
	CHECK_STR(j->source.psk, "user:00000000000000000000000000000000");
	CHECK(job_is_spent(j));
	job_free(j);
	CHECK(job_wipe_text(text, strlen(text), false) == 0); /* once more */
	REQUIRE((j = parse()));
	job_free(j);
}

TEST(token_stays)
{
	struct job *j;

	CHECK(wipe(WHOLE, true) == 6);
	REQUIRE((j = parse()));
	CHECK_STR(j->controller.token, "token-1");
	CHECK(job_is_spent(j));
	job_free(j);
}

/* A key of any of these names is masked wherever it is, and nothing else. */
TEST(places)
{
	CHECK(wipe("{\"a\":[{\"psk\":\"u:12\"}],\"token\":7,\"tokens\":\"x\",\"key\":[\"ab\"]}",
			false) == 2);
	CHECK_STR(text, "{\"a\":[{\"psk\":\"u:00\"}],\"token\":7,\"tokens\":\"x\",\"key\":[\"**\"]}");
	CHECK(wipe("{\"psk\":\"nocolon\",\"key\":\"\"}", false) == 1);
	CHECK_STR(text, "{\"psk\":\"0000000\",\"key\":\"\"}");
	CHECK(wipe("{\"psk\":\"u:12\"", false) == -1);
	CHECK_STR(text, "{\"psk\":\"u:12\"");
	CHECK(wipe("", false) == -1);
	CHECK(wipe("[]", false) == 0);
}

TEST(not_spent)
{
	struct job *j;

	snprintf(text, sizeof(text), "%s", WHOLE);
	REQUIRE((j = parse()));
	CHECK(!job_is_spent(j));
	job_free(j);
	snprintf(text, sizeof(text), "{\"version\":1,\"migration\":\"p\",\"mode\":\"prepare\","
		"\"drives\":[{\"target\":{\"serial\":\"TW0\"}}],\"prepare\":{\"keys\":[\"a*\"]}}");
	REQUIRE((j = parse()));
	CHECK(!job_is_spent(j));
	job_free(j);
	CHECK(job_wipe_text(text, strlen(text), false) == 1);
	REQUIRE((j = parse()));
	CHECK(job_is_spent(j));
	job_free(j);
	/* Each of the others is enough. */
	snprintf(text, sizeof(text), "{\"version\":1,\"migration\":\"p\",\"mode\":\"delta\","
		"\"source\":{\"url\":\"tws://h\",\"psk\":\"" PSK "\"},"
		"\"drives\":[{\"source\":\"sda\",\"target\":{\"serial\":\"TW0\"}}]}");
	CHECK(job_wipe_text(text, strlen(text), false) == 1);
	REQUIRE((j = parse()));
	CHECK(job_is_spent(j));
	job_free(j);
	snprintf(text, sizeof(text), "{\"version\":1,\"migration\":\"p\",\"mode\":\"prepare\","
		CONTROLLER_KEYS "\"drives\":[{\"target\":{\"serial\":\"TW0\"}}]}");
	CHECK(job_wipe_text(text, strlen(text), false) == 1);
	REQUIRE((j = parse()));
	CHECK(job_is_spent(j));
	job_free(j);
}

TEST(marked)
{
	static const char done[] = "{\"verdict\":\"success\",\"acknowledged\":false,\"x\":[1]}";
	char *s = job_result_mark(done, strlen(done));

	REQUIRE(s);
	CHECK(job_result_acknowledged(s, strlen(s)));
	CHECK(strstr(s, "\"verdict\":\"success\"") && strstr(s, "\"x\":[1]"));
	free(s);
	CHECK(!job_result_mark("[]", 2) && !job_result_mark("", 0));
}

static const struct test tests[] = {
	TEST_ENTRY(whole, "every secret goes, the job stays a job"),
	TEST_ENTRY(token_stays, "the token stays while the result is not taken"),
	TEST_ENTRY(places, "secrets are masked wherever they are"),
	TEST_ENTRY(not_spent, "a job with its secrets has not ended"),
	TEST_ENTRY(marked, "a result that was taken later says so"),
};
TEST_MAIN(tests)

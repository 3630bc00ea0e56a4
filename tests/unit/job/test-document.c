/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that are no job: too deep, too large, or refused but for whom to tell;
 * and the URI of a drive. */
#include "tests/unit/test.h"

#include "job/job-internal.h"

TEST(hostile)
{
	struct err err = ERR_INIT;
	struct job *j = NULL;
	size_t n = JOB_MAX_BYTES;
	char *text = malloc(n + 1);

	REQUIRE(text);
	memset(text, '[', n + 1);
	CHECK(job_parse(text, n, &j, &err) == -1 && err.code == ERR_CFG_INVALID);
	memset(text, '[', n / 2);
	memset(text + n / 2, ']', n / 2);
	CHECK(job_parse(text, n, &j, &err) == -1 && err.code == ERR_CFG_INVALID);
	CHECK(job_parse(text, n + 1, &j, &err) == -1 && err.code == ERR_CFG_INVALID);
	memset(text, 'a', n);
	memcpy(text, "{\"version\":1,\"", strlen("{\"version\":1,\""));
	memcpy(text + n - 4, "\":1}", 4);
	CHECK(job_parse(text, n, &j, &err) == -1 && err.code == ERR_CFG_INVALID);
	CHECK(strlen(err.text) < 120);
	free(text);
}

static const char *uri_of(const char *url, const char *drive)
{
	static char uri[JOB_URI_MAX];
	struct job *j = calloc(1, sizeof(*j));
	struct job_drive d = { .target_state = JOB_UNKNOWN };

	snprintf(j->source.url, sizeof(j->source.url), "%s", url);
	snprintf(d.source, sizeof(d.source), "%s", drive);
	CHECK(job_drive_uri(j, &d, uri) == 0);
	free(j);
	return uri;
}

TEST(drive_uris)
{
	CHECK_STR(uri_of("tws://h:5994", "sda"), "tws://h:5994/sda");
	CHECK_STR(uri_of("tws://h/", "sda"), "tws://h/sda");
	CHECK_STR(uri_of("nbd://h", "a/b c?"), "nbd://h/a%2Fb%20c%3F");
	CHECK_STR(uri_of("nbd+unix:///?socket=/tmp/s", "x"),
		"nbd+unix:///x?socket=/tmp/s");
	CHECK_STR(uri_of("file:/srv/disks", "sub/a?b"), "file:/srv/disks/sub/a%3Fb");
	CHECK_STR(uri_of("pattern:", "1048576?zero=3"), "pattern:1048576?zero=3");
}

#define BOSS "\"migration\":\"m-7\",\"controller\":{\"url\":\"https://c/v1\",\"token\":\"t\"," \
	"\"pins\":[\"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}"

static struct job *contact_of(const char *text)
{
	struct err err = ERR_INIT;
	struct job *j = NULL;

	CHECK(job_parse(text, strlen(text), &j, &err) == -1 && !j);
	return job_parse_contact(text, strlen(text));
}

TEST(contact)
{
	struct job *j =
		contact_of("{\"drives\":7,\"network\":[{\"mac\":\"52:54:00:12:34:56\","
		"\"dhcp\":true}],\"report_deadline_s\":9,\"finish\":\"hold\"," BOSS "}");

	REQUIRE(j);
	CHECK_STR(j->migration, "m-7");
	CHECK_STR(j->controller.url, "https://c/v1");
	CHECK(j->controller.present && j->controller.n_pins == 1 && j->n_nets == 1);
	CHECK(j->report_deadline_s == 9 && j->finish == JOB_POWEROFF && !j->n_drives);
	job_free(j);
	j = contact_of("{\"network\":[{\"mac\":\"52:54:00:12:34:56\",\"dhcp\":true},{}]," BOSS "}");
	REQUIRE(j);
	CHECK(j->n_nets == 0 && !*j->nets[0].mac);
	job_free(j);
	CHECK(!contact_of("{\"migration\":\"m\"}"));
	CHECK(!contact_of("{\"migration\":\"m\",\"controller\":{\"url\":\"https://c\"}}"));
	CHECK(!contact_of("[" BOSS "]") && !contact_of("") && !contact_of("[]") &&
		!contact_of("7"));
}

static const struct test tests[] = {
	TEST_ENTRY(hostile, "deep nesting, huge keys and huge documents are refused"),
	TEST_ENTRY(contact, "a refused document says whom to tell"),
	TEST_ENTRY(drive_uris, "the drive's name gets its place in source.url"),
};
TEST_MAIN(tests)

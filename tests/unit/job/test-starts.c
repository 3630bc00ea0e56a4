/* SPDX-License-Identifier: Apache-2.0 */
/* Starts of the machine for one job: counted, bounded, and forgotten at its end. */
#include "tests/unit/test.h"

#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

static char dir[] = "/tmp/tw-starts-XXXXXX";
static char result_path[96];

static const struct job_env env = { .image = true, .init_fd = -1,
	.result_file = result_path };

TEST(next)
{
	static const struct {
		const char *text;
		unsigned n;
	} cases[] = {
		{ NULL, 1 },
		{ "", 1 },
		{ "{", 1 },
		{ "[3]", 1 },
		{ "{\"migration\":\"m\",\"boot\":\"a\",\"starts\":3}", 4 },
		{ "{\"migration\":\"m\",\"boot\":\"b\",\"starts\":3}", 3 },
		{ "{\"migration\":\"m\",\"boot\":\"\",\"starts\":0}", 1 },
		{ "{\"migration\":\"m\",\"boot\":\"b\",\"starts\":0}", 1 },
		{ "{\"migration\":\"n\",\"boot\":\"a\",\"starts\":3}", 1 },
		{ "{\"migration\":\"m\",\"boot\":\"a\",\"starts\":-3}", 1 },
		{ "{\"migration\":\"m\",\"starts\":18446744073709551614}", UINT32_MAX },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *t = cases[i].text;

		CHECK_U64(job_starts_next(t, t ? strlen(t) : 0, "m", "b"), cases[i].n);
	}
}

/* As many starts as were kept before this one. */
static void keep_starts(unsigned n)
{
	char text[128], path[112];

	snprintf(text, sizeof(text),
		"{\"migration\":\"m\",\"boot\":\"x\",\"starts\":%u}", n);
	snprintf(path, sizeof(path), "%s.starts", result_path);
	CHECK(fdio_replace_file(path, text, strlen(text), 0600,
		&(struct err)ERR_INIT) == 0);
}

static unsigned kept_starts(void)
{
	char path[112], *text = NULL;
	unsigned n = 9999;
	size_t len;

	snprintf(path, sizeof(path), "%s.starts", result_path);
	CHECK(fdio_read_file(path, 1000, &text, &len, &(struct err)ERR_INIT) == 0);
	if (text && strstr(text, "\"starts\": "))
		n = (unsigned)atoi(strstr(text, "\"starts\": ") + 10);
	free(text);
	return n;
}

static unsigned told;

static unsigned tell_starts(void *ctx)
{
	(void)ctx;
	return told;
}

static void begin(struct job_runner *r, struct job *j)
{
	memset(r, 0, sizeof(*r));
	memset(j, 0, sizeof(*j));
	strcpy(j->migration, "m");
	j->max_starts = 3;
	r->env = &env;
	r->job = j;
	r->machine_fd = -1;
	pthread_mutex_init(&r->lock, NULL);
}

TEST(bounded)
{
	static struct job_runner r;
	static struct job j;
	struct err err = ERR_INIT;

	begin(&r, &j);
	keep_starts(2);
	CHECK(job_starts_begin(&r, &err) == 0 && r.starts == 3 && !r.looping);
	CHECK_U64(kept_starts(), 3);
	/* The same boot again: a worker that crashed. */
	CHECK(job_starts_begin(&r, &err) == 0 && r.starts == 3);
	keep_starts(3);
	CHECK(job_starts_begin(&r, &err) < 0 && err.code == ERR_BOOT_LOOP);
	CHECK(r.looping && !r.silent);
	keep_starts(4);
	err_clear(&err);
	CHECK(job_starts_begin(&r, &err) < 0 && r.silent);
	/* The controller's count does the same where no other can be kept. */
	begin(&r, &j);
	told = 9;
	CHECK(job_starts_told(&r, &err) == 0);
	r.port.starts = tell_starts;
	told = 3;
	CHECK(job_starts_told(&r, &err) == 0);
	told = 4;
	err_clear(&err);
	CHECK(job_starts_told(&r, &err) < 0 && err.code == ERR_BOOT_LOOP);
}

TEST(ends)
{
	static const struct {
		enum job_state end;
		enum job_finish then;
		enum job_mode mode;
		bool anew;
	} cases[] = {
		{ JOB_OFF, JOB_POWEROFF, JOB_FULL, true },
		{ JOB_OFF, JOB_REBOOT, JOB_FULL, true },
		{ JOB_OFF, JOB_REBOOT, JOB_DELTA, false },
		{ JOB_FAILED, JOB_POWEROFF, JOB_FULL, true },
		{ JOB_FAILED, JOB_HOLD, JOB_FULL, true },
		{ JOB_FAILED, JOB_REBOOT, JOB_FULL, false },
		{ JOB_CANCELLED, JOB_POWEROFF, JOB_FULL, true },
	};
	static struct job_runner r;
	static struct job j;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&r, &j);
		j.mode = cases[i].mode;
		keep_starts(1);
		CHECK(job_starts_begin(&r, &err) == 0);
		job_starts_end(&r, cases[i].end, cases[i].then);
		CHECK_U64(kept_starts(), cases[i].anew ? 0 : 2);
	}
	/* After crashes of the worker the machine goes off, unless tw.on_error=reboot. */
	begin(&r, &j);
	keep_starts(1);
	r.crashed = true;
	job_starts_end(&r, JOB_FAILED, JOB_REBOOT);
	CHECK_U64(kept_starts(), 0);
}

static const struct test tests[] = {
	TEST_ENTRY(next, "a count that is kept is that of this job and of other boots"),
	TEST_ENTRY(bounded, "above max_starts: BOOT_LOOP, then nobody is asked"),
	TEST_ENTRY(ends, "an end begins the count anew, a restart with the volume does not"),
};

int main(int argc, char **argv)
{
	char path[112];
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(result_path, sizeof(result_path), "%s/result", dir);
	log_set_level(LOG_LEVEL_ERROR);
	rc = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	snprintf(path, sizeof(path), "%s.starts", result_path);
	unlink(path);
	rmdir(dir);
	return rc;
}

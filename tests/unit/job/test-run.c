/* SPDX-License-Identifier: Apache-2.0 */
/* Whole jobs, from the document to the result. */
#include "rig.h"

TEST(two_drives)
{
	clean();
	make_file("a", 3 * MIB + 512, 1);
	make_file("b", 2 * MIB, 2);
	CHECK(run(TWO_DRIVES(CONTROLLER), NULL) == 0);
	CHECK(same_files("a", "ta"));
	CHECK(same_files("b", "tb"));
	CHECK(ctl.announced && ctl.reports == 1);
	/* What was before the port was opened has come, too, and first. */
	CHECK(!strncmp(ctl.states, "BOOT CONFIG REGISTER READY COPY ", 32));
	CHECK(strstr(ctl.states, "VERIFY "));
	CHECK(strstr(ctl.states, "PREPARE COMMIT REPORT OFF "));
	REQUIRE(ctl.result);
	CHECK(strstr(ctl.result, "\"verdict\":\"success\"") &&
		strstr(ctl.result, "\"code\":\"NONE\""));
	CHECK(!strstr(ctl.result, "acknowledged"));
	CHECK(strstr(result(), "\"acknowledged\":true") &&
		strstr(result(), "\"committed\":true"));
	CHECK(strstr(result(), "\"drives\":\"file\""));
}

/* Everything is checked before the first write. */
TEST(second_source_missing)
{
	clean();
	make_file("a", MIB, 1);
	CHECK(run(TWO_DRIVES(""), NULL) != 0);
	CHECK(!exists("ta") && !exists("tb"));
	CHECK(strstr(result(), "\"verdict\":\"failed\"") &&
		strstr(result(), "\"touched\":false"));
	CHECK(strstr(result(), "\"failed_in\":\"READY\"") &&
		strstr(result(), "drives[1]"));
}

TEST(bad_job)
{
	clean();
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"x\":1}",
		NULL) == 2);
	CHECK(strstr(result(), "\"code\":\"CFG_INVALID\"") &&
		strstr(result(), "x: unknown key"));
	CHECK(strstr(result(), "\"failed_in\":\"CONFIG\""));
	clean();
	make_file("a", MIB, 1);
	make_file("b", MIB, 1);
	CHECK(run(TWO_DRIVES(",\"extensions\":[{\"when\":\"mounted\",\"run\":\"x\"}]"),
		NULL) == 2);
	CHECK(!exists("ta"));
}

TEST(refused_by_controller)
{
	clean();
	ctl.refuse = true;
	make_file("a", MIB, 1);
	make_file("b", MIB, 1);
	CHECK(run(TWO_DRIVES(CONTROLLER), NULL) == 3);
	CHECK(!exists("ta") && ctl.reports == 0);
	CHECK(strstr(result(), "\"code\":\"CTL_AUTH\"") && !strstr(result(), "\"t\""));
}

/* The registration fails at first; the result is offered all the same. */
TEST(result_after_failed_announce)
{
	clean();
	ctl.absent = 1;
	make_file("a", MIB, 1);
	make_file("b", MIB, 1);
	CHECK(run(TWO_DRIVES(CONTROLLER), NULL) == 3);
	CHECK(!exists("ta") && ctl.reports == 1);
	CHECK(strstr(ctl.states, "REGISTER FAILED REPORT OFF "));
	REQUIRE(ctl.result);
	CHECK(strstr(ctl.result, "\"code\":\"CTL_UNREACHABLE\""));
	CHECK(strstr(result(), "\"acknowledged\":true"));
}

/* A document that is refused is reported to the controller it names. */
TEST(bad_job_is_reported)
{
	clean();
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"delta\",\"x\":1" CONTROLLER "}",
		NULL) == 2);
	CHECK(ctl.announced && ctl.reports == 1);
	CHECK_STR(ctl.states, "BOOT CONFIG FAILED REPORT OFF ");
	REQUIRE(ctl.result);
	CHECK(strstr(ctl.result, "\"code\":\"CFG_INVALID\"") &&
		strstr(ctl.result, "x: unknown key"));
	CHECK(strstr(ctl.result, "\"migration\":\"m\"") &&
		strstr(ctl.result, "\"mode\":\"delta\""));
	/* It is no job: a controller that says hold cannot make it one. */
	new_controller();
	ctl.then = JOB_HOLD;
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"full\"" CONTROLLER "}",
		NULL) == 2);
	CHECK_STR(ctl.states, "BOOT CONFIG FAILED REPORT HOLD ");
	/* Nobody is told by half an address. */
	new_controller();
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"controller\":{\"url\":\"https://c\"}}",
		NULL) == 2);
	CHECK(!ctl.announced);
}

#define ZEROES \
	"{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"source\":{\"url\":\"file:@\"}," \
	"\"drives\":[{\"source\":\"a\",\"target\":{\"device\":\"@/ta\"}," \
	"\"target_state\":\"pristine\",\"target_zero\":true}],\"verify\":\"none\"," \
	"\"prepare\":false}"

/* A reset while the result was written leaves a file that says nothing. */
TEST(target_zero_after_reset)
{
	FILE *f;

	clean();
	make_file("a", MIB, 1);
	CHECK(truncate(in_dir("a"), 8 * MIB) == 0);
	make_file("ta", 8 * MIB, 2);
	f = fopen(result_path, "w");
	REQUIRE(f && fclose(f) == 0);
	CHECK(run(ZEROES, NULL) == 0);
	CHECK(same_files("a", "ta"));
}

#define SAME_TWICE(one, two) \
	"{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"source\":{\"url\":\"file:@\"}," \
	"\"drives\":[{\"source\":\"a\",\"target\":{\"device\":\"@/" one "\"}}," \
	"{\"source\":\"b\",\"target\":{\"device\":\"@/" two "\"}}],\"prepare\":false}"

TEST(one_target_twice)
{
	clean();
	make_file("a", MIB, 1);
	make_file("b", MIB, 2);
	CHECK(run(SAME_TWICE("ta", "./ta"), NULL) == 5);
	CHECK(strstr(result(), "DISK_BUSY") && !exists("ta"));
	make_file("ta", MIB, 3);
	CHECK(symlink("ta", in_dir("tb")) == 0);
	CHECK(run(SAME_TWICE("ta", "tb"), NULL) == 5);
	CHECK(strstr(result(), "DISK_BUSY"));
	make_file("b", MIB, 3);
	CHECK(same_files("b", "ta"));
	/* a link to nothing could become the other target */
	unlink(in_dir("ta"));
	CHECK(run(SAME_TWICE("ta", "tb"), NULL) == 5);
	CHECK(strstr(result(), "a link to nothing") && !exists("ta"));
}

TEST(keys_stay_secret)
{
	clean();
	make_file("a", MIB, 1);
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"source\":{\"url\":\"file:@\"},"
		  "\"drives\":[{\"source\":\"none\",\"target\":{\"device\":\"@/ta\"}}],"
		  "\"prepare\":{\"keys\":[\"open sesame\"]}" CONTROLLER "}", NULL) == 4);
	CHECK(strstr(result(), "SRC_NO_DRIVE") && !strstr(result(), "sesame") &&
		!exists("ta"));
	CHECK(ctl.result && !strstr(ctl.result, "sesame"));
}

/* Windows' drivers and packages are looked for before anything is written,
 * and are no target. */
TEST(virtio_win)
{
	static const char job[] = "{\"version\":1,\"migration\":\"m\",\"mode\":\"full\","
		"\"source\":{\"url\":\"file:@\"},\"drives\":[{\"source\":\"a\","
		"\"target\":{\"device\":\"@/ta\"}}],\"prepare\":{\"%s\":{\"%s\":\"%s\"}}}";
	static const char *const cases[][3] = {
		{ "device", "@/nothing", "DISK_NOT_FOUND" },
		{ "device", "@/ta", "DISK_BUSY" },
		{ "serial", "no-such-serial", "DISK_NOT_FOUND" },
	};

	for (size_t n = 0; n < 6; n++) {
		const char *key = n < 3 ? "virtio_win" : "packages";
		char text[512], where[64];
		size_t i = n % 3;

		clean();
		make_file("a", MIB, 1);
		if (i == 1)
			make_file("ta", MIB, 2);
		snprintf(text, sizeof(text), job, key, cases[i][0], cases[i][1]);
		CHECK(run(text, NULL) == 5);
		snprintf(where, sizeof(where), "prepare.%s: ", key);
		CHECK(strstr(result(), cases[i][2]) && strstr(result(), where));
		CHECK(strstr(result(), "\"touched\":false"));
	}
}

TEST(commit_or_cancel)
{
	struct job_env env = { .init_fd = -1 };
	struct job_runner *r = calloc(1, sizeof(*r));
	struct err err = ERR_INIT;

	r->env = &env;
	r->machine_fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	atomic_store(&r->state, JOB_PREPARING);
	CHECK(job_enter_cancelling(r, "test"));
	job_set_state(r, JOB_PREPARING, NULL); /* another stage cannot hide it */
	CHECK(atomic_load(&r->state) == JOB_CANCELLING);
	CHECK(job_enter_commit(r, &err) == -1 && err.code == ERR_CANCELLED);
	CHECK(atomic_load(&r->state) == JOB_CANCELLING);

	atomic_store(&r->ctl.cancel, false);
	atomic_store(&r->state, JOB_PREPARING);
	CHECK(job_enter_commit(r, &err) == 0);
	CHECK(!job_enter_cancelling(r, "test"));
	CHECK(!atomic_load(&r->ctl.cancel) && atomic_load(&r->state) == JOB_COMMIT);
	job_early_free(&r->early);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct test tests[] = {
	TEST_ENTRY(target_zero_after_reset,
		"target_zero is not believed after an unknown run"),
	TEST_ENTRY(one_target_twice, "two names of one target are found out"),
	TEST_ENTRY(keys_stay_secret, "a key of prepare.keys is in no result"),
	TEST_ENTRY(virtio_win, "the disk of Windows' drivers is checked first"),
	TEST_ENTRY(commit_or_cancel, "commit and cancel exclude each other"),
	TEST_ENTRY(two_drives,
		"two drives arrive equal; states, result, acknowledgement"),
	TEST_ENTRY(second_source_missing,
		"a fault of the second drive leaves the first untouched"),
	TEST_ENTRY(bad_job, "a bad job fails in CONFIG with its key"),
	TEST_ENTRY(refused_by_controller,
		"no registration, no write, no secret in the result"),
	TEST_ENTRY(result_after_failed_announce,
		"a result is offered when nobody was there at first"),
	TEST_ENTRY(bad_job_is_reported,
		"a refused document is reported to its controller"),
};

int main(int argc, char **argv)
{
	return rig_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

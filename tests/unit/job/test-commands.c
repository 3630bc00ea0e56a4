/* SPDX-License-Identifier: Apache-2.0 */
/* What a controller and a signal do to a job that is under way. */
#include "rig.h"

#define SLOW(extra) \
	"{\"version\":1,\"migration\":\"m\",\"mode\":\"full\"," \
	"\"source\":{\"url\":\"pattern:\",\"connections\":1}," \
	"\"drives\":[{\"source\":\"16777216?delay=60\",\"target\":{\"device\":\"@/ta\"}," \
	"\"target_state\":\"pristine\"}],\"verify\":\"none\",\"prepare\":false" extra "}"
#define FAST "{\"version\":1,\"migration\":\"m\",\"mode\":\"full\"," \
	"\"source\":{\"url\":\"pattern:\"}," \
	"\"drives\":[{\"source\":\"16777216\",\"target\":{\"device\":\"@/tb\"}," \
	"\"target_state\":\"pristine\"}],\"verify\":\"none\",\"prepare\":false}"

TEST(cancelled_then_continued)
{
	clean();
	ctl.on = JOB_COPY;
	ctl.verb = JOB_CMD_CANCEL;
	CHECK(run(SLOW(CONTROLLER), NULL) == 8);
	CHECK(ctl.answered && ctl.answer.code == ERR_NONE);
	CHECK(strstr(ctl.states, "CANCELLING CANCELLED REPORT OFF "));
	CHECK(strstr(result(), "\"verdict\":\"cancelled\"") &&
		strstr(result(), "\"touched\":true"));
	CHECK(head_is_zero("ta"));
	new_controller();
	CHECK(run(SLOW(""), NULL) == 0);
	CHECK(run(FAST, NULL) == 0);
	CHECK(same_files("ta", "tb"));
}

static _Atomic bool stop_flag;

static void stop_on_copy(enum job_state s)
{
	if (s == JOB_COPY)
		atomic_store(&stop_flag, true);
}

TEST(stopped_by_signal)
{
	clean();
	ctl.entered = stop_on_copy;
	CHECK(run(SLOW(CONTROLLER), &stop_flag) == 8);
	CHECK(strstr(result(), "\"code\":\"CANCELLED\"") && head_is_zero("ta"));
	atomic_store(&stop_flag, false);
}

TEST(paused)
{
	clean();
	ctl.on = JOB_COPY;
	ctl.verb = JOB_CMD_PAUSE;
	ctl.next = JOB_CMD_RESUME;
	ctl.next_after_polls = 5;
	CHECK(run(SLOW(CONTROLLER), NULL) == 0);
	CHECK(strstr(ctl.states, "COPY PAUSED COPY "));
	CHECK(strstr(ctl.states, "COMMIT REPORT OFF "));
	CHECK(strstr(result(), "\"PAUSED\":"));
}

static void late_source(enum job_state s)
{
	if (s == JOB_HELD)
		make_file("b", MIB, 7);
}

TEST(held_and_retried)
{
	clean();
	make_file("a", MIB, 1);
	ctl.on = JOB_HELD;
	ctl.verb = JOB_CMD_RETRY;
	ctl.then = JOB_HOLD;
	ctl.entered = late_source;
	ctl.next = JOB_CMD_POWEROFF;
	ctl.next_after_polls = 30;
	CHECK(run(TWO_DRIVES(CONTROLLER), NULL) == 0);
	CHECK(strstr(ctl.states, "FAILED REPORT HOLD READY COPY "));
	CHECK(ctl.reports == 2 && strstr(result(), "\"attempt\":2"));
	CHECK(same_files("b", "tb"));
}

TEST(retry_out_of_place)
{
	clean();
	ctl.on = JOB_COPY;
	ctl.verb = JOB_CMD_RETRY;
	CHECK(run(SLOW(CONTROLLER), NULL) == 0);
	CHECK(ctl.answered && ctl.answer.code == ERR_USAGE);
}

static void drop_source(enum job_state s)
{
	if (s == JOB_HELD)
		unlink(in_dir("b"));
}

TEST(retry_forgets)
{
	clean();
	make_file("a", 2 * MIB, 1);
	make_file("b", 2 * MIB, 2);
	ctl.on = JOB_HELD;
	ctl.verb = JOB_CMD_RETRY;
	ctl.then = JOB_HOLD;
	ctl.entered = drop_source;
	ctl.next = JOB_CMD_POWEROFF;
	ctl.next_after_polls = 30;
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"source\":{\"url\":\"file:@\"},"
		  "\"drives\":[{\"source\":\"a\",\"target\":{\"device\":\"@/ta\"}},"
		  "{\"source\":\"b\",\"target\":{\"device\":\"@/tb\"}}],"
		  "\"prepare\":{\"nvram\":false}" CONTROLLER "}", NULL) != 0);
	CHECK(ctl.reports == 2 && strstr(result(), "\"attempt\":2"));
	CHECK(strstr(result(), "\"code\":\"SRC_NO_DRIVE\""));
	CHECK(!strstr(result(), "\"copied\":true") && !strstr(result(), "\"prepare\":{"));
}

static const struct test tests[] = {
	TEST_ENTRY(retry_forgets,
		"a second attempt does not inherit results of the first"),
	TEST_ENTRY(cancelled_then_continued, "cancel keeps data; the same job continues"),
	TEST_ENTRY(stopped_by_signal, "a signal cancels in order"),
	TEST_ENTRY(paused, "pause and resume by command"),
	TEST_ENTRY(held_and_retried, "hold waits for retry, then for poweroff"),
	TEST_ENTRY(retry_out_of_place, "a command at the wrong time is rejected"),
};

int main(int argc, char **argv)
{
	return rig_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

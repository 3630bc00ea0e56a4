/* SPDX-License-Identifier: Apache-2.0 */
/* What init says to a worker: what stays when all is taken down,
 * and why the last one ended. */
#include "tests/unit/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "job/job-internal.h"

static struct {
	enum err_code code;
	char text[480];
} warned[20];
static int n_warned;

static void event(void *ctx, const struct job_event *e)
{
	(void)ctx;
	if (!CHECK(!strcmp(e->type, "warning") && e->err) || n_warned == 20)
		return;
	warned[n_warned].code = e->err->code;
	snprintf(warned[n_warned++].text, sizeof(warned[0].text), "%s", e->err->text);
}

/* Runs the question against an init that has already answered, and then goes. */
static struct job_runner *ask(const char *const *answers, bool goes)
{
	static struct job_env env;
	struct job_runner *r = calloc(1, sizeof(*r));
	char got[64] = "";
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) == 0);
	for (; *answers; answers++)
		CHECK(send(fd[0], *answers, strlen(*answers), 0) > 0);
	if (goes)
		shutdown(fd[0], SHUT_WR);
	env.init_fd = fd[1];
	r->env = &env;
	r->machine_fd = -1;
	r->port.event = event;
	r->n_left = 7; /* of an earlier attempt */
	n_warned = 0;
	pthread_mutex_init(&r->lock, NULL);
	job_init_settle(r);
	CHECK(recv(fd[0], got, sizeof(got) - 1, MSG_DONTWAIT) == 6);
	CHECK_STR(got, "settle");
	close(fd[0]);
	close(fd[1]);
	return r;
}

static void done(struct job_runner *r)
{
	pthread_mutex_destroy(&r->lock);
	free(r);
}

TEST(nothing_stays)
{
	static const char *const answers[] = { "settled", NULL };
	struct job_runner *r = ask(answers, false);
	char *text = job_result(r, JOB_OFF, NULL);

	CHECK(r->n_left == 0 && n_warned == 0);
	CHECK(text && !strstr(text, "left_behind"));
	free(text);
	done(r);
}

TEST(things_stay)
{
	static const char *const answers[] = { "left OFF_UMOUNT unmount /mnt: busy",
		"left OFF_DM dm-0 stays: Resource busy",
		"left OFF_SYNC flush /dev/vda: I/O error",
		"left OFF", "left OFF_DMX no such code", "unknown", "settled", NULL };
	struct job_runner *r = ask(answers, false);
	char *text = job_result(r, JOB_OFF, NULL);

	CHECK(r->n_left == 3 && n_warned == 3);
	CHECK(warned[0].code == ERR_OFF_UMOUNT && warned[1].code == ERR_OFF_DM &&
		warned[2].code == ERR_OFF_SYNC);
	CHECK_STR(warned[1].text, "dm-0 stays: Resource busy");
	REQUIRE(text);
	CHECK(strstr(text, "\"verdict\":\"success\",\"state\":\"OFF\""));
	CHECK(strstr(text, "\"left_behind\":[{\"code\":\"OFF_UMOUNT\",\"text\":\"unmount /mnt: busy\","));
	free(text);
	done(r);
}

TEST(more_than_there_is_room_for)
{
	static const char *answers[20];
	struct job_runner *r;

	for (int i = 0; i < 18; i++)
		answers[i] = "left OFF_DM dm-0 stays";
	answers[18] = "settled";
	r = ask(answers, false);
	CHECK(r->n_left == JOB_MAX_LEFT && n_warned == 18);
	done(r);
}

TEST(init_goes)
{
	static const char *const answers[] = { "left OFF_DM dm-0 stays", NULL };
	struct job_runner *r = ask(answers, true);

	CHECK(r->n_left == 2 && r->left[1].code == ERR_OFF_SYNC);
	done(r);
}

/* The first words are those of initramfs/init-crash.c. */
TEST(why_it_ended)
{
	static const struct {
		const char *cause;
		enum err_code code;
	} cases[] = {
		{ "stalled: no progress in the time it had asked for; ran 9 s",
			ERR_WORKER_STALL },
		{ "killed: out of memory; ran 3 s; maxrss 99 kB; last: x", ERR_NOMEM },
		{ "signal 11 (Segmentation fault); ran 1 s", ERR_WORKER_CRASH },
		{ "signal 9 (Killed); ran 1 s; last: stalled: no", ERR_WORKER_CRASH },
		{ "exit without a verdict; ran 0 s", ERR_WORKER_CRASH },
		{ "unknown", ERR_WORKER_CRASH },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = ERR_INIT;

		job_crash_err(cases[i].cause, &err);
		CHECK(err.code == cases[i].code && strstr(err.text, cases[i].cause));
	}
}

static const struct test tests[] = {
	TEST_ENTRY(nothing_stays, "init has taken everything down: nothing is said"),
	TEST_ENTRY(things_stay, "what stays is a warning and in the result"),
	TEST_ENTRY(more_than_there_is_room_for,
		"all are warnings, the result has the first"),
	TEST_ENTRY(why_it_ended, "each way to end has its code"),
	TEST_ENTRY(init_goes, "an init that ends in the middle is not waited for"),
};

int main(int argc, char **argv)
{
	log_set_level(LOG_LEVEL_ERROR); /* what stays is a warning of the log each */
	return test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

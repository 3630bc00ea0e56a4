/* SPDX-License-Identifier: Apache-2.0 */
/* Whole jobs on this host: files and patterns into files, with a controller made of functions. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

#define MIB (1u << 20)
#define CONTROLLER \
	",\"controller\":{\"url\":\"https://c\",\"token\":\"t\"," \
	"\"pins\":[\"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}"

static char dir[64];
static char result_path[96];

/* The controller: what it saw, and one command to give when a state is entered. */
static struct {
	char states[1024];
	enum job_state on;
	enum job_verb verb;
	uint64_t bandwidth;
	bool given, answered, announced, refuse;
	int absent; /* so many announcements find nobody */
	struct err answer;
	char *result;
	int reports;
	enum job_finish then;
	void (*entered)(enum job_state s);
	enum job_verb next; /* after the first one was answered */
	unsigned next_after_polls;
	bool due;
} ctl;

static int announce(void *ctx, const char *facts, unsigned window_s, struct err *err)
{
	(void)ctx;
	CHECK(window_s == 600 || window_s == 1800);
	CHECK(strstr(facts, "\"firmware\":") && strstr(facts, "\"disks\":"));
	ctl.announced = true;
	if (ctl.absent && ctl.absent--)
		return err_set(err, ERR_CTL_UNREACHABLE, "controller: no answer");
	return ctl.refuse ? err_set(err, ERR_CTL_AUTH, "controller: token refused") : 0;
}

static void event(void *ctx, const struct job_event *e)
{
	(void)ctx;
	if (strcmp(e->type, "state"))
		return;
	if (strlen(ctl.states) + 16 < sizeof(ctl.states))
		sprintf(ctl.states + strlen(ctl.states), "%s ", job_state_name(e->state));
	if (ctl.entered)
		ctl.entered(e->state);
	if (ctl.verb && e->state == ctl.on && !ctl.given)
		ctl.due = true;
}

static void command(void *ctx, struct job_command *ret)
{
	(void)ctx;
	if (ctl.due && !ctl.given) {
		ctl.given = true;
		ret->verb = ctl.verb;
		ret->bandwidth = ctl.bandwidth;
		strcpy(ret->id, "c-1");
	} else if (ctl.answered && ctl.next && ctl.next_after_polls-- == 0) {
		ret->verb = ctl.next;
		strcpy(ret->id, "c-2");
		ctl.next = JOB_CMD_NONE;
	}
}

static void command_done(void *ctx, const char *id, const struct err *err)
{
	(void)ctx;
	if (!strcmp(id, "c-1")) {
		ctl.answered = true;
		if (err)
			ctl.answer = *err;
	}
}

static int report(void *ctx, const char *result, unsigned deadline_s, enum job_finish *ret_then,
	struct err *err)
{
	(void)ctx;
	(void)err;
	CHECK(deadline_s == 1800 || deadline_s == 1799);
	free(ctl.result);
	ctl.result = strdup(result);
	ctl.reports++;
	*ret_then = ctl.then;
	return 0;
}

static int open_port(void *ctx, const struct job *j, struct job_port *ret, struct err *err)
{
	(void)ctx;
	(void)err;
	CHECK_STR(j->controller.token, "t");
	*ret = (struct job_port){ .announce = announce, .event = event, .command = command,
		.command_done = command_done, .report = report };
	return 0;
}

static char *in_dir(const char *name)
{
	static char paths[4][128];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", dir, name);
	return paths[turn];
}

static bool exists(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

static void make_file(const char *name, size_t size, unsigned seed)
{
	unsigned char *buf = malloc(size);
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245u + 12345u;
		buf[i] = (unsigned char)(seed >> 16);
	}
	CHECK(fd >= 0 && fdio_write(fd, buf, size) == 0);
	close(fd);
	free(buf);
}

static bool same_files(const char *a, const char *b)
{
	char *x = NULL, *y = NULL;
	size_t n = 0, m = 0;
	struct err err = ERR_INIT;
	bool same = fdio_read_file(in_dir(a), 64 * MIB, &x, &n, &err) == 0 &&
		fdio_read_file(in_dir(b), 64 * MIB, &y, &m, &err) == 0 && n == m &&
		!memcmp(x, y, n);

	free(x);
	free(y);
	return same;
}

/* Whether there is nothing that firmware starts from: no boot sector, no partition table. */
static bool head_is_zero(const char *name)
{
	static char head[4096];
	int fd = open(in_dir(name), O_RDONLY);
	bool zero = fd >= 0 && fdio_pread(fd, head, sizeof(head), 0) == 0;

	for (size_t i = 0; zero && i < sizeof(head); i++)
		zero = !head[i];
	if (fd >= 0)
		close(fd);
	return zero;
}

static void new_controller(void)
{
	free(ctl.result);
	memset(&ctl, 0, sizeof(ctl));
}

static void clean(void)
{
	static const char *const names[] = { "a", "b", "ta", "tb", "job", "result" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	new_controller();
}

/* Runs a job document in which every @ is the scratch directory. */
static int run(const char *text, _Atomic bool *stop)
{
	struct job_env env = { .job_file = in_dir("job"), .result_file = result_path,
		.init_fd = -1, .open_port = open_port, .stop = stop };
	FILE *f = fopen(in_dir("job"), "w");

	for (; *text; text++) {
		if (*text == '@')
			fputs(dir, f);
		else
			fputc(*text, f);
	}
	fclose(f);
	return job_run(&env);
}

static char *result(void)
{
	static char *text;
	struct err err = ERR_INIT;
	size_t len;

	free(text);
	text = NULL;
	if (fdio_read_file(result_path, MIB, &text, &len, &err) < 0)
		printf("%s\n", err.text);
	return text ? text : (text = strdup(""));
}

#define TWO_DRIVES(extra) \
	"{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"source\":{\"url\":\"file:@\"}," \
	"\"drives\":[{\"source\":\"a\",\"target\":{\"device\":\"@/ta\"}," \
	"\"target_state\":\"pristine\"},{\"source\":\"b\",\"target\":{\"device\":\"@/tb\"}}]," \
	"\"verify\":\"full\",\"prepare\":false" extra "}"
#define SLOW(extra) \
	"{\"version\":1,\"migration\":\"m\",\"mode\":\"full\"," \
	"\"source\":{\"url\":\"pattern:\",\"connections\":1}," \
	"\"drives\":[{\"source\":\"16777216?delay=60\",\"target\":{\"device\":\"@/ta\"}," \
	"\"target_state\":\"pristine\"}],\"verify\":\"none\",\"prepare\":false" extra "}"
#define FAST "{\"version\":1,\"migration\":\"m\",\"mode\":\"full\"," \
	"\"source\":{\"url\":\"pattern:\"}," \
	"\"drives\":[{\"source\":\"16777216\",\"target\":{\"device\":\"@/tb\"}," \
	"\"target_state\":\"pristine\"}],\"verify\":\"none\",\"prepare\":false}"

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
	CHECK(strstr(ctl.result, "\"verdict\":\"success\"") && strstr(ctl.result, "\"code\":\"NONE\""));
	CHECK(!strstr(ctl.result, "acknowledged"));
	CHECK(strstr(result(), "\"acknowledged\":true") && strstr(result(), "\"committed\":true"));
	CHECK(strstr(result(), "\"drives\":\"file\""));
}

/* Everything is checked before the first write. */
TEST(second_source_missing)
{
	clean();
	make_file("a", MIB, 1);
	CHECK(run(TWO_DRIVES(""), NULL) != 0);
	CHECK(!exists("ta") && !exists("tb"));
	CHECK(strstr(result(), "\"verdict\":\"failed\"") && strstr(result(), "\"touched\":false"));
	CHECK(strstr(result(), "\"failed_in\":\"READY\"") && strstr(result(), "drives[1]"));
}

TEST(bad_job)
{
	clean();
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"full\",\"x\":1}", NULL) == 2);
	CHECK(strstr(result(), "\"code\":\"CFG_INVALID\"") && strstr(result(), "x: unknown key"));
	CHECK(strstr(result(), "\"failed_in\":\"CONFIG\""));
	clean();
	make_file("a", MIB, 1);
	make_file("b", MIB, 1);
	CHECK(run(TWO_DRIVES(",\"extensions\":[{\"when\":\"mounted\",\"run\":\"x\"}]"), NULL) == 2);
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
	CHECK(strstr(ctl.result, "\"code\":\"CFG_INVALID\"") && strstr(ctl.result, "x: unknown key"));
	CHECK(strstr(ctl.result, "\"migration\":\"m\"") && strstr(ctl.result, "\"mode\":\"delta\""));
	/* It is no job: a controller that says hold cannot make it one. */
	new_controller();
	ctl.then = JOB_HOLD;
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"mode\":\"full\"" CONTROLLER "}", NULL) == 2);
	CHECK_STR(ctl.states, "BOOT CONFIG FAILED REPORT HOLD ");
	/* Nobody is told by half an address. */
	new_controller();
	CHECK(run("{\"version\":1,\"migration\":\"m\",\"controller\":{\"url\":\"https://c\"}}",
		NULL) == 2);
	CHECK(!ctl.announced);
}

TEST(cancelled_then_continued)
{
	clean();
	ctl.on = JOB_COPY;
	ctl.verb = JOB_CMD_CANCEL;
	CHECK(run(SLOW(CONTROLLER), NULL) == 8);
	CHECK(ctl.answered && ctl.answer.code == ERR_NONE);
	CHECK(strstr(ctl.states, "CANCELLING CANCELLED REPORT OFF "));
	CHECK(strstr(result(), "\"verdict\":\"cancelled\"") && strstr(result(), "\"touched\":true"));
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
	CHECK(strstr(result(), "SRC_NO_DRIVE") && !strstr(result(), "sesame") && !exists("ta"));
	CHECK(ctl.result && !strstr(ctl.result, "sesame"));
}

/* Windows' drivers and packages are looked for before anything is written, and are no target. */
TEST(virtio_win)
{
	static const char job[] = "{\"version\":1,\"migration\":\"m\",\"mode\":\"full\","
		"\"source\":{\"url\":\"file:@\"},\"drives\":[{\"source\":\"a\","
		"\"target\":{\"device\":\"@/ta\"}}],\"prepare\":{\"%s\":{\"%s\":\"%s\"}}}";
	static const char *const cases[][3] = {
		{ "device", "@/nothing", "DISK_NOT_FOUND" }, { "device", "@/ta", "DISK_BUSY" },
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
	TEST_ENTRY(target_zero_after_reset, "target_zero is not believed after an unknown run"),
	TEST_ENTRY(retry_forgets, "a second attempt does not inherit results of the first"),
	TEST_ENTRY(one_target_twice, "two names of one target are found out"),
	TEST_ENTRY(keys_stay_secret, "a key of prepare.keys is in no result"),
	TEST_ENTRY(virtio_win, "the disk of Windows' drivers is checked first"),
	TEST_ENTRY(commit_or_cancel, "commit and cancel exclude each other"),
	TEST_ENTRY(two_drives, "two drives arrive equal; states, result, acknowledgement"),
	TEST_ENTRY(second_source_missing, "a fault of the second drive leaves the first untouched"),
	TEST_ENTRY(bad_job, "a bad job fails in CONFIG with its key"),
	TEST_ENTRY(refused_by_controller, "no registration, no write, no secret in the result"),
	TEST_ENTRY(result_after_failed_announce, "a result is offered when nobody was there at first"),
	TEST_ENTRY(bad_job_is_reported, "a refused document is reported to its controller"),
	TEST_ENTRY(cancelled_then_continued, "cancel keeps data; the same job continues"),
	TEST_ENTRY(stopped_by_signal, "a signal cancels in order"),
	TEST_ENTRY(paused, "pause and resume by command"),
	TEST_ENTRY(held_and_retried, "hold waits for retry, then for poweroff"),
	TEST_ENTRY(retry_out_of_place, "a command at the wrong time is rejected"),
};

int main(int argc, char **argv)
{
	int rc;

	strcpy(dir, "/tmp/tw-test-run-XXXXXX");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(result_path, sizeof(result_path), "%s/result", dir);
	log_set_level(LOG_LEVEL_ERROR);
	rc = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	clean();
	rmdir(dir);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whole jobs on this host: files and patterns into files,
 * with a controller made of functions. */
#ifndef TESTS_UNIT_JOB_RIG_H
#define TESTS_UNIT_JOB_RIG_H

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

static int report(void *ctx, const char *result, unsigned deadline_s,
	enum job_finish *ret_then, struct err *err)
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

static int open_port(void *ctx, const struct job *j, struct job_port *ret,
	struct err *err)
{
	(void)ctx;
	(void)err;
	CHECK_STR(j->controller.token, "t");
	*ret = (struct job_port){ .announce = announce, .event = event,
		.command = command,
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

static inline bool exists(const char *name)
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

/* Whether there is nothing that firmware starts from: no boot sector,
 * no partition table. */
static inline bool head_is_zero(const char *name)
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

/* main of a program of such tests. */
static int rig_main(const struct test *tests, size_t n, int argc, char **argv)
{
	int rc;

	strcpy(dir, "/tmp/tw-test-run-XXXXXX");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(result_path, sizeof(result_path), "%s/result", dir);
	log_set_level(LOG_LEVEL_ERROR);
	rc = test_main(tests, n, argc, argv);
	clean();
	rmdir(dir);
	return rc;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's control module on its own, driven line by line from standard input, so
 * that a script can play a job against a real controller: see usage(). Each line is
 * answered on standard output by "ok ..." or "error CODE text".
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"

static struct job job; /* only the controller section is looked at */
static struct control *control;
static struct job_port port;
static unsigned window_s = 600;
static enum job_state state = JOB_REGISTER;
static _Atomic bool cancel;

static int usage(void)
{
	fputs("usage: control-driver --url U --token T --pin P [--pin P] --migration M [--boot-id B]\n"
	      "       [--window S] [--backoff S] [--timeout S]\n"
	      "lines: announce | state NAME | step NAME TEXT | error CODE TEXT\n"
	      "       progress DRIVE TOTAL FLUSHED | command SECONDS | done ID | failed ID\n"
	      "       report SECONDS JSON | sleep MS | flood N | starts\n"
	      "       alarm SECONDS (then the next calls are cancelled)\n", stderr);
	return 2;
}

static void answer(int rc, const struct err *err)
{
	if (rc < 0)
		printf("error %s %s\n", err_name(err->code), err->text);
	else
		puts("ok");
}

static void event(const char *type, const char *step, const char *text,
	const struct err *err)
{
	struct job_event e = { .type = type, .state = state, .step = step, .text = text,
		.err = err, .drive = -1, .attempt = 1 };

	port.event(port.ctx, &e);
}

static void do_announce(char *args)
{
	struct err err = ERR_INIT;

	(void)args;
	answer(port.announce(port.ctx, "{\"firmware\":\"bios\",\"disks\":[],\"nics\":[]}",
		       window_s, &err), &err);
}

static void do_state(char *args)
{
	for (state = JOB_BOOT; state <= JOB_HELD && strcmp(job_state_name(state), args);
	    state++)
		;
	event("state", NULL, "a new state", NULL);
	puts("ok");
}

static void do_step(char *args)
{
	char *text = strchr(args, ' ');

	if (text)
		*text++ = '\0';
	event("step.started", args, text, NULL);
	puts("ok");
}

static void do_error(char *args)
{
	struct err err = ERR_INIT;
	char *text = strchr(args, ' ');

	if (text)
		*text++ = '\0';
	err_set(&err, err_from_name(args), "%s", text ? text : "");
	event("error", NULL, NULL, &err);
	puts("ok");
}

static void do_progress(char *args)
{
	struct copy_progress p = { .phase = "copy", .eta_s = UINT64_MAX,
		.eta_lo_s = UINT64_MAX,
		.eta_hi_s = UINT64_MAX };
	struct job_event e = { .type = "disk.progress", .state = state, .progress = &p,
		.attempt = 1 };

	if (sscanf(args, "%d %" SCNu64 " %" SCNu64, &e.drive, &p.total, &p.flushed) != 3)
		exit(usage());
	p.done = p.wire = p.flushed;
	port.event(port.ctx, &e);
	puts("ok");
}

static void do_command(char *args)
{
	uint64_t until = clock_now_ms() + strtoull(args, NULL, 10) * 1000;
	struct job_command c;

	do {
		port.command(port.ctx, &c);
		if (c.verb != JOB_CMD_NONE) {
			printf("ok command %d %s %" PRIu64 "\n", c.verb, c.id,
				c.bandwidth);
			return;
		}
		usleep(20000);
	} while (clock_now_ms() < until);
	puts("ok none");
}

static void do_done(char *args)
{
	port.command_done(port.ctx, args, NULL);
	puts("ok");
}

static void do_failed(char *args)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_DISK_IO, "the drive is gone");
	port.command_done(port.ctx, args, &err);
	puts("ok");
}

static void do_report(char *args)
{
	enum job_finish then = JOB_POWEROFF;
	struct err err = ERR_INIT;
	char *json;
	unsigned deadline = (unsigned)strtoul(args, &json, 10);

	if (port.report(port.ctx, json + strspn(json, " "), deadline, &then, &err) < 0)
		answer(-1, &err);
	else
		printf("ok then %d\n", then);
}

static void do_journal(char *args)
{
	char *text;
	int drive = (int)strtol(args, &text, 10);

	text += strspn(text, " ");
	port.journal_put(port.ctx, drive, text, strlen(text));
	puts("ok");
}

static void do_kept(char *args)
{
	struct err err = ERR_INIT;
	char *bytes = NULL;
	size_t len = 0;

	if (port.journal_get(port.ctx, atoi(args), 1000, &bytes, &len, &err) < 0)
		answer(-1, &err);
	else
		printf("ok %.*s\n", (int)len, len ? bytes : "");
	free(bytes);
}

static void do_sleep(char *args)
{
	usleep((useconds_t)strtoul(args, NULL, 10) * 1000);
	puts("ok");
}

static void do_flood(char *args)
{
	char text[32];

	for (unsigned i = 0, n = (unsigned)strtoul(args, NULL, 10); i < n; i++) {
		snprintf(text, sizeof(text), "flood %u", i);
		event("state", NULL, text, NULL);
		if (i % 10 == 9)
			usleep(10000);
	}
	puts("ok");
}

static void on_alarm(int sig)
{
	(void)sig;
	cancel = true;
}

static void do_alarm(char *args)
{
	signal(SIGALRM, on_alarm);
	alarm((unsigned)strtoul(args, NULL, 10));
	puts("ok");
}

static void do_starts(char *args)
{
	(void)args;
	printf("ok %u\n", port.starts(port.ctx));
}

static const struct {
	const char *name;
	void (*run)(char *args);
} lines[] = {
	{ "announce", do_announce }, { "state", do_state }, { "step", do_step },
	{ "error", do_error }, { "progress", do_progress }, { "command", do_command },
	{ "done", do_done }, { "failed", do_failed }, { "report", do_report },
	{ "journal", do_journal }, { "kept", do_kept }, { "sleep", do_sleep },
	{ "flood", do_flood }, { "alarm", do_alarm },
	{ "starts", do_starts },
};

static int run_lines(void)
{
	char line[65536], *args;

	while (fgets(line, sizeof(line), stdin)) {
		size_t i = 0, n = sizeof(lines) / sizeof(lines[0]);

		line[strcspn(line, "\n")] = '\0';
		args = line + strcspn(line, " ");
		if (*args)
			*args++ = '\0';
		while (i < n && strcmp(lines[i].name, line))
			i++;
		if (i == n)
			return usage();
		lines[i].run(args);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct control_options opt = { .cancel = &cancel };
	struct err err = ERR_INIT;
	int rc;

	job.controller.present = true;
	for (int i = 1; i < argc; i += 2) {
		const char *v = argv[i + 1];

		if (!v)
			return usage();
		if (!strcmp(argv[i], "--url"))
			snprintf(job.controller.url, sizeof(job.controller.url), "%s", v);
		else if (!strcmp(argv[i], "--token"))
			snprintf(job.controller.token, sizeof(job.controller.token),
				"%s", v);
		else if (!strcmp(argv[i], "--migration"))
			snprintf(job.migration, sizeof(job.migration), "%s", v);
		else if (!strcmp(argv[i], "--pin") &&
		    job.controller.n_pins < JOB_MAX_PINS)
			snprintf(job.controller.pins[job.controller.n_pins++], 64, "%s",
				!strncmp(v, "sha256//", 8) ? v + 8 : v);
		else if (!strcmp(argv[i], "--boot-id"))
			opt.boot_id = v;
		else if (!strcmp(argv[i], "--window"))
			window_s = (unsigned)strtoul(v, NULL, 10);
		else if (!strcmp(argv[i], "--backoff"))
			opt.backoff_max_s = (unsigned)strtoul(v, NULL, 10);
		else if (!strcmp(argv[i], "--timeout"))
			opt.request_timeout_s = (unsigned)strtoul(v, NULL, 10);
		else
			return usage();
	}
	log_set_level(LOG_LEVEL_DEBUG);
	if (control_open(&job, &opt, &control, &err) < 0) {
		answer(-1, &err);
		return 1;
	}
	/* The job may go: it is not looked at any more. */
	memset(&job, 'x', sizeof(job));
	control_port(control, &port);
	rc = run_lines();
	control_close(control);
	return rc;
}

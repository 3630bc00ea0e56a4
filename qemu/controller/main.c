/* SPDX-License-Identifier: Apache-2.0 */
#include "controller.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct command {
	const char *name, *usage, *what;
	int (*run)(const char *state, int argc, char **argv);
} commands[] = {
	{ "serve", "[--listen 127.0.0.1:8443] [--lease SECONDS]",
		"answer workers; prints \"url URL\" and \"pin PIN\" when ready",
	cmd_serve },
	{ "job", "new --template FILE|- [--migration ID] [--url URL] [--then poweroff|reboot|hold]",
		"make a migration; prints its job with a fresh token and the pin",
	cmd_job }, { "job", "close MIGRATION", "refuse its workers from now on",
	cmd_job }, { "job", "list", "all migrations", cmd_job },
	{ "command", "MIGRATION VERB [ARGUMENT]",
		"pause, resume, throttle RATE, cancel, retry, collect_logs, hold, poweroff; prints the "
		"command's id", cmd_command },
	{ "show", "MIGRATION [--json]", "what is known of it", cmd_show },
	{ "wait",
		"MIGRATION --for registered|result|state=S|event=T|command=ID [--boot N] "
		"[--timeout SECONDS]",
		"wait; prints a result's document; exit status 4 in time-out", cmd_wait },
	{ "events", "MIGRATION [--after SEQ] [--follow] [--until-result]",
		"its events, one line of JSON each", cmd_events },
	{ "log", "MIGRATION [WORKER/NAME]", "names of its logs, or one of them",
		cmd_log },
	{ "pin", "", "the pin that jobs carry", cmd_pin },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void say(const char *fmt, va_list ap)
{
	fputs("controller: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(1);
}

static int usage(FILE *f)
{
	fputs("usage: controller COMMAND --state DIR ...   (or TW_CONTROLLER_STATE=DIR)\n\n", f);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %s %s\n      %s\n", commands[i].name, commands[i].usage,
			commands[i].what);
	return f == stderr ? 2 : 0;
}

/* --state may stand anywhere; it is taken out of the arguments. */
static const char *take_state(int *argc, char **argv)
{
	const char *state = getenv("TW_CONTROLLER_STATE");
	int n = 0;

	for (int i = 0; i < *argc; i++) {
		if (!strcmp(argv[i], "--state") && i + 1 < *argc)
			state = argv[++i];
		else
			argv[n++] = argv[i];
	}
	*argc = n;
	return state;
}

int main(int argc, char **argv)
{
	const char *state;

	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
		return usage(stdout);
	umask(077); /* what is kept is for its owner only, wherever it lies */
	argc -= 2;
	state = take_state(&argc, argv + 2);
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i].name, argv[1]))
			return commands[i].run(state, argc, argv + 2);
	return usage(stderr);
}

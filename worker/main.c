/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands. What they do is described in worker.8. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/secret.h"
#include "commands.h"

static int help(int argc, char **argv);

static int version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("worker " TW_VERSION);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage, *what;
	bool own_help; /* a text of its own with its options */
} commands[] = {
	{ "run", cmd_run, "[--job FILE] [--result FILE] [--network]", "do a whole job",
		false },
	{ "copy", cmd_copy, "[options] SOURCE TARGET", "replicate one drive", true },
	{ "compare", cmd_compare, "[--json] [--allow-plain] SOURCE TARGET",
		"tell where a target differs from its source; nothing is written", true },
	{ "inspect", cmd_inspect, "[options] DISK...", "tell what system the disks hold",
		true },
	{ "prepare", cmd_prepare, "[options] DISK...",
		"make the system on the disks boot on KVM", true },
	{ "check-job", cmd_check_job, "[--json] FILE", "check a job document", false },
	{ "report-crash", cmd_report_crash, "",
		"leave a crash as the result (called by init)",
		false },
	{ "version", version, "", "print the version", false },
	{ "help", help, "", "print this text", false },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage_of(FILE *out, size_t i, bool first)
{
	fprintf(out, "%s worker %s %s\n          %s\n", first ? "usage:" : "      ",
		commands[i].name, commands[i].usage, commands[i].what);
}

static void usage(FILE *out)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		usage_of(out, i, !i);
}

static int help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	usage(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	secret_guard();
	if (!strcmp(name, "--help") || !strcmp(name, "--version"))
		name += 2;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(name, commands[i].name))
			continue;
		if (argc > 2 && !strcmp(argv[2], "--help") && !commands[i].own_help) {
			usage_of(stdout, i, true);
			return 0;
		}
		return commands[i].run(argc - 1, argv + 1);
	}
	if (*name)
		fprintf(stderr, "worker: unknown command \"%s\"\n", name);
	usage(stderr);
	return err_exit_status(ERR_USAGE);
}

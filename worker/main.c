/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands. What they do is described in worker.8. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
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
} commands[] = {
	{ "run", cmd_run, "[--job FILE] [--result FILE] [--network]", "do a whole job" },
	{ "copy", cmd_copy, "[options] SOURCE TARGET", "replicate one drive" },
	{ "compare", cmd_compare, "[--json] [--allow-plain] SOURCE TARGET",
		"tell where a target differs from its source; nothing is written" },
	{ "inspect", cmd_inspect, "[--json] DISK...", "tell what system the disks hold" },
	{ "prepare", cmd_prepare, "[--dry-run|--undo] [--json] [--key FILE] DISK...",
		"make the system on the disks boot on KVM" },
	{ "check-job", cmd_check_job, "[--json] FILE", "check a job document" },
	{ "report-crash", cmd_report_crash, "", "leave a crash as the result (called by init)" },
	{ "version", version, "", "print the version" },
	{ "help", help, "", "print this text" },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "%s worker %s %s\n          %s\n", i ? "      " : "usage:",
			commands[i].name, commands[i].usage, commands[i].what);
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

	if (!strcmp(name, "--help") || !strcmp(name, "--version"))
		name += 2;
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "worker: unknown command \"%s\"\n", name);
	usage(stderr);
	return err_exit_status(ERR_USAGE);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the worker: one cmd-NAME.c each, listed in main.c. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/* argv[0] is the command's name. Each returns the exit status of the process. */
int cmd_run(int argc, char **argv);
int cmd_copy(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_prepare(int argc, char **argv);
int cmd_check_job(int argc, char **argv);
int cmd_report_crash(int argc, char **argv);

/* cmd-prepare-report.c: guest/'s report, as it is or for people. */
void cmd_print_report(const char *report, size_t len, bool json);

#endif

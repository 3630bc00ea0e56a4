/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker run: a whole job. worker report-crash: what init says when the worker cannot. In
 * the image init takes the log from standard error to the kernel log and to every
 * console.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "commands.h"
#include "control/control.h"
#include "job/job.h"

static _Atomic bool stop;

static void on_signal(int sig)
{
	(void)sig;
	atomic_store(&stop, true);
}

static void catch_signals(void)
{
	struct sigaction end = { .sa_handler = on_signal },
		ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* In the image init hands its socket over; its number is the sign of the image, too. */
static int init_socket(void)
{
	const char *text = getenv("TW_INIT_FD");

	return text && *text ? atoi(text) : -1;
}

static int open_port(void *ctx, const struct job *j, struct job_port *ret,
	struct err *err)
{
	struct control_options opt = { .cancel = &stop, .set_clock = init_socket() >= 0 };
	struct control **control = ctx;

	if (control_open(j, &opt, control, err) < 0)
		return -1;
	control_port(*control, ret);
	return 0;
}

static int fetch(void *ctx, const char *url, const char (*pins)[64], int n_pins,
	struct strbuf *ret, struct err *err)
{
	(void)ctx;
	return control_fetch(url, pins, n_pins, ret, err);
}

static const struct option options[] = {
	{ "job", required_argument, NULL, 'j' },
	{ "result", required_argument, NULL, 'r' },
	{ "network", no_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

int cmd_run(int argc, char **argv)
{
	struct control *control = NULL;
	struct job_env env = {
		.init_fd = init_socket(),
		.last_crash = getenv("TW_LAST_CRASH"),
		.last_reset = getenv("TW_LAST_RESET"),
		.stop = &stop,
		.ctx = &control,
		.open_port = open_port,
		.fetch = fetch,
	};
	int c, status;

	env.image = env.network = env.init_fd >= 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			env.job_file = optarg;
		else if (c == 'r')
			env.result_file = optarg;
		else if (c == 'n')
			env.network = true;
		else
			return err_exit_status(ERR_USAGE);
	}
	if (optind != argc || (!env.image && !env.job_file)) {
		fputs("usage: worker run --job FILE [--result FILE] [--network]\n",
			stderr);
		return err_exit_status(ERR_USAGE);
	}
	secret_lock();
	catch_signals();
	status = job_run(&env);
	control_close(control);
	return status;
}

int cmd_report_crash(int argc, char **argv)
{
	const char *cause = getenv("TW_LAST_CRASH");
	struct control *control = NULL;
	struct job_env env = {
		.image = true,
		.network = init_socket() >= 0,
		.init_fd = init_socket(),
		.ctx = &control,
		.open_port = open_port,
		.fetch = fetch,
	};
	struct err err = ERR_INIT;
	int rc;

	(void)argv;
	if (argc != 1) {
		fputs("usage: worker report-crash (with TW_LAST_CRASH in the environment)\n",
			stderr);
		return err_exit_status(ERR_USAGE);
	}
	secret_lock();
	catch_signals();
	rc = job_report_crash(&env, cause && *cause ? cause : "unknown", &err);
	control_close(control);
	if (rc < 0) {
		log_error("report-crash: %s: %s", err_name(err.code), err.text);
		return err_exit_status(err.code);
	}
	return 0;
}

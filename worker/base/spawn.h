/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program: no shell, standard input empty, output captured line by line, a
 * time limit, and its whole process group ended when the limit passes or the job is
 * cancelled, unless it must never be ended.
 */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

struct spawn {
	const char *const *argv;   /* argv[0] is a path; NULL-terminated */
	const char *const *env;    /* the whole environment; NULL = PATH only */
	const char *dir;           /* working directory, NULL = "/" */
	unsigned timeout_s;        /* 0 = 60 */
	const _Atomic bool *cancel; /* may be NULL */
	/* The program may hold what this machine cannot do without (a suspended device),
	 * so no signal is ever sent: neither limit nor cancel is looked at, and what it
	 * left behind stays. */
	bool never_kill;
	/* Called in the child before exec, for namespaces, chroot and limits; only
	 * async-signal-safe calls. Non-zero ends the child with status 126. May be
	 * NULL. */
	int (*prepare)(void *ctx);
	/* Each complete line of output (stdout and stderr together), without the newline,
	 * at most 4 KiB; longer ones are cut. NULL = log_debug. */
	void (*line)(void *ctx, const char *line);
	/* Once a second while the program runs. May be NULL. */
	void (*tick)(void *ctx);
	void *ctx;
	struct strbuf *output;     /* everything, at most output_max bytes; may be NULL */
	size_t output_max;         /* 0 = 64 KiB */
	/* Extra clone(2) flags: CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET ... (root
	 * only). With CLONE_NEWPID everything that the program left behind dies with
	 * it. */
	int clone_flags;
	/* With CLONE_NEWPID: at most so many threads of the program and all that it
	 * started; with more, all are ended. Looked at every 50 ms, so it is a limit on
	 * what lasts, and it needs no control group of the kernel. 0 = none. */
	unsigned max_tasks;
};

struct spawn_result {
	int status;        /* exit status, or 128 + signal */
	bool timed_out;
	double seconds;
	long maxrss_kb;
	char last_line[256]; /* the last non-empty line of output: what an
			      * operator wants to see */
};

/* -1 only when the program could not be run, timed out (PREP_TIMEOUT), started too much
 * (PREP_TASKS) or was cancelled; a non-zero status is the caller's to judge. ret is
 * always filled. */
int spawn_run(const struct spawn *sp, struct spawn_result *ret, struct err *err);

#endif

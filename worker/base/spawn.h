/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program: no shell, standard input empty, output captured line by line, a
 * time limit, and its whole process group ended when the limit passes or the job is
 * cancelled, unless it must never be ended. With CLONE_NEWPID everything it has started
 * ends, wherever that went.
 */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cgroup.h"
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
	 * async-signal-safe calls. Non-zero: the program is not run, and the result is
	 * not_started. May be NULL. */
	int (*prepare)(void *ctx);
	/* The same, last of all and for the program alone: with CLONE_NEWPID the process
	 * that holds the namespace keeps the rights which are given up here. */
	int (*confine)(void *ctx);
	/* Each complete line of output (stdout and stderr together), without the newline,
	 * at most 4 KiB; longer ones are cut. NULL = log_debug. */
	void (*line)(void *ctx, const char *line);
	/* Once a second while the program runs within its limit; never again once it has
	 * been killed: a watchdog sees when it cannot be. May be NULL. */
	void (*tick)(void *ctx);
	void *ctx;
	struct strbuf *output;     /* everything, at most output_max bytes; may be NULL */
	size_t output_max;         /* 0 = 64 KiB */
	/* Extra clone(2) flags: CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET ... (root
	 * only). With CLONE_NEWPID the program runs in a session of its own below a
	 * process 1 of ours, which ends when the program ends: the kernel then kills
	 * whatever is left in the namespace, and no signal of the program reaches it. */
	int clone_flags;
	/* With CLONE_NEWPID: at most so many threads of the program and all that it
	 * started; with more, all are ended. Without a group that counts, it is looked at
	 * every 50 ms, so it is a limit on what lasts. 0 = none. */
	unsigned max_tasks;
	const struct cgroup *group; /* the program runs in it; may be NULL */
	unsigned kill_s;   /* how long after SIGKILL its end is waited for; 0 = 40 */
};

struct spawn_result {
	int status;        /* exit status, or 128 + signal */
	bool timed_out;
	bool not_started;  /* prepare or confine failed; last_line has what they said */
	double seconds;
	long maxrss_kb;
	char last_line[256]; /* the last non-empty line of output: what an
			      * operator wants to see */
};

/* -1 only when the program could not be run, timed out (PREP_TIMEOUT), started too much
 * (PREP_TASKS), was cancelled, ran out of its group's memory (NOMEM), or could not be
 * ended (PREP_STUCK: the kernel holds it, and what it uses); a non-zero status is the
 * caller's to judge. ret is always filled. */
int spawn_run(const struct spawn *sp, struct spawn_result *ret, struct err *err);

#endif

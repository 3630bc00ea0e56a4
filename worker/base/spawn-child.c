/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's side. All of it runs between fork and exec of a program with threads, so
 * there are system calls only; fork is the raw call, as libraries' own takes locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn-internal.h"

enum { FAILED_FD = 3 };

static void close_from(unsigned first)
{
	/* Our descriptors are opened with O_CLOEXEC; this is for those of libraries. */
#ifdef SYS_close_range
	if (!syscall(SYS_close_range, first, ~0u, 0u))
		return;
#endif
	for (int fd = (int)first; fd < 1024; fd++)
		close(fd);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static pid_t raw_fork(int clone_flags)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)clone_flags | SIGCHLD, NULL,
		NULL, NULL, 0UL);
}

/* The program was not run. The reason stands in the output. */
static void give_up(void)
{
	if (write(FAILED_FD, "", 1) != 1)
		_exit(125);
	_exit(126);
}

static void run_program(const struct spawn *sp)
{
	static const char *const plain_env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		NULL };

	if (sp->confine && sp->confine(sp->ctx))
		give_up();
	if (chdir(sp->dir ? sp->dir : "/") < 0)
		give_up();
	execve(sp->argv[0], (char *const *)sp->argv,
		(char *const *)(sp->env ? sp->env : plain_env));
	dprintf(2, "%s: %s\n", sp->argv[0], err_text(errno));
	_exit(127);
}

/* Process 1 of the namespace: takes in the orphans, and ends with the program. It has the
 * worker's memory, which must not be read: no dump, and with that no ptrace and none of
 * the closed files of /proc/1. */
static void hold_namespace(const struct spawn *sp)
{
	int status;
	pid_t program, pid;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		give_up();
	program = raw_fork(0);
	if (program < 0)
		give_up();
	if (!program) {
		setsid();
		run_program(sp);
	}
	prctl(PR_SET_NAME, "tool-init", 0, 0, 0);
	close_from(0);
	do
		pid = waitpid(-1, &status, __WALL);
	while (pid != program && (pid >= 0 || errno == EINTR));
	if (pid != program)
		_exit(125);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Never returns. */
static void run_child(const struct spawn *sp, int out, int failed)
{
	int null = open("/dev/null", O_RDONLY);

	reset_signals();
	setpgid(0, 0);
	/* first, as its folder may be one of the numbers below */
	if (sp->group && cgroup_enter(sp->group) < 0) {
		dprintf(out, "enter %s: %s\n", sp->group->path, err_text(errno));
		if (write(failed, "", 1) == 1)
			_exit(126);
	}
	if (failed == FAILED_FD)
		failed = dup(failed);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
		dup3(failed, FAILED_FD, O_CLOEXEC) < 0)
		_exit(126);
	close_from(FAILED_FD + 1);
	if (sp->prepare && sp->prepare(sp->ctx))
		give_up();
	if (sp->clone_flags & CLONE_NEWPID)
		hold_namespace(sp);
	run_program(sp);
}

pid_t spawn_start(const struct spawn *sp, int out, int failed)
{
	pid_t pid = raw_fork(sp->clone_flags);

	if (!pid)
		run_child(sp, out, failed);
	return pid;
}

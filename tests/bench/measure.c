/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure OUT COMMAND...: runs the command and writes one line to OUT: wall time in µs,
 * CPU time of it and of the children it waited for in µs, largest resident set of one of
 * them in KiB, exit status (128 + signal when killed). A small program of its own,
 * because the kernel keeps the resident set from before exec as a floor, and an
 * interpreter's is larger than a worker's. SIGTERM and SIGINT are passed on; SIGUSR1
 * kills the command with SIGKILL.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void pass_on(int sig)
{
	if (child > 0)
		kill(child, sig == SIGUSR1 ? SIGKILL : sig);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t time_us(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

static int write_result(const char *path, int64_t wall, const struct rusage *u,
	int status)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		perror(path);
		return -1;
	}
	fprintf(f, "%lld %lld %ld %d\n", (long long)wall,
		(long long)(time_us(u->ru_utime) + time_us(u->ru_stime)), u->ru_maxrss,
		WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	if (fclose(f)) {
		perror(path);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = pass_on };
	struct rusage usage;
	sigset_t all, old;
	int64_t start;
	int status;

	if (argc < 3) {
		fputs("usage: measure OUT COMMAND...\n", stderr);
		return 2;
	}
	/* No signal is taken before there is a child to pass it on to. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	start = now_us();
	child = fork();
	if (child < 0) {
		perror("fork");
		return 2;
	}
	if (!child) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	while (wait4(child, &status, 0, &usage) < 0)
		if (errno != EINTR) {
			perror("wait4");
			return 2;
		}
	if (write_result(argv[1], now_us() - start, &usage, status) < 0)
		return 2;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

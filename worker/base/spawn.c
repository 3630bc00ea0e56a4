/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define LINE_BYTES 4096
#define COUNT_MS 50

struct reader {
	const struct spawn *sp;
	struct spawn_result *ret;
	char line[LINE_BYTES];
	size_t used;
};

static void close_above_stderr(void)
{
	/* Our descriptors are opened with O_CLOEXEC; this is for those of libraries. */
#ifdef SYS_close_range
	if (!syscall(SYS_close_range, 3u, ~0u, 0u))
		return;
#endif
	for (int fd = 3; fd < 1024; fd++)
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

/* In the child: never returns. */
static void child(const struct spawn *sp, int out)
{
	static const char *const plain_env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		NULL };
	int null = open("/dev/null", O_RDONLY);

	reset_signals();
	setpgid(0, 0);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	close_above_stderr();
	if (sp->prepare && sp->prepare(sp->ctx))
		_exit(126);
	if (chdir(sp->dir ? sp->dir : "/") < 0)
		_exit(126);
	execve(sp->argv[0], (char *const *)sp->argv,
		(char *const *)(sp->env ? sp->env : plain_env));
	dprintf(2, "%s: %s\n", sp->argv[0], strerror(errno));
	_exit(127);
}

/* fork(2), with namespaces if asked for. The raw call is used as clone's wrapper wants a
 * stack; the child only does what is safe after fork in a threaded program. */
static pid_t start(int clone_flags)
{
	if (!clone_flags)
		return fork();
	return (pid_t)syscall(SYS_clone, (unsigned long)clone_flags | SIGCHLD, NULL,
		NULL, NULL, 0UL);
}

static void flush_line(struct reader *r)
{
	if (!r->used)
		return;
	r->line[r->used] = '\0';
	r->used = 0;
	snprintf(r->ret->last_line, sizeof(r->ret->last_line), "%.255s", r->line);
	if (r->sp->line)
		r->sp->line(r->sp->ctx, r->line);
	else
		log_debug("%s: %s", r->sp->argv[0], r->line);
}

static void take_output(struct reader *r, const char *buf, size_t len)
{
	struct strbuf *out = r->sp->output;
	size_t max = r->sp->output_max ? r->sp->output_max : 65536;

	if (out && out->len < max)
		strbuf_add(out, buf, len < max - out->len ? len : max - out->len);
	for (size_t i = 0; i < len; i++) {
		if (buf[i] == '\n' || buf[i] == '\r')
			flush_line(r);
		else if (r->used < sizeof(r->line) - 1)
			r->line[r->used++] = buf[i];
	}
}

/* Threads of one process: field 20 of /proc/PID/stat, counted from behind the name in
 * brackets, which may hold anything (proc_pid_stat(5)). One that ended meanwhile has
 * none. */
static unsigned count_threads(const char *pid)
{
	char path[64], text[1024], *p;
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')');
	for (int field = 2; p && field < 20; field++)
		p = strchr(p + 1, ' ');
	return p ? (unsigned)strtoul(p + 1, NULL, 10) : 0;
}

/* Of the whole machine: what stands behind the slash of
 * /proc/loadavg (proc_loadavg(5)). */
static unsigned count_all_threads(void)
{
	CLEANUP_CLOSE int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	char text[128], *p;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return UINT_MAX;
	text[n] = '\0';
	p = strchr(text, '/');
	return p ? (unsigned)strtoul(p + 1, NULL, 10) : UINT_MAX;
}

/* Whether more threads than the limit live in the program's PID namespace. Asking every
 * process for its namespace costs milliseconds, which is only spent when the machine has
 * that many at all. */
static bool too_many(pid_t pid, unsigned max)
{
	struct stat space, st;
	struct dirent *de;
	char path[64];
	unsigned n = 0;
	DIR *d;

	if (count_all_threads() <= max)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	if (stat(path, &space) < 0)
		return false; /* it has ended */
	d = opendir("/proc");
	while (d && n <= max && (de = readdir(d))) {
		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/ns/pid", de->d_name);
		if (!stat(path, &st) && st.st_ino == space.st_ino &&
		    st.st_dev == space.st_dev)
			n += count_threads(de->d_name);
	}
	if (d)
		closedir(d);
	return n > max;
}

/* Reads until the program ended and its output is closed, or why_stop is set. A
 * grandchild that keeps the pipe open does not keep us: after the program's end 1 s is
 * enough. */
static void follow(struct reader *r, int fd, pid_t pid, uint64_t deadline,
	const char **why_stop, int *status, struct rusage *ru)
{
	uint64_t next_tick = clock_now_ms() + 1000, next_count = 0, drain_until = 0;
	bool ended = false, eof = false;
	char buf[8192];

	while (!ended || !eof) {
		struct pollfd p = { .fd = eof ? -1 : fd, .events = POLLIN };
		uint64_t now;

		poll(&p, 1, ended || r->sp->max_tasks ? COUNT_MS : 200);
		if (!eof && p.revents) {
			ssize_t n = read(fd, buf, sizeof(buf));

			if (n > 0)
				take_output(r, buf, (size_t)n);
			else if (!n || (errno != EINTR && errno != EAGAIN))
				eof = true;
		}
		now = clock_now_ms();
		if (!ended && wait4(pid, status, WNOHANG, ru) == pid) {
			ended = true;
			drain_until = now + 1000;
		}
		if (ended && now >= drain_until)
			break;
		if (!ended && !*why_stop && !r->sp->never_kill) {
			if (r->sp->cancel && *r->sp->cancel)
				*why_stop = "cancelled";
			else if (now >= deadline)
				*why_stop = "timed out";
			else if (r->sp->max_tasks && now >= next_count) {
				next_count = now + COUNT_MS;
				if (too_many(pid, r->sp->max_tasks))
					*why_stop =
						"ended, it had started too many processes";
			}
			if (*why_stop)
				kill(-pid, SIGKILL);
		}
		if (now >= next_tick) {
			next_tick = now + 1000;
			if (r->sp->tick)
				r->sp->tick(r->sp->ctx);
		}
	}
	flush_line(r);
}

int spawn_run(const struct spawn *sp, struct spawn_result *ret, struct err *err)
{
	struct reader r = { .sp = sp, .ret = ret };
	uint64_t begin = clock_now_ms();
	unsigned limit = sp->timeout_s ? sp->timeout_s : 60;
	const char *why = NULL;
	struct rusage ru = { .ru_maxrss = 0 };
	int fds[2], status = 0;
	pid_t pid;

	memset(ret, 0, sizeof(*ret));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, ERR_INTERNAL, "run %s: pipe", sp->argv[0]);
	pid = start(sp->clone_flags);
	if (pid < 0) {
		err_sys(err, errno == ENOMEM ? ERR_NOMEM : ERR_INTERNAL, "run %s",
			sp->argv[0]);
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (!pid)
		child(sp, fds[1]);
	close(fds[1]);
	setpgid(pid, pid);
	follow(&r, fds[0], pid, begin + limit * 1000u, &why, &status, &ru);
	close(fds[0]);
	if (!sp->never_kill)
		kill(-pid, SIGKILL); /* whatever it left behind in its group */
	ret->seconds = (double)(clock_now_ms() - begin) / 1000;
	ret->maxrss_kb = ru.ru_maxrss;
	ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!why)
		return 0;
	ret->timed_out = !strcmp(why, "timed out");
	return err_set(err, ret->timed_out ? ERR_PREP_TIMEOUT :
		*why == 'e' ? ERR_PREP_TASKS : ERR_CANCELLED,
		"%s: %s after %.0f s; last output: %s", sp->argv[0], why, ret->seconds,
		ret->last_line[0] ? ret->last_line : "none");
}

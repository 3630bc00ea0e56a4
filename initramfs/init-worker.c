/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the worker, and reads what it says: messages on a socket, text on a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init-internal.h"

static uint64_t oom_kills(void)
{
	char text[8192], *at;

	if (file_read("/proc/vmstat", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "\noom_kill ");
	return at ? strtoull(at + 10, NULL, 10) : 0;
}

/* The child's side: does not return. PID 1's own protection is not for it. */
static void become_worker(const char *verb, const char *last_crash, int sock, int output)
{
	char fd_env[32], crash_env[400];
	const char *argv[] = { "worker", verb, NULL };
	const char *envp[8] = { "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/",
		"TERM=linux",
		"LC_ALL=C", fd_env };
	size_t n = 5;
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	file_write("/proc/self/oom_score_adj", "0");
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
			fcntl(sock, F_SETFD, 0) < 0)
		_exit(127);
	snprintf(fd_env, sizeof(fd_env), "TW_INIT_FD=%d", sock);
	if (last_crash) {
		snprintf(crash_env, sizeof(crash_env), "TW_LAST_CRASH=%s", last_crash);
		envp[n++] = crash_env;
	}
	if (watchdog_has_reset())
		envp[n++] = "TW_LAST_RESET=watchdog";
	/* execve takes non-const strings for historical reasons and
	 * does not change them. */
	execve("/bin/worker", (char **)argv, (char **)envp);
	dprintf(2, "start /bin/worker: %s\n", strerror(errno));
	_exit(127);
}

int worker_start(struct worker *w, const char *verb, const char *last_crash)
{
	int sock[2], out[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		sock) < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0)
		goto no_pipe;
	*w = (struct worker){ .socket = sock[0], .output = out[0],
		.oom_kills = oom_kills() };
	w->started = now_s();
	w->deadline = w->started + ALLOW_START;
	w->pid = fork();
	if (w->pid < 0)
		goto no_child;
	if (w->pid == 0) {
		/* The worker's own end blocks: its messages are never
		 * lost to a full queue. */
		fcntl(sock[1], F_SETFL, 0);
		become_worker(verb, last_crash, sock[1], out[1]);
	}
	close(sock[1]);
	close(out[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	return 0;
no_child:
	w->pid = 0;
	w->socket = w->output = -1;
	close(out[0]);
	close(out[1]);
no_pipe:
	close(sock[0]);
	close(sock[1]);
	return -1;
}

static void line_done(struct worker *w)
{
	w->line[w->line_len] = '\0';
	w->line_len = 0;
	if (!w->line[0])
		return;
	console_line(w->line);
	snprintf(w->last_line, sizeof(w->last_line), "%.*s",
		(int)sizeof(w->last_line) - 1, w->line);
}

void worker_read_output(struct worker *w)
{
	char buf[2048];
	ssize_t n;

	while (w->output >= 0 && (n = read(w->output, buf, sizeof(buf))) != 0) {
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				return;
			break;
		}
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n' || w->line_len == sizeof(w->line) - 1)
				line_done(w);
			if (buf[i] != '\n')
				w->line[w->line_len++] = buf[i];
		}
	}
	if (w->output >= 0)
		close(w->output);
	w->output = -1;
}

int worker_read_message(struct worker *w, struct message *ret)
{
	char buf[1024];
	ssize_t n;

	if (w->socket < 0)
		return -1;
	n = recv(w->socket, buf, sizeof(buf), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close(w->socket);
		w->socket = -1;
		return -1;
	}
	if (message_parse(ret, buf, n))
		return 1;
	say("worker: message not understood (%zd bytes)", n);
	return 0;
}

void worker_close(struct worker *w)
{
	if (w->line_len)
		line_done(w);
	if (w->socket >= 0)
		close(w->socket);
	if (w->output >= 0)
		close(w->output);
	w->socket = w->output = -1;
	w->pid = 0;
}

void worker_crash(const struct worker *w, int status, const struct rusage *usage,
	struct crash *ret)
{
	*ret = (struct crash){
		.status = status,
		.maxrss_kb = usage->ru_maxrss,
		.ran_s = now_s() - w->started,
		.oom = oom_kills() > w->oom_kills,
		.stalled = w->stalled,
	};
	memcpy(ret->last_line, w->last_line, sizeof(ret->last_line));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/spawn-internal.h"

#define LINE_BYTES 4096
#define COUNT_MS 50
#define POLL_MS 200
#define TICK_MS 1000
#define DRAIN_MS 1000
#define TIMEOUT_S 60
#define KILL_S 40

struct run {
	const struct spawn *sp;
	struct spawn_result *ret;
	int fd;                 /* the output, -1 after its end */
	pid_t pid;
	bool ended, stuck;
	enum err_code why;      /* it was killed for that; ERR_NONE = it was not */
	int status;
	struct rusage ru;
	uint64_t begin, deadline, next_tick, next_count, drain_until, kill_until;
	char line[LINE_BYTES];
	size_t used;
};

static void flush_line(struct run *r)
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

static void take_output(struct run *r, const char *buf, size_t len)
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

static void read_output(struct run *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	char buf[8192];
	ssize_t n;

	poll(&p, 1, r->ended || r->sp->max_tasks ? COUNT_MS : POLL_MS);
	if (r->fd < 0 || !p.revents)
		return;
	n = read(r->fd, buf, sizeof(buf));
	if (n > 0) {
		take_output(r, buf, (size_t)n);
	} else if (!n || (errno != EINTR && errno != EAGAIN)) {
		close(r->fd);
		r->fd = -1;
	}
}

static bool has_too_many(struct run *r, uint64_t now)
{
	if (!r->sp->max_tasks || now < r->next_count)
		return false;
	r->next_count = now + COUNT_MS;
	return r->sp->group && r->sp->group->counts ? cgroup_was_full(r->sp->group) :
		spawn_too_many(r->pid, r->sp->max_tasks);
}

/* The reason to end it now, if there is one. */
static enum err_code find_reason(struct run *r, uint64_t now)
{
	if (r->sp->never_kill)
		return ERR_NONE;
	if (r->sp->cancel && *r->sp->cancel)
		return ERR_CANCELLED;
	if (now >= r->deadline)
		return ERR_PREP_TIMEOUT;
	return has_too_many(r, now) ? ERR_PREP_TASKS : ERR_NONE;
}

/* The process itself, too: it may have left its group. As process 1 of its namespace it
 * takes all others with it. */
static void kill_all(const struct run *r)
{
	if (r->sp->group)
		cgroup_kill(r->sp->group);
	kill(-r->pid, SIGKILL);
	kill(r->pid, SIGKILL);
}

/* Ends when the program has ended and its output is closed, or it cannot be ended. A
 * grandchild that keeps the pipe open does not keep us. */
static void follow_program(struct run *r)
{
	while (!r->ended || r->fd >= 0) {
		uint64_t now;

		read_output(r);
		now = clock_now_ms();
		if (!r->ended && wait4(r->pid, &r->status, WNOHANG, &r->ru) == r->pid) {
			r->ended = true;
			r->drain_until = now + DRAIN_MS;
		}
		if (r->ended && now >= r->drain_until)
			break;
		if (r->ended)
			continue;
		if (r->why && now >= r->kill_until) {
			r->stuck = true;
			break;
		}
		if (!r->why && (r->why = find_reason(r, now))) {
			kill_all(r);
			r->kill_until = now +
				(r->sp->kill_s ? r->sp->kill_s : KILL_S) * 1000u;
		}
		if (!r->why && now >= r->next_tick) {
			r->next_tick = now + TICK_MS;
			if (r->sp->tick)
				r->sp->tick(r->sp->ctx);
		}
	}
	flush_line(r);
}

static int tell_result(const struct run *r, struct err *err)
{
	const char *name = r->sp->argv[0];
	const char *last = *r->ret->last_line ? r->ret->last_line : "none";
	unsigned limit = r->sp->kill_s ? r->sp->kill_s : KILL_S;

	if (r->stuck)
		return err_set(err, ERR_PREP_STUCK, "%s: still there %u s after it was "
			"killed, the kernel holds it; last output: %s", name, limit,
			last);
	switch (r->why) {
	case ERR_PREP_TIMEOUT:
		return err_set(err, r->why, "%s: timed out after %.0f s; last output: %s",
			name, r->ret->seconds, last);
	case ERR_PREP_TASKS:
		return err_set(err, r->why, "%s: ended, it had started too many "
			"processes after %.0f s; last output: %s", name,
			r->ret->seconds, last);
	case ERR_CANCELLED:
		return err_set(err, r->why, "%s: cancelled after %.0f s; last output: %s",
			name, r->ret->seconds, last);
	default:
		break;
	}
	if (r->sp->group && r->ret->status && cgroup_ran_out(r->sp->group))
		return err_set(err, ERR_NOMEM, "%s: ended, it needed more memory than "
			"this machine has left; last output: %s", name, last);
	return 0;
}

static void fill_result(struct run *r, int failed)
{
	char byte;

	r->ret->seconds = (double)(clock_now_ms() - r->begin) / 1000;
	r->ret->maxrss_kb = r->ru.ru_maxrss;
	r->ret->status = r->stuck ? 128 + SIGKILL :
		WIFEXITED(r->status) ? WEXITSTATUS(r->status) :
		128 + WTERMSIG(r->status);
	r->ret->timed_out = r->why == ERR_PREP_TIMEOUT;
	r->ret->not_started = !r->stuck && read(failed, &byte, 1) == 1;
}

static void begin_run(struct run *r, const struct spawn *sp, struct spawn_result *ret)
{
	memset(r, 0, sizeof(*r));
	memset(ret, 0, sizeof(*ret));
	r->sp = sp;
	r->ret = ret;
	r->begin = clock_now_ms();
	r->next_tick = r->begin + TICK_MS;
	r->deadline = r->begin + (sp->timeout_s ? sp->timeout_s : TIMEOUT_S) * 1000ull;
}

int spawn_run(const struct spawn *sp, struct spawn_result *ret, struct err *err)
{
	int out[2], failed[2], rc = -1;
	struct run r;

	begin_run(&r, sp, ret);
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(err, ERR_INTERNAL, "run %s: pipe", sp->argv[0]);
	if (pipe2(failed, O_CLOEXEC | O_NONBLOCK) < 0) {
		close(out[0]);
		close(out[1]);
		return err_sys(err, ERR_INTERNAL, "run %s: pipe", sp->argv[0]);
	}
	r.fd = out[0];
	r.pid = spawn_start(sp, out[1], failed[1]);
	if (r.pid < 0)
		err_sys(err, errno == ENOMEM ? ERR_NOMEM : ERR_INTERNAL, "run %s",
			sp->argv[0]);
	close(out[1]);
	close(failed[1]);
	if (r.pid >= 0) {
		setpgid(r.pid, r.pid);
		follow_program(&r);
		if (!sp->never_kill)
			kill(-r.pid, SIGKILL); /* whatever it left behind in its group */
		fill_result(&r, failed[0]);
		rc = tell_result(&r, err);
	}
	if (r.fd >= 0)
		close(r.fd);
	close(failed[0]);
	return rc;
}

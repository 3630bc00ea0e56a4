/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the file systems on the served drives still. A child process of its own freezes and
 * thaws them: it does so on request, when its time limit passes, and when the server is gone.
 * It keeps all it needs open and in memory, as nothing that touches a frozen file system returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/mounts.h"
#include "serve/serve-internal.h"

enum { ASK_FREEZE = 'F', ASK_THAW = 'T', ASK_HOLDS = 'H' };

struct request {
	char ask;
	uint32_t id; /* HOLDS */
};
struct reply {
	int sys;     /* 0 or errno */
	uint32_t id; /* of the period, 0 = none */
	char what[128]; /* the mount that failed */
};

struct child {
	struct serve_mount mounts[SERVE_MAX_MOUNTS];
	int n;
	bool frozen;
	uint32_t id;
	uint64_t limit_ms, deadline;
};

/* A file system without freezing (vfat, for one) is flushed and made read-only instead. */
static int hold_one(struct serve_mount *m)
{
	if (!ioctl(m->fd, FIFREEZE, 0)) {
		m->held = SERVE_FROZEN;
		return 0;
	}
	if (errno == EBUSY) {
		m->held = SERVE_NOT_HELD; /* someone else's freeze: ours to use, not to end */
		return 0;
	}
	if (errno != EOPNOTSUPP || syncfs(m->fd) < 0)
		return -1;
	if (m->read_only)
		return 0;
	if (mount(NULL, m->point, NULL, MS_REMOUNT | MS_RDONLY | m->flags, NULL) < 0)
		return -1;
	m->held = SERVE_READ_ONLY;
	return 0;
}

static void release_one(struct serve_mount *m)
{
	if (m->held == SERVE_FROZEN)
		ioctl(m->fd, FITHAW, 0);
	else if (m->held == SERVE_READ_ONLY)
		mount(NULL, m->point, NULL, MS_REMOUNT | m->flags, NULL);
	m->held = SERVE_NOT_HELD;
}

static void thaw_all(struct child *c)
{
	for (int i = c->n; i-- > 0;)
		release_one(&c->mounts[i]);
	c->frozen = false;
}

/* Deepest mount points first, the root last: each may need what is above it. */
static void freeze_all(struct child *c, struct reply *rep)
{
	for (int i = 0; i < c->n; i++) {
		if (!hold_one(&c->mounts[i]))
			continue;
		rep->sys = errno;
		snprintf(rep->what, sizeof(rep->what), "%.127s", c->mounts[i].point);
		thaw_all(c);
		return;
	}
	c->frozen = true;
	c->id++;
	c->deadline = clock_now_ms() + c->limit_ms;
}

static void answer(struct child *c, const struct request *q, struct reply *rep)
{
	if (q->ask == ASK_FREEZE && !c->frozen)
		freeze_all(c, rep);
	else if (q->ask == ASK_THAW && c->frozen)
		thaw_all(c);
	rep->id = c->frozen ? c->id : 0;
}

static void child_run(struct child *c, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		struct request q;
		struct reply rep = { .sys = 0 };
		uint64_t now = clock_now_ms();
		int wait = -1;

		if (c->frozen && now >= c->deadline)
			thaw_all(c);
		if (c->frozen)
			wait = (int)(c->deadline - now);
		if (poll(&p, 1, wait) <= 0)
			continue;
		if (recv(fd, &q, sizeof(q), 0) != sizeof(q))
			break; /* the server is gone */
		answer(c, &q, &rep);
		if (send(fd, &rep, sizeof(rep), MSG_NOSIGNAL) != sizeof(rep))
			break;
	}
	thaw_all(c);
}

static void child_main(struct child *c, int fd) __attribute__((noreturn));
static void child_main(struct child *c, int fd)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	/* A signal meant for the server must not leave its machine frozen. */
	for (int sig = 1; sig < 32; sig++)
		sigaction(sig, &ignore, NULL);
	prctl(PR_SET_NAME, "thaw-watchdog");
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		_exit(1);
	child_run(c, fd);
	_exit(0);
}

static int ask(struct serve_freezer *f, const struct request *q, struct reply *rep)
{
	if (send(f->fd, q, sizeof(*q), MSG_NOSIGNAL) != sizeof(*q) ||
		recv(f->fd, rep, sizeof(*rep), 0) != sizeof(*rep)) {
		rep->sys = errno ? errno : EPIPE;
		rep->id = 0;
		return -1;
	}
	return 0;
}

int serve_freezer_start(const struct serve_drive *drives, int n, unsigned limit_s,
	struct serve_freezer *ret, struct err *err)
{
	struct child *c = calloc(1, sizeof(*c));
	int fds[2];
	pid_t pid;

	*ret = (struct serve_freezer){ .fd = -1 };
	if (!c)
		return err_set(err, ERR_NOMEM, "freezing: out of memory");
	c->limit_ms = limit_s * 1000u;
	c->n = limit_s ? serve_mounts_find(drives, n, c->mounts) : 0;
	if (!c->n) {
		free(c);
		return 0;
	}
	for (int i = 0; i < c->n; i++)
		log_info("holds %s still while it is read, at most %u s", c->mounts[i].point,
			limit_s);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		free(c);
		return err_sys(err, ERR_INTERNAL, "freezing: socket pair");
	}
	pid = fork();
	if (!pid) {
		close(fds[0]);
		child_main(c, fds[1]);
	}
	close(fds[1]);
	serve_mounts_close(c->mounts, c->n);
	free(c);
	if (pid < 0) {
		close(fds[0]);
		return err_sys(err, ERR_INTERNAL, "freezing: fork");
	}
	*ret = (struct serve_freezer){ .pid = pid, .fd = fds[0] };
	return 0;
}

int serve_freezer_freeze(struct serve_freezer *f, uint32_t *ret_id, struct err *err)
{
	struct request q = { .ask = ASK_FREEZE };
	struct reply rep = { .sys = 0 };

	*ret_id = 0;
	if (f->fd < 0)
		return 0;
	if (!ask(f, &q, &rep) && rep.id) {
		*ret_id = rep.id;
		return 0;
	}
	errno = rep.sys;
	return err_sys(err, ERR_SRC_READ, "freeze %s", rep.what[0] ? rep.what : "(watchdog)");
}

void serve_freezer_thaw(struct serve_freezer *f)
{
	struct request q = { .ask = ASK_THAW };
	struct reply rep;

	if (f->fd >= 0 && ask(f, &q, &rep) < 0)
		log_error("the thaw watchdog does not answer; it thaws as the server ends");
}

bool serve_freezer_holds(struct serve_freezer *f, uint32_t id)
{
	struct request q = { .ask = ASK_HOLDS };
	struct reply rep;

	return f->fd < 0 || (!ask(f, &q, &rep) && rep.id == id);
}

void serve_freezer_stop(struct serve_freezer *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	waitpid(f->pid, NULL, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thaw watchdog: a process of its own, forked before anything is frozen and locked in
 * memory. It thaws when it is not fed for FEED_S, when the time allowed is over, or when
 * its parent is gone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/freeze-internal.h"

#define FEED_S 30

void serve_thaw_all(struct serve_freezer *z)
{
	for (unsigned i = z->mounts.n; i--;) {
		struct serve_mount *m = &z->mounts.list[i];
		int how = atomic_load(&z->shared->how[i]);

		/* EINVAL: not frozen, or not yet. */
		if (how == FROZEN && (!ioctl(m->fd, FITHAW, 0) ||
			    (errno == EINVAL && !atomic_load(&z->shared->freezing))))
			atomic_compare_exchange_strong(&z->shared->how[i], &how, THAWED);
		else if (how == READ_ONLY &&
			!mount(NULL, m->path, NULL, MS_REMOUNT | m->flags, NULL))
			atomic_compare_exchange_strong(&z->shared->how[i], &how, THAWED);
	}
}

/* By whoever thaws, once. What it says changes nothing any more. */
void serve_after_thaw(struct serve_freezer *z)
{
	struct err err = ERR_INIT;

	if (atomic_exchange(&z->shared->owed, false) && z->hooks.after_thaw &&
		capture_hook(z->hooks.after_thaw, "thaw", z->hooks.limit_s, NULL, NULL,
			NULL, &err) < 0)
		log_error("%s", err.text);
}

/* The watchdog. Until everything is thawed it only makes system calls:
 * what it needs is in memory. */
static void watch(struct serve_freezer *z, int channel)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	uint64_t limit = 0, feed = 0; /* 0 = nothing is frozen */

	for (;;) {
		uint64_t now = clock_now_ms(), next = limit < feed ? limit : feed;
		char word;
		ssize_t n = 0;

		if (limit && now >= next) {
			atomic_store(&z->shared->lost, true);
			serve_thaw_all(z);
			next = now + 1000; /* a freeze call may still be under way */
			if (!atomic_load(&z->shared->freezing)) {
				limit = 0;
				serve_after_thaw(z);
			}
		}
		if (poll(&p, 1, limit ? (int)(next > now ? next - now : 0) : -1) < 0 &&
			errno != EINTR)
			break;
		if (p.revents)
			n = recv(channel, &word, 1, MSG_DONTWAIT);
		/* At the end of the channel errno is an older one. */
		if (p.revents && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)))
			break;
		if (n != 1)
			continue;
		if (word == WORD_BEGIN)
			limit = clock_now_ms() + z->shared->limit_s * 1000ull;
		if (word == WORD_BEGIN || word == WORD_FEED)
			feed = clock_now_ms() + FEED_S * 1000u;
		if (word == WORD_END)
			limit = 0;
		if (word == WORD_OVER && limit)
			limit = 1;
	}
	atomic_store(&z->shared->lost, true);
	serve_thaw_all(z);
	serve_after_thaw(z);
}

static volatile sig_atomic_t watchdog_channel = -1;

static void on_term(int sig)
{
	(void)sig;
	shutdown(watchdog_channel, SHUT_RDWR); /* ends watch(), which thaws */
}

static bool is_own(const struct serve_freezer *z, int channel, int fd)
{
	for (unsigned i = 0; i < z->mounts.n; i++)
		if (z->mounts.list[i].fd == fd)
			return true;
	return fd <= STDERR_FILENO || fd == channel;
}

/* One that is forked anew would keep clients' connections and snapshots open, which then
 * cannot be removed. No memory may be asked for here: other threads of the parent may
 * have held its locks. */
static void close_others(const struct serve_freezer *z, int channel)
{
	_Alignas(struct dirent) char buf[4096];
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	while (dir >= 0 && (n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n;) {
			const struct dirent *e = (const void *)(buf + at);
			int fd = atoi(e->d_name);

			if (fd != dir && !is_own(z, channel, fd))
				close(fd);
			at += e->d_reclen;
		}
	if (dir >= 0)
		close(dir);
}

int serve_watchdog_start(struct serve_freezer *z, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_term };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, ERR_INTERNAL, "socket of the thaw watchdog");
	z->watchdog = fork();
	if (z->watchdog < 0) {
		err_sys(err, ERR_INTERNAL, "start the thaw watchdog");
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	if (!z->watchdog) {
		close(pair[0]);
		close_others(z, pair[1]);
		watchdog_channel = pair[1];
		setsid(); /* not ended by the keyboard */
		sigaction(SIGTERM, &sa, NULL);
		signal(SIGINT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		prctl(PR_SET_NAME, "thaw-watchdog");
		mlockall(MCL_CURRENT | MCL_FUTURE);
		watch(z, pair[1]);
		_exit(0);
	}
	close(pair[1]);
	z->channel = pair[0];
	return 0;
}

void serve_watchdog_stop(struct serve_freezer *z)
{
	if (z->channel >= 0)
		close(z->channel);
	if (z->watchdog > 0)
		while (waitpid(z->watchdog, NULL, 0) < 0 && errno == EINTR)
			continue;
	z->channel = -1;
	z->watchdog = 0;
}

void serve_watchdog_tell(struct serve_freezer *z, enum freeze_word word)
{
	char c = (char)word;

	/* When nobody takes it, the watchdog is gone:
	 * serve_freezer_tick finds that out. */
	if (send(z->channel, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		atomic_store(&z->shared->lost, true);
}

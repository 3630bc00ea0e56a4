/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the file systems of the served drives still. Whatever happens to this process, they must
 * thaw again: a second process, forked before anything is frozen and locked in memory, does it
 * when it is not fed for FEED_S, when the time allowed is over, or when this process is gone.
 * While anything is frozen, nothing here may write to a file: see serve_journal_flush and
 * the pipe behind stderr in source-server.c.
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
#include "serve/serve-internal.h"

#define MAX_MOUNTS 64
#define FEED_S 30

enum how { THAWED, FROZEN, READ_ONLY };

/* Seen by both processes. */
struct shared {
	_Atomic bool lost;         /* thawed by the watchdog: what is read now is not consistent */
	_Atomic bool owed;         /* the program before freezing ran, that after thawing did not */
	_Atomic bool freezing;     /* a freeze call may be under way: thaw again and again */
	_Atomic int how[MAX_MOUNTS];
};

struct serve_freezer {
	struct serve_drive *drives;
	unsigned n_drives;
	struct serve_mount mounts[MAX_MOUNTS];
	unsigned n_mounts, limit_s, grace_s;
	struct capture_hooks hooks;
	struct shared *shared;
	int channel;               /* to the watchdog; its end is the signal to thaw */
	pid_t watchdog;
	pthread_mutex_t lock;      /* what follows */
	bool frozen;
	unsigned holders;
	uint64_t epoch, alone_ms;  /* since when nobody holds it */
};

/* What is not ours to thaw stays as it is. */
static void thaw_all(struct serve_freezer *z)
{
	for (unsigned i = z->n_mounts; i--;) {
		struct serve_mount *m = &z->mounts[i];
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
static void after_thaw(struct serve_freezer *z)
{
	struct err err = ERR_INIT;

	if (atomic_exchange(&z->shared->owed, false) && z->hooks.after_thaw &&
		capture_hook(z->hooks.after_thaw, "thaw", z->hooks.limit_s, NULL, NULL, &err) < 0)
		log_error("%s", err.text);
}

enum word { WORD_BEGIN = 'b', WORD_FEED = 'f', WORD_END = 'e' };

/* The watchdog. Until everything is thawed it only makes system calls: what it needs is in memory. */
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
			thaw_all(z);
			next = now + 1000; /* a freeze call may still be under way */
			if (!atomic_load(&z->shared->freezing)) {
				limit = 0;
				after_thaw(z);
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
			limit = clock_now_ms() + z->limit_s * 1000u;
		if (word == WORD_BEGIN || word == WORD_FEED)
			feed = clock_now_ms() + FEED_S * 1000u;
		if (word == WORD_END)
			limit = 0;
	}
	atomic_store(&z->shared->lost, true);
	thaw_all(z);
	after_thaw(z);
}

static volatile sig_atomic_t watchdog_channel = -1;

static void on_term(int sig)
{
	(void)sig;
	shutdown(watchdog_channel, SHUT_RDWR); /* ends watch(), which thaws */
}

static int start_watchdog(struct serve_freezer *z, struct err *err)
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

static void tell(struct serve_freezer *z, enum word word)
{
	char c = (char)word;

	/* When nobody takes it, the watchdog is gone: serve_freezer_tick finds that out. */
	if (send(z->channel, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		atomic_store(&z->shared->lost, true);
}

int serve_freezer_new(struct serve_drive *drives, unsigned n, const struct serve_config *c,
	struct serve_freezer **ret, struct err *err)
{
	struct serve_freezer *z = calloc(1, sizeof(*z));

	*ret = NULL;
	if (!z)
		return err_set(err, ERR_NOMEM, "freezing: out of memory");
	z->channel = -1;
	z->drives = drives;
	z->n_drives = n;
	z->limit_s = c->freeze_s;
	z->grace_s = c->grace_s;
	z->hooks = c->hooks;
	pthread_mutex_init(&z->lock, NULL);
	z->shared = mmap(NULL, sizeof(*z->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (z->shared == MAP_FAILED) {
		free(z);
		return err_sys(err, ERR_NOMEM, "freezing");
	}
	if (serve_mounts(drives, n, "/proc/self/mountinfo", z->mounts, MAX_MOUNTS, &z->n_mounts,
		    err) < 0 || (z->n_mounts && start_watchdog(z, err) < 0)) {
		serve_freezer_free(z);
		return -1;
	}
	if (!z->n_mounts) {
		serve_freezer_free(z);
		return 0;
	}
	*ret = z;
	return 0;
}

static void thaw(struct serve_freezer *z)
{
	if (!z->frozen)
		return;
	thaw_all(z);
	z->frozen = false;
	tell(z, WORD_END);
	munlockall();
	log_info("file systems thawed");
	after_thaw(z);
}

void serve_freezer_free(struct serve_freezer *z)
{
	if (!z)
		return;
	thaw(z);
	if (z->channel >= 0)
		close(z->channel);
	if (z->watchdog > 0)
		while (waitpid(z->watchdog, NULL, 0) < 0 && errno == EINTR)
			continue;
	for (unsigned i = 0; i < z->n_mounts; i++)
		close(z->mounts[i].fd);
	munmap(z->shared, sizeof(*z->shared));
	free(z);
}

/* Freezes one file system, or makes it read-only where freezing is not known (FAT). */
static int freeze_one(struct serve_freezer *z, unsigned i, struct err *err)
{
	struct serve_mount *m = &z->mounts[i];

	/* Noted before it happens: should this process die in between, it is thawed. */
	atomic_store(&z->shared->how[i], FROZEN);
	if (!ioctl(m->fd, FIFREEZE, 0))
		return 0;
	atomic_store(&z->shared->how[i], THAWED);
	if (errno == EBUSY) {
		log_warn("%s: frozen by someone else already", m->path);
		return 0;
	}
	if (errno != EOPNOTSUPP && errno != ENOTTY)
		return err_sys(err, ERR_SRC_READ, "freeze %s", m->path);
	atomic_store(&z->shared->how[i], READ_ONLY);
	if (!mount(NULL, m->path, NULL, MS_REMOUNT | MS_RDONLY | m->flags, NULL))
		return 0;
	atomic_store(&z->shared->how[i], THAWED);
	return err_sys(err, ERR_SRC_READ, "make %s read-only", m->path);
}

/* Only of what was frozen here: nobody else thaws that meanwhile. */
static void note_unused(struct serve_freezer *z)
{
	serve_unused_begin(z->drives, z->n_drives);
	for (unsigned i = 0; i < z->n_mounts; i++)
		if (atomic_load(&z->shared->how[i]) == FROZEN)
			serve_unused_add(z->drives, z->n_drives, &z->mounts[i]);
	serve_unused_report(z->drives, z->n_drives);
}

static void feed(void *ctx)
{
	tell(ctx, WORD_FEED);
}

/* The watchdog's time runs already: should this process end or hang in here, it does the rest. */
static int before_freeze(struct serve_freezer *z, struct err *err)
{
	atomic_store(&z->shared->owed, true);
	if (!z->hooks.before_freeze)
		return 0;
	return capture_hook(z->hooks.before_freeze, "freeze", z->hooks.limit_s, feed, z, err);
}

static int freeze(struct serve_freezer *z, struct err *err)
{
	struct shared *s = z->shared;
	uint64_t start;
	int status;

	atomic_store(&s->lost, false);
	tell(z, WORD_BEGIN);
	status = before_freeze(z, err);
	/* The last lines that may be written: the log's file could be on one of them. */
	if (!status)
		log_info("freezing %u file systems, for at most %u s", z->n_mounts, z->limit_s);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_warn("memory cannot be locked: %s", strerror(errno));
	start = clock_now_ms();
	atomic_store(&s->freezing, true);
	if (!status && atomic_load(&s->lost))
		status = err_set(err, ERR_SRC_HOOK, "%s took all the time there is for freezing",
			z->hooks.before_freeze ? z->hooks.before_freeze : "the start");
	for (unsigned i = 0; i < z->n_mounts && !status; i++)
		status = freeze_one(z, i, err);
	atomic_store(&s->freezing, false);
	z->frozen = true;
	if (!status)
		note_unused(z);
	if (!status && atomic_load(&s->lost))
		status = err_set(err, ERR_SRC_READ, "freezing took too long and was given up");
	if (status) {
		thaw(z);
		return -1;
	}
	z->epoch++;
	log_info("file systems frozen in %llu ms",
		(unsigned long long)(clock_now_ms() - start));
	return 0;
}

int serve_freezer_hold(struct serve_freezer *z, uint64_t *ret_epoch, struct err *err)
{
	int status = 0;

	pthread_mutex_lock(&z->lock);
	if (z->frozen && atomic_load(&z->shared->lost) && !z->holders)
		thaw(z);
	if (!z->frozen)
		status = freeze(z, err);
	else if (atomic_load(&z->shared->lost))
		status = err_set(err, ERR_SRC_READ, "the time for freezing is over");
	if (!status) {
		z->holders++;
		*ret_epoch = z->epoch;
	}
	pthread_mutex_unlock(&z->lock);
	return status;
}

void serve_freezer_release(struct serve_freezer *z, bool lost)
{
	pthread_mutex_lock(&z->lock);
	z->holders--;
	z->alone_ms = clock_now_ms() - (lost ? 0 : z->grace_s * 1000u);
	pthread_mutex_unlock(&z->lock);
}

void serve_freezer_expire(struct serve_freezer *z)
{
	pthread_mutex_lock(&z->lock);
	z->alone_ms = clock_now_ms() - z->grace_s * 1000u;
	pthread_mutex_unlock(&z->lock);
}

bool serve_freezer_intact(struct serve_freezer *z, uint64_t epoch)
{
	bool intact;

	pthread_mutex_lock(&z->lock);
	intact = z->frozen && z->epoch == epoch && !atomic_load(&z->shared->lost);
	pthread_mutex_unlock(&z->lock);
	return intact;
}

void serve_freezer_tick(struct serve_freezer *z)
{
	pthread_mutex_lock(&z->lock);
	if (z->frozen) {
		tell(z, WORD_FEED);
		if (!z->holders && clock_now_ms() - z->alone_ms >= z->grace_s * 1000u)
			thaw(z);
		else if (atomic_load(&z->shared->lost))
			thaw_all(z);
	}
	pthread_mutex_unlock(&z->lock);
}

bool serve_freezer_frozen(struct serve_freezer *z)
{
	bool frozen;

	pthread_mutex_lock(&z->lock);
	frozen = z->frozen;
	pthread_mutex_unlock(&z->lock);
	return frozen;
}

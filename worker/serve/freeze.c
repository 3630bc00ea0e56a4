/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the file systems of the served drives still. Whatever happens to this process,
 * they must thaw again: watchdog.c sees to it.
 * While anything is frozen, nothing here may write to a file: see
 * serve_freezer_begin_write and the pipe behind stderr in source-server.c.
 */
#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/freeze-internal.h"

/* somebody else's freeze may end by itself: so long is waited for it */
#define BUSY_MS 3000

static void close_mounts(struct serve_mount *m, unsigned n)
{
	while (n)
		close(m[--n].fd);
}

int serve_freezer_new(struct serve_drive *drives, unsigned n,
	const struct serve_config *c, struct serve_freezer **ret, struct err *err)
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
	if (serve_mounts(drives, n, "/proc/self/mountinfo", z->mounts, FREEZE_MAX_MOUNTS,
		    &z->n_mounts, err) < 0 ||
		    (z->n_mounts && serve_watchdog_start(z, err) < 0)) {
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
	serve_thaw_all(z);
	z->frozen = false;
	serve_watchdog_tell(z, WORD_END);
	munlockall();
	log_info("file systems thawed");
	serve_after_thaw(z);
}

void serve_freezer_free(struct serve_freezer *z)
{
	if (!z)
		return;
	thaw(z);
	serve_watchdog_stop(z);
	close_mounts(z->mounts, z->n_mounts);
	munmap(z->shared, sizeof(*z->shared));
	free(z);
}

/* Noted before it happens: should this process die in between, it is thawed. What
 * somebody else froze (EBUSY) is theirs to thaw, at any time: no stillness to count
 * on. */
static int freeze_or_wait(struct serve_freezer *z, unsigned i)
{
	uint64_t end = clock_now_ms() + BUSY_MS;

	for (;;) {
		atomic_store(&z->shared->how[i], FROZEN);
		if (!ioctl(z->mounts[i].fd, FIFREEZE, 0))
			return 0;
		atomic_store(&z->shared->how[i], THAWED);
		if (errno != EBUSY || clock_now_ms() >= end)
			return -1;
		poll(NULL, 0, 50);
	}
}

/* Freezes one file system, or makes it read-only where freezing is not known (FAT). */
static int freeze_one(struct serve_freezer *z, unsigned i, struct err *err)
{
	struct serve_mount *m = &z->mounts[i];

	if (!freeze_or_wait(z, i))
		return 0;
	if (errno == EBUSY)
		return err_set(err, ERR_SRC_READ,
			"%s: frozen by someone else, who may thaw it while it "
			"is read; thaw it (fsfreeze -u) or wait for their end", m->path);
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
	serve_watchdog_tell(ctx, WORD_FEED);
}

/* The watchdog's time runs already: should this process end or hang in here,
 * it does the rest. */
static int before_freeze(struct serve_freezer *z, struct err *err)
{
	atomic_store(&z->shared->owed, true);
	if (!z->hooks.before_freeze)
		return 0;
	return capture_hook(z->hooks.before_freeze, "freeze", z->hooks.limit_s, feed,
		z, err);
}

/* What is mounted on the drives may have changed since; the watchdog, who thaws,
 * must know it all. */
static int look_again(struct serve_freezer *z, struct err *err)
{
	CLEANUP_FREE struct serve_mount *now = calloc(FREEZE_MAX_MOUNTS, sizeof(*now));
	unsigned n, same = 0;

	if (!now)
		return err_set(err, ERR_NOMEM, "freezing: out of memory");
	if (serve_mounts(z->drives, z->n_drives, "/proc/self/mountinfo", now,
		FREEZE_MAX_MOUNTS, &n, err) < 0)
		return -1;
	while (same < n && same < z->n_mounts &&
		now[same].device == z->mounts[same].device &&
		!strcmp(now[same].path, z->mounts[same].path))
		same++;
	if (same == n && n == z->n_mounts && z->watchdog > 0) {
		close_mounts(now, n);
		return 0;
	}
	log_info("mounted from the drives are %u file systems now, %u when this began", n,
		z->n_mounts);
	serve_watchdog_stop(z);
	close_mounts(z->mounts, z->n_mounts);
	memcpy(z->mounts, now, n * sizeof(*now));
	z->n_mounts = n;
	return serve_watchdog_start(z, err);
}

static int freeze(struct serve_freezer *z, struct err *err)
{
	struct freeze_shared *s = z->shared;
	uint64_t start;
	int status;

	if (look_again(z, err) < 0)
		return -1;
	atomic_store(&s->lost, false);
	serve_watchdog_tell(z, WORD_BEGIN);
	status = before_freeze(z, err);
	/* The last lines that may be written: the log's file could be on one of them. */
	if (!status)
		log_info("freezing %u file systems, for at most %u s", z->n_mounts,
			z->limit_s);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_warn("memory cannot be locked: %s", err_text(errno));
	start = clock_now_ms();
	atomic_store(&s->freezing, true);
	if (!status && atomic_load(&s->lost))
		status = err_set(err, ERR_SRC_HOOK,
			"%s took all the time there is for freezing",
			z->hooks.before_freeze ? z->hooks.before_freeze : "the start");
	for (unsigned i = 0; i < z->n_mounts && !status; i++)
		status = freeze_one(z, i, err);
	atomic_store(&s->freezing, false);
	z->frozen = true;
	if (!status)
		note_unused(z);
	if (!status && atomic_load(&s->lost))
		status = err_set(err, ERR_SRC_READ,
			"freezing took too long and was given up");
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
		serve_watchdog_tell(z, WORD_FEED);
		if (!z->holders && clock_now_ms() - z->alone_ms >= z->grace_s * 1000u)
			thaw(z);
		else if (atomic_load(&z->shared->lost))
			serve_thaw_all(z);
	}
	pthread_mutex_unlock(&z->lock);
}

bool serve_freezer_begin_write(struct serve_freezer *z)
{
	if (!z)
		return true;
	pthread_mutex_lock(&z->lock);
	if (!z->frozen)
		return true;
	pthread_mutex_unlock(&z->lock);
	return false;
}

void serve_freezer_end_write(struct serve_freezer *z)
{
	if (z)
		pthread_mutex_unlock(&z->lock);
}

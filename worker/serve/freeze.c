/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the file systems of the served drives still. Whatever happens to this process,
 * they must thaw again: watchdog.c sees to it.
 * While anything is frozen, nothing here may write to a file: see
 * serve_freezer_begin_write and the pipe behind stderr in source-server.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/freeze-internal.h"

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
	if (serve_mounts_find(drives, n, &z->mounts, err) < 0 ||
		    (z->mounts.n && serve_watchdog_start(z, err) < 0)) {
		serve_freezer_free(z);
		return -1;
	}
	serve_holders(drives, n, &z->mounts);
	if (!z->mounts.n) {
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
	serve_mounts_free(&z->mounts);
	munmap(z->shared, sizeof(*z->shared));
	free(z);
}

/* Only of what was frozen here: nobody else thaws that meanwhile. */
static void note_unused(struct serve_freezer *z)
{
	serve_unused_begin(z->drives, z->n_drives);
	for (unsigned i = 0; i < z->mounts.n; i++)
		if (atomic_load(&z->shared->how[i]) == FROZEN)
			serve_unused_add(z->drives, z->n_drives, &z->mounts.list[i]);
	serve_unused_report(z->drives, z->n_drives);
}

/* A client that waits for the freeze, and why it does not wait any longer. */
struct freezing {
	struct serve_freezer *z;
	const struct serve_wait *wait;
	struct err *err;
	bool begun;         /* the watchdog's time runs */
	_Atomic bool over;
};

static int wait_tick(void *ctx, struct err *err)
{
	struct freezing *f = ctx;

	if (f->begun)
		serve_watchdog_tell(f->z, WORD_FEED);
	if (atomic_load(&f->z->ended))
		return err_set(err, ERR_SRC_READ, "source-server ends");
	return f->wait->tick(f->wait->ctx, err);
}

static void hook_tick(void *ctx)
{
	struct freezing *f = ctx;

	if (wait_tick(f, f->err) < 0)
		atomic_store(&f->over, true);
}

/* The watchdog's time runs already: should this process end or hang in here,
 * it does the rest. */
static int before_freeze(struct freezing *f, struct err *err)
{
	struct serve_freezer *z = f->z;

	atomic_store(&z->shared->owed, true);
	if (!z->hooks.before_freeze)
		return 0;
	return capture_hook(z->hooks.before_freeze, "freeze", z->hooks.limit_s,
		hook_tick, f, &f->over, err);
}

/* What is mounted on the drives may have changed since; the watchdog, who thaws,
 * must know it all. */
static int look_again(struct serve_freezer *z, struct err *err)
{
	struct serve_mounts now;
	unsigned same = 0;

	if (serve_mounts_find(z->drives, z->n_drives, &now, err) < 0)
		return -1;
	while (same < now.n && same < z->mounts.n &&
		now.list[same].device == z->mounts.list[same].device &&
		!strcmp(now.list[same].path, z->mounts.list[same].path))
		same++;
	if (same == now.n && now.n == z->mounts.n && z->watchdog > 0) {
		serve_mounts_free(&now);
		return 0;
	}
	log_info("mounted from the drives are %u file systems now, %u when this began",
		now.n, z->mounts.n);
	serve_watchdog_stop(z);
	serve_mounts_free(&z->mounts);
	z->mounts = now;
	return serve_watchdog_start(z, err);
}

/* A quarter of the time is left for what waits to go on. */
static unsigned find_limit(const struct serve_freezer *z)
{
	struct capture_limit l;
	unsigned safe;

	capture_limit("/", &l);
	safe = l.seconds - l.seconds / 4;
	if (!l.seconds || safe >= z->limit_s)
		return z->limit_s;
	log_warn("file systems are frozen for at most %u s, not %u: after %u s %s", safe,
		z->limit_s, l.seconds, l.why);
	return safe;
}

static int begin_freeze(struct freezing *f, struct err *err)
{
	struct serve_freezer *z = f->z;

	if (look_again(z, err) < 0)
		return -1;
	atomic_store(&z->shared->limit_s, find_limit(z));
	atomic_store(&z->shared->lost, false);
	/* A session that ends meanwhile has seen the old `lost`. */
	if (atomic_load(&z->ended))
		return err_set(err, ERR_SRC_READ, "source-server ends");
	serve_watchdog_tell(z, WORD_BEGIN);
	f->begun = true;
	return 0;
}

/* All that takes its time, without the lock: the drives are still in use. What the
 * program before the freeze made others write is flushed by itself. */
static int make_ready(struct freezing *f, struct err *err)
{
	struct serve_wait w = { wait_tick, f };
	struct serve_freezer *z = f->z;
	int status;

	pthread_mutex_unlock(&z->lock);
	status = serve_flush(&z->mounts, &w, err);
	pthread_mutex_lock(&z->lock);
	if (status || begin_freeze(f, err) < 0)
		return -1;
	pthread_mutex_unlock(&z->lock);
	status = before_freeze(f, err);
	if (!status)
		status = serve_flush(&z->mounts, &w, err);
	pthread_mutex_lock(&z->lock);
	return status;
}

static int freeze(struct serve_freezer *z, const struct serve_wait *wait,
	struct err *err)
{
	struct err ignored = ERR_INIT;
	struct freezing f = { .z = z, .wait = wait, .err = &ignored };
	int status = look_again(z, err);

	if (!status)
		status = make_ready(&f, err);
	if (!f.begun)
		return -1;
	if (!status && atomic_load(&z->shared->lost) && !atomic_load(&z->ended))
		status = err_set(err, ERR_SRC_HOOK,
			"%s took all the time there is for freezing",
			z->hooks.before_freeze ? z->hooks.before_freeze : "the start");
	/* The last lines that may be written: the log's file could be on one of them. */
	if (!status)
		log_info("freezing %u file systems, for at most %u s", z->mounts.n,
			z->shared->limit_s);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_warn("memory cannot be locked: %s", err_text(errno));
	z->still_ms = clock_now_ms();
	if (!status)
		status = serve_freeze_mounts(z, err);
	z->frozen = true;
	if (!status) {
		note_unused(z);
		serve_holders(z->drives, z->n_drives, &z->mounts);
		status = serve_freeze_lost(z, err);
	}
	if (status) {
		thaw(z);
		return -1;
	}
	z->epoch++;
	log_info("file systems frozen in %llu ms",
		(unsigned long long)(clock_now_ms() - z->still_ms));
	return 0;
}

/* Another connection flushes or runs the program. With the lock, released meanwhile. */
static int wait_for_other(struct serve_freezer *z, const struct serve_wait *wait,
	struct err *err)
{
	uint64_t end = clock_now_ms() + 1000;

	while (z->busy && clock_now_ms() < end) {
		pthread_mutex_unlock(&z->lock);
		poll(NULL, 0, 20);
		pthread_mutex_lock(&z->lock);
	}
	return z->busy ? wait->tick(wait->ctx, err) : 0;
}

static int hold(struct serve_freezer *z, const struct serve_wait *wait, struct err *err)
{
	int status = 0;

	while (z->busy && !status)
		status = wait_for_other(z, wait, err);
	if (status)
		return -1;
	if (atomic_load(&z->ended))
		return err_set(err, ERR_SRC_READ, "source-server ends");
	if (z->frozen && atomic_load(&z->shared->lost) && !z->holders)
		thaw(z);
	if (z->frozen && atomic_load(&z->shared->lost))
		return err_set(err, ERR_SRC_READ, "the time for freezing is over");
	if (z->frozen)
		return 0;
	z->busy = true;
	status = freeze(z, wait, err);
	z->busy = false;
	return status;
}

int serve_freezer_hold(struct serve_freezer *z, const struct serve_wait *wait,
	uint64_t *ret_epoch, struct err *err)
{
	int status;

	pthread_mutex_lock(&z->lock);
	status = hold(z, wait, err);
	if (!status) {
		z->holders++;
		*ret_epoch = z->epoch;
	}
	pthread_mutex_unlock(&z->lock);
	return status;
}

/* A freeze call that is under way keeps the lock, for as long as the disk takes; what it
 * froze before is the watchdog's to thaw. */
void serve_freezer_end(struct serve_freezer *z)
{
	bool told = false;

	if (!z)
		return;
	atomic_store(&z->ended, true);
	atomic_store(&z->shared->lost, true);
	while (pthread_mutex_trylock(&z->lock)) {
		if (!told && atomic_load(&z->shared->freezing)) {
			serve_watchdog_tell(z, WORD_OVER);
			told = true;
		}
		poll(NULL, 0, 10);
	}
	thaw(z);
	pthread_mutex_unlock(&z->lock);
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

uint64_t serve_freezer_still(struct serve_freezer *z)
{
	uint64_t ms;

	pthread_mutex_lock(&z->lock);
	ms = z->frozen ? clock_now_ms() - z->still_ms + 1 : 0;
	pthread_mutex_unlock(&z->lock);
	return ms;
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

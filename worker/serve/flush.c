/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what programs have left in memory to the disk, before file systems are held
 * still: what is left for the freeze then takes moments, and nobody stands still for the
 * rest, however slow the disk is. syncfs(2) cannot be interrupted, so a thread of its own
 * is in it, which whoever waits can leave behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/freeze-internal.h"

#define ROUNDS 6     /* a disk that is written to faster than it writes is never clean */
#define SHORT_MS 500 /* what such a round has left is little */
#define STACK (128u << 10)

struct flush {
	_Atomic unsigned owners; /* the last one frees it */
	_Atomic bool done;
	_Atomic int failed;      /* errno */
	unsigned n;
	int fds[];
};

static void let_go(struct flush *f)
{
	if (atomic_fetch_sub(&f->owners, 1) > 1)
		return;
	while (f->n)
		close(f->fds[--f->n]);
	free(f);
}

static void *sync_all(void *arg)
{
	struct flush *f = arg;

	for (unsigned i = 0; i < f->n; i++) {
		if (!syncfs(f->fds[i]))
			continue;
		if (errno != ENOSYS) {
			atomic_store(&f->failed, errno);
			continue;
		}
		sync(); /* Linux before 2.6.39 */
		break;
	}
	atomic_store(&f->done, true);
	let_go(f);
	return NULL;
}

static int start_thread(struct flush *f, struct err *err)
{
	pthread_attr_t attr;
	pthread_t thread;
	int e;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	e = pthread_create(&thread, &attr, sync_all, f);
	pthread_attr_destroy(&attr);
	return e ? err_set(err, ERR_NOMEM, "start a thread") : 0;
}

static int flush_once(const struct serve_mounts *m, const struct serve_wait *w,
	struct err *err)
{
	static const struct timespec moment = { .tv_nsec = 20000000 };
	struct flush *f = calloc(1, sizeof(*f) + m->n * sizeof(f->fds[0]));
	uint64_t told = clock_now_ms();
	int r = 0;

	if (!f)
		return err_set(err, ERR_NOMEM, "flush: out of memory");
	for (unsigned i = 0; i < m->n; i++) {
		int fd = fcntl(m->list[i].fd, F_DUPFD_CLOEXEC, 3);

		if (fd >= 0)
			f->fds[f->n++] = fd;
	}
	f->owners = 2;
	if (start_thread(f, err) < 0) {
		f->owners = 1;
		let_go(f);
		return -1;
	}
	while (!r && !atomic_load(&f->done)) {
		nanosleep(&moment, NULL);
		if (clock_now_ms() - told < 1000)
			continue;
		told = clock_now_ms();
		r = w->tick(w->ctx, err);
	}
	if (!r && f->failed)
		log_warn("flush before freezing: %s", err_text(f->failed));
	let_go(f);
	return r;
}

int serve_flush(const struct serve_mounts *m, const struct serve_wait *w,
	struct err *err)
{
	uint64_t begin = clock_now_ms();

	for (unsigned i = 0; m->n && i < ROUNDS; i++) {
		uint64_t round = clock_now_ms();

		if (flush_once(m, w, err) < 0)
			return -1;
		if (clock_now_ms() - round < SHORT_MS)
			break;
	}
	log_debug("flushed before freezing in %llu ms",
		(unsigned long long)(clock_now_ms() - begin));
	return 0;
}

int serve_flush_volume(const char *volume, const struct serve_wait *w, struct err *err)
{
	struct serve_drive d = { .dev.device = true };
	struct serve_mounts l;
	struct stat st;
	int r;

	if (stat(volume, &st) < 0)
		return err_sys(err, ERR_SRC_SNAPSHOT, "%s", volume);
	d.device = st.st_rdev;
	if (serve_mounts_find(&d, 1, &l, err) < 0)
		return -1;
	r = serve_flush(&l, w, err);
	serve_mounts_free(&l);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The freeze itself: file system after file system. */
#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "base/clock.h"
#include "serve/freeze-internal.h"

/* somebody else's freeze may end by itself: so long is waited for it */
#define BUSY_MS 3000

/* Noted before it happens: should this process die in between, it is thawed. What
 * somebody else froze (EBUSY) is theirs to thaw, at any time: no stillness to count
 * on. */
static int freeze_or_wait(struct serve_freezer *z, unsigned i)
{
	uint64_t end = clock_now_ms() + BUSY_MS;

	for (;;) {
		atomic_store(&z->shared->how[i], FROZEN);
		if (!ioctl(z->mounts.list[i].fd, FIFREEZE, 0))
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
	struct serve_mount *m = &z->mounts.list[i];

	if (!freeze_or_wait(z, i))
		return 0;
	if (errno == EBUSY)
		return err_set(err, ERR_SRC_READ,
			"%s: frozen by someone else, who may thaw it while it "
			"is read; thaw it (fsfreeze -u) or wait for their end", m->path);
	if (errno != EOPNOTSUPP && errno != ENOTTY)
		return err_sys(err, ERR_SRC_READ, "freeze %s", m->path);
	/* Only mounts of this namespace can be changed. */
	if (m->foreign) {
		m->unheld = true;
		return 0;
	}
	atomic_store(&z->shared->how[i], READ_ONLY);
	if (!mount(NULL, m->path, NULL, MS_REMOUNT | MS_RDONLY | m->flags, NULL))
		return 0;
	atomic_store(&z->shared->how[i], THAWED);
	return err_sys(err, ERR_SRC_READ, "make %s read-only", m->path);
}

int serve_freeze_lost(struct serve_freezer *z, struct err *err)
{
	if (!atomic_load(&z->shared->lost))
		return 0;
	return err_set(err, ERR_SRC_READ, atomic_load(&z->ended) ? "source-server ends" :
		"freezing took too long and was given up");
}

/* The watchdog thaws all of it again and again while this is under way and `lost`. */
int serve_freeze_mounts(struct serve_freezer *z, struct err *err)
{
	int status = 0;

	atomic_store(&z->shared->freezing, true);
	for (unsigned i = 0; i < z->mounts.n && !status; i++) {
		status = serve_freeze_lost(z, err);
		if (!status)
			status = freeze_one(z, i, err);
	}
	atomic_store(&z->shared->freezing, false);
	return status;
}

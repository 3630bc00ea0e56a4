/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that can be written to and thrown away: device-mapper's snapshot target without
 * persistence, its changed blocks in memory (a loop device over a file that has no name).
 * The kernel opens the disk itself for reading only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/fs-internal.h"

#define CHUNK_SECTORS 8 /* 4 KiB: what file systems write */

/* Loop devices follow a name, so it is given the one of the descriptor. */
static int make_store(struct fs_snapshot *snap, uint64_t bytes, struct err *err)
{
	CLEANUP_CLOSE int fd = memfd_create(snap->name, MFD_CLOEXEC);
	char path[32];

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return err_sys(err, ERR_NOMEM, "memory for changes to %s", snap->name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return block_loop_attach(path, false, &snap->store, err);
}

static int disk_sectors(const char *dev, uint64_t *ret, struct err *err)
{
	CLEANUP_CLOSE int fd = open(dev, O_RDONLY | O_CLOEXEC);
	uint64_t bytes;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return err_sys(err, err_disk_code(errno), "%s", dev);
	*ret = bytes / 512;
	return 0;
}

/* 0, or -1 with the tool's last words. */
static int dmsetup(struct fs_stack *s, const char *const *argv,
	void (*line)(void *ctx, const char *line), void *ctx, struct err *err)
{
	char last[256] = "";
	int status = fs_stack_run(s, argv, line, ctx, last, err);

	if (status > 0)
		err_set(err, ERR_PREP_UNSUPPORTED, "%s %s: %s", argv[1], argv[2], last);
	return status ? -1 : 0;
}

/* Before the tool fails with words that name no cause. */
static int has_mapper(struct err *err)
{
	CLEANUP_CLOSE int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	return fd >= 0 ? 0 : err_sys(err, ERR_PREP_UNSUPPORTED,
		"this machine's kernel has no usable device-mapper");
}

int fs_snapshot_open(struct fs_stack *s, const char *dev, const char *name,
	uint64_t bytes, struct fs_snapshot *ret, struct err *err)
{
	struct fs_snapshot snap = FS_SNAPSHOT_INIT;
	char table[256];
	const char *argv[] = { STACK_DMSETUP, "create", name, "--table", table, NULL };
	struct err why = ERR_INIT;
	uint64_t sectors = 0;

	snprintf(snap.name, sizeof(snap.name), "%s", name);
	if (has_mapper(err) < 0 || disk_sectors(dev, &sectors, err) < 0 ||
	    make_store(&snap, bytes, err) < 0)
		return -1;
	snprintf(table, sizeof(table), "0 %llu snapshot %s %s N %d",
		(unsigned long long)sectors, dev, snap.store.node, CHUNK_SECTORS);
	if (dmsetup(s, argv, NULL, NULL, err) < 0) {
		err_wrap(err, "a snapshot of %s in memory", dev);
		block_loop_detach(&snap.store, &why);
		return -1;
	}
	snprintf(snap.node, sizeof(snap.node), "/dev/mapper/%s", name);
	*ret = snap;
	return 0;
}

/* "0 131072 snapshot 720/65536 0", or "...
 * snapshot Invalid" once the room was too small. */
static void on_status(void *ctx, const char *line)
{
	uint64_t *used = ctx;
	const char *p = strstr(line, " snapshot ");

	if (p && p[10] >= '0' && p[10] <= '9')
		*used = strtoull(p + 10, NULL, 10) * 512;
	else if (p)
		*used = FS_SNAPSHOT_FULL;
}

int fs_snapshot_used(struct fs_stack *s, const struct fs_snapshot *snap, uint64_t *ret,
	struct err *err)
{
	const char *argv[] = { STACK_DMSETUP, "status", snap->name, NULL };
	uint64_t used = 0;

	if (dmsetup(s, argv, on_status, &used, err) < 0)
		return -1;
	*ret = used;
	return 0;
}

int fs_snapshot_close(struct fs_stack *s, struct fs_snapshot *snap, struct err *err)
{
	/* a probe of the loop device above it may still have it open */
	const char *argv[] = { STACK_DMSETUP, "remove", snap->name, "--retry", NULL };

	if (*snap->node && dmsetup(s, argv, NULL, NULL, err) < 0)
		return -1;
	snap->node[0] = '\0';
	return block_loop_detach(&snap->store, err);
}

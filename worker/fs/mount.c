/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that are made, held and undone by descriptors. A mount is finished before it
 * gets a place in the tree, its options go to the kernel one by one and not as a text,
 * and its descriptor takes it away again: no name in a guest's tree decides what is
 * mounted or unmounted. fsopen(2) and its like are as old as openat2(2) almost, and are
 * called by number, as musl has no functions for them.
 */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* linux/mount.h and sys/mount.h do not go together in all libraries. */
enum { OPEN_CLOEXEC = 1, MOUNT_CLOEXEC = 1 };
enum { SET_FLAG = 0, SET_STRING = 1, CREATE = 6 };
enum { ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, ATTR_NOATIME = 0x10 };
enum { MOVE_FROM_FD = 4, MOVE_TO_FD = 0x40 };

#define MAX_OWN 2

/* What the worker can mount, and how it is kept from writing when it only looks. */
static const struct {
	const char *type;
	struct fs_option read_only[MAX_OWN], writable[MAX_OWN];
} types[] = {
	{ .type = "ext2" },
	{ .type = "ext3", .read_only = { { "noload", NULL } } },
	{ .type = "ext4", .read_only = { { "noload", NULL } } },
	/* a copy may share its UUID with a disk of this machine */
	{ .type = "xfs", .read_only = { { "norecovery", NULL }, { "nouuid", NULL } },
	  .writable = { { "nouuid", NULL } } },
	{ .type = "btrfs", .read_only = { { "rescue", "nologreplay" } } },
	{ .type = "vfat" },
	{ .type = "jfs" },
	{ .type = "reiserfs", .read_only = { { "nolog", NULL } } },
	{ .type = "iso9660" },
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

/* Kernels before 5.9 spell it differently. */
static const struct fs_option old_btrfs[MAX_OWN] = { { "nologreplay", NULL } };

static int find(const char *type)
{
	for (size_t i = 0; i < N_TYPES; i++)
		if (!strcmp(types[i].type, type))
			return (int)i;
	return -1;
}

bool fs_mountable(const char *type)
{
	return find(type) >= 0;
}

static int set_option(int fs, const struct fs_option *o)
{
	return (int)syscall(SYS_fsconfig, fs, o->value ? SET_STRING : SET_FLAG, o->key,
		o->value, 0);
}

struct request {
	const char *dev, *type;
	bool writable;
	const struct fs_option *own, *options; /* own: MAX_OWN or fewer */
};

/* A mount without a place; -1 with errno. */
static int make_mount(const struct request *q)
{
	const struct fs_option source = { "source", q->dev }, ro = { "ro", NULL };
	CLEANUP_CLOSE int fs = (int)syscall(SYS_fsopen, q->type, OPEN_CLOEXEC);

	if (fs < 0 || set_option(fs, &source) < 0 ||
	    (!q->writable && set_option(fs, &ro) < 0))
		return -1;
	for (int i = 0; i < MAX_OWN && q->own[i].key; i++)
		if (set_option(fs, &q->own[i]) < 0)
			return -1;
	for (int i = 0; q->options && q->options[i].key; i++)
		if (set_option(fs, &q->options[i]) < 0)
			return -1;
	if (syscall(SYS_fsconfig, fs, CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, MOUNT_CLOEXEC,
		ATTR_NODEV | ATTR_NOSUID | ATTR_NOATIME |
		(q->writable ? 0 : ATTR_RDONLY));
}

int fs_mount(const char *dev, const char *type, int dir, bool writable,
	const struct fs_option *options, struct err *err)
{
	int i = find(type), fd;
	struct request q = { dev, type, writable, NULL, options };

	if (i < 0)
		return err_set(err, ERR_FS_UNKNOWN, "%s: file system %s", dev, type);
	q.own = writable ? types[i].writable : types[i].read_only;
	fd = make_mount(&q);
	if (fd < 0 && errno == EINVAL && !writable && !strcmp(type, "btrfs")) {
		q.own = old_btrfs;
		fd = make_mount(&q);
	}
	if (fd < 0 && errno == ENODEV)
		return err_set(err, ERR_FS_UNKNOWN, "%s: this kernel has no %s", dev,
			type);
	if (fd >= 0 && syscall(SYS_move_mount, fd, "", dir, "",
		MOVE_FROM_FD | MOVE_TO_FD) < 0) {
		int sys = errno;

		close(fd);
		fd = -1;
		errno = sys;
	}
	if (fd < 0)
		return err_sys(err, errno == EUCLEAN ? ERR_FS_DIRTY : ERR_FS_MOUNT,
			"mount %s (%s)", dev, type);
	return fd;
}

int fs_sync(int mount, const char *name, struct err *err)
{
	CLEANUP_CLOSE int top = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return top < 0 || syncfs(top) < 0 ?
		err_sys(err, err_disk_code(errno), "flush %s", name) : 0;
}

int fs_unmount(int *mount, const char *name, struct err *err)
{
	/* A flush that fails is the error to tell,
	 * but the mount has to go all the same. */
	int result = fs_sync(*mount, name, err);
	char self[32];

	/* The descriptor keeps the mount in use, so it leaves the tree first. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", *mount);
	if (umount2(self, MNT_DETACH) < 0 && !result)
		result = err_sys(err, ERR_FS_MOUNT, "unmount %s", name);
	close(*mount);
	*mount = -1;
	return result;
}

int fs_wait_free(const char *dev, unsigned seconds, struct err *err)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };

	for (unsigned i = 0; i <= seconds * 50; i++) {
		int fd = open(dev, O_RDONLY | O_EXCL | O_CLOEXEC);

		if (fd >= 0) {
			close(fd);
			return 0;
		}
		if (errno != EBUSY)
			return err_sys(err, err_disk_code(errno), "open %s", dev);
		nanosleep(&pause, NULL);
	}
	return err_set(err, ERR_DISK_BUSY,
		"%s is still in use %u s after it was unmounted", dev, seconds);
}

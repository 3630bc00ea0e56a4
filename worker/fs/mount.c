/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

/* What the worker can mount, and how it is kept from writing when it only looks. */
static const struct {
	const char *type, *read_only;
} types[] = {
	{ "ext2", NULL },
	{ "ext3", "noload" },
	{ "ext4", "noload" },
	{ "xfs", "norecovery,nouuid" },
	{ "btrfs", "rescue=nologreplay" },
	{ "vfat", NULL },
	{ "jfs", NULL },
	{ "reiserfs", "nolog" },
	{ "iso9660", NULL },
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

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

int fs_mount(const char *dev, const char *type, const char *where, bool writable,
	const char *options, struct err *err)
{
	unsigned long flags = MS_NODEV | MS_NOSUID | MS_NOATIME |
		(writable ? 0 : MS_RDONLY);
	int i = find(type);
	const char *own = writable || i < 0 ? NULL : types[i].read_only;
	char data[512] = "";

	if (i < 0)
		return err_set(err, ERR_FS_UNKNOWN, "%s: file system %s", dev, type);
	if (writable && !strcmp(type, "xfs"))
		own = "nouuid"; /* a copy may share its UUID with a disk of
				 * this machine */
	snprintf(data, sizeof(data), "%s%s%s", own ? own : "", own && options ? "," : "",
		options ? options : "");
	if (!mount(dev, where, type, flags, data))
		return 0;
	if (!strcmp(type, "btrfs") && own && errno == EINVAL) {
		/* kernels before 5.9 spell it differently */
		snprintf(data, sizeof(data), "nologreplay%s%s", options ? "," : "",
			options ? options : "");
		if (!mount(dev, where, type, flags, data))
			return 0;
	}
	if (errno == ENODEV)
		return err_set(err, ERR_FS_UNKNOWN, "%s: this kernel has no %s", dev,
			type);
	return err_sys(err,
		errno == EUCLEAN ? ERR_FS_DIRTY : ERR_FS_MOUNT, "mount %s (%s)", dev,
		type);
}

int fs_unmount(const char *where, struct err *err)
{
	int fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	/* A flush that fails is the error to tell,
	 * but the mount has to go all the same. */
	if (fd >= 0 && syncfs(fd) < 0)
		result = err_sys(err, err_disk_code(errno), "flush %s", where);
	if (fd >= 0)
		close(fd);
	if (!umount2(where, UMOUNT_NOFOLLOW))
		return result;
	if (errno != EBUSY || umount2(where, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return result ? result : err_sys(err, ERR_FS_MOUNT, "unmount %s", where);
	/* Out of sight, but alive: it may still write. */
	return result ? result :
		err_set(err, ERR_DISK_BUSY, "unmount %s: still in use", where);
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

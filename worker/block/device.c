/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices and disk image files: opened, measured, partition table read anew. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "block/block.h"

#define DIRECT_ALIGN 4096 /* good for every device: pages, and 4Kn disks */

static int measure_device(struct block_dev *d, bool write, struct err *err)
{
	int sector = 0, ro = 0;

	if (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0 ||
		ioctl(d->fd, BLKSSZGET, &sector) < 0 || ioctl(d->fd, BLKROGET, &ro) < 0)
		return err_sys(err, err_disk_code(errno), "measure %s", d->name);
	if (sector < 512 || (sector & (sector - 1)))
		return err_set(err, ERR_DISK_IO, "%s: sector of %d bytes", d->name,
			sector);
	if (write && ro)
		return err_set(err, ERR_DISK_RO, "%s is write protected", d->name);
	d->sector = (uint32_t)sector;
	return 0;
}

static int check_kind(const struct stat *st, const char *name, struct err *err)
{
	if (S_ISBLK(st->st_mode) || S_ISREG(st->st_mode))
		return 0;
	return err_set(err, ERR_DISK_NOT_FOUND, "%s is neither a block device nor a file",
		name);
}

static int measure(struct block_dev *d, unsigned flags, struct err *err)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0)
		return err_sys(err, err_disk_code(errno), "stat %s", d->name);
	if (check_kind(&st, d->name, err) < 0)
		return -1;
	d->sector = 512;
	d->size = (uint64_t)st.st_size;
	d->device = S_ISBLK(st.st_mode);
	if (d->device && measure_device(d, flags & BLOCK_WRITE, err) < 0)
		return -1;
	d->align = d->sector > DIRECT_ALIGN ? d->sector : DIRECT_ALIGN;
	return 0;
}

int block_open(const char *path, unsigned flags, struct block_dev *ret, struct err *err)
{
	struct block_dev d = { .fd = -1 };
	int mode = (flags & BLOCK_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY;
	struct stat st = { 0 };

	if ((size_t)snprintf(d.name, sizeof(d.name), "%s", path) >= sizeof(d.name))
		return err_set(err, ERR_DISK_NOT_FOUND, "%s: name too long", path);
	/* Opening is too much for some: a pipe waits for a writer, a tape rewinds. */
	if (!stat(path, &st) && check_kind(&st, path, err) < 0)
		return -1;
	/* O_EXCL means "no other holder" for block devices only. */
	if (flags & BLOCK_EXCLUSIVE && S_ISBLK(st.st_mode))
		mode |= O_EXCL;
	if (flags & BLOCK_DIRECT) {
		d.fd = open(path, mode | O_DIRECT);
		d.direct = d.fd >= 0;
	}
	if (d.fd < 0)
		d.fd = open(path, mode);
	if (d.fd < 0)
		return err_sys(err, err_disk_code(errno), "open %s", path);
	if (measure(&d, flags, err) < 0 ||
		(flags & BLOCK_EXCLUSIVE && block_check_loops(d.fd, path, err) < 0)) {
		close(d.fd);
		return -1;
	}
	*ret = d;
	return 0;
}

void block_close(struct block_dev *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void block_identity(int fd, char ret[BLOCK_IDENTITY])
{
	struct loop_info64 loop;
	struct stat st;

	*ret = '\0';
	if (fstat(fd, &st) < 0)
		return;
	/* Both device numbers are in the form of stat(2). */
	if (S_ISREG(st.st_mode))
		snprintf(ret, BLOCK_IDENTITY, "file %llx %llu",
			(unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	else if (S_ISBLK(st.st_mode) && !ioctl(fd, LOOP_GET_STATUS64, &loop))
		snprintf(ret, BLOCK_IDENTITY, "file %llx %llu",
			(unsigned long long)loop.lo_device,
			(unsigned long long)loop.lo_inode);
	else if (S_ISBLK(st.st_mode))
		snprintf(ret, BLOCK_IDENTITY, "device %llx",
			(unsigned long long)st.st_rdev);
}

int block_reread_table(const char *path, struct err *err)
{
	static const struct timespec pause = { .tv_nsec = 100000000 };
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int tries = 50;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, err_disk_code(errno), "open %s", path);
	if (!S_ISBLK(st.st_mode))
		return 0;
	while (ioctl(fd, BLKRRPART) < 0) {
		if (errno == EINVAL) /* a device that cannot have partitions */
			return 0;
		if (errno != EBUSY || !--tries)
			return err_sys(err, err_disk_code(errno),
				"read the partition table of %s", path);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Disk image files as block devices with partitions (loop(4)). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "block/block.h"

#define ATTACH_TRIES 64
#define DETACH_TRIES 50 /* of 100 ms: a probe may still have a partition open */

static void pause_100ms(void)
{
	static const struct timespec t = { .tv_nsec = 100000000 };

	nanosleep(&t, NULL);
}

/* devtmpfs makes the node; in a container /dev is a plain folder,
 * so make it ourselves. */
static int open_node(int number, char *node, size_t size, struct err *err)
{
	int fd;

	snprintf(node, size, "/dev/loop%d", number);
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && mknod(node, S_IFBLK | 0600,
		makedev(7, (unsigned)number)) == 0)
		fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, ERR_DISK_NOT_FOUND, "open %s", node);
	return fd;
}

/* 0 attached, 1 somebody else took the number (try again), -1 error. */
static int configure(int control, int file, const char *path, bool ro,
	struct block_loop *l, struct err *err)
{
	struct loop_config c = { .fd = (unsigned)file };
	int number = ioctl(control, LOOP_CTL_GET_FREE);

	if (number < 0)
		return err_sys(err, ERR_DISK_NOT_FOUND, "find a free loop device");
	l->fd = open_node(number, l->node, sizeof(l->node), err);
	if (l->fd < 0)
		return -1;
	c.info.lo_flags = LO_FLAGS_PARTSCAN | LO_FLAGS_AUTOCLEAR |
		(ro ? LO_FLAGS_READ_ONLY : 0);
	snprintf((char *)c.info.lo_file_name, LO_NAME_SIZE, "%s", path);
	if (!ioctl(l->fd, LOOP_CONFIGURE, &c))
		return 0;
	if (errno == EBUSY) {
		close(l->fd);
		l->fd = -1;
		return 1;
	}
	err_sys(err, err_disk_code(errno), "attach %s to %s", path, l->node);
	close(l->fd);
	l->fd = -1;
	return -1;
}

int block_loop_attach(const char *path, bool ro, struct block_loop *ret, struct err *err)
{
	CLEANUP_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	CLEANUP_CLOSE int file = open(path, (ro ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct block_loop l = BLOCK_LOOP_INIT;
	int r = 1;

	if (file < 0)
		return err_sys(err, err_disk_code(errno), "open %s", path);
	if (control < 0)
		return err_sys(err, ERR_DISK_NOT_FOUND, "open /dev/loop-control");
	for (int i = 0; r > 0 && i < ATTACH_TRIES; i++)
		r = configure(control, file, path, ro, &l, err);
	if (r > 0)
		return err_set(err, ERR_DISK_BUSY, "attach %s: no loop device stays free",
			path);
	if (r < 0)
		return -1;
	*ret = l;
	return 0;
}

/* Whether the loop device is attached to the file and somebody holds it,
 * or a partition of it. */
static bool holds(const char *name, const char *identity)
{
	char node[300], its[BLOCK_IDENTITY];
	CLEANUP_CLOSE int fd = -1;
	int held;

	snprintf(node, sizeof(node), "/dev/%s", name);
	fd = open(node, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	block_identity(fd, its);
	if (strcmp(its, identity))
		return false;
	/* Only now: who asks so for somebody else's device would be
	 * in his way for a moment. */
	held = open(node, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (held < 0)
		return errno == EBUSY;
	close(held);
	return false;
}

int block_check_loops(int fd, const char *name, struct err *err)
{
	char identity[BLOCK_IDENTITY], user[32] = "";
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	block_identity(fd, identity);
	d = opendir("/sys/block");
	while (d && !*user && (e = readdir(d)))
		if (!strncmp(e->d_name, "loop", 4) && holds(e->d_name, identity))
			snprintf(user, sizeof(user), "%.31s", e->d_name);
	if (d)
		closedir(d);
	return *user ? err_set(err, ERR_DISK_BUSY, "%s is in use through /dev/%s", name,
		user) : 0;
}

int block_loop_detach(struct block_loop *l, struct err *err)
{
	struct loop_info64 info;
	char node[sizeof(l->node)];
	int fd;

	if (l->fd < 0)
		return 0;
	memcpy(node, l->node, sizeof(node));
	if (fsync(l->fd) < 0)
		return err_sys(err, err_disk_code(errno), "flush %s", node);
	if (ioctl(l->fd, LOOP_CLR_FD) < 0)
		return err_sys(err, err_disk_code(errno), "detach %s", node);
	close(l->fd);
	*l = (struct block_loop)BLOCK_LOOP_INIT;
	/* The kernel detaches at the last close; what is still open keeps it: tell. */
	for (int i = 0; i < DETACH_TRIES; i++) {
		fd = open(node, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return 0;
		if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0 && errno == ENXIO) {
			close(fd);
			return 0;
		}
		close(fd);
		pause_100ms();
	}
	return err_set(err, ERR_DISK_BUSY, "%s is still in use", node);
}

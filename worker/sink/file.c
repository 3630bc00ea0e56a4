/* SPDX-License-Identifier: Apache-2.0 */
/* Disk image files: made when missing, made longer when too short, sparse where zero. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "block/block.h"
#include "sink/sink-internal.h"

#define BLOCK 4096 /* of most file systems; only a hint for rounding */

struct file {
	int fd;
	/* The kernel lets one writer into a file at a time, and the others burn their
	 * processor while they wait for a short one: here they sleep. */
	pthread_mutex_t writing;
	struct sink_zeroer zeroer;
};

static int punch(int fd, uint64_t off, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		(off_t)len);
}

static int zero_range(int fd, uint64_t off, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)len);
}

static const struct sink_zero_way ways[] = {
	{ "fallocate(PUNCH_HOLE)", punch },
	{ "fallocate(ZERO_RANGE)", zero_range },
	{ NULL, NULL },
};

/* A disk that is not there, or misspelt: a file in its place would fill the memory. */
static bool in_dev(const char *target)
{
	return !strncmp(target, "/dev/", 5) && strncmp(target, "/dev/shm/", 9);
}

static int file_open(struct sink *k, const char *target, uint64_t size, struct err *err)
{
	struct file *f = calloc(1, sizeof(*f));
	struct stat st;

	k->priv = f;
	if (!f)
		return err_set(err, ERR_NOMEM, "open %s: out of memory", target);
	pthread_mutex_init(&f->writing, NULL);
	f->fd = open(target,
		O_RDWR | O_CLOEXEC | O_NOCTTY | (in_dev(target) ? 0 : O_CREAT), 0600);
	if ((f->fd < 0 || fstat(f->fd, &st) < 0) && errno != EISDIR)
		return err_sys(err, err_disk_code(errno), "open %s", target);
	if (f->fd < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_DISK_NOT_FOUND,
			"%s is neither a block device nor a file", target);
	if (block_check_loops(f->fd, target, err) < 0)
		return -1;
	/* A file without any data is one hole;
	 * a file system that cannot tell says "data". */
	k->info.reads_zero = !st.st_size ||
		(lseek(f->fd, 0, SEEK_DATA) < 0 && errno == ENXIO);
	k->info.size = (uint64_t)st.st_size;
	k->info.align = BLOCK;
	block_identity(f->fd, k->info.identity);
	f->zeroer = (struct sink_zeroer){ .ways = ways, .granule = BLOCK, .fd = f->fd };
	if (k->info.size >= size)
		return 0;
	if (ftruncate(f->fd, (off_t)size) < 0)
		return err_sys(err, err_disk_code(errno),
			"make %s %" PRIu64 " bytes long", target, size);
	k->info.size = size;
	return 0;
}

static void file_close(struct sink *k)
{
	struct file *f = k->priv;

	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	pthread_mutex_destroy(&f->writing);
	free(f);
}

static int file_write(struct sink *k, const void *buf, size_t len, uint64_t off,
	struct err *err)
{
	struct file *f = k->priv;
	int r;

	pthread_mutex_lock(&f->writing);
	r = fdio_pwrite(f->fd, buf, len, off);
	pthread_mutex_unlock(&f->writing);
	if (r < 0)
		return err_sys(err, err_disk_code(errno),
			"%s: write %zu bytes at %" PRIu64, k->name, len, off);
	/*
	 * On its way to the disk at once: a kernel short of memory would hold up all
	 * writers for it later, and the flush finds little left. What fails here, a flush
	 * may not see again.
	 */
	if (sync_file_range(f->fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE) < 0 &&
		errno != ENOSYS)
		return err_sys(err, err_disk_code(errno),
			"%s: write back %zu bytes at %" PRIu64, k->name, len, off);
	return 0;
}

static int file_read(struct sink *k, void *buf, size_t len, uint64_t off, struct err *err)
{
	if (fdio_pread(((struct file *)k->priv)->fd, buf, len, off) < 0)
		return err_sys(err, err_disk_code(errno),
			"%s: read %zu bytes at %" PRIu64, k->name, len, off);
	return 0;
}

static int file_zero(struct sink *k, uint64_t off, uint64_t len, struct err *err)
{
	return sink_zero_range(k, &((struct file *)k->priv)->zeroer, off, len, err);
}

/* Holes are known to the file system; the offset that this moves is used by nobody. */
static uint64_t file_next_data(struct sink *k, uint64_t off)
{
	off_t at = lseek(((struct file *)k->priv)->fd, (off_t)off, SEEK_DATA);

	if (at >= 0)
		return (uint64_t)at;
	return errno == ENXIO ? UINT64_MAX : off;
}

static int file_flush(struct sink *k, struct err *err)
{
	if (fdatasync(((struct file *)k->priv)->fd) < 0)
		return err_sys(err, err_disk_code(errno), "%s: flush", k->name);
	return 0;
}

static void file_forget(struct sink *k)
{
	posix_fadvise(((struct file *)k->priv)->fd, 0, 0, POSIX_FADV_DONTNEED);
}

const struct sink_ops sink_file_ops = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.write = file_write,
	.read = file_read,
	.zero = file_zero,
	.flush = file_flush,
	.forget = file_forget,
	.next_data = file_next_data,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum call { PREAD, WRITE, PWRITE };

static ssize_t once(enum call call, int fd, char *p, size_t len, uint64_t off)
{
	switch (call) {
	case PREAD:
		return pread(fd, p, len, (off_t)off);
	case WRITE:
		return write(fd, p, len);
	default:
		return pwrite(fd, p, len, (off_t)off);
	}
}

/* Until all of it is moved. */
static int whole(enum call call, int fd, char *p, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = once(call, fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = call == PREAD ? ENODATA : EIO;
		if (n <= 0)
			return -1;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int fdio_pread(int fd, void *buf, size_t len, uint64_t off)
{
	return whole(PREAD, fd, buf, len, off);
}

int fdio_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	return whole(PWRITE, fd, (char *)(uintptr_t)buf, len, off);
}

int fdio_write(int fd, const void *buf, size_t len)
{
	return whole(WRITE, fd, (char *)(uintptr_t)buf, len, 0);
}

int fdio_read_file(const char *path, size_t max, char **ret_buf, size_t *ret_len,
	struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *buf = NULL;
	size_t used = 0, cap = 4096;

	if (fd < 0)
		return err_sys(err, ERR_CFG_MISSING, "open %s", path);
	for (;;) {
		char *grown;
		ssize_t n;

		if (used + 1 >= cap || !buf) {
			cap = buf ? cap * 2 : cap;
			grown = realloc(buf, cap);
			if (!grown)
				return err_set(err, ERR_NOMEM, "read %s: out of memory",
					path);
			buf = grown;
		}
		n = read(fd, buf + used, cap - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, ERR_CFG_MISSING, "read %s", path);
		if (!n)
			break;
		used += (size_t)n;
		if (used > max)
			return err_set(err, ERR_CFG_INVALID, "%s: larger than %zu bytes",
				path, max);
	}
	buf[used] = '\0';
	*ret_buf = buf;
	*ret_len = used;
	buf = NULL;
	return 0;
}

static int sync_folder(const char *path)
{
	char copy[4096];
	CLEANUP_CLOSE int fd = -1;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

int fdio_replace_file(const char *path, const void *buf, size_t len, unsigned mode,
	struct err *err)
{
	char tmp[4096];
	CLEANUP_CLOSE int fd = -1;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tw-new", path) >= sizeof(tmp))
		return err_set(err, ERR_INTERNAL, "%s: name too long", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(err, err_disk_code(errno), "create %s", tmp);
	if (fdio_write(fd, buf, len) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 ||
		rename(tmp, path) < 0) {
		err_sys(err, err_disk_code(errno), "replace %s", path);
		unlink(tmp);
		return -1;
	}
	if (sync_folder(path) < 0)
		return err_sys(err, err_disk_code(errno), "sync the folder of %s", path);
	return 0;
}

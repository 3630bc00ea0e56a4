/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

static int take_root(struct fs_root *r, int fd, const char *name, struct err *err)
{
	char proc[64];
	ssize_t n;

	r->fd = fd;
	if (fd < 0)
		return err_sys(err, ERR_FS_MOUNT, "open %s", name);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, r->at, sizeof(r->at) - 1);
	r->at[n < 0 ? 0 : n] = '\0';
	return 0;
}

int fs_root_open(struct fs_root *r, const char *at, struct err *err)
{
	return take_root(r, open(at, O_PATH | O_DIRECTORY | O_CLOEXEC), at, err);
}

int fs_root_at(struct fs_root *r, int dir, struct err *err)
{
	return take_root(r, openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC),
		"the root of a mount", err);
}

void fs_root_close(struct fs_root *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

int fs_open(const struct fs_root *r, const char *path, int flags, unsigned mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	while (*path == '/')
		path++;
	do {
		fd = syscall(SYS_openat2, r->fd, *path ? path : ".", &how, sizeof(how));
	} while (fd < 0 && errno == EAGAIN);
	return (int)fd;
}

int fs_stat(const struct fs_root *r, const char *path, struct stat *st)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_PATH, 0);

	return fd < 0 ? -1 : fstat(fd, st);
}

int fs_lstat(const struct fs_root *r, const char *path, struct stat *st)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_PATH | O_NOFOLLOW, 0);

	return fd < 0 ? -1 : fstat(fd, st);
}

bool fs_is_file(const struct fs_root *r, const char *path)
{
	struct stat st;

	return !fs_stat(r, path, &st) && S_ISREG(st.st_mode);
}

bool fs_is_dir(const struct fs_root *r, const char *path)
{
	struct stat st;

	return !fs_stat(r, path, &st) && S_ISDIR(st.st_mode);
}

bool fs_is_mounted(int dir)
{
	/* struct statx and its names are not in all libraries */
	struct {
		uint32_t mask, blksize;
		uint64_t attributes;
		uint8_t rest[240];
	} st = { 0 };
	const uint64_t mount_root = 0x2000;

	return !syscall(SYS_statx, dir, "", AT_EMPTY_PATH, 0u, &st) &&
		(st.attributes & mount_root);
}

static enum err_code unsafe_or(int sys, enum err_code other)
{
	return sys == ELOOP || sys == EXDEV || sys == EACCES ? ERR_FS_UNSAFE : other;
}

int fs_real(const struct fs_root *r, const char *path, char *ret, size_t size,
	struct err *err)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_PATH, 0);
	char proc[64], full[FS_PATH_MAX];
	size_t base = strlen(r->at);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, unsafe_or(errno, ERR_FS_MOUNT), "%s", path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, full, sizeof(full) - 1);
	if (n < 0)
		return err_sys(err, ERR_INTERNAL, "readlink %s", proc);
	full[n] = '\0';
	if (!base || strncmp(full, r->at, base) || (full[base] && full[base] != '/'))
		return err_set(err, ERR_FS_UNSAFE, "%s: leads out of the guest's root",
			path);
	if ((size_t)snprintf(ret, size, "%s", full[base] ? full + base : "/") >= size)
		return err_set(err, ERR_FS_UNSAFE, "%s: path too long", path);
	return 0;
}

int fs_readlink(const struct fs_root *r, const char *path, char *ret, size_t size)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_PATH | O_NOFOLLOW, 0);
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", ret, size - 1);

	if (n < 0)
		return -1;
	ret[n] = '\0';
	return 0;
}

int fs_read(const struct fs_root *r, const char *path, size_t max, char **ret,
	size_t *ret_len, struct err *err)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	CLEANUP_FREE char *buf = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, unsafe_or(errno, ERR_FS_MOUNT), "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(err, ERR_FS_UNSAFE,
			"%s: %llu bytes are more than the limit of %zu", path,
			(unsigned long long)st.st_size, max);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return err_set(err, ERR_NOMEM, "read %s: out of memory", path);
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, ERR_DISK_IO, "read %s", path);
		if (!n)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	buf = NULL;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of an open folder, at most a million; the caller frees them also after -1. */
static int names_of(DIR *d, char ***ret, size_t *ret_n)
{
	size_t cap = 0;
	struct dirent *de;

	while ((de = readdir(d))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (*ret_n == cap) {
			char **grown = NULL;

			cap = cap ? cap * 2 : 64;
			if (cap <= 1u << 20)
				grown = realloc(*ret, cap * sizeof(**ret));
			if (!grown)
				return -1;
			*ret = grown;
		}
		(*ret)[*ret_n] = strdup(de->d_name);
		if (!(*ret)[*ret_n])
			return -1;
		(*ret_n)++;
	}
	return 0;
}

int fs_list(const struct fs_root *r, const char *path,
	int (*each)(void *ctx, const char *name, const struct stat *st), void *ctx,
	struct err *err)
{
	int fd = fs_open(r, path, O_RDONLY | O_DIRECTORY, 0), result = 0;
	char **names = NULL;
	size_t n = 0;
	DIR *d;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 1;
	if (fd < 0)
		return err_sys(err, unsafe_or(errno, ERR_FS_MOUNT), "open %s", path);
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_set(err, ERR_NOMEM, "list %s: out of memory", path);
	}
	if (names_of(d, &names, &n) < 0)
		result = err_set(err, ERR_NOMEM, "list %s: too many names", path);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		if (!result && !fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW))
			result = each(ctx, names[i], &st);
		free(names[i]);
	}
	free(names);
	closedir(d);
	return result;
}

int fs_space(const struct fs_root *r, const char *path, struct fs_space *ret,
	struct err *err)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_RDONLY | O_DIRECTORY, 0);
	struct statvfs vfs;
	struct stat st;

	if (fd < 0 || fstatvfs(fd, &vfs) < 0 || fstat(fd, &st) < 0)
		return err_sys(err, ERR_FS_MOUNT, "space of %s", path);
	ret->free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	ret->total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	/* btrfs, vfat: no limit */
	ret->free_inodes = vfs.f_files ? vfs.f_favail : UINT64_MAX;
	ret->dev = st.st_dev;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"

#define TMP_SUFFIX ".tw-new"

static enum err_code code_of(int sys)
{
	if (sys == ELOOP || sys == EXDEV)
		return ERR_FS_UNSAFE;
	return sys == ENOSPC || sys == EDQUOT ? ERR_PREP_NO_SPACE : ERR_FS_MOUNT;
}

/* Opens the folder of path; *ret_name is its last part. */
static int open_parent(const struct fs_root *r, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[FS_PATH_MAX];

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name || !strcmp(*ret_name, ".") || !strcmp(*ret_name, "..")) {
		errno = EINVAL;
		return -1;
	}
	if ((size_t)snprintf(dir, sizeof(dir), "/%.*s",
		slash ? (int)(slash - path) : 0, path) >= sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return fs_open(r, dir, O_RDONLY | O_DIRECTORY, 0);
}

/* Security labels, ACLs and capabilities. A file system without them is no error. */
static int copy_xattrs(int from, int to)
{
	char names[4096], value[65536];
	ssize_t n = flistxattr(from, names, sizeof(names));

	if (n < 0)
		return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t len = fgetxattr(from, name, value, sizeof(value));

		if (len < 0 || (fsetxattr(to, name, value, (size_t)len, 0) < 0 &&
			errno != EOPNOTSUPP && errno != EPERM))
			return -1;
	}
	return 0;
}

/* Owner and mode; vfat has none of its own and refuses what it cannot show. */
static int set_owner(int fd, const struct stat *like)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if ((st.st_uid != like->st_uid || st.st_gid != like->st_gid) &&
		fchown(fd, like->st_uid, like->st_gid) < 0 && errno != EPERM)
		return -1;
	if (fchmod(fd, like->st_mode & 07777) < 0 && errno != EPERM)
		return -1;
	return 0;
}

static int open_new(int dir, const char *name, char *tmp, size_t size)
{
	if ((size_t)snprintf(tmp, size, "%s" TMP_SUFFIX, name) >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* What an interrupted run left. */
	if (unlinkat(dir, tmp, 0) < 0 && errno != ENOENT)
		return -1;
	return openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
}

/* A file that its owner made immutable (resolv.conf,
 * fstab) gives way to one that is it as well. */
static int rename_over_immutable(int dir, int fd, const char *tmp, const char *name)
{
	CLEANUP_CLOSE int old =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int locked = FS_IMMUTABLE_FL | FS_APPEND_FL, flags, cleared;

	if (old < 0 || ioctl(old, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & locked)) {
		errno = EPERM;
		return -1;
	}
	cleared = flags & ~locked;
	if (ioctl(old, FS_IOC_SETFLAGS, &cleared) < 0)
		return -1;
	if (renameat(dir, tmp, dir, name) < 0) {
		int sys = errno;

		if (!ioctl(old, FS_IOC_SETFLAGS, &flags))
			errno = sys;
		return -1;
	}
	locked &= flags;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -1;
	flags |= locked;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int finish_new(int dir, int fd, const char *tmp, const char *name)
{
	if (fsync(fd) < 0 || (renameat(dir, tmp, dir, name) < 0 && (errno != EPERM ||
		rename_over_immutable(dir, fd, tmp, name) < 0)))
		return -1;
	return fsync(dir);
}

int fs_replace(const struct fs_root *r, const char *path, const void *buf, size_t len,
	unsigned mode, struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = open_parent(r, path, &name);
	CLEANUP_CLOSE int old = -1, fd = -1;
	struct stat like = { .st_mode = mode };
	char tmp[256];

	if (dir < 0)
		return err_sys(err, code_of(errno), "folder of %s", path);
	old = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (old < 0 && errno != ENOENT)
		return err_sys(err, code_of(errno), "open %s", path);
	if (old >= 0 && (fstat(old, &like) < 0 || !S_ISREG(like.st_mode)))
		return err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", path);
	fd = open_new(dir, name, tmp, sizeof(tmp));
	if (fd < 0)
		return err_sys(err, code_of(errno), "create %s", path);
	if (fdio_write(fd, buf, len) < 0 || set_owner(fd, &like) < 0 ||
		(old >= 0 && copy_xattrs(old, fd) < 0) ||
		finish_new(dir, fd, tmp, name) < 0) {
		err_sys(err, code_of(errno), "write %s", path);
		unlinkat(dir, tmp, 0);
		return -1;
	}
	return 0;
}

static void to_hex(const uint8_t hash[32], char ret[65])
{
	for (int i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

/* Reads `from` to its end, into `to` when that is not -1. -1 with errno. */
static int pump(int from, int to, char *ret_sha256)
{
	enum { CHUNK = 65536 };
	CLEANUP_FREE char *buf = malloc(CHUNK);
	mbedtls_sha256_context sha;
	uint8_t hash[32];
	int result = buf ? 0 : -1;

	mbedtls_sha256_init(&sha);
	mbedtls_sha256_starts(&sha, 0);
	while (!result) {
		ssize_t n = read(from, buf, CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			result = (int)n;
			break;
		}
		mbedtls_sha256_update(&sha, (const uint8_t *)buf, (size_t)n);
		if (to >= 0)
			result = fdio_write(to, buf, (size_t)n);
	}
	mbedtls_sha256_finish(&sha, hash);
	mbedtls_sha256_free(&sha);
	if (!result && ret_sha256)
		to_hex(hash, ret_sha256);
	return result;
}

int fs_sha256(const struct fs_root *r, const char *path, char ret[65], struct err *err)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, code_of(errno), "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", path);
	if (pump(fd, -1, ret) < 0)
		return err_sys(err, ERR_DISK_IO, "read %s", path);
	return 0;
}

int fs_copy(const struct fs_root *r, const char *from, const char *to, bool replace,
	char *ret_sha256, struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int in = fs_open(r, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	CLEANUP_CLOSE int dir = open_parent(r, to, &name);
	CLEANUP_CLOSE int fd = -1;
	struct timespec times[2];
	struct stat st;
	char tmp[256];

	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(err, code_of(errno), "open %s", from);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", from);
	if (dir < 0)
		return err_sys(err, code_of(errno), "folder of %s", to);
	if (!replace && !faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW))
		return err_set(err, ERR_FS_UNSAFE, "%s: exists already", to);
	fd = open_new(dir, name, tmp, sizeof(tmp));
	if (fd < 0)
		return err_sys(err, code_of(errno), "create %s", to);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (pump(in, fd, ret_sha256) < 0 || set_owner(fd, &st) < 0 ||
		copy_xattrs(in, fd) < 0 || futimens(fd, times) < 0 ||
		finish_new(dir, fd, tmp, name) < 0) {
		err_sys(err, code_of(errno), "copy %s to %s", from, to);
		unlinkat(dir, tmp, 0);
		return -1;
	}
	return 0;
}

int fs_append(const struct fs_root *r, const char *path, const void *buf, size_t len,
	struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int in = fs_open(r, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	CLEANUP_CLOSE int dir = open_parent(r, path, &name);
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	char tmp[256];

	if (in < 0 || dir < 0 || fstat(in, &st) < 0)
		return err_sys(err, code_of(errno), "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", path);
	fd = open_new(dir, name, tmp, sizeof(tmp));
	if (fd < 0)
		return err_sys(err, code_of(errno), "create %s", path);
	if (pump(in, fd, NULL) < 0 ||
		fdio_write(fd, "\0\0\0", (size_t)(-st.st_size & 3)) < 0 ||
		fdio_write(fd, buf, len) < 0 || set_owner(fd, &st) < 0 ||
		copy_xattrs(in, fd) < 0 || finish_new(dir, fd, tmp, name) < 0) {
		err_sys(err, code_of(errno), "write %s", path);
		unlinkat(dir, tmp, 0);
		return -1;
	}
	return 0;
}

int fs_mkdirs(const struct fs_root *r, const char *path, unsigned mode, struct err *err)
{
	char part[FS_PATH_MAX];
	const char *p = path;

	while (*p) {
		const char *name;
		int dir, failed;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		if ((size_t)snprintf(part, sizeof(part), "%.*s", (int)(p - path), path) >=
			sizeof(part))
			return err_set(err, ERR_FS_UNSAFE, "%s: path too long", path);
		if (fs_is_dir(r, part))
			continue;
		dir = open_parent(r, part, &name);
		if (dir < 0)
			return err_sys(err, code_of(errno), "folder of %s", part);
		failed = mkdirat(dir, name, mode);
		if (failed < 0)
			err_sys(err, code_of(errno), "make %s", part);
		close(dir);
		if (failed < 0)
			return -1;
	}
	return 0;
}

int fs_symlink(const struct fs_root *r, const char *target, const char *path,
	struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = open_parent(r, path, &name);

	if (dir < 0 || symlinkat(target, dir, name) < 0 || fsync(dir) < 0)
		return err_sys(err, code_of(errno), "make the link %s", path);
	return 0;
}

int fs_remove(const struct fs_root *r, const char *path, struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = open_parent(r, path, &name);

	if (dir < 0)
		return errno == ENOENT ? 0 :
			err_sys(err, code_of(errno), "folder of %s", path);
	if (!unlinkat(dir, name, 0) || errno == ENOENT ||
		((errno == EISDIR || errno == EPERM) &&
			!unlinkat(dir, name, AT_REMOVEDIR)))
		return 0;
	return err_sys(err, code_of(errno), "remove %s", path);
}

int fs_set_meta(const struct fs_root *r, const char *path, const struct stat *st,
	struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = open_parent(r, path, &name);
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (dir < 0 ||
		fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		(!S_ISLNK(st->st_mode) &&
			fchmodat(dir, name, st->st_mode & 07777, 0) < 0) ||
		utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, code_of(errno), "set the owner of %s", path);
	return 0;
}

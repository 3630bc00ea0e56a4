/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a guest's files, atomic each. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "fs/fs-internal.h"

#define TMP_SUFFIX ".tw-new"
/* btrfs sets these on empty files only */
#define FLAGS_EARLY (FS_NOCOW_FL | FS_COMPR_FL | FS_NOCOMP_FL)

enum err_code fs_write_code(int sys)
{
	if (sys == ELOOP || sys == EXDEV)
		return ERR_FS_UNSAFE;
	return sys == ENOSPC || sys == EDQUOT ? ERR_PREP_NO_SPACE : ERR_FS_MOUNT;
}

int fs_open_parent(const struct fs_root *r, const char *path, const char **ret_name)
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

/* Two long names may have one name for their new file: there is one at a time. */
static void name_tmp(const char *name, char ret[256])
{
	snprintf(ret, 256, "%.*s" TMP_SUFFIX, (int)(255 - strlen(TMP_SUFFIX)), name);
}

/* Removes the temporary file of an interrupted run. */
static int remove_tmp(int dir, const char *tmp)
{
	return unlinkat(dir, tmp, 0) < 0 && errno != ENOENT ? -1 : 0;
}

/* An immutable file or folder gets ordinary; *ret_flags are those it had, 0 for one that
 * was not locked. */
static int unlock(int dir, const char *name, unsigned *ret_flags)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	unsigned flags;

	*ret_flags = 0;
	/* A device is not opened. */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		(!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return 0;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	flags = fs_fd_flags(fd);
	if (!(flags & FS_LOCKED))
		return 0;
	*ret_flags = flags;
	return fs_fd_set_flags(fd, flags & ~FS_LOCKED);
}

static int relock(int dir, const char *name, unsigned flags)
{
	CLEANUP_CLOSE int fd = openat(dir, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -1 : fs_fd_set_flags(fd, flags);
}

/* rename(2), also over a file that its owner made immutable (resolv.conf, fstab). */
static int rename_over(int dir, const char *tmp, const char *name)
{
	unsigned flags = 0;
	int sys;

	if (!renameat(dir, tmp, dir, name))
		return 0;
	sys = errno;
	if (sys == EPERM && unlock(dir, name, &flags) < 0)
		return -1;
	if (flags) {
		if (!renameat(dir, tmp, dir, name))
			return 0;
		sys = errno;
		if (relock(dir, name, flags) < 0)
			return -1;
	}
	errno = sys;
	return -1;
}

int fs_new_open(const struct fs_root *r, const char *path, bool keep, struct fs_new *n,
	struct err *err)
{
	n->dir = fs_open_parent(r, path, &n->name);
	if (n->dir < 0)
		return err_sys(err, fs_write_code(errno), "folder of %s", path);
	if (keep)
		n->old = openat(n->dir, n->name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (keep && n->old < 0 && errno != ENOENT)
		return err_sys(err, fs_write_code(errno), "open %s", path);
	name_tmp(n->name, n->tmp);
	if (remove_tmp(n->dir, n->tmp) < 0)
		return err_sys(err, fs_write_code(errno), "create %s", path);
	n->fd = openat(n->dir, n->tmp,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (n->fd < 0)
		return err_sys(err, fs_write_code(errno), "create %s", path);
	return n->old >= 0 && fs_new_flags(n, fs_fd_flags(n->old)) < 0 ?
		err_sys(err, fs_write_code(errno), "flags of %s", path) : 0;
}

int fs_new_flags(struct fs_new *n, unsigned flags)
{
	n->flags = flags;
	n->flags_known = true; /* a folder's are inherited */
	return fs_fd_set_flags(n->fd, flags & FLAGS_EARLY);
}

int fs_new_finish(struct fs_new *n)
{
	if (n->flags_known && fs_fd_set_flags(n->fd, n->flags & ~FS_LOCKED) < 0)
		return -1;
	if (fsync(n->fd) < 0 || rename_over(n->dir, n->tmp, n->name) < 0)
		return -1;
	n->tmp[0] = '\0';
	if (n->flags & FS_LOCKED && fs_fd_set_flags(n->fd, n->flags) < 0)
		return -1;
	return fsync(n->dir);
}

void fs_new_close(struct fs_new *n)
{
	if (n->fd >= 0 && n->tmp[0])
		unlinkat(n->dir, n->tmp, 0);
	if (n->fd >= 0)
		close(n->fd);
	if (n->old >= 0)
		close(n->old);
	if (n->dir >= 0)
		close(n->dir);
}

/* A new file may have inherited an ACL that the old one has not. */
static int remove_others(int from, int to)
{
	enum { MAX = 65536 };
	CLEANUP_FREE char *names = malloc(MAX);
	ssize_t n = names ? flistxattr(to, names, MAX) : -1;

	if (n < 0)
		return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
	for (char *name = names; name < names + n; name += strlen(name) + 1)
		if (fgetxattr(from, name, NULL, 0) < 0 && errno == ENODATA &&
			fremovexattr(to, name) < 0 && errno != ENODATA)
			return -1;
	return 0;
}

int fs_copy_xattrs(int from, int to)
{
	enum { MAX = 65536 }; /* of the list, and of a value */
	CLEANUP_FREE char *names = malloc(MAX), *value = malloc(MAX);
	ssize_t n = names && value ? flistxattr(from, names, MAX) : -1;

	/* A file system without them is no error. */
	if (n < 0)
		return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t len = fgetxattr(from, name, value, MAX);

		if (len < 0 || (fsetxattr(to, name, value, (size_t)len, 0) < 0 &&
			errno != EOPNOTSUPP && errno != EPERM))
			return -1;
	}
	return remove_others(from, to);
}

int fs_replace(const struct fs_root *r, const char *path, const void *buf, size_t len,
	unsigned mode, struct err *err)
{
	struct fs_new n = FS_NEW_INIT;
	struct stat like = { .st_mode = mode };
	int result = fs_new_open(r, path, true, &n, err);

	if (!result && n.old >= 0 &&
	    (fstat(n.old, &like) < 0 || !S_ISREG(like.st_mode)))
		result = err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", path);
	if (!result && (fdio_write(n.fd, buf, len) < 0 || fs_fd_owner(n.fd, &like) < 0 ||
		(n.old >= 0 && fs_copy_xattrs(n.old, n.fd) < 0) ||
		fs_new_finish(&n) < 0))
		result = err_sys(err, fs_write_code(errno), "write %s", path);
	fs_new_close(&n);
	return result;
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
		dir = fs_open_parent(r, part, &name);
		if (dir < 0)
			return err_sys(err, fs_write_code(errno), "folder of %s", part);
		failed = mkdirat(dir, name, mode) < 0 || fsync(dir) < 0;
		if (failed)
			err_sys(err, fs_write_code(errno), "make %s", part);
		close(dir);
		if (failed)
			return -1;
	}
	return 0;
}

int fs_symlink(const struct fs_root *r, const char *target, const char *path,
	struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = fs_open_parent(r, path, &name);
	char tmp[256];

	if (dir >= 0)
		name_tmp(name, tmp);
	if (dir < 0 || remove_tmp(dir, tmp) < 0 || symlinkat(target, dir, tmp) < 0 ||
		rename_over(dir, tmp, name) < 0 || fsync(dir) < 0)
		return err_sys(err, fs_write_code(errno), "make the link %s", path);
	return 0;
}

int fs_link(const struct fs_root *r, const char *of, const char *path, struct err *err)
{
	const char *name, *from_name;
	CLEANUP_CLOSE int dir = fs_open_parent(r, path, &name);
	CLEANUP_CLOSE int from = fs_open_parent(r, of, &from_name);
	char tmp[256];

	if (dir >= 0)
		name_tmp(name, tmp);
	/* rename(2) does nothing, and leaves both, when they are one file already. */
	if (dir < 0 || from < 0 || remove_tmp(dir, tmp) < 0 ||
		linkat(from, from_name, dir, tmp, 0) < 0 ||
		rename_over(dir, tmp, name) < 0 || remove_tmp(dir, tmp) < 0 ||
		fsync(dir) < 0)
		return err_sys(err, fs_write_code(errno), "link %s to %s", path, of);
	return 0;
}

int fs_remove(const struct fs_root *r, const char *path, struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = fs_open_parent(r, path, &name);
	unsigned flags;
	int failed = -1;

	if (dir < 0)
		return errno == ENOENT ? 0 :
			err_sys(err, fs_write_code(errno), "folder of %s", path);
	for (int i = 0; i < 2 && failed; i++) {
		failed = unlinkat(dir, name, 0);
		if (failed && errno == EISDIR)
			failed = unlinkat(dir, name, AT_REMOVEDIR);
		if (failed && errno == ENOENT)
			return 0;
		if (failed && (errno != EPERM || i || unlock(dir, name, &flags) < 0))
			break;
	}
	return failed ?
		err_sys(err, fs_write_code(errno), "remove %s", path) : 0;
}

int fs_remove_unfinished(const struct fs_root *r, const char *path, struct err *err)
{
	const char *name;
	CLEANUP_CLOSE int dir = fs_open_parent(r, path, &name);
	char tmp[256];

	if (dir < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
			err_sys(err, fs_write_code(errno), "folder of %s", path);
	name_tmp(name, tmp);
	return remove_tmp(dir, tmp) < 0 ?
		err_sys(err, fs_write_code(errno), "remove %s", tmp) : 0;
}

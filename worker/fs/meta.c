/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata that a file system keeps of a path beside its content: owner, mode and times,
 * extended attributes (ACLs, labels and capabilities are some), the flags of chattr(1)
 * and the project of quotas.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/fs-internal.h"

/* Those that a user sets; others tell how the file system stores the file. */
#define FLAGS_KEPT (FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | \
	FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | \
	FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | \
	FS_TOPDIR_FL | FS_NOCOW_FL | FS_PROJINHERIT_FL)
#define LIST_MAX 65536 /* XATTR_LIST_MAX, XATTR_SIZE_MAX */

unsigned fs_fd_flags(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 :
		(unsigned)flags & FLAGS_KEPT;
}

int fs_fd_set_flags(int fd, unsigned flags)
{
	int now = 0, want;

	/* A file system without flags had none to keep. */
	if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
		return flags & FLAGS_KEPT ? -1 : 0;
	want = (int)(((unsigned)now & ~FLAGS_KEPT) | (flags & FLAGS_KEPT));
	return want == now ? 0 : ioctl(fd, FS_IOC_SETFLAGS, &want);
}

/* The number of the quota's project that a file is counted for; 0: none. */
static unsigned project_of(int fd)
{
	struct fsxattr x;

	return ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0 ? 0 : x.fsx_projid;
}

static int set_project(int fd, unsigned project)
{
	struct fsxattr x;

	if (project_of(fd) == project)
		return 0;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
		return -1;
	x.fsx_projid = project;
	return ioctl(fd, FS_IOC_FSSETXATTR, &x);
}

int fs_fd_owner(int fd, const struct stat *like)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if ((st.st_uid != like->st_uid || st.st_gid != like->st_gid) &&
		fchown(fd, like->st_uid, like->st_gid) < 0 && errno != EPERM)
		return -1;
	/* fchown() may have taken the bits of set-user-ID away. */
	return fchmod(fd, like->st_mode & 07777) < 0 && errno != EPERM ? -1 : 0;
}

/* The calls for extended attributes know no O_PATH, and the link of such a descriptor
 * leads to what it stands for, also when that is a link. */
static int open_node(const struct fs_root *r, const char *path, char ret[32])
{
	int fd = fs_open(r, path, O_PATH | O_NOFOLLOW, 0);

	if (fd >= 0)
		snprintf(ret, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* Names, each with its NUL, into a buffer of LIST_MAX. -1 with errno; 0 also where the
 * file system has no attributes. */
static ssize_t list_names(const char *node, char *names)
{
	ssize_t n = listxattr(node, names, LIST_MAX);

	return n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS) ? 0 : n;
}

static int each_xattr(const char *node, int (*each)(void *ctx, const struct fs_xattr *x),
	void *ctx)
{
	CLEANUP_FREE char *names = malloc(LIST_MAX), *value = malloc(LIST_MAX);
	ssize_t n = names && value ? list_names(node, names) : -1;

	for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t len = getxattr(node, p, value, LIST_MAX);

		if (len < 0 || each(ctx, &(struct fs_xattr){ p, value, (size_t)len }) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

int fs_get_meta(const struct fs_root *r, const char *path, struct fs_meta *ret,
	int (*each)(void *ctx, const struct fs_xattr *x), void *ctx, struct err *err)
{
	char node[32];
	CLEANUP_CLOSE int at = open_node(r, path, node), fd = -1;

	memset(ret, 0, sizeof(*ret));
	if (at < 0 || fstat(at, &ret->st) < 0 || each_xattr(node, each, ctx) < 0)
		return err_sys(err, ERR_DISK_IO, "attributes of %s", path);
	if (!S_ISREG(ret->st.st_mode) && !S_ISDIR(ret->st.st_mode))
		return 0;
	fd = fs_open(r, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, ERR_DISK_IO, "open %s", path);
	ret->flags = fs_fd_flags(fd);
	ret->project = project_of(fd);
	return 0;
}

static const struct fs_xattr *find_xattr(const struct fs_meta *m, const char *name)
{
	for (int i = 0; i < m->n_xattrs; i++)
		if (!strcmp(m->xattrs[i].name, name))
			return &m->xattrs[i];
	return NULL;
}

/* Exactly those of m: what is there beside them goes. */
static int set_xattrs(const char *node, const struct fs_meta *m)
{
	CLEANUP_FREE char *names = malloc(LIST_MAX), *value = malloc(LIST_MAX);
	ssize_t n = names && value ? list_names(node, names) : -1;

	if (n < 0 || m->n_xattrs < 0)
		return n < 0 ? -1 : 0;
	for (char *p = names; p < names + n; p += strlen(p) + 1)
		if (!find_xattr(m, p) && removexattr(node, p) < 0 && errno != ENODATA)
			return -1;
	for (int i = 0; i < m->n_xattrs; i++) {
		const struct fs_xattr *x = &m->xattrs[i];
		ssize_t len = getxattr(node, x->name, value, LIST_MAX);

		if (len == (ssize_t)x->len && !memcmp(value, x->value, x->len))
			continue;
		if (setxattr(node, x->name, x->value, x->len, 0) < 0)
			return -1;
	}
	return 0;
}

int fs_fd_set_meta(int fd, const struct fs_meta *m)
{
	struct timespec times[2] = { m->st.st_atim, m->st.st_mtim };
	char node[32];

	snprintf(node, sizeof(node), "/proc/self/fd/%d", fd);
	/* In this order: a new owner takes capabilities away, a mode changes ACLs. */
	return fs_fd_owner(fd, &m->st) < 0 || set_xattrs(node, m) < 0 ||
		(m->n_xattrs >= 0 && set_project(fd, m->project) < 0) ||
		futimens(fd, times) < 0 ? -1 : 0;
}

static int set_link_meta(int at, const char *node, const struct fs_meta *m)
{
	struct timespec times[2] = { m->st.st_atim, m->st.st_mtim };
	struct stat st;

	if (fstat(at, &st) < 0)
		return -1;
	if ((st.st_uid != m->st.st_uid || st.st_gid != m->st.st_gid) &&
		fchownat(at, "", m->st.st_uid, m->st.st_gid, AT_EMPTY_PATH) < 0)
		return -1;
	return set_xattrs(node, m) < 0 ||
		utimensat(AT_FDCWD, node, times, 0) < 0 ? -1 : 0;
}

int fs_set_meta(const struct fs_root *r, const char *path, const struct fs_meta *m,
	struct err *err)
{
	char node[32];
	CLEANUP_CLOSE int at = open_node(r, path, node), fd = -1;
	struct stat st;
	unsigned flags;
	int failed = at < 0 || fstat(at, &st) < 0;

	if (!failed && S_ISLNK(st.st_mode)) {
		failed = set_link_meta(at, node, m);
	} else if (!failed) {
		fd = fs_open(r, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
		/* An immutable one takes nothing. */
		flags = fd < 0 ? 0 : fs_fd_flags(fd);
		failed = fd < 0 || fs_fd_set_flags(fd, flags & ~FS_LOCKED) < 0 ||
			fs_fd_set_meta(fd, m) < 0 ||
			fs_fd_set_flags(fd, m->n_xattrs < 0 ? flags :
				m->flags) < 0;
	}
	return failed ? err_sys(err, ERR_DISK_IO, "owner and attributes of %s", path) : 0;
}

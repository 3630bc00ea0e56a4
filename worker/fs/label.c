/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux labels, also of symbolic links: this kernel runs no policy,
 * it only stores them. */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"

#define LABEL "security.selinux"

static int open_node(const struct fs_root *r, const char *path, char *ret, size_t size)
{
	int fd = fs_open(r, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);

	/* The xattr calls know no O_PATH, and the link of it leads
	 * to what it stands for. */
	if (fd >= 0)
		snprintf(ret, size, "/proc/self/fd/%d", fd);
	return fd;
}

int fs_get_label(const struct fs_root *r, const char *path, char *ret, size_t size,
	struct err *err)
{
	char node[32];
	CLEANUP_CLOSE int fd = open_node(r, path, node, sizeof(node));
	ssize_t n = fd < 0 ? -1 : getxattr(node, LABEL, ret, size - 1);

	if (n < 0 && fd >= 0 && errno == ERANGE)
		n = 0; /* there is one, longer than any that is looked at */
	if (n < 0)
		return fd >= 0 && (errno == ENODATA || errno == EOPNOTSUPP) ? 1 :
			err_sys(err, ERR_DISK_IO, "label of %s", path);
	ret[n] = '\0';
	return 0;
}

int fs_set_label(const struct fs_root *r, const char *path, const char *label,
	struct err *err)
{
	char node[32];
	CLEANUP_CLOSE int fd = open_node(r, path, node, sizeof(node));

	/* The kernel's own labels end with a NUL. */
	if (fd >= 0 && !setxattr(node, LABEL, label, strlen(label) + 1, 0))
		return 0;
	return fd >= 0 && errno == EOPNOTSUPP ? 1 :
		err_sys(err, ERR_DISK_IO, "label %s", path);
}

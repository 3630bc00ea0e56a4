/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystems every program expects, and reading the mount table back. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init-internal.h"

struct mount {
	const char *source, *point, *type;
	unsigned long flags;
	const char *data;
	mode_t mode;
	bool optional;
};

/*
 * Sizes are caps, not reservations. efivarfs is there only on EFI and stays read-only
 * until the worker writes a boot entry. The worker puts guests' own tools into control
 * groups; they want pseudo terminals and /dev/shm.
 */
static const struct mount mounts[] = {
	{ "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0555, false },
	{ "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0555, false },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
		0, true },
	{ "devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL, 0755, false },
	{ "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666",
		0755,
		true },
	{ "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=10%", 01777,
		true },
	{ "run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=20%", 0755,
		false },
	{ "tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=30%", 01777,
		false },
	{ "efivarfs", "/sys/firmware/efi/efivars", "efivarfs",
		MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL, 0, true },
};

#define N_MOUNTS (sizeof(mounts) / sizeof(mounts[0]))

void mount_base(void)
{
	char what[64];

	umask(022);
	for (size_t i = 0; i < N_MOUNTS; i++) {
		const struct mount *m = &mounts[i];

		if (m->mode)
			mkdir(m->point, m->mode);
		if (mount(m->source, m->point, m->type, m->flags, m->data) == 0 ||
		    m->optional)
			continue;
		snprintf(what, sizeof(what), "mount %s", m->point);
		panic(what);
	}
	/* Shells and package scripts use these names; devtmpfs does not make them. */
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
	symlink("/proc/self/mounts", "/etc/mtab");
}

int mount_unescape(char *path)
{
	char *out = path;

	for (const char *in = path; *in; in++) {
		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		for (int i = 1; i <= 3; i++)
			if (in[i] < '0' || in[i] > '7')
				return -1;
		*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
		in += 3;
	}
	*out = '\0';
	return 0;
}

/* Fields of a line: id, parent, major:minor, root, mount point, options,
 * ... (proc(5)). */
bool mount_entry_parse(struct mount_entry *ret, const char *line)
{
	size_t n;

	for (int field = 0; field < 4; field++) {
		line = strchr(line, ' ');
		if (!line)
			return false;
		line++;
	}
	n = strcspn(line, " \n");
	if (n == 0 || n >= sizeof(ret->point) || line[n] != ' ')
		return false;
	memcpy(ret->point, line, n);
	ret->point[n] = '\0';
	if (mount_unescape(ret->point) < 0 || ret->point[0] != '/')
		return false;
	ret->base = strcmp(ret->point, "/") == 0;
	for (size_t i = 0; i < N_MOUNTS; i++)
		ret->base = ret->base || strcmp(ret->point, mounts[i].point) == 0;
	return true;
}

int mount_check_way(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (got < size - 1 && (n = read(fd, buf + got, size - 1 - got)) > 0)
		got += n;
	close(fd);
	buf[got] = '\0';
	return n < 0 ? -1 : 0;
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

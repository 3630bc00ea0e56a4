/* SPDX-License-Identifier: Apache-2.0 */
/* The number of threads in a PID namespace, from /proc: where no control group counts
 * them. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/spawn-internal.h"

/* Threads of one process: field 20 of /proc/PID/stat, counted from behind the name in
 * brackets, which may hold anything (proc_pid_stat(5)). One that ended meanwhile has
 * none. */
static unsigned count_threads(const char *pid)
{
	char path[64], text[1024], *p;
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')');
	for (int field = 2; p && field < 20; field++)
		p = strchr(p + 1, ' ');
	return p ? (unsigned)strtoul(p + 1, NULL, 10) : 0;
}

/* Of the whole machine: what stands behind the slash of
 * /proc/loadavg (proc_loadavg(5)). */
static unsigned count_all_threads(void)
{
	CLEANUP_CLOSE int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	char text[128], *p;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return UINT_MAX;
	text[n] = '\0';
	p = strchr(text, '/');
	return p ? (unsigned)strtoul(p + 1, NULL, 10) : UINT_MAX;
}

/* Whether more threads than the limit live in the program's PID namespace. Asking every
 * process for its namespace costs milliseconds, which is only spent when the machine has
 * that many at all. */
bool spawn_too_many(pid_t pid, unsigned max)
{
	struct stat space, st;
	struct dirent *de;
	char path[64];
	unsigned n = 0;
	DIR *d;

	if (count_all_threads() <= max)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	if (stat(path, &space) < 0)
		return false; /* it has ended */
	d = opendir("/proc");
	while (d && n <= max && (de = readdir(d))) {
		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/ns/pid", de->d_name);
		if (!stat(path, &st) && st.st_ino == space.st_ino &&
		    st.st_dev == space.st_dev)
			n += count_threads(de->d_name);
	}
	if (d)
		closedir(d);
	return n > max;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups as Documentation/admin-guide/cgroup-v2.rst of the kernel has them. */
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

#define REMOVE_TRIES 50 /* of 20 ms */

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC), sys;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	sys = errno;
	close(fd);
	errno = sys;
	return n < 0 ? -1 : 0;
}

/* The number behind a key of a file like pids.events, 0 when there is none. */
static uint64_t read_count(int dir, const char *name, const char *key)
{
	CLEANUP_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char text[512];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	size_t len = strlen(key);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoull(p + len, NULL, 10);
	}
	return 0;
}

/* Where the hierarchy is mounted, whole: fields of a line are id, parent, device, root,
 * mount point, ... " - " type (proc_pid_mountinfo(5)). */
static bool find_mount(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], root[256], point[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " - cgroup2 ") &&
			sscanf(line, "%*s %*s %*s %255s %255s", root, point) == 2 &&
			!strcmp(root, "/") && !strchr(point, '\\') &&
			(size_t)snprintf(ret, size, "%s", point) < size;
	if (f)
		fclose(f);
	return found;
}

/* The worker's own group: the line "0::PATH" of /proc/self/cgroup. */
static bool find_own(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[512], point[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "0::/", 4) && !strstr(line, "/..");
	}
	if (f)
		fclose(f);
	if (!found || !find_mount(point, sizeof(point)))
		return false;
	return (size_t)snprintf(ret, size, "%s%s", point, line[4] ? line + 3 : "") < size;
}

/* Limits are those of controllers, which the group above has to hand down. It can where
 * it is the root of all, or holds no process itself. */
static void set_limits(struct cgroup *c, unsigned max_tasks, uint64_t max_memory)
{
	char text[24];

	snprintf(text, sizeof(text), "%u", max_tasks);
	c->counts = !write_file(c->fd, "pids.max", text);
	snprintf(text, sizeof(text), "%" PRIu64, max_memory);
	if (write_file(c->fd, "memory.max", text) < 0 ||
	    write_file(c->fd, "memory.oom.group", "1") < 0)
		log_debug("%s: no limit of memory: %s", c->path, err_text(errno));
}

bool cgroup_make(struct cgroup *ret, unsigned max_tasks, uint64_t max_memory)
{
	static atomic_uint made;
	CLEANUP_CLOSE int above = -1;
	char own[400];

	*ret = (struct cgroup)CGROUP_INIT;
	if (!find_own(own, sizeof(own)))
		return false;
	above = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above >= 0 && (write_file(above, "cgroup.subtree_control", "+pids") < 0 ||
		write_file(above, "cgroup.subtree_control", "+memory") < 0))
		log_debug("%s hands no limits down: %s", own, err_text(errno));
	snprintf(ret->path, sizeof(ret->path), "%s/target-worker-%d-%u", own,
		(int)getpid(), atomic_fetch_add(&made, 1));
	if (above < 0 || mkdir(ret->path, 0755) < 0) {
		log_debug("no control group %s: %s", ret->path, err_text(errno));
		return false;
	}
	ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->fd < 0) {
		rmdir(ret->path);
		return false;
	}
	set_limits(ret, max_tasks, max_memory);
	return true;
}

int cgroup_enter(const struct cgroup *c)
{
	return c->fd < 0 ? 0 : write_file(c->fd, "cgroup.procs", "0");
}

void cgroup_kill(const struct cgroup *c)
{
	if (c->fd >= 0 && write_file(c->fd, "cgroup.kill", "1") < 0)
		log_debug("%s: cgroup.kill: %s", c->path, err_text(errno));
}

bool cgroup_was_full(const struct cgroup *c)
{
	return c->fd >= 0 && read_count(c->fd, "pids.events", "max");
}

bool cgroup_ran_out(const struct cgroup *c)
{
	return c->fd >= 0 && read_count(c->fd, "memory.events", "oom_kill");
}

void cgroup_remove(struct cgroup *c)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	int rc = -1;

	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	for (int i = 0; i < REMOVE_TRIES && rc < 0; i++) {
		rc = rmdir(c->path);
		if (rc < 0)
			nanosleep(&pause, NULL);
	}
	if (rc < 0)
		log_debug("%s stays: %s", c->path, err_text(errno));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo (proc(5)) against the drives: a file system counts when its device is a
 * served drive, a partition of one, or a mapping that has one among its slaves. */
#include "serve/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"

#define DEPTH 8 /* LUKS on LVM on md on a partition is 5 */

void serve_mounts_unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
			s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

static bool is_served(const struct serve_drive *drives, int n, dev_t dev)
{
	struct stat st;

	for (int i = 0; i < n; i++)
		if (drives[i].block && !fstat(drives[i].fd, &st) && st.st_rdev == dev)
			return true;
	return false;
}

/* The number in /sys/dev/block/MAJ:MIN/<file>, 0 when there is none. */
static dev_t device_in(const char *dir, const char *file)
{
	char path[512];
	unsigned maj, min;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fscanf(f, "%u:%u", &maj, &min);
	fclose(f);
	return n == 2 ? makedev(maj, min) : 0;
}

static bool on_served(const struct serve_drive *drives, int n, dev_t dev, int depth)
{
	char dir[64], slaves[80], child[320];
	struct dirent *e;
	bool found = false;
	DIR *d;

	if (!dev || depth > DEPTH)
		return false;
	if (is_served(drives, n, dev))
		return true;
	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	snprintf(child, sizeof(child), "%s/partition", dir);
	if (!access(child, F_OK))
		return on_served(drives, n, device_in(dir, "../dev"), depth + 1);
	snprintf(slaves, sizeof(slaves), "%s/slaves", dir);
	d = opendir(slaves);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%.200s", slaves, e->d_name);
		found = on_served(drives, n, device_in(child, "dev"), depth + 1);
	}
	closedir(d);
	return found;
}

static unsigned long flags_of(const char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = { { "nosuid", MS_NOSUID }, { "nodev", MS_NODEV }, { "noexec", MS_NOEXEC },
		{ "noatime", MS_NOATIME }, { "relatime", MS_RELATIME },
		{ "nodiratime", MS_NODIRATIME } };
	unsigned long flags = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *at = strstr(options, known[i].name);

		if (at && (at == options || at[-1] == ','))
			flags |= known[i].flag;
	}
	return flags;
}

/* One line; the device is the numbers in it or, for file systems with numbers of their own
 * (btrfs), the device named as the source. */
static bool parse_line(char *line, struct serve_mount *m, dev_t *dev)
{
	char root[512], point[512], options[512], source[512];
	unsigned maj, min;
	char *dash = strstr(line, " - ");
	struct stat st;

	if (!dash || sscanf(line, "%*d %*d %u:%u %511s %511s %511s", &maj, &min, root, point,
			     options) != 5 ||
		sscanf(dash + 3, "%*s %511s", source) != 1)
		return false;
	serve_mounts_unescape(point);
	serve_mounts_unescape(source);
	if (strlen(point) >= sizeof(m->point))
		return false;
	*dev = makedev(maj, min);
	if (!maj) {
		if (source[0] != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode))
			return false;
		*dev = st.st_rdev;
	}
	memset(m, 0, sizeof(*m));
	strcpy(m->point, point);
	m->flags = flags_of(options);
	m->read_only = !strncmp(options, "ro", 2) && (!options[2] || options[2] == ',');
	return true;
}

/* Longer paths first; "/" comes last. */
static int by_depth(const void *a, const void *b)
{
	size_t la = strlen(((const struct serve_mount *)a)->point);
	size_t lb = strlen(((const struct serve_mount *)b)->point);

	return la < lb ? 1 : la > lb ? -1 : 0;
}

int serve_mounts_find(const struct serve_drive *drives, int n,
	struct serve_mount ret[SERVE_MAX_MOUNTS])
{
	dev_t seen[SERVE_MAX_MOUNTS], dev;
	char line[4096];
	int found = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f) {
		log_warn("/proc/self/mountinfo cannot be read: nothing is held still");
		return 0;
	}
	while (found < SERVE_MAX_MOUNTS && fgets(line, sizeof(line), f)) {
		struct serve_mount *m = &ret[found];
		int i = 0;

		if (!parse_line(line, m, &dev) || !on_served(drives, n, dev, 0))
			continue;
		while (i < found && seen[i] != dev)
			i++;
		if (i < found)
			continue; /* a bind mount or subvolume of one we have */
		m->fd = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (m->fd < 0) {
			log_warn("%s cannot be opened and is not held still", m->point);
			continue;
		}
		seen[found++] = dev;
	}
	fclose(f);
	qsort(ret, (size_t)found, sizeof(*ret), by_depth);
	return found;
}

void serve_mounts_close(struct serve_mount *m, int n)
{
	while (n-- > 0)
		close(m[n].fd);
}

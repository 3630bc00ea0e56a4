/* SPDX-License-Identifier: Apache-2.0 */
/* Which mounted file systems stand on the served drives. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/words.h"
#include "serve/serve-internal.h"

#define MAX_DEPTH 8 /* partition on RAID on LVM on ... */

static bool read_dev(const char *path, dev_t *ret)
{
	CLEANUP_FCLOSE FILE *f = fopen(path, "re");
	unsigned ma, mi;

	if (!f || fscanf(f, "%u:%u", &ma, &mi) != 2)
		return false;
	*ret = makedev(ma, mi);
	return true;
}

/* Whether the block device is one of the drives, a partition of one, or stands on one. */
static bool on_drives(const struct serve_drive *drives, unsigned n, dev_t dev,
	unsigned depth)
{
	char path[128], sub[512];
	struct dirent *e;
	bool found = false;
	dev_t below;
	DIR *dir;

	for (unsigned i = 0; i < n; i++)
		if (drives[i].dev.device && drives[i].device == dev)
			return true;
	if (!depth)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	snprintf(sub, sizeof(sub), "%s/partition", path);
	if (!access(sub, F_OK)) {
		snprintf(sub, sizeof(sub), "%s/../dev", path);
		return read_dev(sub, &below) && on_drives(drives, n, below, depth - 1);
	}
	snprintf(sub, sizeof(sub), "%s/slaves", path);
	dir = opendir(sub);
	while (dir && !found && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/slaves/%s/dev", path, e->d_name);
		found = read_dev(sub, &below) && on_drives(drives, n, below, depth - 1);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* "\040" and the like, as the kernel writes blanks in paths. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				(s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

static unsigned long flags_of(const char *options)
{
	static const struct {
		const char *word;
		unsigned long flag;
	} words[] = { { "nosuid", MS_NOSUID }, { "nodev", MS_NODEV },
		{ "noexec", MS_NOEXEC }, { "noatime", MS_NOATIME },
		{ "nodiratime", MS_NODIRATIME },
		{ "relatime", MS_RELATIME }, { "sync", MS_SYNCHRONOUS } };
	unsigned long flags = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words_has(options, words[i].word))
			flags |= words[i].flag;
	return flags;
}

/* A line of proc(5) mountinfo: "36 35 98:0 /mnt1 /mnt2 rw,noatime
 * master:1 - ext3 /dev/x rw". */
static bool parse_line(char *line, struct serve_mount *ret, dev_t *ret_block,
	bool *ret_writable)
{
	char *save, *field[6], *word, *source, *super;
	unsigned ma, mi;
	struct stat st;

	for (int i = 0; i < 6; i++)
		if (!(field[i] = strtok_r(i ? NULL : line, " \n", &save)))
			return false;
	do
		word = strtok_r(NULL, " \n", &save);
	while (word && strcmp(word, "-"));
	if (!word || !strtok_r(NULL, " \n", &save) ||
		!(source = strtok_r(NULL, " \n", &save)) ||
		!(super = strtok_r(NULL, " \n", &save)) ||
		sscanf(field[2], "%u:%u", &ma, &mi) != 2)
		return false;
	unescape(field[4]);
	unescape(source);
	*ret = (struct serve_mount){ .device = makedev(ma, mi), .fd = -1,
		.flags = flags_of(field[5]) };
	if ((size_t)snprintf(ret->path, sizeof(ret->path), "%s",
		field[4]) >= sizeof(ret->path))
		return false;
	*ret_block = ret->device;
	/* btrfs and others have a number of their own that is no block device. */
	if (!ma && source[0] == '/' && !stat(source, &st) && S_ISBLK(st.st_mode))
		*ret_block = st.st_rdev;
	*ret_writable = words_has(super, "rw");
	return true;
}

static bool known(const struct serve_mount *m, unsigned n, dev_t dev)
{
	while (n)
		if (m[--n].device == dev)
			return true;
	return false;
}

int serve_mounts(const struct serve_drive *drives, unsigned n, const char *mountinfo,
	struct serve_mount *ret, unsigned max, unsigned *ret_n, struct err *err)
{
	CLEANUP_FCLOSE FILE *f = fopen(mountinfo, "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	unsigned found = 0;
	struct serve_mount m;
	struct stat st;
	bool writable;
	dev_t block;

	if (!f)
		return err_sys(err, ERR_INTERNAL, "open %s", mountinfo);
	while (getline(&line, &size, f) > 0) {
		if (!parse_line(line, &m, &block, &writable) || !writable ||
			!on_drives(drives, n, block, MAX_DEPTH) ||
			known(ret, found, m.device))
			continue;
		if (found == max)
			return err_set(err, ERR_INTERNAL,
				"more than %u file systems to freeze", max);
		m.fd = open(m.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		/* Something else may be mounted over it:
		 * then another place will show it. */
		if (m.fd >= 0 && major(m.device) && !fstat(m.fd, &st) &&
		    st.st_dev != m.device) {
			close(m.fd);
			continue;
		}
		if (m.fd < 0) {
			err_sys(err, ERR_SRC_READ, "%s: open it to freeze it", m.path);
			while (found)
				close(ret[--found].fd);
			return -1;
		}
		ret[found++] = m;
	}
	for (unsigned i = 0; i < found / 2; i++) {
		m = ret[i];
		ret[i] = ret[found - 1 - i];
		ret[found - 1 - i] = m;
	}
	*ret_n = found;
	return 0;
}

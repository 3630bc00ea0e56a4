/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mounted file systems stand on the served drives, in whatever mount namespace: a
 * container's are as much in use as those that are seen from here.
 */
#include <ctype.h>
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

/* Where mounts are looked up while a list is made. */
struct look {
	const struct serve_drive *drives;
	unsigned n_drives;
	struct serve_mounts *ret;
	struct {
		ino_t space, root;
	} *seen; /* mount namespaces, by what a process in it calls root */
	unsigned n_seen;
};

static bool read_dev(const char *path, dev_t *ret)
{
	CLEANUP_FCLOSE FILE *f = fopen(path, "re");
	unsigned ma, mi;

	if (!f || fscanf(f, "%u:%u", &ma, &mi) != 2)
		return false;
	*ret = makedev(ma, mi);
	return true;
}

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

bool serve_on_drives(const struct serve_drive *drives, unsigned n, dev_t dev)
{
	return on_drives(drives, n, dev, MAX_DEPTH);
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
 * master:1 - ext3 /dev/x rw". prefix: in front of the path, as it is seen from here. */
static bool parse_line(char *line, const char *prefix, struct serve_mount *ret,
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
		.flags = flags_of(field[5]), .foreign = *prefix };
	if ((size_t)snprintf(ret->path, sizeof(ret->path), "%s%s", prefix,
		field[4]) >= sizeof(ret->path))
		return false;
	ret->block = ret->device;
	/* btrfs and others have a number of their own that is no block device. */
	if (!ma && source[0] == '/' && !stat(source, &st) && S_ISBLK(st.st_mode))
		ret->block = st.st_rdev;
	*ret_writable = words_has(super, "rw");
	return true;
}

static bool is_known(const struct serve_mounts *l, dev_t dev)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->list[i].device == dev)
			return true;
	return false;
}

static int add_mount(struct serve_mounts *l, const struct serve_mount *m, struct err *err)
{
	struct serve_mount *list = l->list;

	if (l->n == SERVE_MAX_MOUNTS)
		return err_set(err, ERR_SRC_READ, "more than %u file systems to freeze",
			SERVE_MAX_MOUNTS);
	/* Room for twice as many whenever a power of two is reached. */
	if (!(l->n & (l->n - 1)))
		list = realloc(list, (l->n ? l->n * 2 : 1) * sizeof(*list));
	if (!list)
		return err_set(err, ERR_NOMEM, "freezing: out of memory");
	l->list = list;
	l->list[l->n++] = *m;
	return 0;
}

static int add_quiet(struct serve_mounts *l, dev_t block, struct err *err)
{
	dev_t *list = realloc(l->quiet, (l->n_quiet + 1) * sizeof(*list));

	if (!list)
		return err_set(err, ERR_NOMEM, "freezing: out of memory");
	l->quiet = list;
	l->quiet[l->n_quiet++] = block;
	return 0;
}

/* Something else may be mounted over it: then another place will show it, or nothing
 * does, and holders.c finds that out. */
static int open_mount(struct serve_mount *m)
{
	struct stat st;

	m->fd = open(m->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (m->fd < 0)
		return -1;
	if (major(m->device) && !fstat(m->fd, &st) && st.st_dev != m->device) {
		close(m->fd);
		m->fd = -1;
	}
	return 0;
}

static int look_into(struct look *k, const char *mountinfo, const char *prefix,
	struct err *err)
{
	CLEANUP_FCLOSE FILE *f = fopen(mountinfo, "re");
	CLEANUP_FREE char *line = NULL;
	struct serve_mount m;
	size_t size = 0;
	bool writable;

	if (!f) /* the process has ended, or may not be looked at */
		return *prefix ? 0 : err_sys(err, ERR_INTERNAL, "open %s", mountinfo);
	while (getline(&line, &size, f) > 0) {
		if (!parse_line(line, prefix, &m, &writable) ||
			!serve_on_drives(k->drives, k->n_drives, m.block) ||
			is_known(k->ret, m.device))
			continue;
		if (!writable) {
			if (add_quiet(k->ret, m.block, err) < 0)
				return -1;
			continue;
		}
		if (open_mount(&m) < 0 && !*prefix)
			return err_sys(err, ERR_SRC_READ, "%s: open it to freeze it",
				m.path);
		if (m.fd < 0)
			continue;
		if (add_mount(k->ret, &m, err) < 0) {
			close(m.fd);
			return -1;
		}
	}
	return 0;
}

/* Whether no process with the same view was looked at; notes it. */
static bool is_new_view(struct look *k, const char *pid)
{
	char path[64];
	struct stat space, root;

	snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", pid);
	if (stat(path, &space) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%.20s/root", pid);
	if (stat(path, &root) < 0)
		return false;
	for (unsigned i = 0; i < k->n_seen; i++)
		if (k->seen[i].space == space.st_ino && k->seen[i].root == root.st_ino)
			return false;
	void *more = realloc(k->seen, (k->n_seen + 1) * sizeof(*k->seen));
	if (!more)
		return true; /* looked at again: only slower */
	k->seen = more;
	k->seen[k->n_seen].space = space.st_ino;
	k->seen[k->n_seen++].root = root.st_ino;
	return true;
}

static int look_everywhere(struct look *k, struct err *err)
{
	struct dirent *e;
	DIR *dir = opendir("/proc");
	int r = 0;

	is_new_view(k, "self");
	while (dir && !r && (e = readdir(dir))) {
		char info[64], root[64];

		if (!isdigit((unsigned char)e->d_name[0]) || !is_new_view(k, e->d_name))
			continue;
		snprintf(info, sizeof(info), "/proc/%.20s/mountinfo", e->d_name);
		snprintf(root, sizeof(root), "/proc/%.20s/root", e->d_name);
		r = look_into(k, info, root, err);
	}
	if (dir)
		closedir(dir);
	free(k->seen);
	return r;
}

void serve_mounts_free(struct serve_mounts *l)
{
	while (l->n)
		close(l->list[--l->n].fd);
	free(l->list);
	free(l->quiet);
	*l = (struct serve_mounts){ .n = 0 };
}

int serve_mounts_find(const struct serve_drive *drives, unsigned n,
	struct serve_mounts *ret, struct err *err)
{
	struct serve_mounts l = { .n = 0 };
	struct look k = { .drives = drives, .n_drives = n, .ret = &l };

	if (look_into(&k, "/proc/self/mountinfo", "", err) < 0 ||
		look_everywhere(&k, err) < 0) {
		serve_mounts_free(&l);
		return -1;
	}
	for (unsigned i = 0; i < l.n / 2; i++) {
		struct serve_mount m = l.list[i];

		l.list[i] = l.list[l.n - 1 - i];
		l.list[l.n - 1 - i] = m;
	}
	*ret = l;
	return 0;
}

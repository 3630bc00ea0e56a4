/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds other users of the drives. A file system that is mounted over, or in a mount
 * namespace that nobody is in, cannot be seen, and neither can what is no file system
 * (ZFS, DRBD, a database on a partition). But the kernel knows: it grants a block device
 * exclusively to one holder, so asking for it tells that there is one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define BLOCK "/sys/class/block"

struct block {
	char name[64];
	dev_t dev, whole; /* whole: the disk of a partition, else 0 */
	bool busy;
};

struct blocks {
	struct block *list;
	unsigned n;
};

static bool read_number(const char *path, dev_t *ret)
{
	CLEANUP_FCLOSE FILE *f = fopen(path, "re");
	unsigned ma, mi;

	if (!f || fscanf(f, "%u:%u", &ma, &mi) != 2)
		return false;
	*ret = makedev(ma, mi);
	return true;
}

/* Whether another device stands on it: then that one is looked at. */
static bool is_below(const char *name)
{
	char path[160];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), BLOCK "/%.64s/holders", name);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)))
		found = e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

/* The device is free again at once, and no change of it is announced, as that is only
 * done for writers. Somebody else may look in this moment, so a second look decides. */
static bool is_held(const char *name)
{
	char path[160], line[160], node[160] = "";
	CLEANUP_FCLOSE FILE *f = NULL;
	int fd = -1;

	snprintf(path, sizeof(path), BLOCK "/%.64s/uevent", name);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "DEVNAME=%100s", path) == 1)
			snprintf(node, sizeof(node), "/dev/%.100s", path);
	for (int look = 0; *node && fd < 0 && look < 3; look++) {
		fd = open(node, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 && errno != EBUSY)
			return false;
		if (fd < 0)
			poll(NULL, 0, 5);
	}
	if (fd >= 0)
		close(fd);
	return *node && fd < 0;
}

static void add_block(struct blocks *b, const struct serve_drive *drives, unsigned n,
	const char *name)
{
	struct block k = { .whole = 0 };
	struct block *list;
	char path[160];

	if (snprintf(k.name, sizeof(k.name), "%s", name) >= (int)sizeof(k.name))
		return;
	snprintf(path, sizeof(path), BLOCK "/%s/dev", k.name);
	if (!read_number(path, &k.dev) || !serve_on_drives(drives, n, k.dev) ||
		is_below(k.name))
		return;
	snprintf(path, sizeof(path), BLOCK "/%s/partition", k.name);
	if (!access(path, F_OK)) {
		snprintf(path, sizeof(path), BLOCK "/%s/../dev", k.name);
		if (!read_number(path, &k.whole))
			k.whole = 0;
	}
	k.busy = is_held(k.name);
	list = realloc(b->list, (b->n + 1) * sizeof(*list));
	if (!list)
		return;
	b->list = list;
	b->list[b->n++] = k;
}

/* A disk with a partition that is held is held by that. */
static bool by_partition(const struct blocks *b, dev_t dev)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->list[i].whole == dev && b->list[i].busy)
			return true;
	return false;
}

static bool is_listed(const struct serve_mounts *l, dev_t dev)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->list[i].block == dev)
			return true;
	for (unsigned i = 0; i < l->n_quiet; i++)
		if (l->quiet[i] == dev)
			return true;
	return false;
}

/* Swap is left out: a copy has no use for it. */
static bool is_swap(dev_t dev)
{
	CLEANUP_FCLOSE FILE *f = fopen("/proc/swaps", "re");
	char line[512], path[256];
	struct stat st;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%255s", path) == 1 && !stat(path, &st) &&
			S_ISBLK(st.st_mode) && st.st_rdev == dev)
			return true;
	return false;
}

/* A btrfs on several devices is mounted from one of them. */
static bool is_btrfs_part(const struct serve_mounts *l, const char *name)
{
	struct dirent *fs, *e;
	bool found = false;
	char path[400];
	dev_t dev;
	DIR *dir = opendir("/sys/fs/btrfs"), *devices;

	while (dir && !found && (fs = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/fs/btrfs/%.64s/devices/%.64s",
			fs->d_name, name);
		if (fs->d_name[0] == '.' || access(path, F_OK))
			continue;
		*strrchr(path, '/') = '\0';
		devices = opendir(path);
		while (devices && !found && (e = readdir(devices))) {
			snprintf(path, sizeof(path), BLOCK "/%.64s/dev", e->d_name);
			found = read_number(path, &dev) && is_listed(l, dev);
		}
		if (devices)
			closedir(devices);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_accounted(const struct serve_mounts *l, const struct block *k)
{
	return is_listed(l, k->dev) || (k->whole && is_listed(l, k->whole)) ||
		is_swap(k->dev) || is_btrfs_part(l, k->name);
}

static void judge_drive(struct serve_drive *d, const struct blocks *b,
	const struct serve_mounts *l)
{
	dev_t unheld = 0;
	bool used = false;

	for (unsigned i = 0; i < b->n; i++) {
		const struct block *k = &b->list[i];

		if (!k->busy || by_partition(b, k->dev) ||
			!serve_on_drives(d, 1, k->dev))
			continue;
		used = true;
		if (is_accounted(l, k))
			continue;
		if (!unheld && atomic_load(&d->unheld) != k->dev)
			log_warn("drive %s: %s is in use by what cannot be held still (a "
				"file system that is mounted out of sight, or none at "
				"all): what is read of it may be of many moments",
				d->name, k->name);
		unheld = k->dev;
	}
	for (unsigned i = 0; i < l->n; i++)
		if (l->list[i].unheld && serve_on_drives(d, 1, l->list[i].block))
			unheld = l->list[i].block;
	atomic_store(&d->used, used);
	atomic_store(&d->unheld, unheld);
}

void serve_holders(struct serve_drive *drives, unsigned n, const struct serve_mounts *l)
{
	/* Each would take the other for a holder. */
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct blocks b = { .n = 0 };
	struct dirent *e;
	DIR *dir = NULL;

	for (unsigned i = 0; i < n && !dir; i++)
		if (drives[i].dev.device)
			dir = opendir(BLOCK);
	pthread_mutex_lock(&lock);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			add_block(&b, drives, n, e->d_name);
	if (dir)
		closedir(dir);
	for (unsigned i = 0; i < n; i++)
		if (drives[i].dev.device)
			judge_drive(&drives[i], &b, l);
	pthread_mutex_unlock(&lock);
	free(b.list);
}

void serve_holders_unheld(struct serve_drive *drives, unsigned n)
{
	struct serve_mounts l = { .n = 0 };
	struct err ignored = ERR_INIT; /* then what is mounted counts as in use */

	serve_mounts_find(drives, n, &l, &ignored);
	while (l.n)
		close(l.list[--l.n].fd);
	serve_holders(drives, n, &l);
	serve_mounts_free(&l);
}

const char *serve_consistency(const struct serve_drive *d)
{
	if (!d->dev.device || atomic_load(&d->unheld))
		return "crash";
	return atomic_load(&d->used) ? "fs" : "unused";
}

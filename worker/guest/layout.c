/* SPDX-License-Identifier: Apache-2.0 */
/* The disks, what stands on them, and the systems among it. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"

int guest_add_vol(struct guest *g, const char *node, int disk, int part, struct err *err)
{
	struct guest_vol *v = &g->vols[g->n_vols];

	if (g->n_vols == GUEST_MAX_VOLS)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d partitions",
			GUEST_MAX_VOLS);
	memset(v, 0, sizeof(*v));
	v->disk = disk;
	v->part = part;
	v->layer = -1;
	v->found = fs_probe(node, &v->fs, err);
	/* An array or a volume that says it lies where its disk has nothing. A disk that
	 * fails says EIO. */
	if (v->found == FS_UNREADABLE && disk < 0 && err->sys != EIO) {
		guest_report_warn(g, "%s", err->text);
		if (!g->locked.code)
			err_set(&g->locked, ERR_PREP_STACK, "%s", err->text);
		err_clear(err);
		v->found = FS_NOTHING;
	}
	if (v->found == FS_UNREADABLE)
		return err_wrap(err, "inspect");
	if (v->found == FS_AMBIGUOUS)
		guest_report_warn(g,
			"%s has the signatures of two file systems; it is left alone",
			node);
	g->n_vols++;
	return 0;
}

struct part_list {
	int number[FS_MAX_PARTS];
	char name[FS_MAX_PARTS][32];
	int n;
};

/* Partitions from sysfs: what the kernel made of the table is what can be mounted. */
static int list_partitions(const char *node, struct part_list *ret, struct err *err)
{
	char real[FS_PATH_MAX], dir[FS_PATH_MAX + 64], path[FS_PATH_MAX + 512];
	const char *name;
	struct dirent *de;
	DIR *d;

	ret->n = 0;
	if (!realpath(node, real))
		return err_sys(err, err_disk_code(errno), "%s", node);
	name = strrchr(real, '/') + 1;
	snprintf(dir, sizeof(dir), "/sys/class/block/%s", name);
	d = opendir(dir);
	if (!d)
		return err_sys(err, ERR_DISK_NOT_FOUND, "%s: not a block device", node);
	while (ret->n < FS_MAX_PARTS && (de = readdir(d))) {
		CLEANUP_FCLOSE FILE *f = NULL;
		size_t len = strlen(de->d_name);
		int number;

		if (strncmp(de->d_name, name, strlen(name)) ||
		    len >= sizeof(ret->name[0]))
			continue;
		snprintf(path, sizeof(path), "%s/%s/partition", dir, de->d_name);
		f = fopen(path, "re");
		if (!f || fscanf(f, "%d", &number) != 1)
			continue;
		memcpy(ret->name[ret->n], de->d_name, len + 1);
		ret->number[ret->n++] = number;
	}
	closedir(d);
	return 0;
}

/* Some hosts' kernels know no partition table; image files still get their partitions. */
static int tell_kernel(const struct guest_disk *d, const struct fs_table *t,
	struct err *err)
{
	for (int i = 0; i < t->n; i++) {
		struct blkpg_partition p = { .pno = t->parts[i].number,
			.start = (long long)t->parts[i].off,
			.length = (long long)t->parts[i].len };
		struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION,
			.datalen = sizeof(p),
			.data = &p };

		if (ioctl(d->loop.fd, BLKPG, &arg) < 0)
			return err_sys(err, ERR_DISK_TABLE, "%s: partition %d", d->node,
				t->parts[i].number);
	}
	return 0;
}

static void forget_partitions(const struct guest_disk *d)
{
	for (int number = 1; number <= FS_MAX_PARTS; number++) {
		struct blkpg_partition p = { .pno = number };
		struct blkpg_ioctl_arg arg = { .op = BLKPG_DEL_PARTITION,
			.datalen = sizeof(p),
			.data = &p };

		if (ioctl(d->loop.fd, BLKPG, &arg) < 0 && errno == EBUSY)
			return; /* detaching says so, with the reason */
	}
}

static int add_listed(struct guest *g, const char *node, int disk,
	const struct part_list *list, struct err *err)
{
	char path[64];

	if (!list->n)
		return guest_add_vol(g, node, disk, 0, err);
	/* in the order of their numbers */
	for (int want = 1; want <= FS_MAX_PARTS; want++)
		for (int i = 0; i < list->n; i++) {
			if (list->number[i] != want)
				continue;
			snprintf(path, sizeof(path), "/dev/%s", list->name[i]);
			if (guest_add_vol(g, path, disk, want, err) < 0)
				return -1;
		}
	return 0;
}

static int add_partitions(struct guest *g, int disk, struct err *err)
{
	struct guest_disk *d = &g->disks[disk];
	CLEANUP_FREE struct part_list *list = calloc(1, sizeof(*list));
	CLEANUP_FREE struct fs_table *table = calloc(1, sizeof(*table));

	if (!list || !table)
		return err_set(err, ERR_NOMEM, "%s: out of memory", d->node);
	if (fs_probe_table(d->node, table, err) < 0 ||
	    list_partitions(d->node, list, err) < 0)
		return -1;
	memcpy(d->table, table->type, sizeof(d->table));
	if (!list->n && d->loop.fd >= 0 && table->n && (tell_kernel(d, table, err) < 0 ||
		list_partitions(d->node, list, err) < 0))
		return -1;
	return add_listed(g, d->node, disk, list, err);
}

int guest_add_volumes(struct guest *g, const char *node, int disk, struct err *err)
{
	CLEANUP_FREE struct part_list *list = calloc(1, sizeof(*list));

	if (!list)
		return err_set(err, ERR_NOMEM, "%s: out of memory", node);
	return list_partitions(node, list, err) < 0 ? -1 :
		add_listed(g, node, disk, list, err);
}

int guest_open_disks(struct guest *g, struct err *err)
{
	bool write = g->opt->action == GUEST_APPLY || g->opt->action == GUEST_UNDO;

	for (int i = 0; g->opt->disks[i]; i++) {
		struct guest_disk *d = &g->disks[i];
		struct stat st;

		if (i == GUEST_MAX_DISKS)
			return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d disks",
				GUEST_MAX_DISKS);
		d->loop = (struct block_loop)BLOCK_LOOP_INIT;
		g->n_disks = i + 1;
		if (stat(g->opt->disks[i], &st) < 0)
			return err_sys(err, err_disk_code(errno), "%s", g->opt->disks[i]);
		if (S_ISREG(st.st_mode)) {
			if (block_loop_attach(g->opt->disks[i], !write, &d->loop,
				err) < 0)
				return -1;
			snprintf(d->node, sizeof(d->node), "%s", d->loop.node);
		} else {
			snprintf(d->node, sizeof(d->node), "%s", g->opt->disks[i]);
		}
		if (add_partitions(g, i, err) < 0)
			return -1;
	}
	return 0;
}

void guest_close_disks(struct guest *g)
{
	for (int i = 0; i < g->n_disks; i++) {
		struct err err = ERR_INIT;

		if (g->disks[i].loop.fd < 0)
			continue;
		forget_partitions(&g->disks[i]);
		if (block_loop_detach(&g->disks[i].loop, &err) < 0)
			guest_report_warn(g, "%s", err.text);
	}
}

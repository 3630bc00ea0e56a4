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

static int add_vol(struct guest *g, const char *node, int disk, int part, struct err *err)
{
	struct guest_vol *v = &g->vols[g->n_vols];

	if (g->n_vols == GUEST_MAX_VOLS)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d partitions", GUEST_MAX_VOLS);
	memset(v, 0, sizeof(*v));
	v->disk = disk;
	v->part = part;
	v->found = fs_probe(node, &v->fs, err);
	if (v->found == FS_UNREADABLE)
		return err_wrap(err, "inspect");
	if (v->found == FS_AMBIGUOUS)
		guest_report_warn(g, "%s has the signatures of two file systems; it is left alone", node);
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

		if (strncmp(de->d_name, name, strlen(name)) || len >= sizeof(ret->name[0]))
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
static int tell_kernel(const struct guest_disk *d, const struct fs_table *t, struct err *err)
{
	for (int i = 0; i < t->n; i++) {
		struct blkpg_partition p = { .pno = t->parts[i].number,
			.start = (long long)t->parts[i].off, .length = (long long)t->parts[i].len };
		struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION, .datalen = sizeof(p),
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
		struct blkpg_ioctl_arg arg = { .op = BLKPG_DEL_PARTITION, .datalen = sizeof(p),
			.data = &p };

		if (ioctl(d->loop.fd, BLKPG, &arg) < 0 && errno == EBUSY)
			return; /* detaching says so, with the reason */
	}
}

static int add_partitions(struct guest *g, int disk, struct err *err)
{
	struct guest_disk *d = &g->disks[disk];
	CLEANUP_FREE struct part_list *list = calloc(1, sizeof(*list));
	CLEANUP_FREE struct fs_table *table = calloc(1, sizeof(*table));
	char path[64];

	if (!list || !table)
		return err_set(err, ERR_NOMEM, "%s: out of memory", d->node);
	if (fs_probe_table(d->node, table, err) < 0 || list_partitions(d->node, list, err) < 0)
		return -1;
	memcpy(d->table, table->type, sizeof(d->table));
	if (!list->n && d->loop.fd >= 0 && table->n && (tell_kernel(d, table, err) < 0 ||
		list_partitions(d->node, list, err) < 0))
		return -1;
	if (!list->n)
		return add_vol(g, d->node, disk, 0, err);
	for (int want = 1; want <= FS_MAX_PARTS; want++) /* in the order of their numbers */
		for (int i = 0; i < list->n; i++) {
			if (list->number[i] != want)
				continue;
			snprintf(path, sizeof(path), "/dev/%s", list->name[i]);
			if (add_vol(g, path, disk, want, err) < 0)
				return -1;
		}
	return 0;
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
			if (block_loop_attach(g->opt->disks[i], !write, &d->loop, err) < 0)
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

/* A root has /etc, programs, and says what it is or what it mounts. */
static bool is_root(const struct fs_root *r)
{
	struct stat st;

	return fs_is_dir(r, "/etc") && (!fs_lstat(r, "/bin", &st) || fs_is_dir(r, "/usr")) &&
		(fs_is_file(r, "/etc/os-release") || fs_is_file(r, "/usr/lib/os-release") ||
		fs_is_file(r, "/etc/fstab") || fs_is_file(r, "/etc/hosts"));
}

static void name_root(const struct fs_root *r, char *ret, size_t size)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT; /* a root without a name is a root */
	size_t len;

	snprintf(ret, size, "Linux");
	if (!fs_read(r, "/etc/os-release", GUEST_TEXT_MAX, &text, &len, &ignored))
		guest_shell_value(text, "PRETTY_NAME", ret, size);
}

static int look_at(struct guest *g, struct guest_vol *v, const char *at, struct err *err)
{
	struct fs_root r;

	if (fs_mount(v->fs.dev, v->fs.type, at, false, NULL, err) < 0) {
		guest_report_warn(g, "%s", err->text);
		err_clear(err);
		return 0;
	}
	if (fs_root_open(&r, at, err) == 0) {
		v->is_root = is_root(&r);
		if (v->is_root)
			name_root(&r, v->os, sizeof(v->os));
		fs_root_close(&r);
	}
	return fs_unmount(at, err);
}

/* A volume that holds volumes: LVM2_member, linux_raid_member, crypto_LUKS, BitLocker, ... */
static const struct guest_vol *find_container(const struct guest *g)
{
	for (int i = 0; i < g->n_vols; i++)
		if (!strcmp(g->vols[i].fs.usage, "raid") || !strcmp(g->vols[i].fs.usage, "crypto"))
			return &g->vols[i];
	return NULL;
}

int guest_find_roots(struct guest *g, struct err *err)
{
	const struct guest_vol *container;
	int n = 0;

	g->root_vol = -1;
	for (int i = 0; i < g->n_vols; i++) {
		struct guest_vol *v = &g->vols[i];

		if (v->found != FS_FOUND || !fs_mountable(v->fs.type) || !strcmp(v->fs.type, "vfat") ||
			!strcmp(v->fs.type, "iso9660"))
			continue;
		if (look_at(g, v, g->at, err) < 0)
			return -1;
		if (g->opt->tick)
			g->opt->tick(g->opt->ctx);
		if (!v->is_root)
			continue;
		n++;
		if (g->opt->root ? guest_find_vol(g, g->opt->root) == i : g->root_vol < 0)
			g->root_vol = i;
	}
	if (!n && (container = find_container(g)))
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s holds %s, which this version does not "
			"open, and no other volume holds a system", container->fs.dev,
			container->fs.type);
	if (!n)
		return err_set(err, ERR_PREP_NO_SYSTEM, "no root file system on %d volume%s",
			g->n_vols, g->n_vols == 1 ? "" : "s");
	if (g->root_vol < 0)
		return err_set(err, ERR_PREP_NO_SYSTEM, "%s is not one of the %d systems found",
			g->opt->root, n);
	if (n > 1 && !g->opt->root)
		return err_set(err, ERR_PREP_MULTI_SYSTEM, "%d systems were found", n);
	return 0;
}

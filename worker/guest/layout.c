/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's disks, what stands on them, and its tree mounted as the guest mounts it. */
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
		report_warn(g, "%s has the signatures of two file systems; it is left alone", node);
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
			report_warn(g, "%s", err.text);
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
		report_warn(g, "%s", err->text);
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

int guest_find_roots(struct guest *g, struct err *err)
{
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

/* Device names. */

static bool digits(const char *s, int *ret)
{
	char *end;
	long v;

	if (!isdigit((unsigned char)*s))
		return false;
	v = strtol(s, &end, 10);
	if (*end || v < 1 || v > 255)
		return false;
	*ret = (int)v;
	return true;
}

/* "a" is 0, "z" 25, "aa" 26. Returns what follows the letters, NULL if there are none. */
static const char *letters(const char *s, int *ret)
{
	int v = 0;

	if (!islower((unsigned char)*s))
		return NULL;
	for (; islower((unsigned char)*s) && v < 1000; s++)
		v = v * 26 + (*s - 'a' + 1);
	*ret = v - 1;
	return s;
}

bool guest_parse_device(const char *spec, int *ret_disk, int *ret_part)
{
	static const char *const lettered[] = { "/dev/sd", "/dev/vd", "/dev/hd", "/dev/xvd" };
	const char *rest;
	int disk, n = 0;

	*ret_part = 0;
	for (size_t i = 0; i < sizeof(lettered) / sizeof(lettered[0]); i++) {
		if (strncmp(spec, lettered[i], strlen(lettered[i])))
			continue;
		rest = letters(spec + strlen(lettered[i]), ret_disk);
		return rest && (!*rest || digits(rest, ret_part));
	}
	if (sscanf(spec, "/dev/nvme%dn1%n", &disk, &n) == 1 && n) {
		*ret_disk = disk;
	} else if (sscanf(spec, "/dev/cciss/c0d%d%n", &disk, &n) == 1 && n) {
		*ret_disk = disk;
	} else {
		return false;
	}
	return disk >= 0 && (!spec[n] || (spec[n] == 'p' && digits(spec + n + 1, ret_part)));
}

/* "...-partN" of /dev/disk/by-path and by-id, when there is one disk they can mean. */
static bool parse_link(const struct guest *g, const char *spec, int *ret_part)
{
	const char *part;

	if (strncmp(spec, "/dev/disk/by-path/", 18) && strncmp(spec, "/dev/disk/by-id/", 16))
		return false;
	if (g->n_disks != 1 || strstr(spec, "/dm-") || strstr(spec, "/lvm-") || strstr(spec, "/md-"))
		return false;
	part = strstr(spec, "-part");
	*ret_part = 0;
	return !part || digits(part + 5, ret_part);
}

static int vol_at(const struct guest *g, int disk, int part)
{
	for (int i = 0; i < g->n_vols; i++)
		if (g->vols[i].disk == disk && g->vols[i].part == part)
			return i;
	return -1;
}

static int by_order(const struct guest *g, const char *spec)
{
	int disk = 0, part;

	if (!guest_parse_device(spec, &disk, &part) && !parse_link(g, spec, &part))
		return -1;
	return vol_at(g, disk, part);
}

int guest_find_vol(const struct guest *g, const char *spec)
{
	static const struct {
		const char *tag;
		size_t off;
		bool any_case;
	} tags[] = {
		{ "UUID=", offsetof(struct fs_info, uuid), true },
		{ "LABEL=", offsetof(struct fs_info, label), false },
		{ "PARTUUID=", offsetof(struct fs_info, partuuid), true },
		{ "PARTLABEL=", offsetof(struct fs_info, partlabel), false },
		{ "/dev/disk/by-uuid/", offsetof(struct fs_info, uuid), true },
		{ "/dev/disk/by-label/", offsetof(struct fs_info, label), false },
		{ "/dev/disk/by-partuuid/", offsetof(struct fs_info, partuuid), true },
		{ "/dev/disk/by-partlabel/", offsetof(struct fs_info, partlabel), false },
		{ "", offsetof(struct fs_info, dev), false }, /* as this machine calls it */
	};

	for (size_t t = 0; t < sizeof(tags) / sizeof(tags[0]); t++) {
		size_t n = strlen(tags[t].tag);

		if (strncmp(spec, tags[t].tag, n) || !spec[n])
			continue;
		if (!n && by_order(g, spec) >= 0)
			return by_order(g, spec);
		for (int i = 0; i < g->n_vols; i++) {
			const char *value = (const char *)&g->vols[i].fs + tags[t].off;

			if (*value && !(tags[t].any_case ? strcasecmp(value, spec + n) :
				strcmp(value, spec + n)))
				return i;
		}
		return -1;
	}
	return -1;
}

bool guest_stable_name(struct guest *g, const char *spec, char *ret, size_t size)
{
	int i = by_order(g, spec), same = 0;
	const struct fs_info *fs;

	if (i < 0)
		return false;
	fs = &g->vols[i].fs;
	for (int k = 0; k < g->n_vols; k++)
		same += *fs->uuid && !strcmp(g->vols[k].fs.uuid, fs->uuid);
	if (same == 1)
		return (size_t)snprintf(ret, size, "UUID=%s", fs->uuid) < size;
	if (fs->partuuid[0])
		return (size_t)snprintf(ret, size, "PARTUUID=%s", fs->partuuid) < size;
	return false;
}

/* The tree. */

static int mount_one(struct guest *g, int vol, const char *point, const char *options,
	bool writable, struct err *err)
{
	struct guest_mount *m = &g->mounts[g->n_mounts];
	CLEANUP_CLOSE int fd = -1;
	char where[FS_PATH_MAX];

	if (g->n_mounts == GUEST_MAX_MOUNTS)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d mounts", GUEST_MAX_MOUNTS);
	if (!g->n_mounts) {
		snprintf(where, sizeof(where), "%s", g->at);
		snprintf(m->real, sizeof(m->real), "%s", g->at);
	} else {
		/* the kernel resolves the mount point within the guest, and so do we */
		fd = fs_open(&g->root, point, O_PATH | O_DIRECTORY, 0);
		if (fd < 0)
			return err_sys(err, ERR_FS_MOUNT, "mount point %s", point);
		snprintf(where, sizeof(where), "/proc/self/fd/%d", fd);
		if (fs_real(&g->root, point, m->real, sizeof(m->real), err) < 0)
			return -1;
	}
	if (fs_mount(g->vols[vol].fs.dev, g->vols[vol].fs.type, where, writable, options, err) < 0)
		return -1;
	snprintf(m->point, sizeof(m->point), "%s", point);
	snprintf(m->options, sizeof(m->options), "%s", options ? options : "");
	m->vol = vol;
	g->n_mounts++;
	return 0;
}

struct wanted {
	struct guest *g;
	struct fstab_entry entries[GUEST_MAX_MOUNTS];
	int n;
};

static int want(void *ctx, const struct fstab_entry *e)
{
	struct wanted *w = ctx;

	if (e->point[0] == '/' && e->point[1] && w->n < GUEST_MAX_MOUNTS &&
		strcmp(e->type, "swap") && !strstr(e->options, "bind"))
		w->entries[w->n++] = *e;
	return 0;
}

static int by_length(const void *a, const void *b)
{
	size_t x = strlen(((const struct fstab_entry *)a)->point);
	size_t y = strlen(((const struct fstab_entry *)b)->point);

	return x < y ? -1 : x > y;
}

/* Without these a guest cannot be judged, let alone changed. */
static bool vital(const char *point)
{
	static const char *const points[] = { "/boot", "/usr", "/var", "/boot/efi", "/etc" };

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (!strcmp(point, points[i]))
			return true;
	return false;
}

static bool mounted_already(const struct guest *g, int vol)
{
	for (int i = 0; i < g->n_mounts; i++)
		if (g->mounts[i].vol == vol)
			return true;
	return false;
}

int guest_mount_tree(struct guest *g, bool writable, struct err *err)
{
	CLEANUP_FREE struct wanted *w = calloc(1, sizeof(*w));
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (!w)
		return err_set(err, ERR_NOMEM, "read fstab: out of memory");
	w->g = g;
	if (mount_one(g, g->root_vol, "/", NULL, writable, err) < 0 ||
		fs_root_open(&g->root, g->at, err) < 0)
		return -1;
	switch (fs_read(&g->root, "/etc/fstab", GUEST_TEXT_MAX, &text, &len, err)) {
	case -1:
		return -1;
	case 1:
		report_warn(g, "there is no /etc/fstab");
		return 0;
	}
	fstab_entries(text, len, want, w);
	qsort(w->entries, (size_t)w->n, sizeof(w->entries[0]), by_length);
	for (int i = 0; i < w->n; i++) {
		const struct fstab_entry *e = &w->entries[i];
		int vol = guest_find_vol(g, e->spec);

		if (vol < 0 || !fs_mountable(g->vols[vol].fs.type) || mounted_already(g, vol)) {
			if (vol < 0 && vital(e->point))
				return err_set(err, ERR_FS_MOUNT, "%s (%s): no such volume on the "
					"copied drives", e->point, e->spec);
			continue;
		}
		if (mount_one(g, vol, e->point, NULL, writable, err) < 0) {
			if (vital(e->point))
				return -1;
			report_warn(g, "%s", err->text);
			err_clear(err);
		}
	}
	return 0;
}

int guest_make_writable(struct guest *g, struct err *err)
{
	/* Read-only mounts were made without a journal: mount anew rather than remount. */
	if (guest_unmount(g, err) < 0)
		return -1;
	return guest_mount_tree(g, true, err);
}

int guest_unmount(struct guest *g, struct err *err)
{
	int result = 0;

	fs_root_close(&g->root);
	while (g->n_mounts) {
		struct guest_mount *m = &g->mounts[--g->n_mounts];
		char where[2 * FS_PATH_MAX];

		if (g->n_mounts)
			snprintf(where, sizeof(where), "%s%s", g->at, m->real);
		else
			snprintf(where, sizeof(where), "%s", g->at);
		if (fs_unmount(where, result ? &(struct err)ERR_INIT : err) < 0)
			result = -1;
	}
	return result;
}

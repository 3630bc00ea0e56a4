/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's tree, mounted as its own fstab mounts it. */
#include "guest/guest-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define FREE_S 10 /* until a file system that is unmounted everywhere is gone */

int guest_mount_vol(struct guest *g, int vol, int dir, bool writable,
	const struct fs_option *option, struct err *err)
{
	const struct fs_info *fs = &g->vols[vol].fs;
	struct fs_option all[GUEST_MAX_VOLS + 2];
	int n = 0;

	/* The kernel has to be told where the rest of a btrfs lies. */
	for (int i = 0; i < g->n_vols && !strcmp(fs->type, "btrfs"); i++)
		if (i != vol && !strcmp(g->vols[i].fs.type, "btrfs") &&
			!strcmp(g->vols[i].fs.uuid, fs->uuid))
			all[n++] = (struct fs_option){ "device", g->vols[i].fs.dev };
	if (option && option->key)
		all[n++] = *option;
	all[n] = (struct fs_option){ NULL, NULL };
	return fs_mount(fs->dev, fs->type, dir, writable, all, err);
}

/* Where a volume goes: the kernel resolves the mount point within the guest. */
static int open_point(const struct guest *g, const char *point, struct err *err)
{
	int fd = g->n_mounts ? fs_open(&g->root, point, O_PATH | O_DIRECTORY, 0) :
		open(g->at, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, ERR_FS_MOUNT, "mount point %s", point);
	/* Under a second one the first would be hidden from some and not from others. */
	if (g->n_mounts && fs_is_mounted(fd)) {
		close(fd);
		return err_set(err, ERR_FS_MOUNT,
			"mount point %s: a file system is mounted there already", point);
	}
	return fd;
}

static int mount_one(struct guest *g, int vol, const char *point,
	const struct guest_subvol *sub, bool writable, struct err *err)
{
	struct guest_mount *m = &g->mounts[g->n_mounts];
	struct fs_option option = { *sub->key ? sub->key : NULL, sub->value };
	CLEANUP_CLOSE int dir = -1;

	if (g->n_mounts == GUEST_MAX_MOUNTS)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d mounts",
			GUEST_MAX_MOUNTS);
	dir = open_point(g, point, err);
	if (dir < 0)
		return -1;
	m->fd = guest_mount_vol(g, vol, dir, writable, &option, err);
	if (m->fd < 0)
		return -1;
	snprintf(m->point, sizeof(m->point), "%s", point);
	m->sub = *sub;
	m->vol = vol;
	g->n_mounts++;
	return 0;
}

#define MAX_LINES 4096 /* of fstab that mount something */

struct wanted {
	struct fstab_entry *entries;
	int n, cap;
	bool more;
};

/* 1: out of memory. */
static int want(void *ctx, const struct fstab_entry *e)
{
	struct wanted *w = ctx;

	if (e->point[0] != '/' || !e->point[1] || !strcmp(e->type, "swap") ||
		strstr(e->options, "bind"))
		return 0;
	if (w->n == MAX_LINES) {
		w->more = true;
		return 0;
	}
	if (w->n == w->cap) {
		int cap = w->cap ? 2 * w->cap : 32;
		struct fstab_entry *grown = realloc(w->entries,
			(size_t)cap * sizeof(*grown));

		if (!grown)
			return 1;
		w->entries = grown;
		w->cap = cap;
	}
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
	static const char *const points[] = { "/boot", "/usr", "/var", "/boot/efi",
		"/etc" };

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (!strcmp(point, points[i]))
			return true;
	return false;
}

static bool mounted_already(const struct guest *g, int vol,
	const struct guest_subvol *sub)
{
	for (int i = 0; i < g->n_mounts; i++) {
		const struct guest_subvol *has = &g->mounts[i].sub;

		if (g->mounts[i].vol == vol && (!*sub->key ||
			(!strcmp(has->key, sub->key) && !strcmp(has->value, sub->value))))
			return true;
	}
	return false;
}

/* Which part of a btrfs a line of fstab means: its subvol= or subvolid=. */
static void subvolume_of(const char *options, struct guest_subvol *ret)
{
	static const char *const keys[] = { "subvol", "subvolid" };

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			size_t n = strlen(keys[i]), all = strcspn(p, ",");

			if (strncmp(p, keys[i], n) || p[n] != '=' || all - n - 1 >=
				sizeof(ret->value))
				continue;
			memcpy(ret->key, keys[i], n + 1);
			memcpy(ret->value, p + n + 1, all - n - 1);
			ret->value[all - n - 1] = '\0';
			return;
		}
}

int guest_mount_root(struct guest *g, int vol, bool writable, struct err *err)
{
	struct guest_subvol sub = { "", "" };

	if (*g->root_subvol) {
		memcpy(sub.key, "subvol", sizeof("subvol"));
		memcpy(sub.value, g->root_subvol, sizeof(sub.value));
	}
	if (mount_one(g, vol, "/", &sub, writable, err) < 0)
		return -1;
	return fs_root_at(&g->root, g->mounts[0].fd, err);
}

static int check_vital(const struct guest *g, const struct fstab_entry *e, int vol,
	struct err *err)
{
	const char *type = vol < 0 ? "" : g->vols[vol].fs.type;

	if (!vital(e->point))
		return 0;
	if (vol == GUEST_SEVERAL)
		return err_set(err, ERR_PREP_STACK, "%s: %s %s", e->point, e->spec,
			guest_why_absent(g, e->spec));
	if (vol < 0)
		return err_set(err, ERR_FS_MOUNT, "%s (%s): no such volume on the "
			"copied drives", e->point, e->spec);
	if (!fs_mountable(type))
		return err_set(err, ERR_FS_UNKNOWN, "%s (%s): file system %s", e->point,
			e->spec, *type ? type : "without a signature");
	return 0;
}

static int mount_line(struct guest *g, const struct fstab_entry *e, bool writable,
	struct err *err)
{
	struct guest_subvol sub = { "", "" };
	int vol = guest_find_vol(g, e->spec);

	if (check_vital(g, e, vol, err) < 0)
		return -1;
	if (vol < 0 || !fs_mountable(g->vols[vol].fs.type))
		return 0;
	if (!strcmp(g->vols[vol].fs.type, "btrfs"))
		subvolume_of(e->options, &sub);
	if (mounted_already(g, vol, &sub) ||
		mount_one(g, vol, e->point, &sub, writable, err) == 0)
		return 0;
	if (vital(e->point))
		return -1;
	guest_report_warn(g, "%s", err->text);
	err_clear(err);
	return 0;
}

static int mount_lines(struct guest *g, struct wanted *w, const char *text, size_t len,
	bool writable, struct err *err)
{
	if (guest_fstab_entries(text, len, want, w))
		return err_set(err, ERR_NOMEM, "read fstab: out of memory");
	if (w->more)
		guest_report_warn(g, "fstab mounts more than %d volumes: the last lines of it are not "
			"looked at", MAX_LINES);
	if (w->n)
		qsort(w->entries, (size_t)w->n, sizeof(w->entries[0]), by_length);
	for (int i = 0; i < w->n; i++)
		if (mount_line(g, &w->entries[i], writable, err) < 0)
			return -1;
	return 0;
}

int guest_mount_tree(struct guest *g, bool writable, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct wanted w = { .n = 0 };
	size_t len = 0;
	int result;

	if (guest_mount_root(g, g->root_vol, writable, err) < 0)
		return -1;
	memset(&g->seen, 0, sizeof(g->seen));
	guest_note_names(g);
	switch (fs_read(&g->root, "/etc/fstab", GUEST_TEXT_MAX, &text, &len, err)) {
	case -1:
		return -1;
	case 1:
		guest_report_warn(g, "there is no /etc/fstab");
		return 0;
	}
	result = mount_lines(g, &w, text, len, writable, err);
	free(w.entries);
	/* The loader's files may be on a file system of their own. */
	if (!result)
		guest_note_names(g);
	return result;
}

/* Guests older than /run have none. Undoing takes it away again. */
static int make_folder(struct guest *g, const char *path, struct err *err)
{
	return !*g->journal.dir ?
		err_set(err, ERR_PREP_UNSUPPORTED, "the guest has no %s", path) :
		guest_journal_save(g, path, err) < 0 ? -1 :
		fs_mkdirs(&g->root, path, 0755, err);
}

int guest_check_folders(struct guest *g, struct err *err)
{
	static const char *const folders[] = { "/dev", "/proc", "/sys", "/run" };
	struct stat st;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (fs_lstat(&g->root, folders[i], &st) < 0) {
			if (make_folder(g, folders[i], err) < 0)
				return -1;
		} else if (!S_ISDIR(st.st_mode)) {
			return err_set(err, ERR_FS_UNSAFE,
				"the guest's %s is no folder: its programs cannot be run",
				folders[i]);
		}
	}
	/* some have it elsewhere, within the guest */
	return fs_is_dir(&g->root, "/tmp") ? 0 : err_set(err, ERR_PREP_UNSUPPORTED,
		"the guest has no /tmp: its programs cannot be run");
}

int guest_make_writable(struct guest *g, struct err *err)
{
	/* Read-only mounts were made without a journal:
	 * mount anew rather than remount. */
	if (guest_unmount(g, err) < 0)
		return -1;
	return guest_mount_tree(g, true, err);
}

int guest_unmount(struct guest *g, struct err *err)
{
	struct err more = ERR_INIT; /* the first one counts */
	int n = g->n_mounts, result = 0;

	fs_root_close(&g->root);
	while (g->n_mounts) {
		struct guest_mount *m = &g->mounts[--g->n_mounts];

		if (fs_unmount(&m->fd, m->point, result ? &more : err) < 0)
			result = -1;
	}
	for (int i = 0; i < n && !result; i++)
		result = fs_wait_free(g->vols[g->mounts[i].vol].fs.dev, FREE_S, err);
	return result;
}

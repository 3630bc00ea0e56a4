/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's tree, mounted as its own fstab mounts it. */
#include "guest/guest-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define FREE_S 10 /* until a file system that is unmounted everywhere is gone */

int guest_mount_vol(struct guest *g, int vol, const char *where, bool writable,
	const char *options, struct err *err)
{
	const struct fs_info *fs = &g->vols[vol].fs;
	char all[400] = "";
	size_t n = 0;

	/* The kernel has to be told where the rest of a btrfs lies. */
	for (int i = 0; i < g->n_vols && !strcmp(fs->type, "btrfs"); i++)
		if (i != vol && !strcmp(g->vols[i].fs.type, "btrfs") &&
			!strcmp(g->vols[i].fs.uuid, fs->uuid) && n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%sdevice=%s",
				n ? "," : "", g->vols[i].fs.dev);
	if (options && *options && n < sizeof(all))
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
			n ? "," : "", options);
	if (n >= sizeof(all))
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s: too many devices",
			fs->dev);
	return fs_mount(fs->dev, fs->type, where, writable, n ? all : NULL, err);
}

static int mount_one(struct guest *g, int vol, const char *point, const char *options,
	bool writable, struct err *err)
{
	struct guest_mount *m = &g->mounts[g->n_mounts];
	CLEANUP_CLOSE int fd = -1;
	char where[FS_PATH_MAX];

	if (g->n_mounts == GUEST_MAX_MOUNTS)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d mounts",
			GUEST_MAX_MOUNTS);
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
	if (guest_mount_vol(g, vol, where, writable, options, err) < 0)
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
	static const char *const points[] = { "/boot", "/usr", "/var", "/boot/efi",
		"/etc" };

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (!strcmp(point, points[i]))
			return true;
	return false;
}

static bool mounted_already(const struct guest *g, int vol, const char *options)
{
	for (int i = 0; i < g->n_mounts; i++)
		if (g->mounts[i].vol == vol &&
		    (!*options || !strcmp(g->mounts[i].options, options)))
			return true;
	return false;
}

/* Which part of a btrfs a line of fstab means: its subvol= or subvolid=. */
static void subvolume_of(const struct fstab_entry *e, char *ret, size_t size)
{
	const char *p = strstr(e->options, "subvol");

	*ret = '\0';
	if (strcmp(e->type, "btrfs") || !p || (p > e->options && p[-1] != ','))
		return;
	snprintf(ret, size, "%.*s", (int)strcspn(p, ","), p);
}

int guest_mount_root(struct guest *g, int vol, bool writable, struct err *err)
{
	char options[270] = "";

	if (*g->root_subvol)
		snprintf(options, sizeof(options), "subvol=%s", g->root_subvol);
	if (mount_one(g, vol, "/", options, writable, err) < 0)
		return -1;
	return fs_root_open(&g->root, g->at, err);
}

int guest_mount_tree(struct guest *g, bool writable, struct err *err)
{
	CLEANUP_FREE struct wanted *w = calloc(1, sizeof(*w));
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (!w)
		return err_set(err, ERR_NOMEM, "read fstab: out of memory");
	w->g = g;
	if (guest_mount_root(g, g->root_vol, writable, err) < 0)
		return -1;
	switch (fs_read(&g->root, "/etc/fstab", GUEST_TEXT_MAX, &text, &len, err)) {
	case -1:
		return -1;
	case 1:
		guest_report_warn(g, "there is no /etc/fstab");
		return 0;
	}
	guest_fstab_entries(text, len, want, w);
	qsort(w->entries, (size_t)w->n, sizeof(w->entries[0]), by_length);
	for (int i = 0; i < w->n; i++) {
		const struct fstab_entry *e = &w->entries[i];
		int vol = guest_find_vol(g, e->spec);
		char options[256];

		subvolume_of(e, options, sizeof(options));
		if (vol < 0 || !fs_mountable(g->vols[vol].fs.type) ||
			mounted_already(g, vol, options)) {
			if (vol < 0 && vital(e->point))
				return err_set(err, ERR_FS_MOUNT,
					"%s (%s): no such volume on the "
					"copied drives", e->point, e->spec);
			if (vital(e->point) && !fs_mountable(g->vols[vol].fs.type))
				return err_set(err, ERR_FS_UNKNOWN,
					"%s (%s): file system %s", e->point, e->spec,
					*g->vols[vol].fs.type ? g->vols[vol].fs.type :
					"without a signature");
			continue;
		}
		if (mount_one(g, vol, e->point, options, writable, err) < 0) {
			if (vital(e->point))
				return -1;
			guest_report_warn(g, "%s", err->text);
			err_clear(err);
		}
	}
	return 0;
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
		char where[2 * FS_PATH_MAX];

		if (g->n_mounts)
			snprintf(where, sizeof(where), "%s%s", g->at, m->real);
		else
			snprintf(where, sizeof(where), "%s", g->at);
		if (fs_unmount(where, result ? &more : err) < 0)
			result = -1;
	}
	for (int i = 0; i < n && !result; i++)
		result = fs_wait_free(g->vols[g->mounts[i].vol].fs.dev, FREE_S, err);
	return result;
}

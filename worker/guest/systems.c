/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The systems on the volumes, and which of them is meant. A btrfs may hold several roots:
 * its default subvolume, and subvolumes below its top. A snapshot of a root still says in
 * its fstab which subvolume the root is, and that tells the two apart.
 */
#include "guest/guest-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define BTRFS_SUBVOL_INODE 256 /* of the root of every subvolume */
#define MAX_SUBVOLS 1024
#define VOLS_NAMED 6 /* in an error */

/* A root has /etc, programs, and says what it is or what it mounts. */
static bool is_root(const struct fs_root *r)
{
	struct stat st;

	return fs_is_dir(r, "/etc") &&
		(!fs_lstat(r, "/bin", &st) || fs_is_dir(r, "/usr")) &&
		(fs_is_file(r, "/etc/os-release") ||
			fs_is_file(r, "/usr/lib/os-release") || fs_is_file(r,
				"/etc/fstab") || fs_is_file(r, "/etc/hosts"));
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

/* One root of a volume while it is looked at. */
struct candidate {
	char subvol[256]; /* "" = the default */
	char claim[256];  /* the subvolume that its fstab mounts as the root, "" = none */
	char os[64];
};
struct candidates {
	struct candidate list[MAX_SUBVOLS];
	int n;
	bool more; /* than fit */
	const struct fs_root *top;
};

static int read_claim(void *ctx, const struct fstab_entry *e)
{
	struct candidate *c = ctx;
	const char *p = strstr(e->options, "subvol=");

	if (strcmp(e->point, "/") || !p)
		return 0;
	p += strlen("subvol=");
	p += strspn(p, "/");
	snprintf(c->claim, sizeof(c->claim), "%.*s", (int)strcspn(p, ","), p);
	return 1;
}

static void add_candidate(struct candidates *c, const struct fs_root *r,
	const char *subvol)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT; /* a root without fstab is a root */
	struct candidate *one = &c->list[c->n];
	size_t len = 0;

	c->more |= c->n == MAX_SUBVOLS;
	if (c->more || !is_root(r))
		return;
	memset(one, 0, sizeof(*one));
	snprintf(one->subvol, sizeof(one->subvol), "%s", subvol);
	name_root(r, one->os, sizeof(one->os));
	if (!fs_read(r, "/etc/fstab", GUEST_TEXT_MAX, &text, &len, &ignored))
		guest_fstab_entries(text, len, read_claim, one);
	c->n++;
}

/* Mounts the volume with an option at g->at and lets fn look at it. */
static int with_mounted(struct guest *g, int vol, const struct fs_option *option,
	void (*fn)(struct guest *g, struct candidates *c, const struct fs_root *r),
	struct candidates *c, struct err *err)
{
	CLEANUP_CLOSE int dir = open(g->at,
		O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct fs_root r;
	int mount;

	if (dir < 0)
		return err_sys(err, ERR_INTERNAL, "open %s", g->at);
	mount = guest_mount_vol(g, vol, dir, false, option, err);
	if (mount < 0) {
		guest_report_warn(g, "%s", err->text);
		if (!g->unseen.code)
			g->unseen = *err;
		err_clear(err);
		return 0;
	}
	if (fs_root_at(&r, mount, err) == 0) {
		fn(g, c, &r);
		fs_root_close(&r);
	}
	return fs_unmount(&mount, g->vols[vol].fs.dev, err);
}

static void see_default(struct guest *g, struct candidates *c, const struct fs_root *r)
{
	(void)g;
	add_candidate(c, r, "");
}

static int see_subvol(void *ctx, const char *name, const struct stat *st)
{
	struct candidates *c = ctx;
	struct fs_root r = { .fd = -1 };
	char path[300];

	if (!S_ISDIR(st->st_mode) || st->st_ino != BTRFS_SUBVOL_INODE ||
		strchr(name, ',') || (size_t)snprintf(path, sizeof(path), "/%s",
			name) >= sizeof(c->list[0].subvol))
		return 0;
	r.fd = fs_open(c->top, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r.fd >= 0) {
		add_candidate(c, &r, name);
		fs_root_close(&r);
	}
	return 0;
}

static void see_top(struct guest *g, struct candidates *c, const struct fs_root *r)
{
	struct err why = ERR_INIT;

	c->top = r;
	if (fs_list(r, "/", see_subvol, c, &why) < 0)
		guest_report_warn(g, "%s", why.text);
}

static bool consistent(const struct candidate *c)
{
	return !strcmp(c->claim, c->subvol);
}

static void take_systems(struct guest *g, int vol, const struct candidates *c)
{
	bool any = false;

	for (int i = 0; i < c->n; i++)
		any |= consistent(&c->list[i]);
	if (c->more)
		guest_report_warn(g, "%s has more than %d subvolumes with a system: the others are not "
			"looked at", g->vols[vol].fs.dev, MAX_SUBVOLS);
	for (int i = 0; i < c->n; i++) {
		struct guest_system *s = &g->systems[g->n_systems];

		if (any && !consistent(&c->list[i]))
			continue;
		if (g->n_systems == GUEST_MAX_SYSTEMS) {
			guest_report_warn(g, "more than %d systems were found: those on %s are not "
				"all looked at", GUEST_MAX_SYSTEMS, g->vols[vol].fs.dev);
			break;
		}
		s->vol = vol;
		memcpy(s->subvol, c->list[i].subvol, sizeof(s->subvol));
		memcpy(s->os, c->list[i].os, sizeof(s->os));
		if (!g->vols[vol].is_root)
			memcpy(g->vols[vol].os, s->os, sizeof(g->vols[vol].os));
		g->vols[vol].is_root = true;
		g->n_systems++;
	}
}

/* Only the first device of a btrfs is looked at. */
static bool is_further_device(const struct guest *g, int vol)
{
	for (int i = 0; i < vol; i++)
		if (!strcmp(g->vols[vol].fs.type, "btrfs") &&
			!strcmp(g->vols[i].fs.type, "btrfs") &&
			!strcmp(g->vols[i].fs.uuid, g->vols[vol].fs.uuid))
			return true;
	return false;
}

static int look_at(struct guest *g, int vol, struct err *err)
{
	static const struct fs_option top = { "subvolid", "5" };
	CLEANUP_FREE struct candidates *c = calloc(1, sizeof(*c));
	int result;

	if (!c)
		return err_set(err, ERR_NOMEM, "look for systems: out of memory");
	result = with_mounted(g, vol, NULL, see_default, c, err);
	if (!result && !strcmp(g->vols[vol].fs.type, "btrfs"))
		result = with_mounted(g, vol, &top, see_top, c, err);
	take_systems(g, vol, c);
	return result;
}

static void name_system(const struct guest *g, const struct guest_system *s,
	struct strbuf *out)
{
	strbuf_str(out, g->vols[s->vol].fs.dev);
	if (*s->subvol)
		strbuf_fmt(out, ",subvol=%s", s->subvol);
}

/* "DEVICE" or "DEVICE,subvol=NAME". -1: none of the systems; -2: several of them. */
static int find_named(const struct guest *g, const char *spec)
{
	const char *sub = strstr(spec, ",subvol=");
	char device[256];
	int vol, found = -1;

	snprintf(device, sizeof(device), "%.*s",
		sub ? (int)(sub - spec) : (int)strlen(spec), spec);
	vol = guest_find_given(g, device);
	if (sub) {
		sub += strlen(",subvol=");
		sub += strspn(sub, "/");
	}
	for (int i = 0; i < g->n_systems; i++) {
		const struct guest_system *s = &g->systems[i];

		if (s->vol != vol || (sub && strcmp(s->subvol, sub)))
			continue;
		if (found >= 0)
			return -2;
		found = i;
	}
	return found;
}

static int refuse(const struct guest *g, struct err *err)
{
	CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;

	for (int i = 0; i < g->n_systems; i++) {
		strbuf_str(&list, i ? ", " : "");
		name_system(g, &g->systems[i], &list);
		strbuf_fmt(&list, " (%s)", g->systems[i].os);
	}
	return err_set(err, ERR_PREP_MULTI_SYSTEM,
		"%d systems were found and no boot entry decides: "
		"%s", g->n_systems, list.s ? list.s : "");
}

/* Whoever reads the report shall not take one of several for all. */
static void tell_others(struct guest *g, int chosen)
{
	CLEANUP_STRBUF struct strbuf one = STRBUF_INIT, others = STRBUF_INIT;

	for (int i = 0; i < g->n_systems; i++) {
		struct strbuf *to = i == chosen ? &one : &others;

		strbuf_str(to, to->len ? ", " : "");
		name_system(g, &g->systems[i], to);
		strbuf_fmt(to, " (%s)", g->systems[i].os);
	}
	if (one.s && others.s)
		guest_report_warn(g,
			"%d systems were found, and only %s is prepared, %s; "
			"not prepared: %s", g->n_systems, one.s,
			g->opt->root ? "as it was asked for" :
			"which the default boot entry starts", others.s);
}

static int choose(struct guest *g, struct err *err)
{
	int i = g->opt->root ? find_named(g, g->opt->root) : g->n_systems == 1 ? 0 :
		guest_default_system(g, err);

	g->root_vol = -1;
	*g->root_subvol = '\0';
	if (err->code)
		return -1;
	if (g->opt->root && i == -1)
		return err_set(err, ERR_PREP_NO_SYSTEM,
			"%s is not one of the %d systems found", g->opt->root,
			g->n_systems);
	if (i < 0)
		return refuse(g, err);
	g->root_vol = g->systems[i].vol;
	memcpy(g->root_subvol, g->systems[i].subvol, sizeof(g->root_subvol));
	tell_others(g, i);
	return 0;
}

/* With what was found instead: a disk that is still empty looks
 * otherwise than one of data. */
static int no_root(const struct guest *g, struct err *err)
{
	CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;

	for (int i = 0; i < g->n_vols && i < VOLS_NAMED; i++) {
		const struct guest_vol *v = &g->vols[i];

		strbuf_fmt(&list, "%s%s: %s", i ? ", " : "", v->fs.dev,
			*v->fs.type ? v->fs.type :
			v->found == FS_AMBIGUOUS ? "two signatures" : "nothing known");
	}
	return err_set(err, ERR_PREP_NO_SYSTEM,
		"no root file system on %d volume%s (%s%s)", g->n_vols,
		g->n_vols == 1 ? "" : "s", list.s ? list.s :
		"", g->n_vols > VOLS_NAMED ? ", ..." : "");
}

int guest_find_roots(struct guest *g, struct err *err)
{
	const struct guest_vol *windows = NULL;

	g->root_vol = -1;
	for (int i = 0; i < g->n_vols; i++) {
		const struct guest_vol *v = &g->vols[i];

		if (!strcmp(v->fs.type, "ntfs"))
			windows = v;
		if (v->found != FS_FOUND || v->snapshot || !fs_mountable(v->fs.type) ||
			!strcmp(v->fs.type, "vfat") || !strcmp(v->fs.type, "iso9660") ||
			is_further_device(g, i))
			continue;
		if (look_at(g, i, err) < 0)
			return -1;
		if (g->opt->tick)
			g->opt->tick(g->opt->ctx);
	}
	if (g->n_systems)
		return choose(g, err);
	if (g->locked.code)
		return err_set(err, g->locked.code, "%s; no other volume holds a system",
			g->locked.text);
	if (g->unseen.code)
		return err_set(err, g->unseen.code, "%s; no other volume holds a system",
			g->unseen.text);
	if (windows)
		return err_set(err, ERR_PREP_UNSUPPORTED,
			"%s holds NTFS and no volume holds Linux: "
			"this version does not prepare Windows yet", windows->fs.dev);
	return no_root(g, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a preparation changed: all paths before and after it,
 * and what the journal knows of them. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define PATHS_MAX (64u << 20)

struct listing {
	struct guest *g;
	struct err *err;
	bool report; /* into changes[]; else only into the journal */
	int lost;    /* paths that were changed and cannot be brought back */
	struct strbuf names; /* of the first ones */
};
#define LOST_NAMED 4

/* Where programs of a system are, and what belongs to them. What is mounted elsewhere
 * holds data: nothing of a preparation, and often millions of files. */
static bool is_of_system(const char *point)
{
	static const char *const points[] = { "/", "/boot", "/efi", "/etc", "/lib", "/opt",
		"/root", "/usr", "/usr/lib", "/usr/local", "/usr/share", "/var", "/var/cache",
		"/var/lib", "/var/log", "/var/tmp" };

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (!strcmp(point, points[i]))
			return true;
	return !strncmp(point, "/boot/", 6);
}

static void tell_gaps(struct guest *g, const struct fs_inventory *inv)
{
	const struct fs_inventory_gaps *gaps = fs_inventory_get_gaps(inv);

	for (int i = 1; i < g->n_mounts; i++)
		if (!is_of_system(g->mounts[i].point))
			guest_report_skip(g, g->step, "%s is a volume of its own: changes there are not "
				"listed", g->mounts[i].point);
	if (gaps->snapshots)
		guest_report_skip(g, g->step, "%u snapshots of btrfs are not looked into",
			gaps->snapshots);
	if (gaps->deep)
		guest_report_skip(g, g->step, "%u folders or files lie too deep: changes there are not "
			"listed", gaps->deep);
	if (gaps->folded)
		guest_report_skip(g, g->step, "%u folders hold very many files: what a tool removes there is "
			"not listed by name", gaps->folded);
}

int guest_take_inventory(struct guest *g, const struct fs_inventory *like,
	struct fs_inventory **ret, struct err *err)
{
	CLEANUP_FREE struct stat *skip = calloc(GUEST_MAX_MOUNTS, sizeof(*skip));
	struct fs_inventory_rules rules = { .skip = skip, .like = like,
		.tick = g->opt->tick, .ctx = g->opt->ctx };

	if (!skip)
		return err_set(err, ERR_NOMEM, "list of all files: no memory");
	for (int i = 1; i < g->n_mounts; i++)
		if (!is_of_system(g->mounts[i].point) &&
			!fstat(g->mounts[i].fd, &skip[rules.n_skip]))
			rules.n_skip++;
	if (fs_inventory_take(&g->root, &rules, ret, err) < 0)
		return -1;
	if (!like)
		tell_gaps(g, *ret);
	return 0;
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

static bool is_before(const struct guest *g, const char *path)
{
	size_t n = strlen(g->journal.dir);

	return n && !strncmp(path, g->journal.dir, n) && !strcmp(path + n, "/before");
}

static int list_change(void *ctx, enum fs_change c, const char *path, unsigned mode)
{
	static const char *const names[] = { "added", "changed", "removed" };
	struct listing *l = ctx;
	char backup[256] = "", before[65] = "", after[65] = "";
	struct err why = ERR_INIT;
	bool ours = below(path, GUEST_STATE_DIR);
	int known;

	if (is_before(l->g, path))
		return 0; /* gone before the end */
	if (!ours && c == FS_ADDED && l->g->journal.dir[0]) {
		if (guest_journal_note_added(l->g, path, l->err) < 0)
			return -1;
	} else if (!ours) {
		known = guest_journal_find(l->g, path, backup, sizeof(backup), before,
			l->err);
		if (known < 0)
			return -1;
		/* a folder's own state is of no weight */
		if (!known && (c == FS_REMOVED || !S_ISDIR(mode))) {
			guest_report_path(l->g, l->g->unsaved, path, names[c]);
			if (l->lost++ < LOST_NAMED)
				strbuf_fmt(&l->names, "%s%s (%s)",
					l->names.len ? ", " : "", path, names[c]);
		}
	}
	if (!l->report)
		return 0;
	if (c != FS_REMOVED && guest_selinux_label(l->g, path, mode, l->err) < 0)
		return -1;
	/* It may be gone or be no file; then there is no sum to tell. */
	if (c != FS_REMOVED && S_ISREG(mode) &&
	    fs_sha256(&l->g->root, path, after, &why) < 0)
		after[0] = '\0';
	guest_report_change(l->g, path, names[c], before, after, backup);
	if (l->g->opt->tick)
		l->g->opt->tick(l->g->opt->ctx);
	return 0;
}

static int note_added(void *ctx, enum fs_change c, const char *path, unsigned mode)
{
	struct listing *l = ctx;

	(void)c;
	(void)mode;
	return below(path, GUEST_STATE_DIR) || below(GUEST_STATE_DIR, path) ? 0 :
		guest_journal_note_added(l->g, path, l->err);
}

/* 1: there is no list. */
static int note_left(struct guest *g, struct err *err)
{
	struct listing l = { .g = g, .err = err };
	CLEANUP_FREE char *saved = NULL;
	char path[256];
	size_t len = 0;
	int got;

	snprintf(path, sizeof(path), "%s/before", g->journal.dir);
	got = fs_read(&g->root, path, PATHS_MAX, &saved, &len, err);
	return got ? got :
		fs_inventory_added(g->before, saved, len, note_added, &l, err);
}

int guest_note_left(struct guest *g, struct err *err)
{
	return note_left(g, err) < 0 ? -1 : 0;
}

/* The paths there were at first, so that a run that is killed while a tool of the guest
 * works leaves its successor a way to tell what the tool added. A killed run that left no
 * list had not run a tool yet, or had noted all. */
int guest_keep_paths(struct guest *g, struct err *err)
{
	char path[256];
	int got = g->journal.resumed ? note_left(g, err) : 1;

	snprintf(path, sizeof(path), "%s/before", g->journal.dir);
	return got == 1 ? fs_inventory_save(g->before, &g->root, path, err) : got;
}

int guest_drop_paths(struct guest *g, struct err *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/before", g->journal.dir);
	return fs_remove(&g->root, path, err);
}

/* As fs_inventory_diff would say it of the guest as it was first. False:
 * it is the same. */
static bool differs(struct guest *g, const struct guest_journal_entry *e,
	const struct stat *st, const char *sha256)
{
	char target[FS_PATH_MAX];

	if (!strcmp(e->type, "file"))
		return !S_ISREG(st->st_mode) || strcmp(e->sha256, sha256) != 0;
	if (!strcmp(e->type, "link"))
		return !S_ISLNK(st->st_mode) ||
			fs_readlink(&g->root, e->path, target, sizeof(target)) < 0 ||
			strcmp(target, e->target) != 0;
	return !strcmp(e->type, "absent");
}

/* What the killed run wrote, and its successor found as it should be, is in no comparison
 * of this run's. */
static int on_known(void *ctx, const struct guest_journal_entry *e)
{
	struct listing *l = ctx;
	struct guest *g = l->g;
	char after[65] = "", backup[256] = "";
	struct err why = ERR_INIT;
	struct stat st;
	bool gone = fs_lstat(&g->root, e->path, &st) < 0;

	if (!strcmp(e->op, "after"))
		return 0;
	if (!gone && guest_selinux_label(g, e->path, st.st_mode, l->err) < 0)
		return -1;
	if (!gone && S_ISREG(st.st_mode) && fs_sha256(&g->root, e->path, after, &why) < 0)
		after[0] = '\0';
	if (gone ? !strcmp(e->type, "absent") : !differs(g, e, &st, after))
		return 0;
	if (*e->backup)
		snprintf(backup, sizeof(backup), "%s/%s", g->journal.dir, e->backup);
	if (!guest_report_has_change(g, e->path))
		guest_report_change(g, e->path,
			gone ? "removed" : !strcmp(e->type, "absent") ? "added" :
			"changed", e->sha256, after, backup);
	if (g->opt->tick)
		g->opt->tick(g->opt->ctx);
	return 0;
}

struct folder {
	struct listing *l;
	const char *dir;
};

static int on_kept(void *ctx, const char *name, const struct stat *st)
{
	struct folder *f = ctx;
	char path[FS_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	if (is_before(f->l->g, path))
		return 0;
	if (!S_ISDIR(st->st_mode) && !guest_report_has_change(f->l->g, path))
		guest_report_change(f->l->g, path, "added", NULL, NULL, NULL);
	return guest_selinux_label(f->l->g, path, st->st_mode, f->l->err);
}

int guest_list_resumed(struct guest *g, struct err *err)
{
	struct listing l = { .g = g, .err = err };
	char files[256];
	struct folder kept[] = { { &l, g->journal.dir }, { &l, files } };

	snprintf(files, sizeof(files), "%s/files", g->journal.dir);
	if (guest_journal_each(g, g->journal.dir, on_known, &l, err) < 0 ||
		guest_selinux_label(g, GUEST_STATE_DIR, S_IFDIR, err) < 0 ||
		guest_selinux_label(g, g->journal.dir, S_IFDIR, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (fs_list(&g->root, kept[i].dir, on_kept, &kept[i], err) < 0)
			return -1;
	return 0;
}

int guest_list_changes(struct guest *g, bool report, int *ret_lost, struct err *err)
{
	struct listing l = { .g = g, .err = err, .report = report };
	struct fs_inventory *after = NULL;
	int result;

	if (guest_take_inventory(g, g->before, &after, err) < 0)
		return -1;
	result = fs_inventory_diff(g->before, after, list_change, &l, err);
	fs_inventory_free(after);
	*ret_lost = l.lost;
	if (l.names.len)
		guest_report_warn(g, "%d path%s that the guest's tools changed cannot be taken back by undo: "
			"%.300s%s", l.lost, l.lost == 1 ? "" : "s", l.names.s,
			l.lost > LOST_NAMED ? ", and more: see unsaved in the report" :
			"");
	strbuf_free(&l.names);
	return result;
}

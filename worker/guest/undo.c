/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the last migration's preparations back, the newest first. An undo may be killed
 * at any point and is then gone on with: it notes that it has begun, and what stays,
 * before the first change; it notes that all is back before the first backup goes; and of
 * a journal's folder the journal goes last.
 */
#include "guest/guest-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define MAX_PREPARATIONS 64 /* of one migration */
#define NAMED 4

struct folder {
	struct guest *g;
	const char *dir, *but;
	struct err *err;
};

static int drop_name(void *ctx, const char *name, const struct stat *st)
{
	const struct folder *d = ctx;
	char path[FS_PATH_MAX];

	(void)st;
	if (d->but && !strcmp(name, d->but))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	return fs_remove(&d->g->root, path, d->err);
}

/* Ours when it is empty. The folder that it is in gets its times back. */
static int drop_state_dir(struct guest *g, struct err *err)
{
	char parent[] = GUEST_STATE_DIR;
	CLEANUP_CLOSE int fd = -1;
	struct timespec times[2];
	struct stat st;

	*strrchr(parent, '/') = '\0';
	fd = fs_open(&g->root, parent, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fstat(fd, &st) < 0 ||
		fs_remove(&g->root, GUEST_STATE_DIR, &(struct err)ERR_INIT) < 0)
		return 0;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	return futimens(fd, times) < 0 ? err_sys(err, ERR_DISK_IO, "times of %s",
		parent) : 0;
}

/* Every part of it that is left is known as such: "undone" is noted, or there is no
 * journal at all. */
static int clear(struct guest *g, const char *dir, struct err *err)
{
	char files[256];
	struct folder kept = { g, files, NULL, err }, rest = { g, dir, "journal", err };
	struct folder last = { g, dir, NULL, err };

	snprintf(files, sizeof(files), "%s/files", dir);
	if (fs_list(&g->root, files, drop_name, &kept, err) < 0 ||
		fs_list(&g->root, dir, drop_name, &rest, err) < 0 ||
		fs_list(&g->root, dir, drop_name, &last, err) < 0 ||
		fs_remove(&g->root, dir, err) < 0)
		return -1;
	return drop_state_dir(g, err);
}

int guest_sync(struct guest *g, struct err *err)
{
	for (int i = 0; i < g->n_mounts; i++)
		if (fs_sync(g->mounts[i].fd, g->mounts[i].point, err) < 0)
			return -1;
	return 0;
}

int guest_journal_rollback(struct guest *g, const char *dir,
	const struct guest_edits *edits, struct err *err)
{
	/* Back on the disk before that is noted. */
	return guest_journal_play(g, dir, edits, err) < 0 || guest_sync(g, err) < 0 ||
		guest_journal_note(g, dir, "end", "what", "undone", err) < 0 ||
		clear(g, dir, err) < 0 ? -1 : 0;
}

static int note_edits(struct guest *g, const char *dir, const struct guest_edits *edits,
	struct err *err)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(doc), *list;
	int result;

	yyjson_mut_doc_set_root(doc, o);
	yyjson_mut_obj_add_str(doc, o, "op", "undo");
	list = yyjson_mut_obj_add_arr(doc, o, "kept");
	for (size_t i = 0; i < edits->kept.n; i++)
		yyjson_mut_arr_add_str(doc, list, edits->kept.v[i]);
	list = yyjson_mut_obj_add_arr(doc, o, "folders");
	for (size_t i = 0; i < edits->folders.n; i++)
		yyjson_mut_arr_add_str(doc, list, edits->folders.v[i]);
	result = guest_journal_append(g, dir, doc, err);
	yyjson_mut_doc_free(doc);
	return result;
}

static int read_list(yyjson_val *list, struct guest_paths *ret, struct err *err)
{
	yyjson_val *v;
	size_t i, n;

	guest_paths_free(ret);
	yyjson_arr_foreach(list, i, n, v)
		if (yyjson_is_str(v) && guest_paths_add(ret, yyjson_get_str(v), err) < 0)
			return -1;
	return 0;
}

/* Reads the edits that an interrupted undo has noted; the last such line counts. */
static int read_edits(struct guest *g, const char *dir, struct guest_edits *ret,
	struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, end;

	if (guest_journal_text(g, dir, &text, &len, err) < 0)
		return -1;
	for (char *p = text; p && p < text + len; p += end + 1) {
		yyjson_doc *doc;
		yyjson_val *o;
		int result;

		end = strcspn(p, "\n");
		if (strncmp(p, "{\"op\":\"undo\"", 12))
			continue;
		doc = guest_journal_line(p, end);
		o = yyjson_doc_get_root(doc);
		result = !o ? 0 :
			read_list(yyjson_obj_get(o, "kept"), &ret->kept, err) < 0 ||
			read_list(yyjson_obj_get(o, "folders"), &ret->folders, err) < 0;
		yyjson_doc_free(doc);
		if (result)
			return -1;
	}
	return 0;
}

static void free_edits(struct guest_edits *e)
{
	guest_paths_free(&e->kept);
	guest_paths_free(&e->folders);
	guest_paths_free(&e->looked_at);
}

int guest_undo_pending(struct guest *g, bool *ret, struct err *err)
{
	struct guest_journal_marks m = { .empty = false };
	char dir[128];

	if (guest_journal_last(g, NULL, dir, sizeof(dir), err) < 0 ||
		(*dir && guest_journal_marks(g, dir, &m, err) < 0))
		return -1;
	*ret = m.empty || m.undone || m.undoing;
	return 0;
}

static int undo_one(struct guest *g, const char *dir, const struct guest_edits *edits,
	struct err *err)
{
	guest_report_step(g, "undo", dir);
	if (!guest_journal_rollback(g, dir, edits, err))
		return 0;
	err->code = ERR_PREP_UNDO;
	return -1;
}

/* Does what a killed undo or rollback has left to do. *ret: number of folders. */
static int finish_undo(struct guest *g, int *ret, struct err *err)
{
	struct guest_edits edits = { .kept = { .n = 0 } };
	struct guest_journal_marks m;
	char dir[128];
	int result = 0;

	for (*ret = 0; !result; ++*ret) {
		m.empty = true;
		if (guest_journal_last(g, NULL, dir, sizeof(dir), err) < 0 ||
			(*dir && guest_journal_marks(g, dir, &m, err) < 0)) {
			result = -1;
		} else if (*dir && (m.empty || m.undone)) {
			result = clear(g, dir, err);
		} else if (*dir && m.undoing) {
			result = read_edits(g, dir, &edits, err);
			if (!result)
				result = undo_one(g, dir, &edits, err);
		} else {
			break;
		}
		if (!m.empty && !result)
			guest_report_warn(g, "what an interrupted undo had left to do is done");
	}
	/* The last act of clearing up. */
	if (!result && !*dir && fs_is_dir(&g->root, GUEST_STATE_DIR)) {
		result = drop_state_dir(g, err);
		++*ret;
	}
	free_edits(&edits);
	return result;
}

int guest_undo_finish(struct guest *g, struct err *err)
{
	int n;

	return finish_undo(g, &n, err);
}

/* The last migration's, the newest first. */
struct group {
	char dirs[MAX_PREPARATIONS][128];
	struct guest_journal_marks marks[MAX_PREPARATIONS];
	int n;
};

static int find_group(struct guest *g, struct group *ret, struct err *err)
{
	const char *before = NULL;
	int n = 0;

	do {
		if (n == MAX_PREPARATIONS)
			return err_set(err, ERR_PREP_UNDO,
				"more than %d preparations of one migration", n);
		if (guest_journal_last(g, before, ret->dirs[n], sizeof(ret->dirs[n]),
			err) < 0 || (*ret->dirs[n] && guest_journal_marks(g, ret->dirs[n],
			&ret->marks[n], err) < 0))
			return -1;
		before = ret->dirs[n];
	} while (*before && ret->marks[n++].continues);
	ret->n = n;
	if (!n)
		return err_set(err, ERR_PREP_UNDO,
			"nothing to undo: no preparation is recorded in the guest");
	if (ret->marks[0].earlier && !g->opt->undo_earlier)
		return err_set(err, ERR_PREP_UNDO,
			"nothing to undo: %s is of an earlier migration (--earlier takes "
			"it back)", ret->dirs[0]);
	return 0;
}

/* Paths that its killed tools added, which no line tells of yet. */
static int note_left(struct guest *g, const struct group *all, struct err *err)
{
	int result;

	if (all->marks[0].applied || guest_journal_ran(g, &all->marks[0]))
		return 0;
	result = guest_take_inventory(g, NULL, &g->before, err);
	snprintf(g->journal.dir, sizeof(g->journal.dir), "%s", all->dirs[0]);
	return result < 0 ? -1 : guest_note_left(g, err);
}

static int refuse(const struct guest_edits *edits, struct err *err)
{
	CLEANUP_STRBUF struct strbuf names = STRBUF_INIT;

	for (size_t i = 0; i < edits->kept.n && i < NAMED; i++)
		strbuf_fmt(&names, "%s%s", i ? ", " : "", edits->kept.v[i]);
	return err_set(err, ERR_PREP_EDITED, "%zu path%s changed after the preparation: "
		"%.300s%s", edits->kept.n, edits->kept.n == 1 ? " was" : "s were",
		names.s ? names.s : "", edits->kept.n > NAMED ? ", ..." : "");
}

/* The operator says whether later edits stay or go. Without his word nothing is
 * undone. */
static int judge_edits(struct guest *g, const struct group *all,
	struct guest_edits *edits, struct err *err)
{
	bool ran = !all->marks[0].applied && guest_journal_ran(g, &all->marks[0]);

	for (int i = 0; i < all->n; i++)
		if (guest_result_check(g, all->dirs[i], all->marks[i].applied, edits,
			err) < 0)
			return -1;
	if (ran && g->opt->edited != GUEST_EDITED_RESTORE)
		return err_set(err, ERR_PREP_EDITED, "the preparation was interrupted and the guest has been started "
			"since: what was changed later cannot be told");
	if (!edits->kept.n || g->opt->edited == GUEST_EDITED_KEEP)
		return 0;
	if (g->opt->edited == GUEST_EDITED_REFUSE)
		return refuse(edits, err);
	guest_paths_free(&edits->kept);
	return 0;
}

static int undo_group(struct guest *g, const struct group *all, struct guest_edits *edits,
	struct err *err)
{
	if (judge_edits(g, all, edits, err) < 0 || note_left(g, all, err) < 0)
		return -1;
	/* The newest one last: with its line, all have theirs. */
	for (int i = all->n; i > 0; i--)
		if (note_edits(g, all->dirs[i - 1], edits, err) < 0)
			return -1;
	for (int i = 0; i < all->n; i++)
		if (undo_one(g, all->dirs[i], edits, err) < 0)
			return -1;
	if (edits->kept.n)
		guest_report_warn(g, "%zu path%s changed after the preparation: kept as they are now, "
			"see edited in the report", edits->kept.n,
			edits->kept.n == 1 ? " was" : "s were");
	return 0;
}

int guest_undo(struct guest *g, struct err *err)
{
	struct guest_edits edits = { .kept = { .n = 0 } };
	struct group *all = calloc(1, sizeof(*all));
	int result = all ? 0 : err_set(err, ERR_NOMEM, "undo: out of memory"), n = 0;

	if (!result)
		result = guest_make_writable(g, err);
	if (!result)
		result = finish_undo(g, &n, err);
	/* One that was interrupted does not go on with what is older. */
	if (!result && !n)
		result = find_group(g, all, err) < 0 ? -1 :
			undo_group(g, all, &edits, err);
	free_edits(&edits);
	free(all);
	return result;
}

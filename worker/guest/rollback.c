/* SPDX-License-Identifier: Apache-2.0 */
/* A journal (journal.c) played backwards: all of it, or what was noted behind a mark. */
#include "guest/guest-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct play {
	struct guest *g;
	const char *dir;
	const struct guest_edits *edits; /* NULL = everything goes back */
	struct guest_paths same;         /* the preparation did not touch them */
	bool folders; /* the second time: these, when nothing in them changes any more */
};

/* Attributes as save.c writes them. */
struct attributes {
	struct fs_meta meta;
	struct fs_xattr *list;
	uint8_t *bytes;
};

static const char *text_of(yyjson_val *o, const char *key)
{
	return yyjson_get_str(yyjson_obj_get(o, key));
}

static void free_attributes(struct attributes *a)
{
	free(a->list);
	free(a->bytes);
}

static int read_xattrs(yyjson_val *o, struct attributes *a, struct err *err)
{
	yyjson_val *all = yyjson_obj_get(o, "xattrs"), *key, *value;
	size_t i, n, size = 1, used = 0;

	/* An earlier version kept them with the backup only. */
	a->meta.n_xattrs = all ? 0 : -1;
	yyjson_obj_foreach(all, i, n, key, value)
		size += yyjson_get_len(value) / 2;
	a->list = calloc(yyjson_obj_size(all) + 1, sizeof(*a->list));
	a->bytes = malloc(size);
	if (!a->list || !a->bytes)
		return err_set(err, ERR_NOMEM, "attributes: out of memory");
	yyjson_obj_foreach(all, i, n, key, value) {
		struct fs_xattr *x = &a->list[a->meta.n_xattrs++];
		const char *hex = yyjson_get_str(value);

		*x = (struct fs_xattr){ yyjson_get_str(key), a->bytes + used, 0 };
		for (unsigned byte; hex && sscanf(hex, "%2x", &byte) == 1 && hex[1];
		    hex += 2)
			a->bytes[used++] = (uint8_t)byte;
		x->len = (size_t)(a->bytes + used - (const uint8_t *)x->value);
	}
	a->meta.xattrs = a->list;
	return 0;
}

static int read_attributes(yyjson_val *o, struct attributes *a, struct err *err)
{
	struct stat *st = &a->meta.st;

	st->st_mode = (mode_t)yyjson_get_uint(yyjson_obj_get(o, "mode"));
	st->st_uid = (uid_t)yyjson_get_uint(yyjson_obj_get(o, "uid"));
	st->st_gid = (gid_t)yyjson_get_uint(yyjson_obj_get(o, "gid"));
	st->st_mtim.tv_sec = yyjson_get_sint(yyjson_obj_get(o, "mtime"));
	st->st_mtim.tv_nsec = yyjson_get_sint(yyjson_obj_get(o, "mtime_ns"));
	st->st_atim = st->st_mtim;
	if (yyjson_obj_get(o, "atime")) {
		st->st_atim.tv_sec = yyjson_get_sint(yyjson_obj_get(o, "atime"));
		st->st_atim.tv_nsec = yyjson_get_sint(yyjson_obj_get(o, "atime_ns"));
	}
	a->meta.flags = (unsigned)yyjson_get_uint(yyjson_obj_get(o, "flags"));
	a->meta.project = (unsigned)yyjson_get_uint(yyjson_obj_get(o, "project"));
	return read_xattrs(o, a, err);
}

static int remove_added(struct guest *g, const char *path, struct err *err)
{
	if (!fs_remove(&g->root, path, err))
		return 0;
	if (err->sys != ENOTEMPTY && err->sys != EEXIST)
		return -1;
	guest_report_warn(g, "%s is left: it holds files that are not ours", path);
	err_clear(err);
	return 0;
}

/* One more name of a file that is back, where it is; 1: it is not. */
static int link_again(struct play *p, const char *path, yyjson_val *o, struct err *err)
{
	const char *first = text_of(o, "link"), *sha = text_of(o, "sha256");
	const char *target = text_of(o, "target");
	char now[FS_PATH_MAX] = "";
	struct err why = ERR_INIT; /* then it is copied */

	if (!first || (p->edits && guest_paths_has(&p->edits->kept, first)))
		return 1;
	if (sha ? fs_sha256(&p->g->root, first, now, &why) < 0 || strcmp(now, sha) :
		!target || fs_readlink(&p->g->root, first, now, sizeof(now)) < 0 ||
		strcmp(now, target) != 0)
		return 1;
	return fs_link(&p->g->root, first, path, err);
}

static int restore_link(struct play *p, const char *path, yyjson_val *o,
	const struct fs_meta *m, struct err *err)
{
	const char *target = text_of(o, "target");
	char now[FS_PATH_MAX];

	if (fs_readlink(&p->g->root, path, now, sizeof(now)) < 0 || strcmp(now, target))
		if (fs_symlink(&p->g->root, target, path, err) < 0)
			return -1;
	return fs_set_meta(&p->g->root, path, m, err);
}

static int restore_file(struct play *p, const char *path, yyjson_val *o,
	const struct fs_meta *m, struct err *err)
{
	char from[FS_PATH_MAX];

	snprintf(from, sizeof(from), "%s/%s", p->dir, text_of(o, "backup"));
	return m->n_xattrs < 0 ? fs_copy(&p->g->root, from, path, true, NULL, err) :
		fs_copy_as(&p->g->root, from, path, m, err);
}

static int restore_folder(struct play *p, const char *path, struct fs_meta *m,
	struct err *err)
{
	if (!p->folders)
		return fs_mkdirs(&p->g->root, path, 0700, err);
	/* Somebody put something into it, or took something out: its times tell that. */
	if (p->edits && guest_paths_has(&p->edits->folders, path))
		m->st.st_mtim.tv_nsec = m->st.st_atim.tv_nsec = UTIME_OMIT;
	return fs_set_meta(&p->g->root, path, m, err);
}

/* A path of another kind is removed first. */
static int make_room(struct play *p, const char *path, bool folder, struct err *err)
{
	char parent[FS_PATH_MAX];
	struct stat st;

	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (*parent && fs_mkdirs(&p->g->root, parent, 0755, err) < 0)
		return -1;
	return !fs_lstat(&p->g->root, path, &st) && S_ISDIR(st.st_mode) != folder ?
		fs_remove(&p->g->root, path, err) : 0;
}

static int restore_saved(struct play *p, const char *path, yyjson_val *o, struct err *err)
{
	const char *type = text_of(o, "type");
	struct attributes a = { .list = NULL };
	int result = read_attributes(o, &a, err);

	if (!result && !p->folders)
		result = make_room(p, path, !strcmp(type, "dir"), err);
	if (!result && strcmp(type, "dir")) {
		result = link_again(p, path, o, err);
		if (result == 1)
			result = !strcmp(type, "link") ?
				restore_link(p, path, o, &a.meta, err) :
				restore_file(p, path, o, &a.meta, err);
	} else if (!result) {
		result = restore_folder(p, path, &a.meta, err);
	}
	free_attributes(&a);
	return result;
}

static int restore(struct play *p, yyjson_val *o, struct err *err)
{
	const char *op = text_of(o, "op"), *path = text_of(o, "path");
	const char *type = text_of(o, "type");

	if (!op || !path || (strcmp(op, "saved") && strcmp(op, "absent")) ||
		guest_paths_has(&p->same, path) ||
		(p->edits && guest_paths_has(&p->edits->kept, path)))
		return 0;
	if (p->folders && (!type || strcmp(type, "dir")))
		return 0;
	if (*path != '/' || (!strcmp(op, "saved") && (!type ||
		(strcmp(type, "dir") && !text_of(o,
			strcmp(type, "link") ? "backup" : "target")))))
		return err_set(err, ERR_PREP_UNDO, "%s: the journal is damaged", path);
	if ((!type || strcmp(type, "dir")) &&
		fs_remove_unfinished(&p->g->root, path, err) < 0)
		return -1;
	return !strcmp(op, "absent") ? remove_added(p->g, path, err) :
		restore_saved(p, path, o, err);
}

/* From the last line to the first. An error stops nothing: what comes later may make the
 * room that was missing. The first error is reported. */
static int play_lines(struct play *p, const char *text, size_t len, struct err *err)
{
	struct err later = ERR_INIT;
	int failed = 0;

	for (size_t end = len; end;) {
		size_t start = end;
		yyjson_doc *doc;

		while (start && text[start - 1] != '\n')
			start--;
		/* A line cut short by a crash speaks of nothing that happened. */
		doc = guest_journal_line(text + start, end - start);
		if (doc && restore(p, yyjson_doc_get_root(doc),
			failed ? &later : err) < 0)
			failed = -1;
		yyjson_doc_free(doc);
		if (p->g->opt->tick)
			p->g->opt->tick(p->g->opt->ctx);
		end = start ? start - 1 : 0;
	}
	return failed;
}

static int play_back(struct play *p, const char *text, size_t len, struct err *err)
{
	p->folders = false;
	if (play_lines(p, text, len, err) < 0)
		return -1;
	p->folders = true;
	return play_lines(p, text, len, err);
}

static int add_same(void *ctx, const struct guest_journal_entry *e)
{
	struct play *p = ctx;

	return strcmp(e->op, "after") || !yyjson_obj_get(e->all, "same") ? 0 :
		guest_paths_add(&p->same, e->path, &(struct err)ERR_INIT);
}

int guest_journal_play(struct guest *g, const char *dir, const struct guest_edits *edits,
	struct err *err)
{
	struct play p = { .g = g, .dir = dir, .edits = edits };
	struct guest_journal_marks m;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int result = guest_journal_marks(g, dir, &m, err);

	if (!result && guest_journal_text(g, dir, &text, &len, err) < 0)
		result = -1;
	/* An incomplete journal does not tell. */
	if (!result && m.applied && guest_journal_each(g, dir, add_same, &p, err) < 0)
		result = err->code ? -1 : err_set(err, ERR_NOMEM,
			"list of paths: out of memory");
	if (!result && play_back(&p, text, len, err) < 0) {
		err_clear(err);
		result = play_back(&p, text, len, err);
	}
	guest_paths_free(&p.same);
	return result;
}

static int drop_unfinished(void *ctx, const struct guest_journal_entry *e)
{
	struct play *p = ctx;
	struct err ignored = ERR_INIT; /* in a folder that is no folder there is none */

	fs_remove_unfinished(&p->g->root, e->path, &ignored);
	return 0;
}

int guest_journal_drop_unfinished(struct guest *g, const char *dir, struct err *err)
{
	struct play p = { .g = g };

	return guest_journal_each(g, dir, drop_unfinished, &p, err);
}

int guest_journal_mark(struct guest *g, size_t *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;

	*ret = 0;
	return guest_journal_text(g, g->journal.dir, &text, ret, err) < 0 ? -1 : 0;
}

int guest_journal_back_to(struct guest *g, size_t mark, struct err *err)
{
	struct play p = { .g = g, .dir = g->journal.dir };
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (guest_journal_text(g, g->journal.dir, &text, &len, err) < 0)
		return -1;
	return mark >= len ? 0 : play_back(&p, text + mark, len - mark, err);
}

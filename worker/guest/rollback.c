/* SPDX-License-Identifier: Apache-2.0 */
/* A journal (journal.c) played backwards: all of it, or what was noted behind a mark. */
#include "guest/guest-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static int restore(struct guest *g, const char *dir, yyjson_val *o, struct err *err)
{
	const char *op = yyjson_get_str(yyjson_obj_get(o, "op"));
	const char *path = yyjson_get_str(yyjson_obj_get(o, "path"));
	const char *type = yyjson_get_str(yyjson_obj_get(o, "type"));
	const char *backup = yyjson_get_str(yyjson_obj_get(o, "backup"));
	const char *target = yyjson_get_str(yyjson_obj_get(o, "target"));
	char from[FS_PATH_MAX], parent[FS_PATH_MAX];
	struct stat st = {
		.st_mode = (mode_t)yyjson_get_uint(yyjson_obj_get(o, "mode")),
		.st_uid = (uid_t)yyjson_get_uint(yyjson_obj_get(o, "uid")),
		.st_gid = (gid_t)yyjson_get_uint(yyjson_obj_get(o, "gid")),
		.st_mtim = { .tv_sec = yyjson_get_sint(yyjson_obj_get(o, "mtime")),
			.tv_nsec = yyjson_get_sint(yyjson_obj_get(o, "mtime_ns")) },
	};

	if (!op || !path)
		return 0; /* the end line */
	if (!strcmp(op, "absent")) {
		if (!fs_remove(&g->root, path, err))
			return 0;
		if (err->sys != ENOTEMPTY && err->sys != EEXIST)
			return -1;
		guest_report_warn(g, "%s is left: it holds files that are not ours",
			path);
		err_clear(err);
		return 0;
	}
	if (!type)
		return err_set(err, ERR_PREP_UNDO, "%s: the journal is damaged", path);
	st.st_atim = st.st_mtim;
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (*parent && fs_mkdirs(&g->root, parent, 0755, err) < 0)
		return -1;
	if (!strcmp(type, "dir")) {
		st.st_mode |= S_IFDIR;
		if (fs_mkdirs(&g->root, path, 0755, err) < 0)
			return -1;
	} else if (!strcmp(type, "link") && target) {
		char now[FS_PATH_MAX];

		st.st_mode |= S_IFLNK;
		if (!fs_readlink(&g->root, path, now, sizeof(now)) &&
		    !strcmp(now, target))
			return 0;
		if (fs_remove(&g->root, path, err) < 0 ||
			fs_symlink(&g->root, target, path, err) < 0)
			return -1;
	} else if (backup) {
		snprintf(from, sizeof(from), "%s/%s", dir, backup);
		st.st_mode |= S_IFREG;
		return fs_copy(&g->root, from, path, true, NULL, err);
	} else {
		return err_set(err, ERR_PREP_UNDO, "%s: the journal is damaged", path);
	}
	return fs_set_meta(&g->root, path, &st, err);
}

struct folder {
	struct guest *g;
	const char *dir;
	struct err *err;
};

static int drop(void *ctx, const char *name, const struct stat *st)
{
	const struct folder *d = ctx;
	char path[FS_PATH_MAX];

	(void)st;
	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	return fs_remove(&d->g->root, path, d->err);
}

static int drop_dir(struct guest *g, const char *dir, struct err *err)
{
	struct folder d = { g, dir, err };

	if (fs_list(&g->root, dir, drop, &d, err) < 0)
		return -1;
	return fs_remove(&g->root, dir, err);
}

/* From the last line to the first. An error stops nothing: what comes later may make the
 * room that was missing. The first error is reported. */
static int play_back(struct guest *g, const char *dir, const char *text, size_t len,
	struct err *err)
{
	struct err later = ERR_INIT;
	int failed = 0;

	for (size_t end = len; end;) {
		size_t start = end;
		yyjson_doc *doc;

		while (start && text[start - 1] != '\n')
			start--;
		doc = yyjson_read(text + start, end - start,
			YYJSON_READ_ALLOW_INVALID_UNICODE);
		/* A last line cut short by a crash speaks of nothing that happened. */
		if (doc && restore(g, dir, yyjson_doc_get_root(doc),
			failed ? &later : err) < 0)
			failed = -1;
		yyjson_doc_free(doc);
		if (g->opt->tick)
			g->opt->tick(g->opt->ctx);
		end = start ? start - 1 : 0;
	}
	return failed;
}

int guest_journal_rollback(struct guest *g, const char *dir, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char files[256];
	size_t len = 0;

	if (guest_journal_text(g, dir, &text, &len, err) < 0)
		return -1;
	if (play_back(g, dir, text, len, err) < 0) {
		err_clear(err);
		if (play_back(g, dir, text, len, err) < 0)
			return -1;
	}
	snprintf(files, sizeof(files), "%s/files", dir);
	if (drop_dir(g, files, err) < 0 || drop_dir(g, dir, err) < 0)
		return -1;
	/* Ours when it is empty. */
	fs_remove(&g->root, GUEST_STATE_DIR, &(struct err)ERR_INIT);
	return 0;
}

int guest_journal_mark(struct guest *g, size_t *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;

	*ret = 0;
	return guest_journal_text(g, g->journal.dir, &text, ret, err) < 0 ? -1 : 0;
}

int guest_journal_back_to(struct guest *g, size_t mark, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (guest_journal_text(g, g->journal.dir, &text, &len, err) < 0)
		return -1;
	return mark >= len ? 0 :
		play_back(g, g->journal.dir, text + mark, len - mark, err);
}

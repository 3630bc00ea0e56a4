/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a preparation changes is first copied to GUEST_STATE_DIR/ID/files/NUMBER and noted
 * in GUEST_STATE_DIR/ID/journal: one JSON object a line,
 *   {"op":"saved","path":P,"backup":"files/7","type":"file","mode":420,"uid":0,"gid":0,
 *    "mtime":S,"mtime_ns":N,"sha256":H}      also "type":"link" with "target", "type":"dir"
 *   {"op":"absent","path":P}                 nothing was there: undo removes what is
 *   {"op":"end","what":"applied"}            the last line of a complete one
 * A journal is written through before the change it speaks of. Played backwards, it
 * restores.
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"

#define JOURNAL_MAX (64u << 20)

struct newest {
	char id[64];
};

static int look_id(void *ctx, const char *name, const struct stat *st)
{
	struct newest *n = ctx;

	/* IDs sort by time. */
	if (S_ISDIR(st->st_mode) && *name >= '0' && *name <= '9' &&
		strlen(name) < sizeof(n->id) && strcmp(name, n->id) > 0)
		snprintf(n->id, sizeof(n->id), "%s", name);
	return 0;
}

int guest_journal_text(struct guest *g, const char *dir, char **ret, size_t *ret_len,
	struct err *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/journal", dir);
	return fs_read(&g->root, path, JOURNAL_MAX, ret, ret_len, err);
}

int guest_journal_newest(struct guest *g, char *ret, size_t size, bool *ret_complete,
	struct err *err)
{
	struct newest n = { "" };
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int got;

	*ret = '\0';
	*ret_complete = false;
	if (fs_list(&g->root, GUEST_STATE_DIR, look_id, &n, err) < 0)
		return -1;
	if (!*n.id)
		return 0;
	snprintf(ret, size, "%s/%s", GUEST_STATE_DIR, n.id);
	got = guest_journal_text(g, ret, &text, &len, err);
	if (got < 0)
		return -1;
	*ret_complete = !got && strstr(text, "{\"op\":\"end\"");
	return 0;
}

static int append(struct guest *g, yyjson_mut_doc *doc, struct err *err)
{
	char path[256];
	CLEANUP_FREE char *json = NULL;
	CLEANUP_CLOSE int fd = -1;
	size_t len;

	snprintf(path, sizeof(path), "%s/journal", g->journal.dir);
	json = yyjson_mut_write(doc,
		YYJSON_WRITE_NEWLINE_AT_END | YYJSON_WRITE_ALLOW_INVALID_UNICODE, &len);
	if (!json)
		return err_set(err, ERR_NOMEM, "write %s", path);
	fd = fs_open(&g->root, path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
	if (fd < 0 || fdio_write(fd, json, len) < 0 || fsync(fd) < 0)
		return err_sys(err,
			errno == ENOSPC ? ERR_PREP_NO_SPACE : ERR_DISK_IO, "write %s",
			path);
	return 0;
}

int guest_journal_open(struct guest *g, struct err *err)
{
	struct guest_journal *j = &g->journal;
	time_t now = time(NULL);
	bool complete;
	struct tm tm;
	char id[32], files[256];

	if (guest_journal_newest(g, j->dir, sizeof(j->dir), &complete, err) < 0)
		return -1;
	if (*j->dir && !complete) {
		guest_report_warn(g,
			"an interrupted preparation was found; it is completed");
		j->resumed = true;
		return 0;
	}
	gmtime_r(&now, &tm);
	for (int n = 0; n < 100; n++) {
		size_t end = strftime(id, sizeof(id), "%Y%m%dT%H%M%SZ", &tm);

		if (n)
			snprintf(id + end, sizeof(id) - end, "-%02d", n);
		snprintf(j->dir, sizeof(j->dir), "%s/%s", GUEST_STATE_DIR, id);
		if (!fs_is_dir(&g->root, j->dir))
			break;
	}
	snprintf(files, sizeof(files), "%s/files", j->dir);
	j->n_saved = 0;
	return fs_mkdirs(&g->root, files, 0700, err);
}

/* The entry for a path in a journal's text; NULL if there is none.
 * Free with yyjson_doc_free. */
static yyjson_doc *find_entry(char *text, size_t len, const char *path)
{
	size_t end;

	for (char *p = text; p && p < text + len; p += end + 1) {
		yyjson_doc *doc;
		yyjson_val *v;

		end = strcspn(p, "\n");
		doc = yyjson_read(p, end, YYJSON_READ_ALLOW_INVALID_UNICODE);
		v = yyjson_obj_get(yyjson_doc_get_root(doc), "path");
		if (v && yyjson_equals_str(v, path))
			return doc;
		yyjson_doc_free(doc);
	}
	return NULL;
}

int guest_journal_find(struct guest *g, const char *path, char *ret, size_t size,
	char *ret_sha256, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	yyjson_doc *doc = NULL;
	yyjson_val *root;
	const char *backup, *sha;
	size_t len = 0;

	*ret = '\0';
	if (ret_sha256)
		*ret_sha256 = '\0';
	if (!*g->journal.dir)
		return 0;
	if (guest_journal_text(g, g->journal.dir, &text, &len, err) < 0)
		return -1;
	doc = find_entry(text, len, path);
	if (!doc)
		return 0;
	root = yyjson_doc_get_root(doc);
	backup = yyjson_get_str(yyjson_obj_get(root, "backup"));
	sha = yyjson_get_str(yyjson_obj_get(root, "sha256"));
	if (backup)
		snprintf(ret, size, "%s/%s", g->journal.dir, backup);
	if (sha && ret_sha256)
		snprintf(ret_sha256, 65, "%s", sha);
	yyjson_doc_free(doc);
	return 1;
}

static const char *word(yyjson_val *o, const char *key)
{
	const char *s = yyjson_get_str(yyjson_obj_get(o, key));

	return s ? s : "";
}

int guest_journal_each(struct guest *g,
	int (*each)(void *ctx, const struct guest_journal_entry *e), void *ctx,
	struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, end;
	int result = 0;

	if (guest_journal_text(g, g->journal.dir, &text, &len, err) < 0)
		return -1;
	for (char *p = text; p && p < text + len && !result; p += end + 1) {
		yyjson_doc *doc;
		yyjson_val *o;

		end = strcspn(p, "\n");
		doc = yyjson_read(p, end, YYJSON_READ_ALLOW_INVALID_UNICODE);
		o = yyjson_doc_get_root(doc);
		if (*word(o, "path"))
			result = each(ctx, &(struct guest_journal_entry){ word(o, "path"),
				yyjson_obj_get(o, "type") ? word(o, "type") : "absent",
				word(o, "sha256"), word(o, "backup"),
				word(o, "target") });
		yyjson_doc_free(doc);
	}
	return result;
}

static int save_content(struct guest *g, const char *path, const struct stat *st,
	yyjson_mut_doc *doc, yyjson_mut_val *o, struct err *err)
{
	char backup[32], full[256], sha[65], target[FS_PATH_MAX];

	if (S_ISLNK(st->st_mode)) {
		if (fs_readlink(&g->root, path, target, sizeof(target)) < 0)
			return err_sys(err, ERR_DISK_IO, "read the link %s", path);
		yyjson_mut_obj_add_str(doc, o, "type", "link");
		yyjson_mut_obj_add_strcpy(doc, o, "target", target);
		return 0;
	}
	if (S_ISDIR(st->st_mode)) {
		yyjson_mut_obj_add_str(doc, o, "type", "dir");
		return 0;
	}
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_FS_UNSAFE, "%s: a special file is not changed",
			path);
	/* numbers may have gaps, after an interruption */
	do {
		snprintf(backup, sizeof(backup), "files/%u", ++g->journal.n_saved);
		snprintf(full, sizeof(full), "%s/%s", g->journal.dir, backup);
	} while (fs_is_file(&g->root, full));
	if (fs_copy(&g->root, path, full, false, sha, err) < 0)
		return -1;
	yyjson_mut_obj_add_str(doc, o, "type", "file");
	yyjson_mut_obj_add_strcpy(doc, o, "backup", backup);
	yyjson_mut_obj_add_strcpy(doc, o, "sha256", sha);
	return 0;
}

/* Links among the folders resolved, so that one file has one name:
 * "/usr/lib/x" for "/lib/x". */
static void plain_path(struct guest *g, const char *path, char *ret, size_t size)
{
	const char *slash = strrchr(path, '/');
	struct err ignored = ERR_INIT; /* a folder that is not there has no
					* links either */
	char dir[FS_PATH_MAX], real[FS_PATH_MAX];

	snprintf(dir, sizeof(dir), "%.*s", slash > path ? (int)(slash - path) : 1, path);
	if (!slash || fs_real(&g->root, dir, real, sizeof(real), &ignored) < 0 ||
		(size_t)snprintf(ret, size, "%s%s", real[1] ? real : "", slash) >= size)
		snprintf(ret, size, "%s", path);
}

/* A line of an operation and one value. */
static int note(struct guest *g, const char *op, const char *key, const char *value,
	struct err *err)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(doc);
	int result;

	yyjson_mut_doc_set_root(doc, o);
	yyjson_mut_obj_add_str(doc, o, "op", op);
	yyjson_mut_obj_add_strcpy(doc, o, key, value);
	result = append(g, doc, err);
	yyjson_mut_doc_free(doc);
	return result;
}

int guest_journal_note_added(struct guest *g, const char *path, struct err *err)
{
	return note(g, "absent", "path", path, err);
}

int guest_journal_end(struct guest *g, const char *what, struct err *err)
{
	return note(g, "end", "what", what, err);
}

int guest_journal_save(struct guest *g, const char *any_path, struct err *err)
{
	char path[FS_PATH_MAX];
	CLEANUP_FREE char *text = NULL;
	yyjson_mut_doc *doc;
	yyjson_mut_val *o;
	yyjson_doc *known;
	size_t len = 0;
	struct stat st;
	int result = 0;

	plain_path(g, any_path, path, sizeof(path));
	if (g->journal.counted) {
		if (!fs_lstat(&g->root, path, &st) && S_ISREG(st.st_mode))
			*g->journal.counted += (uint64_t)st.st_size;
		return 0;
	}
	/* The first state counts; later ones are our own. */
	if (guest_journal_text(g, g->journal.dir, &text, &len, err) < 0)
		return -1;
	known = g->journal.since < len ?
		find_entry(text + g->journal.since, len - g->journal.since, path) : NULL;
	yyjson_doc_free(known);
	if (known)
		return 0;
	doc = yyjson_mut_doc_new(NULL);
	o = yyjson_mut_obj(doc);
	yyjson_mut_doc_set_root(doc, o);
	if (fs_lstat(&g->root, path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			result = err_sys(err, ERR_FS_UNSAFE, "look at %s", path);
		yyjson_mut_obj_add_str(doc, o, "op", "absent");
		yyjson_mut_obj_add_strcpy(doc, o, "path", path);
	} else {
		yyjson_mut_obj_add_str(doc, o, "op", "saved");
		yyjson_mut_obj_add_strcpy(doc, o, "path", path);
		result = save_content(g, path, &st, doc, o, err);
		yyjson_mut_obj_add_uint(doc, o, "mode", st.st_mode & 07777);
		yyjson_mut_obj_add_uint(doc, o, "uid", st.st_uid);
		yyjson_mut_obj_add_uint(doc, o, "gid", st.st_gid);
		yyjson_mut_obj_add_sint(doc, o, "mtime", st.st_mtim.tv_sec);
		yyjson_mut_obj_add_sint(doc, o, "mtime_ns", st.st_mtim.tv_nsec);
	}
	if (!result)
		result = append(g, doc, err);
	yyjson_mut_doc_free(doc);
	return result;
}

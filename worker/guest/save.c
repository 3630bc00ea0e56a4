/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving a path into the journal before it is changed:
 *   {"op":"saved","path":P,"type":"file","backup":"files/7","sha256":H,"mode":420,"uid":0,
 *    "gid":0,"mtime":S,"mtime_ns":N,"atime":S,"atime_ns":N,"ino":I,"ctime":S,"ctime_ns":N,
 *    "flags":F,"project":J,"xattrs":{"user.x":"6869"}}
 * also "type":"link" with "target", and "dir". Other names of a file come before it, with
 * "link": the name that they are links to, so that it is back before they are.
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct saving {
	struct guest *g;
	struct err *err;
	yyjson_mut_doc *doc;
	yyjson_mut_val *o, *xattrs;
};

static int add_xattr(void *ctx, const struct fs_xattr *x)
{
	struct saving *s = ctx;
	CLEANUP_FREE char *hex = malloc(2 * x->len + 1);

	if (!hex) {
		errno = ENOMEM;
		return -1;
	}
	for (size_t i = 0; i < x->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)x->value)[i]);
	hex[2 * x->len] = '\0';
	yyjson_mut_obj_add(s->xattrs, yyjson_mut_strcpy(s->doc, x->name),
		yyjson_mut_strcpy(s->doc, hex));
	return 0;
}

static void add_time(struct saving *s, const char *key, const char *key_ns,
	const struct timespec *t)
{
	yyjson_mut_obj_add_sint(s->doc, s->o, key, t->tv_sec);
	yyjson_mut_obj_add_sint(s->doc, s->o, key_ns, t->tv_nsec);
}

static int add_meta(struct saving *s, const char *path)
{
	struct fs_meta m;

	s->xattrs = yyjson_mut_obj(s->doc);
	if (fs_get_meta(&s->g->root, path, &m, add_xattr, s, s->err) < 0)
		return -1;
	yyjson_mut_obj_add_uint(s->doc, s->o, "mode", m.st.st_mode & 07777);
	yyjson_mut_obj_add_uint(s->doc, s->o, "uid", m.st.st_uid);
	yyjson_mut_obj_add_uint(s->doc, s->o, "gid", m.st.st_gid);
	add_time(s, "mtime", "mtime_ns", &m.st.st_mtim);
	add_time(s, "atime", "atime_ns", &m.st.st_atim);
	/* By these it is known later whether it was touched at all. */
	yyjson_mut_obj_add_uint(s->doc, s->o, "ino", m.st.st_ino);
	add_time(s, "ctime", "ctime_ns", &m.st.st_ctim);
	yyjson_mut_obj_add_uint(s->doc, s->o, "flags", m.flags);
	yyjson_mut_obj_add_uint(s->doc, s->o, "project", m.project);
	yyjson_mut_obj_add_val(s->doc, s->o, "xattrs", s->xattrs);
	return 0;
}

static int back_up(struct saving *s, const char *path)
{
	struct guest_journal *j = &s->g->journal;
	char backup[32], full[256], sha[65];

	/* numbers may have gaps, after an interruption */
	do {
		snprintf(backup, sizeof(backup), "files/%u", ++j->n_saved);
		snprintf(full, sizeof(full), "%s/%s", j->dir, backup);
	} while (fs_is_file(&s->g->root, full));
	if (fs_copy(&s->g->root, path, full, false, sha, s->err) < 0)
		return -1;
	yyjson_mut_obj_add_strcpy(s->doc, s->o, "backup", backup);
	yyjson_mut_obj_add_strcpy(s->doc, s->o, "sha256", sha);
	return 0;
}

/* Fills the entry of a path that is there. */
static int add_state(struct saving *s, const char *path, const struct stat *st)
{
	char target[FS_PATH_MAX];

	/* First: reading it for the backup changes when it was read last. */
	if (add_meta(s, path) < 0)
		return -1;
	if (S_ISDIR(st->st_mode)) {
		yyjson_mut_obj_add_str(s->doc, s->o, "type", "dir");
	} else if (S_ISLNK(st->st_mode)) {
		if (fs_readlink(&s->g->root, path, target, sizeof(target)) < 0)
			return err_sys(s->err, ERR_DISK_IO, "read the link %s", path);
		yyjson_mut_obj_add_str(s->doc, s->o, "type", "link");
		yyjson_mut_obj_add_strcpy(s->doc, s->o, "target", target);
	} else if (S_ISREG(st->st_mode)) {
		yyjson_mut_obj_add_str(s->doc, s->o, "type", "file");
		return back_up(s, path);
	} else {
		return err_set(s->err, ERR_FS_UNSAFE,
			"%s: a special file is not changed", path);
	}
	return 0;
}

static yyjson_mut_doc *new_entry(struct saving *s, const char *op, const char *path)
{
	s->doc = yyjson_mut_doc_new(NULL);
	s->o = yyjson_mut_obj(s->doc);
	yyjson_mut_doc_set_root(s->doc, s->o);
	yyjson_mut_obj_add_str(s->doc, s->o, "op", op);
	yyjson_mut_obj_add_strcpy(s->doc, s->o, "path", path);
	return s->doc;
}

/* The same entry under another name of the file. */
static int append_link(void *ctx, const char *name)
{
	struct saving *s = ctx;
	const char *first = yyjson_mut_get_str(yyjson_mut_obj_get(s->o, "path"));
	yyjson_mut_doc *doc = yyjson_mut_doc_mut_copy(s->doc, NULL);
	yyjson_mut_val *o = yyjson_mut_doc_get_root(doc);
	int result;

	yyjson_mut_obj_put(o, yyjson_mut_str(doc, "path"), yyjson_mut_strcpy(doc, name));
	yyjson_mut_obj_add_strcpy(doc, o, "link", first);
	result = guest_journal_append(s->g, s->g->journal.dir, doc, s->err);
	yyjson_mut_doc_free(doc);
	return result;
}

/* Notes one path, not those above it. */
static int save_one(struct guest *g, const char *path, struct err *err)
{
	struct saving s = { .g = g, .err = err };
	struct stat st;
	int result = 0, known = guest_journal_knows(g, path, err);

	/* The first state counts; later ones are our own. */
	if (known)
		return known < 0 ? -1 : 0;
	if (fs_lstat(&g->root, path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_sys(err, ERR_FS_UNSAFE, "look at %s", path);
		new_entry(&s, "absent", path);
	} else {
		new_entry(&s, "saved", path);
		result = add_state(&s, path, &st);
		if (!result && !S_ISDIR(st.st_mode) && st.st_nlink > 1)
			result = guest_links_each(g, path, &st, append_link, &s, err);
	}
	if (!result)
		result = guest_journal_append(g, g->journal.dir, s.doc, err);
	yyjson_mut_doc_free(s.doc);
	return result;
}

/* A folder's times change with what is in it, and one that is not there will be made. */
static int save_folders(struct guest *g, const char *path, struct err *err)
{
	char dir[FS_PATH_MAX];
	struct stat st;
	size_t n = strlen(path);

	/* From the folder that is there, downwards. */
	do {
		while (n && path[n - 1] != '/')
			n--;
		n -= n > 1;
		snprintf(dir, sizeof(dir), "%.*s", (int)n, path);
	} while (n > 1 && fs_lstat(&g->root, dir, &st) < 0);
	while (n && path[n]) {
		if (save_one(g, dir, err) < 0)
			return -1;
		n += path[n] == '/';
		n += strcspn(path + n, "/");
		snprintf(dir, sizeof(dir), "%.*s", (int)n, path);
	}
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

int guest_journal_save(struct guest *g, const char *any_path, struct err *err)
{
	char path[FS_PATH_MAX];
	struct stat st;

	plain_path(g, any_path, path, sizeof(path));
	if (g->journal.counted) {
		if (!fs_lstat(&g->root, path, &st) && S_ISREG(st.st_mode))
			*g->journal.counted += (uint64_t)st.st_size;
		return 0;
	}
	return save_folders(g, path, err) < 0 ? -1 : save_one(g, path, err);
}

int guest_journal_save_folder(struct guest *g, const char *dir,
	yyjson_mut_doc **ret, struct err *err)
{
	struct saving s = { .g = g, .err = err };

	*ret = new_entry(&s, "saved", dir);
	yyjson_mut_obj_add_str(s.doc, s.o, "type", "dir");
	return add_meta(&s, dir);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes what a preparation made of each path that its journal knows, and tells whether
 * somebody changed that later:
 *   {"op":"after","path":P,"same":true}     it was not touched: undo leaves it alone
 *   {"op":"after","path":P,"was":"absent"|"there","type":"absent"|"file"|"link"|"dir",
 *    "mode":M,"uid":U,"gid":G,"sha256":H | "target":T | "mtime":S,"mtime_ns":N}
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct state {
	const char *type; /* "other": none that is ever saved */
	struct stat st;
	char sha256[65], target[FS_PATH_MAX];
};

static int look_at(struct guest *g, const char *path, struct state *s, struct err *err)
{
	memset(s, 0, sizeof(*s));
	s->type = "absent";
	if (fs_lstat(&g->root, path, &s->st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
			err_sys(err, ERR_DISK_IO, "look at %s", path);
	if (S_ISREG(s->st.st_mode)) {
		s->type = "file";
		return fs_sha256(&g->root, path, s->sha256, err);
	}
	s->type = S_ISDIR(s->st.st_mode) ? "dir" :
		S_ISLNK(s->st.st_mode) ? "link" : "other";
	if (S_ISLNK(s->st.st_mode) &&
	    fs_readlink(&g->root, path, s->target, sizeof(s->target)) < 0)
		return err_sys(err, ERR_DISK_IO, "read the link %s", path);
	return 0;
}

static uint64_t number(yyjson_val *o, const char *key)
{
	yyjson_val *v = yyjson_obj_get(o, key);

	return yyjson_is_sint(v) ? (uint64_t)yyjson_get_sint(v) : yyjson_get_uint(v);
}

/* The journal's first entry of a path says so: no call has changed anything of it. A
 * folder's times are changed by the undo of what is in it. */
static bool is_untouched(const struct guest_journal_entry *e, const struct state *s)
{
	return !strcmp(e->type, s->type) && strcmp(s->type, "dir") &&
		(!strcmp(s->type, "absent") ||
		(yyjson_obj_get(e->all, "ino") &&
			number(e->all, "ino") == s->st.st_ino &&
			number(e->all, "ctime") == (uint64_t)s->st.st_ctim.tv_sec &&
			number(e->all, "ctime_ns") ==
				(uint64_t)s->st.st_ctim.tv_nsec));
}

static yyjson_mut_doc *describe(const char *path, const char *was, const struct state *s)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(doc);

	yyjson_mut_doc_set_root(doc, o);
	yyjson_mut_obj_add_str(doc, o, "op", "after");
	yyjson_mut_obj_add_strcpy(doc, o, "path", path);
	if (!was) {
		yyjson_mut_obj_add_bool(doc, o, "same", true);
		return doc;
	}
	yyjson_mut_obj_add_str(doc, o, "was", was);
	yyjson_mut_obj_add_str(doc, o, "type", s->type);
	yyjson_mut_obj_add_uint(doc, o, "mode", s->st.st_mode & 07777);
	yyjson_mut_obj_add_uint(doc, o, "uid", s->st.st_uid);
	yyjson_mut_obj_add_uint(doc, o, "gid", s->st.st_gid);
	if (*s->sha256)
		yyjson_mut_obj_add_str(doc, o, "sha256", s->sha256);
	if (*s->target)
		yyjson_mut_obj_add_str(doc, o, "target", s->target);
	yyjson_mut_obj_add_sint(doc, o, "mtime", s->st.st_mtim.tv_sec);
	yyjson_mut_obj_add_sint(doc, o, "mtime_ns", s->st.st_mtim.tv_nsec);
	return doc;
}

struct result {
	struct guest *g;
	struct guest_paths seen;
	struct strbuf lines;
	struct err *err;
};

static int add_lines(struct result *r, yyjson_mut_doc *doc)
{
	size_t len;
	CLEANUP_FREE char *json = guest_journal_json(doc, &len, r->err);

	yyjson_mut_doc_free(doc);
	if (json)
		strbuf_add(&r->lines, json, len);
	return json ? 0 : -1;
}

static int add_result(void *ctx, const struct guest_journal_entry *e)
{
	struct result *r = ctx;
	bool was = strcmp(e->type, "absent") != 0;
	struct state s;

	if (!strcmp(e->op, "after") || guest_paths_has(&r->seen, e->path))
		return 0;
	if (look_at(r->g, e->path, &s, r->err) < 0 ||
		guest_paths_add(&r->seen, e->path, r->err) < 0)
		return -1;
	if (r->g->opt->tick)
		r->g->opt->tick(r->g->opt->ctx);
	return add_lines(r, describe(e->path, is_untouched(e, &s) ? NULL :
		was ? "there" : "absent", &s));
}

int guest_result_note(struct guest *g, struct err *err)
{
	struct result r = { .g = g, .lines = STRBUF_INIT, .err = err };
	int result;

	strbuf_str(&r.lines, "{\"op\":\"result\"}\n");
	result = guest_journal_each(g, g->journal.dir, add_result, &r, err);
	if (!result && r.lines.failed)
		result = err_set(err, ERR_NOMEM, "write the journal: out of memory");
	if (!result)
		result = guest_journal_write(g, g->journal.dir, r.lines.s, r.lines.len,
			err);
	guest_paths_free(&r.seen);
	strbuf_free(&r.lines);
	return result;
}

/* How the path differs from what the preparation left; NULL: not at all, or it is what
 * undo would make of it. */
static const char *changed_how(yyjson_val *o, const struct state *s)
{
	const char *type = yyjson_get_str(yyjson_obj_get(o, "type"));
	const char *sha = yyjson_get_str(yyjson_obj_get(o, "sha256"));
	const char *target = yyjson_get_str(yyjson_obj_get(o, "target"));
	bool gone = !strcmp(s->type, "absent");

	if (gone)
		return !type || !strcmp(type, "absent") ||
			yyjson_equals_str(yyjson_obj_get(o, "was"), "absent") ? NULL :
			"removed";
	if (!type || !strcmp(type, "absent"))
		return "added";
	return !strcmp(type, s->type) && !strcmp(sha ? sha : "", s->sha256) &&
		!strcmp(target ? target : "", s->target) &&
		(S_ISLNK(s->st.st_mode) || number(o, "mode") ==
			(s->st.st_mode & 07777)) &&
		number(o, "uid") == s->st.st_uid &&
		number(o, "gid") == s->st.st_gid ? NULL : "changed";
}

static bool has_other_time(yyjson_val *o, const struct state *s)
{
	return number(o, "mtime") != (uint64_t)s->st.st_mtim.tv_sec ||
		number(o, "mtime_ns") != (uint64_t)s->st.st_mtim.tv_nsec;
}

struct check {
	struct guest *g;
	struct guest_edits *edits;
	bool applied; /* else nothing tells what it made of its paths */
	struct err *err;
};

/* A path that a later preparation of the same migration knows was looked at there. */
static int check_path(void *ctx, const struct guest_journal_entry *e)
{
	struct check *c = ctx;
	const char *how;
	struct state s;

	if (strcmp(e->op, "after") || yyjson_obj_get(e->all, "same") ||
		guest_paths_has(&c->edits->looked_at, e->path))
		return 0;
	if (look_at(c->g, e->path, &s, c->err) < 0)
		return -1;
	if (c->g->opt->tick)
		c->g->opt->tick(c->g->opt->ctx);
	how = changed_how(e->all, &s);
	if (how) {
		guest_report_path(c->g, c->g->edited, e->path, how);
		return guest_paths_add(&c->edits->kept, e->path, c->err);
	}
	return !strcmp(s.type, "dir") && has_other_time(e->all, &s) ?
		guest_paths_add(&c->edits->folders, e->path, c->err) : 0;
}

/* Those that undo is going to bring back to what an earlier one of the same migration
 * left. */
static int add_path(void *ctx, const struct guest_journal_entry *e)
{
	struct check *c = ctx;

	return yyjson_obj_get(e->all, "same") ||
		!strcmp(e->op, "after") != c->applied ? 0 :
		guest_paths_add(&c->edits->looked_at, e->path, c->err);
}

int guest_result_check(struct guest *g, const char *dir, bool applied,
	struct guest_edits *edits, struct err *err)
{
	struct check c = { g, edits, applied, err };

	return guest_journal_each(g, dir, check_path, &c, err) < 0 ||
		guest_journal_each(g, dir, add_path, &c, err) < 0 ? -1 : 0;
}

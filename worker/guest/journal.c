/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before a preparation changes a path, it is copied to GUEST_STATE_DIR/NUMBER/files/N
 * and noted in GUEST_STATE_DIR/NUMBER/journal: one JSON object a line,
 *   {"op":"begin","time":T,"continues":B,"ran":R}   the first one
 *   {"op":"saved","path":P,"type":"file","backup":"files/7","sha256":H,...}   (save.c)
 *   {"op":"absent","path":P}         nothing was there: undo removes what is
 *   {"op":"result"}                  then one of these for each of the paths (result.c):
 *   {"op":"after","path":P,...}      what the preparation made of it
 *   {"op":"end","what":"applied","digest":D}   it is complete
 *   {"op":"undo","kept":[P,...],"folders":[P,...]}   an undo has begun (undo.c)
 *   {"op":"end","what":"undone"}     played back; all that is left is to remove this
 *   {"op":"earlier"}                 the next preparation began on another state
 * A line is written through before the change it speaks of. Played backwards, they
 * restore.
 *
 * Preparations are ordered by their NUMBER, as a clock may be wrong. One that "continues"
 * found each path as its predecessor had left it: both are of one migration. Where
 * anything differed, the guest has been running, and its earlier preparation is history.
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"

#define JOURNAL_MAX (64u << 20)

/* Folders of a version that named them by time ("20260101T000000Z") are the oldest. */
static unsigned number_of(const char *id)
{
	return strspn(id, "0123456789") == 6 && !id[6] ?
		(unsigned)strtoul(id, NULL, 10) : 0;
}

unsigned guest_journal_number(const char *dir)
{
	return number_of(strrchr(dir, '/') + 1);
}

struct last {
	const char *before; /* "" = none is too late */
	char id[64];
};

static bool is_later(const char *a, const char *b)
{
	unsigned x = number_of(a), y = number_of(b);

	return x != y ? x > y : strcmp(a, b) > 0;
}

static int look_at_id(void *ctx, const char *name, const struct stat *st)
{
	struct last *l = ctx;

	if (S_ISDIR(st->st_mode) && *name >= '0' && *name <= '9' &&
		strlen(name) < sizeof(l->id) && (!*l->id || is_later(name, l->id)) &&
		(!*l->before || is_later(l->before, name)))
		snprintf(l->id, sizeof(l->id), "%s", name);
	return 0;
}

int guest_journal_last(struct guest *g, const char *before, char *ret, size_t size,
	struct err *err)
{
	const char *slash = before ? strrchr(before, '/') : NULL;
	struct last l = { slash ? slash + 1 : "", "" };

	*ret = '\0';
	if (fs_list(&g->root, GUEST_STATE_DIR, look_at_id, &l, err) < 0)
		return -1;
	if (*l.id)
		snprintf(ret, size, "%s/%s", GUEST_STATE_DIR, l.id);
	return 0;
}

int guest_journal_text(struct guest *g, const char *dir, char **ret, size_t *ret_len,
	struct err *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/journal", dir);
	return fs_read(&g->root, path, JOURNAL_MAX, ret, ret_len, err);
}

yyjson_doc *guest_journal_line(const char *line, size_t len)
{
	return yyjson_read(line, len, YYJSON_READ_ALLOW_INVALID_UNICODE);
}

static const char *word(yyjson_val *o, const char *key)
{
	const char *s = yyjson_get_str(yyjson_obj_get(o, key));

	return s ? s : "";
}

static void take_mark(struct guest_journal_marks *m, yyjson_val *o)
{
	const char *op = word(o, "op"), *what = word(o, "what");

	if (!strcmp(op, "begin")) {
		m->continues = yyjson_get_bool(yyjson_obj_get(o, "continues"));
		snprintf(m->ran, sizeof(m->ran), "%s", word(o, "ran"));
	} else if (!strcmp(op, "end") && !strcmp(what, "applied")) {
		m->applied = true;
		snprintf(m->digest, sizeof(m->digest), "%s", word(o, "digest"));
	} else if (!strcmp(op, "end") && !strcmp(what, "undone")) {
		m->undone = true;
	} else if (!strcmp(op, "undo")) {
		m->undoing = true;
	} else if (!strcmp(op, "earlier")) {
		m->earlier = true;
	}
}

int guest_journal_marks(struct guest *g, const char *dir, struct guest_journal_marks *ret,
	struct err *err)
{
	static const char *const many[] = { "{\"op\":\"saved\"", "{\"op\":\"absent\"",
		"{\"op\":\"after\"" };
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, end;

	memset(ret, 0, sizeof(*ret));
	if (guest_journal_text(g, dir, &text, &len, err) < 0)
		return -1;
	ret->empty = !text || !memchr(text, '\n', len);
	for (char *p = text; p && p < text + len; p += end + 1) {
		bool skip = false;
		yyjson_doc *doc;

		end = strcspn(p, "\n");
		for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
			skip |= !strncmp(p, many[i], strlen(many[i]));
		doc = skip ? NULL : guest_journal_line(p, end);
		take_mark(ret, yyjson_doc_get_root(doc));
		yyjson_doc_free(doc);
	}
	return 0;
}

int guest_journal_newest(struct guest *g, char *ret, size_t size, bool *ret_complete,
	struct err *err)
{
	struct guest_journal_marks m;

	*ret_complete = false;
	if (guest_journal_last(g, NULL, ret, size, err) < 0)
		return -1;
	if (*ret && guest_journal_marks(g, ret, &m, err) < 0)
		return -1;
	*ret_complete = *ret && m.applied;
	return 0;
}

/* A line that was cut short by a crash is ended first: it speaks of nothing that
 * happened, and the next one must not be taken for its rest. */
static int end_last_line(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (size < 0 || (size && pread(fd, &last, 1, size - 1) != 1))
		return -1;
	return last == '\n' ? 0 : fdio_write(fd, "\n", 1);
}

static void keep_text(struct guest_journal *j, const char *dir, const char *json,
	size_t len)
{
	if (strcmp(j->text_of, dir))
		return;
	if (j->text.len && j->text.s[j->text.len - 1] != '\n')
		strbuf_str(&j->text, "\n");
	strbuf_add(&j->text, json, len);
	if (j->text.failed)
		j->text_of[0] = '\0'; /* read anew */
}

int guest_journal_write(struct guest *g, const char *dir, const char *lines, size_t len,
	struct err *err)
{
	char path[256];
	CLEANUP_CLOSE int fd = -1, folder = -1;

	snprintf(path, sizeof(path), "%s/journal", dir);
	fd = fs_open(&g->root, path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
	if (fd >= 0 && !lseek(fd, 0, SEEK_END)) /* its name, too */
		folder = fs_open(&g->root, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || end_last_line(fd) < 0 || fdio_write(fd, lines, len) < 0 ||
		fsync(fd) < 0 || (folder >= 0 && fsync(folder) < 0))
		return err_sys(err,
			errno == ENOSPC ? ERR_PREP_NO_SPACE : ERR_DISK_IO, "write %s",
			path);
	keep_text(&g->journal, dir, lines, len);
	return 0;
}

char *guest_journal_json(yyjson_mut_doc *doc, size_t *ret_len, struct err *err)
{
	char *json = yyjson_mut_write(doc,
		YYJSON_WRITE_NEWLINE_AT_END | YYJSON_WRITE_ALLOW_INVALID_UNICODE,
		ret_len);

	if (!json)
		err_set(err, ERR_NOMEM, "write the journal: out of memory");
	return json;
}

int guest_journal_append(struct guest *g, const char *dir, yyjson_mut_doc *doc,
	struct err *err)
{
	size_t len;
	CLEANUP_FREE char *json = guest_journal_json(doc, &len, err);

	return json ? guest_journal_write(g, dir, json, len, err) : -1;
}

int guest_journal_note(struct guest *g, const char *dir, const char *op, const char *key,
	const char *value, struct err *err)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(doc);
	int result;

	yyjson_mut_doc_set_root(doc, o);
	yyjson_mut_obj_add_str(doc, o, "op", op);
	if (key)
		yyjson_mut_obj_add_strcpy(doc, o, key, value);
	result = guest_journal_append(g, dir, doc, err);
	yyjson_mut_doc_free(doc);
	return result;
}

int guest_journal_note_added(struct guest *g, const char *path, struct err *err)
{
	return guest_journal_note(g, g->journal.dir, "absent", "path", path, err);
}

int guest_journal_end(struct guest *g, uint64_t digest, struct err *err)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(doc);
	char hex[17];
	int result;

	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)digest);
	yyjson_mut_doc_set_root(doc, o);
	yyjson_mut_obj_add_str(doc, o, "op", "end");
	yyjson_mut_obj_add_str(doc, o, "what", "applied");
	yyjson_mut_obj_add_str(doc, o, "digest", hex);
	result = guest_journal_append(g, g->journal.dir, doc, err);
	yyjson_mut_doc_free(doc);
	return result;
}

/* The open journal's text, kept beside the file: it is asked before each change. */
static const struct strbuf *open_text(struct guest *g, struct err *err)
{
	struct guest_journal *j = &g->journal;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (!strcmp(j->text_of, j->dir))
		return &j->text;
	if (guest_journal_text(g, j->dir, &text, &len, err) < 0)
		return NULL;
	strbuf_reset(&j->text);
	strbuf_add(&j->text, text ? text : "", len);
	if (j->text.failed) {
		err_set(err, ERR_NOMEM, "read the journal: out of memory");
		return NULL;
	}
	snprintf(j->text_of, sizeof(j->text_of), "%s", j->dir);
	return &j->text;
}

/* How a line writes the path, unless an odd byte in it is written in another way. */
static bool as_written(const char *path, char *ret, size_t size)
{
	for (const char *p = path; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return false;
	return (size_t)snprintf(ret, size, "\"path\":\"%s\"", path) < size;
}

/* The first entry for a path behind `since`; NULL if there is none.
 * Free with yyjson_doc_free. */
static yyjson_doc *find_entry(const struct strbuf *text, size_t since, const char *path)
{
	const char *begin = text->len > since ? text->s + since : NULL, *p, *next;
	const char *end = begin ? text->s + text->len : NULL;
	char written[FS_PATH_MAX + 16];
	bool plain = as_written(path, written, sizeof(written));

	for (p = begin; p < end; p = next + 1) {
		yyjson_doc *doc;
		yyjson_val *o;

		if (plain) {
			p = memmem(p, (size_t)(end - p), written, strlen(written));
			if (!p)
				return NULL;
			while (p > begin && p[-1] != '\n')
				p--;
		}
		next = p + strcspn(p, "\n");
		doc = guest_journal_line(p, (size_t)(next - p));
		o = yyjson_doc_get_root(doc);
		if (yyjson_equals_str(yyjson_obj_get(o, "path"), path) &&
			strcmp(word(o, "op"), "after") != 0)
			return doc;
		yyjson_doc_free(doc);
	}
	return NULL;
}

int guest_journal_knows(struct guest *g, const char *path, struct err *err)
{
	const struct strbuf *text = open_text(g, err);
	yyjson_doc *doc = text ? find_entry(text, g->journal.since, path) : NULL;

	yyjson_doc_free(doc);
	return text ? doc != NULL : -1;
}

int guest_journal_find(struct guest *g, const char *path, char *ret, size_t size,
	char *ret_sha256, struct err *err)
{
	const struct strbuf *text = *g->journal.dir ? open_text(g, err) : NULL;
	yyjson_doc *doc;
	yyjson_val *o;

	*ret = '\0';
	if (ret_sha256)
		*ret_sha256 = '\0';
	if (!text)
		return *g->journal.dir ? -1 : 0;
	doc = find_entry(text, 0, path);
	if (!doc)
		return 0;
	o = yyjson_doc_get_root(doc);
	if (*word(o, "backup"))
		snprintf(ret, size, "%s/%s", g->journal.dir, word(o, "backup"));
	if (ret_sha256)
		snprintf(ret_sha256, 65, "%.64s", word(o, "sha256"));
	yyjson_doc_free(doc);
	return 1;
}

/* Behind the last line that begins a list of results: one that was cut short, and what
 * an interrupted run noted, no longer counts. */
static size_t last_result(const char *text, size_t len)
{
	static const char begin[] = "{\"op\":\"result\"}\n";
	const char *p = text, *last = text, *end = text + len;

	while (p && p < end && (p = memmem(p, (size_t)(end - p), begin,
		sizeof(begin) - 1)))
		last = p++;
	return (size_t)(last - text);
}

int guest_journal_each(struct guest *g, const char *dir,
	int (*each)(void *ctx, const struct guest_journal_entry *e), void *ctx,
	struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, end, results;
	int result = 0;

	if (guest_journal_text(g, dir, &text, &len, err) < 0)
		return -1;
	results = text ? last_result(text, len) : 0;
	for (char *p = text; p && p < text + len && !result; p += end + 1) {
		yyjson_doc *doc;
		yyjson_val *o;

		end = strcspn(p, "\n");
		doc = guest_journal_line(p, end);
		o = yyjson_doc_get_root(doc);
		if (*word(o, "path") && ((size_t)(p - text) >= results ||
			strcmp(word(o, "op"), "after") != 0))
			result = each(ctx, &(struct guest_journal_entry){ word(o, "op"),
				word(o, "path"),
				yyjson_obj_get(o, "type") ? word(o, "type") : "absent",
				word(o, "sha256"), word(o, "backup"),
				word(o, "target"), o });
		yyjson_doc_free(doc);
	}
	return result;
}

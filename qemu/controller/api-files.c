/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker leaves behind: logs as files below the state directory, journals,
 * and its result. */
#include "controller.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the folder has room for one more. */
static bool may_add(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	unsigned n = 0;

	while (dir && (e = readdir(dir)))
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n < MAX_LOGS;
}

/* -1 with errno EDQUOT: there are too many. */
static int open_log(struct server *s, struct request *q)
{
	char path[1024];
	int n, fd, sys, flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW;

	n = snprintf(path, sizeof(path), "%s/logs", s->store.dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		goto fail;
	snprintf(path + n, sizeof(path) - (size_t)n, "/%s", q->worker_id);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		goto fail;
	if (may_add(path))
		flags |= O_CREAT;
	snprintf(path + n, sizeof(path) - (size_t)n, "/%s/%s", q->worker_id, q->name);
	fd = open(path, flags, 0600);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		errno = EDQUOT;
fail:
	sys = errno;
	note("%s: %s", path, strerror(sys));
	errno = sys;
	return -1;
}

/* Writes what is new of [offset, offset + len) behind size bytes. -1 with errno. */
static int append(int fd, const char *data, size_t len, int64_t offset, int64_t size)
{
	size_t skip = (size_t)(size - offset);

	while (skip < len) {
		ssize_t n = pwrite(fd, data + skip, len - skip, offset + (off_t)skip);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			skip += (size_t)n;
	}
	return fsync(fd);
}

void api_logs(struct server *s, struct request *q, struct reply *r)
{
	struct stat sb;
	int64_t end;
	int fd, room;

	if (!is_name(q->name, 64, ".-") ||
	    strpbrk(q->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
		problem(r, 400, "CTL_PROTO", "this cannot be the name of a log");
		return;
	}
	if (q->offset < 0 || q->offset > MAX_LOG || !q->len) {
		problem(r, 400, "CTL_PROTO", "offset or body: missing or out of range");
		return;
	}
	end = q->offset + (int64_t)q->len;
	if (end > MAX_LOG) {
		problem(r, 413, "CTL_PROTO", "a log has at most %u bytes", MAX_LOG);
		return;
	}
	fd = open_log(s, q);
	if (fd < 0 && errno == EDQUOT) {
		problem(r, 413, "CTL_PROTO", "at most %u logs of a boot are kept", MAX_LOGS);
	} else if (fd < 0 || fstat(fd, &sb) < 0) {
		problem(r, 500, "INTERNAL", "the log could not be stored");
	} else if (q->offset > sb.st_size) {
		problem(r, 409, "CTL_PROTO", "the log has only %lld bytes",
			(long long)sb.st_size);
		r->body = json_pack("{sI}", "size", (json_int_t)sb.st_size);
	} else if (end > sb.st_size && (room = store_take(&s->store, q->migration,
		(size_t)(end - sb.st_size))) <= 0) {
		problem(r, room ? 500 : 413, room ? "INTERNAL" : "CTL_PROTO",
			"the migration has left too much here: the log is not kept");
	} else if (append(fd, q->body, q->len, q->offset, sb.st_size) < 0) {
		note("log %s of %s: %s", q->name, q->worker_id, strerror(errno));
		problem(r, 500, "INTERNAL", "the log could not be stored");
	} else {
		r->status = 200;
		r->body = json_pack("{sI}", "size",
			(json_int_t)(end > sb.st_size ? end : sb.st_size));
	}
	if (fd >= 0)
		close(fd);
}

/* The drive that the path names; -1 with r filled. */
static int drive_of(const struct request *q, struct reply *r)
{
	int drive = -1;
	char end;

	if (strspn(q->name, "0123456789") == strlen(q->name) && strlen(q->name) <= 2 &&
		sscanf(q->name, "%d%c", &drive, &end) == 1 && drive < 64)
		return drive;
	problem(r, 400, "CTL_PROTO", "this cannot be the number of a drive");
	return -1;
}

static const struct field journal_fields[] = {
	{ "journal", JSON_STRING, true, 0, MAX_JOURNAL },
	{ .name = NULL },
};

/* It is the workers' business what is in it. */
void api_journal_put(struct server *s, struct request *q, struct reply *r)
{
	json_t *in = json_loadb(q->body ? q->body : "", q->len, JSON_REJECT_DUPLICATES,
		NULL);
	const char *journal = get_string(in, "journal");
	int drive = drive_of(q, r);
	char why[256];

	if (drive < 0)
		goto out;
	if (!in)
		problem(r, 400, "CTL_PROTO", "the body is not JSON");
	else if (check_fields(in, journal_fields, why) < 0)
		problem(r, 400, "CTL_PROTO", "%s", why);
	else if (strspn(journal, "0123456789abcdef") != strlen(journal) ||
	    strlen(journal) % 2)
		problem(r, 400, "CTL_PROTO", "journal: is not hexadecimal");
	else if (sql_run(&s->store, "INSERT INTO journal VALUES (?, ?, ?) ON CONFLICT"
		" (migration, drive) DO UPDATE SET doc = excluded.doc", "sis",
		q->migration, (int64_t)drive, journal) < 0)
		problem(r, 500, "INTERNAL", "the journal could not be stored");
	else {
		r->status = 200;
		r->body = json_pack("{sI}", "size", (json_int_t)(strlen(journal) / 2));
	}
out:
	json_decref(in);
}

void api_journal_get(struct server *s, struct request *q, struct reply *r)
{
	int drive = drive_of(q, r);
	char *journal;

	if (drive < 0)
		return;
	journal = sql_text(&s->store,
		"SELECT doc FROM journal WHERE migration = ? AND drive = ?",
		"si", q->migration, (int64_t)drive);
	r->status = 200;
	r->body = json_pack("{ss}", "journal", journal ? journal : "");
	free(journal);
}

static const struct field result_fields[] = {
	{ "verdict", JSON_STRING, true, 1, 16 },
	{ "err", JSON_OBJECT, false, 0, 0 },
	{ .name = NULL },
};

/* What an operator told this boot outranks the wish that the migration was made with. */
static char *wish(struct store *st, const struct request *q)
{
	char *verb = sql_text(st, "SELECT verb FROM command WHERE migration = ?"
		" AND verb IN ('hold', 'poweroff') AND status IN ('done', 'accepted')"
		" AND answered_ms >= (SELECT registered_ms FROM worker WHERE row = ?)"
		" ORDER BY seq DESC LIMIT 1", "si", q->migration, q->worker);

	return verb ? verb :
		sql_text(st, "SELECT \"then\" FROM migration WHERE id = ?", "s",
			q->migration);
}

static int store_result(struct server *s, struct request *q, const char *verdict,
	const char sha256[65])
{
	struct store *st = &s->store;
	char *old = sql_text(st, "SELECT sha256 FROM result WHERE worker = ?", "i",
		q->worker);
	bool same = old && !strcmp(old, sha256);
	char text[64];

	free(old);
	if (same)
		return 0;
	if (sql_run(st, "INSERT INTO result VALUES (?, ?, ?, ?, ?) ON CONFLICT (worker) DO UPDATE SET"
		" sha256 = excluded.sha256, received_ms = excluded.received_ms,"
		" verdict = excluded.verdict, doc = excluded.doc", "isiss", q->worker,
		sha256, now_ms(), verdict, q->body) < 0)
		return -1;
	if (!strcmp(verdict, "success") &&
	    sql_run(st, "UPDATE migration SET state = 'finished' WHERE id = ?", "s",
		    q->migration) < 0)
		return -1;
	snprintf(text, sizeof(text), "result: %s", verdict);
	return store_event(st, q->migration, q->worker, "result_stored", text);
}

void api_result(struct server *s, struct request *q, struct reply *r)
{
	json_t *in = json_loadb(q->body ? q->body : "", q->len, JSON_REJECT_DUPLICATES,
		NULL);
	const char *verdict = get_string(in, "verdict");
	char why[256], sha256[65], *then;

	if (!in)
		problem(r, 400, "CTL_PROTO", "the body is not JSON");
	else if (check_fields(in, result_fields, why) < 0)
		problem(r, 400, "CTL_PROTO", "%s", why);
	else if (strcmp(verdict, "success") && strcmp(verdict, "failed") &&
		 strcmp(verdict, "cancelled"))
		problem(r, 400, "CTL_PROTO",
			"verdict: is not success, failed or cancelled");
	else {
		identity_sha256(q->body, q->len, sha256);
		if (store_result(s, q, verdict, sha256) < 0)
			problem(r, 500, "INTERNAL", "the result could not be stored");
	}
	json_decref(in);
	if (r->status)
		return;
	then = wish(&s->store, q);
	r->status = 200;
	r->body = json_pack("{ss ss*}", "sha256", sha256, "then", then);
	free(then);
}

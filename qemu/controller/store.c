/* SPDX-License-Identifier: Apache-2.0 */
/* The tables and the few ways in which they are used. */
#include "controller.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * synchronous=FULL makes a commit in WAL mode survive a power cut, not only a killed
 * process. An enrol token is kept as its hash; a session token is not kept at all
 * (identity_session).
 */
static const char schema[] =
	"PRAGMA journal_mode=WAL;"
	"PRAGMA synchronous=FULL;"
	"PRAGMA foreign_keys=ON;"
	"BEGIN IMMEDIATE;"
	"CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS migration (id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE,"
	"	created_ms INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'open', \"then\" TEXT);"
	"CREATE TABLE IF NOT EXISTS worker (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
	"	migration TEXT NOT NULL REFERENCES migration(id), boot INTEGER NOT NULL,"
	"	boot_id TEXT NOT NULL, nonce TEXT NOT NULL, registered_ms INTEGER NOT NULL,"
	"	seen_ms INTEGER NOT NULL, lost INTEGER NOT NULL DEFAULT 0,"
	"	state TEXT NOT NULL DEFAULT 'REGISTER', step TEXT, facts TEXT NOT NULL,"
	"	heartbeat TEXT, UNIQUE (migration, boot), UNIQUE (migration, boot_id));"
	"CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	migration TEXT NOT NULL REFERENCES migration(id), worker INTEGER,"
	"	source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,"
	"	received_ms INTEGER NOT NULL, doc TEXT NOT NULL, UNIQUE (source, id));"
	"CREATE INDEX IF NOT EXISTS event_by_migration ON event (migration, seq);"
	"CREATE TABLE IF NOT EXISTS progress (worker INTEGER NOT NULL REFERENCES worker(row),"
	"	drive INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (worker, drive));"
	"CREATE TABLE IF NOT EXISTS command (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	id TEXT NOT NULL UNIQUE, migration TEXT NOT NULL REFERENCES migration(id),"
	"	verb TEXT NOT NULL, args TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'queued',"
	"	created_ms INTEGER NOT NULL, answered_ms INTEGER, err TEXT);"
	"CREATE TABLE IF NOT EXISTS result (worker INTEGER PRIMARY KEY REFERENCES worker(row),"
	"	sha256 TEXT NOT NULL, received_ms INTEGER NOT NULL, verdict TEXT NOT NULL,"
	"	doc TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS journal (migration TEXT NOT NULL REFERENCES migration(id),"
	"	drive INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (migration, drive));"
	"CREATE TABLE IF NOT EXISTS usage (migration TEXT PRIMARY KEY REFERENCES migration(id),"
	"	bytes INTEGER NOT NULL);"
	"COMMIT;";

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void format_time(int64_t ms, char ret[32])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, 32 - n, ".%03dZ", (int)(ms % 1000));
}

void store_open(struct store *s, const char *dir)
{
	char path[600], *why = NULL;

	if (!dir)
		die("no state directory: give --state DIR");
	if (strlen(dir) >= sizeof(s->dir))
		die("%s: name too long", dir);
	strcpy(s->dir, dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		die("%s: %s", dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/state.db", dir);
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
			SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK)
		die("%s: %s", path, sqlite3_errmsg(s->db));
	sqlite3_busy_timeout(s->db, 10000);
	if (sqlite3_exec(s->db, schema, NULL, NULL, &why) != SQLITE_OK)
		die("%s: %s", path, why);
}

void store_close(struct store *s)
{
	sqlite3_close(s->db);
}

static sqlite3_stmt *prepare(struct store *s, const char *text, const char *types,
	va_list ap)
{
	sqlite3_stmt *st;
	int i, rc = SQLITE_OK;

	if (sqlite3_prepare_v2(s->db, text, -1, &st, NULL) != SQLITE_OK) {
		note("state: %s", sqlite3_errmsg(s->db));
		return NULL;
	}
	for (i = 0; types[i] && rc == SQLITE_OK; i++)
		rc = types[i] == 'i'
			? sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t))
			: sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1,
				  SQLITE_TRANSIENT);
	if (rc != SQLITE_OK) {
		note("state: %s", sqlite3_errmsg(s->db));
		sqlite3_finalize(st);
		return NULL;
	}
	return st;
}

sqlite3_stmt *sql(struct store *s, const char *text, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;

	va_start(ap, types);
	st = prepare(s, text, types, ap);
	va_end(ap);
	return st;
}

int sql_run(struct store *s, const char *text, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int rc;

	va_start(ap, types);
	st = prepare(s, text, types, ap);
	va_end(ap);
	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		;
	sqlite3_finalize(st);
	if (rc != SQLITE_DONE) {
		note("state: %s", sqlite3_errmsg(s->db));
		return -1;
	}
	return sqlite3_changes(s->db);
}

/* The first row, or NULL with *ret_failed told. */
static sqlite3_stmt *first(struct store *s, sqlite3_stmt *st, bool *ret_failed)
{
	int rc = st ? sqlite3_step(st) : SQLITE_ERROR;

	*ret_failed = rc != SQLITE_ROW && rc != SQLITE_DONE;
	if (rc == SQLITE_ROW)
		return st;
	if (st && *ret_failed)
		note("state: %s", sqlite3_errmsg(s->db));
	sqlite3_finalize(st);
	return NULL;
}

int64_t sql_int(struct store *s, int64_t none, const char *text, const char *types, ...)
{
	sqlite3_stmt *st;
	int64_t v;
	bool failed;
	va_list ap;

	va_start(ap, types);
	st = first(s, prepare(s, text, types, ap), &failed);
	va_end(ap);
	if (!st)
		return failed ? INT64_MIN : none;
	v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return v;
}

char *sql_text(struct store *s, const char *text, const char *types, ...)
{
	sqlite3_stmt *st;
	char *v = NULL;
	bool failed;
	va_list ap;

	va_start(ap, types);
	st = first(s, prepare(s, text, types, ap), &failed);
	va_end(ap);
	if (!st)
		return NULL;
	if (sqlite3_column_type(st, 0) != SQLITE_NULL)
		v = strdup(column(st, 0));
	sqlite3_finalize(st);
	return v;
}

const char *column(sqlite3_stmt *st, int i)
{
	const char *t = (const char *)sqlite3_column_text(st, i);

	return t ? t : "";
}

json_t *column_json(sqlite3_stmt *st, int i)
{
	json_t *v = json_loads(column(st, i), 0, NULL);

	return v ? v : json_null();
}

int64_t store_version(struct store *s)
{
	return sql_int(s, 0, "PRAGMA data_version", "");
}

int store_take(struct store *s, const char *migration, size_t bytes)
{
	int64_t before = sql_int(s, 0, "SELECT bytes FROM usage WHERE migration = ?", "s",
		migration);

	if (before == INT64_MIN)
		return -1;
	if (before + (int64_t)bytes > MAX_MIGRATION)
		return 0;
	return sql_run(s, "INSERT INTO usage VALUES (?, ?) ON CONFLICT (migration)"
		" DO UPDATE SET bytes = bytes + excluded.bytes", "si", migration,
		(int64_t)bytes) < 0 ? -1 : 1;
}

int store_event(struct store *s, const char *migration, int64_t worker, const char *type,
	const char *text)
{
	char source[160], name[64], sequence[24], now[32], *doc;
	int64_t ms = now_ms(), n;
	json_t *e;
	int rc;

	snprintf(source, sizeof(source), "/controller/%s", migration);
	snprintf(name, sizeof(name), "tw.%s.v1", type);
	n = sql_int(s, 0, "SELECT count(*) FROM event WHERE source = ?", "s", source);
	if (n < 0)
		return -1;
	snprintf(sequence, sizeof(sequence), "%012lld", (long long)n + 1);
	format_time(ms, now);
	e = json_pack("{ss ss ss ss ss ss ss s{ss ss*}}", "specversion", "1.0", "id",
		sequence,
		"source", source, "type", name, "subject", migration, "time", now,
		"sequence", sequence, "data", "migration_id", migration, "text", text);
	doc = e ? json_dumps(e, JSON_COMPACT) : NULL;
	json_decref(e);
	if (!doc)
		return -1;
	rc = sql_run(s, "INSERT INTO event (migration, worker, source, id, type, received_ms, doc)"
		" VALUES (?, ?, ?, ?, ?, ?, ?)", "sisssis", migration, worker, source,
		sequence, name, ms, doc);
	free(doc);
	return rc < 0 ? -1 : 0;
}

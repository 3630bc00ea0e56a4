/* SPDX-License-Identifier: Apache-2.0 */
/* Following a migration: events as they come,
 * and waiting for something to have happened. */
#include "controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_US 100000 /* between two looks at SQLite's change counter */
#define EXIT_TIMEOUT 4

/* Returns when somebody wrote to the state, or when deadline (ms) has passed: false. */
static bool wait_change(struct store *s, int64_t *version, int64_t deadline)
{
	int64_t v;

	for (;;) {
		v = store_version(s);
		if (v != *version) {
			*version = v;
			return true;
		}
		if (now_ms() >= deadline)
			return false;
		usleep(LOOK_US);
	}
}

static int64_t seconds_option(const char *name, const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v > 1000000000)
		die("%s %s: is not a number of seconds", name, text);
	return (int64_t)v * 1000;
}

/* One line of JSON for each event above *after, which moves on. False:
 * printing failed. */
static bool print_events(struct store *s, const char *migration, int64_t *after,
	bool *ret_result)
{
	sqlite3_stmt *st = sql(s,
		"SELECT e.seq, e.received_ms, coalesce(w.boot, 0), e.doc, e.type"
		" FROM event e LEFT JOIN worker w ON w.row = e.worker"
		" WHERE e.migration = ? AND e.seq > ? ORDER BY e.seq", "si", migration,
		*after);
	bool ok = st != NULL;

	while (ok && sqlite3_step(st) == SQLITE_ROW) {
		*after = sqlite3_column_int64(st, 0);
		ok = printf("{\"seq\":%lld,\"received_ms\":%lld,\"boot\":%d,\"event\":%s}\n",
			(long long)*after, (long long)sqlite3_column_int64(st, 1),
			sqlite3_column_int(st, 2), column(st, 3)) > 0;
		*ret_result |= !strcmp(column(st, 4), "tw.result_stored.v1");
	}
	sqlite3_finalize(st);
	return fflush(stdout) == 0 && ok;
}

int cmd_events(const char *state, int argc, char **argv)
{
	bool follow = false, until_result = false, result = false;
	const char *migration = NULL;
	int64_t after = 0, version = -1;
	struct store s;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--follow"))
			follow = true;
		else if (!strcmp(argv[i], "--until-result"))
			follow = until_result = true;
		else if (!strcmp(argv[i], "--after") && i + 1 < argc)
			after = strtoll(argv[++i], NULL, 10);
		else if (!migration && *argv[i] != '-')
			migration = argv[i];
		else
			die("events: what is %s?", argv[i]);
	}
	if (!migration)
		die("usage: controller events --state DIR MIGRATION [--after SEQ] [--follow]"
		    " [--until-result]");
	store_open(&s, state);
	need_migration(&s, migration);
	do {
		wait_change(&s, &version, INT64_MAX);
		if (!print_events(&s, migration, &after, &result))
			die("events cannot be printed");
	} while (follow && !(until_result && result));
	store_close(&s);
	return 0;
}

/* What `wait` can wait for: a query that gives 1,
 * over the migration and the number of the boot. */
static const struct condition {
	const char *name;
	bool has_value;
	const char *query, *types;
} conditions[] = {
	{ "registered", false,
		"SELECT count(*) > 0 FROM worker WHERE migration = ? AND boot >= ?",
		"si" },
	{ "result", false,
		"SELECT count(*) > 0 FROM worker w JOIN result r ON r.worker = w.row"
		" WHERE w.migration = ? AND w.boot >= ?", "si" },
	{ "state", true,
		"SELECT count(*) > 0 FROM worker w WHERE w.migration = ? AND w.boot >= ?"
		" AND (w.state = ?3 OR EXISTS (SELECT 1 FROM event e WHERE e.worker = w.row"
		" AND json_extract(e.doc, '$.data.state') = ?3))", "sis" },
	{ "event", true,
		"SELECT count(*) > 0 FROM event e LEFT JOIN worker w ON w.row = e.worker"
		" WHERE e.migration = ? AND coalesce(w.boot, 0) >= ?"
		" AND e.type = 'tw.' || ?3 || '.v1'", "sis" },
	{ "command", true,
		"SELECT count(*) > 0 FROM command WHERE migration = ? AND ?2 IS NOT NULL"
		" AND id = ?3 AND status IN ('done', 'failed', 'rejected')", "sis" },
};

static const struct condition *find_condition(const char *text, const char **ret_value)
{
	size_t n = strcspn(text, "=");

	*ret_value = text[n] ? text + n + 1 : "";
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (strlen(conditions[i].name) == n &&
		    !strncmp(conditions[i].name, text, n) &&
		    conditions[i].has_value == (text[n] == '='))
			return &conditions[i];
	die("--for %s: registered, result, state=STATE, event=TYPE or command=ID", text);
}

/* For a result, prints it: the caller wants to look at its verdict. */
static void print_result_of(struct store *s, const char *migration, int64_t boot)
{
	char *doc = sql_text(s,
		"SELECT r.doc FROM worker w JOIN result r ON r.worker = w.row"
		" WHERE w.migration = ? AND w.boot >= ? ORDER BY w.boot DESC LIMIT 1",
		"si", migration, boot);

	if (doc)
		puts(doc);
	free(doc);
}

int cmd_wait(const char *state, int argc, char **argv)
{
	const char *migration = NULL, *what = NULL, *value;
	int64_t boot = 0, deadline = INT64_MAX, version = -1;
	const struct condition *c;
	struct store s;
	bool met;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--for") && i + 1 < argc)
			what = argv[++i];
		else if (!strcmp(argv[i], "--boot") && i + 1 < argc)
			boot = strtoll(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--timeout") && i + 1 < argc)
			deadline = now_ms() + seconds_option("--timeout", argv[++i]);
		else if (!migration && *argv[i] != '-')
			migration = argv[i];
		else
			die("wait: what is %s?", argv[i]);
	}
	if (!migration || !what)
		die("usage: controller wait --state DIR MIGRATION --for CONDITION [--boot N]"
		    " [--timeout SECONDS]");
	c = find_condition(what, &value);
	store_open(&s, state);
	need_migration(&s, migration);
	do {
		met = sql_int(&s, 0, c->query, c->types, migration, boot, value) == 1;
	} while (!met && wait_change(&s, &version, deadline));
	if (met && !strcmp(c->name, "result"))
		print_result_of(&s, migration, boot);
	store_close(&s);
	if (!met)
		note("%s: no %s in time", migration, what);
	return met ? 0 : EXIT_TIMEOUT;
}

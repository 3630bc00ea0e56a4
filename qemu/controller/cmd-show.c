/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a migration, for people and for scripts. */
#include "controller.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *collect(struct store *s, const char *text, const char *types,
	int64_t worker, const char *migration,
	json_t *(*row)(struct store *s, sqlite3_stmt *st))
{
	json_t *list = json_array();
	sqlite3_stmt *st = *types == 'i' ? sql(s, text, types, worker)
					 : sql(s, text, types, migration);

	while (st && sqlite3_step(st) == SQLITE_ROW)
		json_array_append_new(list, row(s, st));
	sqlite3_finalize(st);
	return list;
}

static json_t *drive_row(struct store *s, sqlite3_stmt *st)
{
	(void)s;
	return column_json(st, 0);
}

static json_t *time_column(sqlite3_stmt *st, int i)
{
	char text[32];

	format_time(sqlite3_column_int64(st, i), text);
	return json_string(text);
}

static json_t *result_of(struct store *s, int64_t worker)
{
	sqlite3_stmt *st = sql(s, "SELECT verdict, sha256, received_ms, doc FROM result"
		" WHERE worker = ?", "i", worker);
	json_t *r = json_null();

	if (st && sqlite3_step(st) == SQLITE_ROW)
		r = json_pack("{ss ss so so}", "verdict", column(st, 0), "sha256",
			column(st, 1),
			"received", time_column(st, 2), "doc", column_json(st, 3));
	sqlite3_finalize(st);
	return r;
}

static json_t *worker_row(struct store *s, sqlite3_stmt *st)
{
	int64_t row = sqlite3_column_int64(st, 0);

	return json_pack("{ss sI ss so so sb ss ss so so so so}", "worker_id",
		column(st, 1), "boot", (json_int_t)sqlite3_column_int64(st, 2), "boot_id",
		column(st, 3), "registered", time_column(st, 4), "seen",
		time_column(st, 5), "lost", sqlite3_column_int(st, 6),
		"state", column(st, 7), "step", column(st, 8), "facts",
		column_json(st, 9), "heartbeat", column_json(st, 10), "drives",
		collect(s, "SELECT doc FROM progress WHERE worker = ? ORDER BY drive",
			"i", row, NULL, drive_row),
		"result", result_of(s, row));
}

static json_t *command_row(struct store *s, sqlite3_stmt *st)
{
	(void)s;
	return json_pack("{ss ss so ss so}", "id", column(st, 0), "verb", column(st, 1),
		"args", column_json(st, 2), "status", column(st, 3), "err",
		column_json(st, 4));
}

json_t *describe(struct store *s, const char *migration)
{
	char *state = sql_text(s, "SELECT state FROM migration WHERE id = ?", "s",
		migration);
	json_t *d = json_pack("{ss ss* so so sI}", "migration", migration, "state", state,
		"workers",
		collect(s, "SELECT row, id, boot, boot_id, registered_ms, seen_ms, lost, state, step,"
			" facts, heartbeat FROM worker WHERE migration = ? ORDER BY boot",
			"s", 0, migration, worker_row),
		"commands",
		collect(s, "SELECT id, verb, args, status, err FROM command WHERE migration = ?"
			" ORDER BY seq", "s", 0, migration, command_row),
		"events", (json_int_t)sql_int(s, 0,
			"SELECT count(*) FROM event WHERE migration = ?", "s",
			migration));

	free(state);
	if (!d)
		die("out of memory");
	return d;
}

static void print_drive(const json_t *d)
{
	int64_t total = get_int(d, "total", 0), flushed = get_int(d, "flushed", 0);

	printf("    drive %" PRId64 "  %-7s %5.1f%%  %" PRId64 " of %" PRId64 " MB",
		get_int(d, "drive", 0), get_string(d, "phase"),
		total ? 100.0 * (double)flushed / (double)total : 0.0, flushed / 1000000,
		total / 1000000);
	if (get_int(d, "rate_bps", 0))
		printf("  %.1f MB/s", (double)get_int(d, "rate_bps", 0) / 1e6);
	if (get_int(d, "eta_s", -1) >= 0)
		printf("  %" PRId64 " s left", get_int(d, "eta_s", 0));
	putchar('\n');
}

static void print_result(const json_t *r)
{
	json_t *err = json_object_get(json_object_get(r, "doc"), "err");

	if (!json_is_object(r))
		return;
	printf("    result %s", get_string(r, "verdict"));
	if (json_is_object(err))
		printf(": %s: %s", get_string(err, "code"), get_string(err, "text"));
	putchar('\n');
}

static void print_text(const json_t *d)
{
	json_t *w, *v;
	size_t i, k;

	printf("%s  %s\n", get_string(d, "migration"), get_string(d, "state"));
	json_array_foreach(json_object_get(d, "workers"), i, w) {
		printf("  boot %" PRId64 "  %s  %s%s%s%s  seen %s\n",
			get_int(w, "boot", 0), get_string(w, "worker_id"),
			get_string(w, "state"), *get_string(w, "step") ? " " :
			"", get_string(w, "step"),
			json_is_true(json_object_get(w, "lost")) ? "  LOST" :
			"", get_string(w, "seen"));
		json_array_foreach(json_object_get(w, "drives"), k, v)
			print_drive(v);
		print_result(json_object_get(w, "result"));
	}
	json_array_foreach(json_object_get(d, "commands"), i, v)
		printf("  command %s  %s  %s\n", get_string(v, "id"),
			get_string(v, "verb"), get_string(v, "status"));
}

int cmd_show(const char *state, int argc, char **argv)
{
	bool as_json = false;
	const char *migration = NULL;
	struct store s;
	json_t *d;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			as_json = true;
		else if (!migration)
			migration = argv[i];
		else
			die("show: what is %s?", argv[i]);
	}
	if (!migration)
		die("usage: controller show --state DIR MIGRATION [--json]");
	store_open(&s, state);
	need_migration(&s, migration);
	d = describe(&s, migration);
	if (!as_json)
		print_text(d);
	else if (json_dumpf(d, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0)
		die("cannot print");
	json_decref(d);
	store_close(&s);
	return 0;
}

static void print_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char buf[65536];
	size_t n;

	if (!f)
		die("%s: %s", path, strerror(errno));
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		if (fwrite(buf, 1, n, stdout) != n)
			die("cannot print");
	if (ferror(f))
		die("%s: %s", path, strerror(errno));
	fclose(f);
}

/* Without NAME: the names of the logs of all boots, "WORKER/NAME" a line. */
int cmd_log(const char *state, int argc, char **argv)
{
	struct store s;
	sqlite3_stmt *st;
	char path[1024];

	if (argc < 1 || argc > 2)
		die("usage: controller log --state DIR MIGRATION [WORKER/NAME]");
	store_open(&s, state);
	need_migration(&s, argv[0]);
	st = sql(&s, "SELECT id FROM worker WHERE migration = ? ORDER BY boot", "s",
		argv[0]);
	while (st && sqlite3_step(st) == SQLITE_ROW) {
		size_t n = strlen(column(st, 0));
		struct dirent **names = NULL;
		int count;

		snprintf(path, sizeof(path), "%s/logs/%s", s.dir, column(st, 0));
		if (argc == 2 && !strncmp(argv[1], column(st, 0), n) &&
		    argv[1][n] == '/' && !strchr(argv[1] + n + 1, '/')) {
			snprintf(path, sizeof(path), "%s/logs/%s", s.dir, argv[1]);
			print_file(path);
			sqlite3_finalize(st);
			store_close(&s);
			return 0;
		}
		count = argc == 1 ? scandir(path, &names, NULL, alphasort) : -1;
		for (int i = 0; i < count; i++) {
			if (names[i]->d_name[0] != '.')
				printf("%s/%s\n", column(st, 0), names[i]->d_name);
			free(names[i]);
		}
		free(names);
	}
	sqlite3_finalize(st);
	store_close(&s);
	if (argc == 2)
		die("%s: no such log", argv[1]);
	return 0;
}

int cmd_pin(const char *state, int argc, char **argv)
{
	struct identity id;
	struct store s;

	(void)argv;
	if (argc)
		die("usage: controller pin --state DIR");
	store_open(&s, state);
	identity_open(&id, state);
	puts(id.pin);
	identity_close(&id);
	store_close(&s);
	return 0;
}

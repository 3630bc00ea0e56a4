/* SPDX-License-Identifier: Apache-2.0 */
/* Making and closing migrations, and sending commands to their workers. */
#include "controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void need_migration(struct store *s, const char *migration)
{
	if (sql_int(s, 0, "SELECT count(*) FROM migration WHERE id = ?", "s",
		migration) != 1)
		die("%s: no such migration", migration);
}

struct new_job {
	const char *template, *migration, *url, *then, *next_pin, *after;
};

static json_t *load_template(const char *path)
{
	json_error_t e;
	json_t *job = !strcmp(path, "-") ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &e)
					 : json_load_file(path, JSON_REJECT_DUPLICATES,
						 &e);

	if (!job)
		die("%s:%d: %s", path, e.line, e.text);
	if (!json_is_object(job))
		die("%s: is not an object", path);
	return job;
}

/* 32 random bytes; hexadecimal because a job's token may hold no quote or blank. */
static void make_token(char ret[65])
{
	unsigned char random[32];

	identity_random(random, sizeof(random));
	identity_hex(random, sizeof(random), ret);
}

static void fill_controller(struct store *s, json_t *job, const struct new_job *n,
	const char *token, const char *pin)
{
	json_t *c = json_object_get(job, "controller");
	char *url = sql_text(s, "SELECT value FROM meta WHERE name = 'url'", "");

	if (!json_is_object(c)) {
		c = json_object();
		json_object_set_new(job, "controller", c);
	}
	if (n->url)
		json_object_set_new(c, "url", json_string(n->url));
	else if (!*get_string(c, "url") && url)
		json_object_set_new(c, "url", json_string(url));
	if (!*get_string(c, "url"))
		die("no address for workers: give --url, or start `controller serve` once");
	json_object_set_new(c, "token", json_string(token));
	json_object_set_new(c, "pins", json_pack("[ss*]", pin, n->next_pin));
	free(url);
}

/* The state of the source's drive that the result says its target to hold; NULL = none,
 * or the guest was prepared, so that the target holds another. */
static const char *state_left(const json_t *result, const char *source)
{
	const json_t *d;
	size_t i;

	if (json_object_get(result, "prepare"))
		return NULL;
	json_array_foreach(json_object_get(result, "drives"), i, d)
		if (!strcmp(get_string(d, "source"), source))
			return json_string_value(json_object_get(json_object_get(d,
				"copy"), "source_state"));
	return NULL;
}

/* A delta job asks only for what changed since the migration before it: `since` of each
 * drive whose target is said to be as that one left it. */
static void fill_since(struct store *s, json_t *job, const char *after)
{
	char *text = sql_text(s,
		"SELECT r.doc FROM result r JOIN worker w ON w.row = r.worker WHERE"
		" w.migration = ? AND r.verdict = 'success' ORDER BY w.boot DESC LIMIT 1",
		"s", after);
	json_t *result = text ? json_loads(text, 0, NULL) : NULL, *d;
	size_t i;

	if (!result)
		die("--after %s: it has no result of a success", after);
	json_array_foreach(json_object_get(job, "drives"), i, d) {
		const char *left = state_left(result, get_string(d, "source"));

		if (left && *left && !json_object_get(d, "since") &&
			!json_object_get(d, "bitmap") &&
			!strcmp(get_string(d, "target_state"), "pristine"))
			json_object_set_new(d, "since", json_string(left));
	}
	json_decref(result);
	free(text);
}

static int job_new(const char *state, int argc, char **argv)
{
	struct new_job n = { .template = NULL };
	struct identity id;
	struct store s;
	json_t *job;
	const char *name;
	char token[65], hash[65];

	for (int i = 0; i + 1 < argc; i += 2) {
		const char **dst = !strcmp(argv[i], "--template") ? &n.template
			: !strcmp(argv[i], "--migration")	   ? &n.migration
			: !strcmp(argv[i], "--url")		   ? &n.url
			: !strcmp(argv[i], "--then")		   ? &n.then
			: !strcmp(argv[i], "--next-pin")	   ? &n.next_pin
			: !strcmp(argv[i], "--after")		   ? &n.after
								   : NULL;
		if (!dst)
			die("job new: what is %s?", argv[i]);
		*dst = argv[i + 1];
	}
	if (argc % 2 || !n.template)
		die("usage: controller job new --state DIR --template FILE [--migration ID]"
		    " [--url URL] [--then poweroff|reboot|hold] [--next-pin PIN]"
		    " [--after MIGRATION]");
	if (n.then && strcmp(n.then, "poweroff") && strcmp(n.then, "reboot") &&
	    strcmp(n.then, "hold"))
		die("--then: poweroff, reboot or hold");
	job = load_template(n.template);
	if (n.migration)
		json_object_set_new(job, "migration", json_string(n.migration));
	name = get_string(job, "migration");
	if (!is_name(name, 127, "._-"))
		die("migration: \"%s\" is not a name of letters, digits, '.', '_' and '-'", name);
	store_open(&s, state);
	identity_open(&id, state);
	if (sql_int(&s, 0, "SELECT count(*) FROM migration WHERE id = ?", "s", name))
		die("%s: there is such a migration already", name);
	make_token(token);
	identity_sha256(token, strlen(token), hash);
	fill_controller(&s, job, &n, token, id.pin);
	if (n.after)
		fill_since(&s, job, n.after);
	if (sql_run(&s, "INSERT INTO migration (id, token_hash, created_ms, \"then\")"
		" VALUES (?, ?, ?, ?)", "ssis", name, hash, now_ms(), n.then) < 0)
		die("%s: could not be stored", name);
	if (json_dumpf(job, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0 ||
	    fflush(stdout))
		die("the job could not be printed");
	json_decref(job);
	identity_close(&id);
	store_close(&s);
	return 0;
}

static int job_close(const char *state, int argc, char **argv)
{
	struct store s;

	if (argc != 1)
		die("usage: controller job close --state DIR MIGRATION");
	store_open(&s, state);
	need_migration(&s, argv[0]);
	if (sql_run(&s, "BEGIN IMMEDIATE", "") < 0 ||
	    sql_run(&s, "UPDATE migration SET state = 'closed' WHERE id = ?", "s",
		    argv[0]) < 0 ||
	    store_event(&s, argv[0], 0, "closed", "closed by the operator") < 0 ||
	    sql_run(&s, "COMMIT", "") < 0)
		die("%s: could not be closed", argv[0]);
	store_close(&s);
	return 0;
}

static int job_list(const char *state, int argc, char **argv)
{
	struct store s;
	sqlite3_stmt *st;

	(void)argv;
	if (argc)
		die("usage: controller job list --state DIR");
	store_open(&s, state);
	st = sql(&s, "SELECT m.id, m.state, coalesce((SELECT state FROM worker WHERE migration = m.id"
		" ORDER BY boot DESC LIMIT 1), '-') FROM migration m ORDER BY m.created_ms", "");
	while (st && sqlite3_step(st) == SQLITE_ROW)
		printf("%-32s %-10s %s\n", column(st, 0), column(st, 1), column(st, 2));
	sqlite3_finalize(st);
	store_close(&s);
	return 0;
}

int cmd_job(const char *state, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *state, int argc, char **argv);
	} verbs[] = { { "new", job_new }, { "close", job_close }, { "list", job_list } };

	for (size_t i = 0; argc && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, argv[0]))
			return verbs[i].run(state, argc - 1, argv + 1);
	die("usage: controller job new|close|list --state DIR ...");
}

static const char *const verbs[] = { "pause", "resume", "throttle", "cancel", "retry",
	"collect_logs", "hold", "poweroff" };

static json_t *parse_args(const char *verb, int argc, char **argv)
{
	bool known = false;
	int64_t rate;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		known |= !strcmp(verbs[i], verb);
	if (!known)
		die("%s: pause, resume, throttle RATE, cancel, retry, collect_logs, hold or poweroff",
			verb);
	if (strcmp(verb, "throttle")) {
		if (argc)
			die("%s: takes no argument", verb);
		return json_object();
	}
	rate = argc == 1 ? parse_rate(argv[0]) : -1;
	if (rate < 0)
		die("throttle: give bytes a second such as 50M; 0 = no limit");
	return json_pack("{sI}", "bandwidth_bps", (json_int_t)rate);
}

int cmd_command(const char *state, int argc, char **argv)
{
	unsigned char random[8];
	struct store s;
	char id[32], *args;
	json_t *parsed;

	if (argc < 2)
		die("usage: controller command --state DIR MIGRATION VERB [ARGUMENT]");
	parsed = parse_args(argv[1], argc - 2, argv + 2);
	args = json_dumps(parsed, JSON_COMPACT);
	store_open(&s, state);
	need_migration(&s, argv[0]);
	/* A finished one may be held, waiting for its power-off. */
	if (sql_int(&s, 0,
		"SELECT count(*) FROM migration WHERE id = ? AND state <> 'closed'", "s",
		argv[0]) != 1)
		die("%s: is closed, nobody would answer", argv[0]);
	/* A worker of another version may know fewer verbs,
	 * and says so when it registers. */
	if (sql_int(&s, 0, "SELECT count(*) FROM worker WHERE migration = ?1 AND boot ="
		" (SELECT max(boot) FROM worker WHERE migration = ?1)"
		" AND json_type(facts, '$.commands') = 'array' AND NOT EXISTS"
		" (SELECT 1 FROM json_each(facts, '$.commands') WHERE value = ?2)", "ss",
		argv[0], argv[1]) > 0)
		die("%s: the worker of %s does not know that command", argv[1], argv[0]);
	identity_random(random, sizeof(random));
	memcpy(id, "c-", 2);
	identity_hex(random, sizeof(random), id + 2);
	if (sql_run(&s, "INSERT INTO command (id, migration, verb, args, created_ms)"
		" VALUES (?, ?, ?, ?, ?)", "ssssi", id, argv[0], argv[1], args,
		now_ms()) < 0)
		die("the command could not be stored");
	puts(id);
	free(args);
	json_decref(parsed);
	store_close(&s);
	return 0;
}

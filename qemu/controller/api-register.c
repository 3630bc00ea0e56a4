/* SPDX-License-Identifier: Apache-2.0 */
/* Who a worker is: registration and the check of its session token. */
#include "controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes the same time wherever the strings differ; both have len characters. */
static bool same_secret(const char *a, const char *b, size_t len)
{
	volatile unsigned char diff = 0;

	for (size_t i = 0; i < len; i++)
		diff = (unsigned char)(diff | (a[i] ^ b[i]));
	return !diff;
}

int api_authenticate(struct server *s, struct request *q, const char *bearer,
	struct reply *r)
{
	sqlite3_stmt *st = sql(&s->store,
		"SELECT w.row, w.boot, w.boot_id, w.migration, m.state,"
		" w.boot < (SELECT max(boot) FROM worker WHERE migration = m.id)"
		" FROM worker w JOIN migration m ON m.id = w.migration WHERE w.id = ?",
		"s", q->worker_id);
	char token[65];
	bool closed, replaced;

	if (!st || sqlite3_step(st) != SQLITE_ROW) {
		sqlite3_finalize(st);
		problem(r, 401, "CTL_AUTH", "no such worker");
		return -1;
	}
	q->worker = sqlite3_column_int64(st, 0);
	q->boot = sqlite3_column_int64(st, 1);
	snprintf(q->boot_id, sizeof(q->boot_id), "%s", column(st, 2));
	snprintf(q->migration, sizeof(q->migration), "%s", column(st, 3));
	closed = !strcmp(column(st, 4), "closed");
	replaced = sqlite3_column_int(st, 5);
	sqlite3_finalize(st);
	identity_session(&s->id, q->worker_id, q->boot_id, token);
	if (strlen(bearer) != 64 || !same_secret(bearer, token, 64)) {
		problem(r, 401, "CTL_AUTH", "this is not the worker's session token");
		return -1;
	}
	if (!closed && !replaced)
		return 0;
	problem(r, 410, "CTL_GONE", closed ? "the migration is closed"
		: "a newer boot of the machine has registered");
	return -1;
}

static const struct field register_fields[] = {
	{ "enroll_token", JSON_STRING, true, 16, 511 },
	{ "boot_id", JSON_STRING, true, 36, 36 },
	{ "migration_id", JSON_STRING, true, 1, 127 },
	{ "nonce", JSON_STRING, true, 32, 32 },
	{ "facts", JSON_OBJECT, true, 0, 0 },
	{ "commands", JSON_ARRAY, false, 0, 64 },
	{ .name = NULL },
};

/* The migration of the token, or NULL with r filled. */
static char *find_migration(struct server *s, const json_t *in, struct reply *r)
{
	const char *token = get_string(in, "enroll_token");
	char hash[65], *id, *state;

	identity_sha256(token, strlen(token), hash);
	id = sql_text(&s->store, "SELECT id FROM migration WHERE token_hash = ?", "s",
		hash);
	if (!id || strcmp(id, get_string(in, "migration_id")) != 0) {
		free(id);
		problem(r, 401, "CTL_AUTH",
			"the token does not belong to this migration");
		return NULL;
	}
	state = sql_text(&s->store, "SELECT state FROM migration WHERE id = ?", "s", id);
	if (state && !strcmp(state, "open")) {
		free(state);
		return id;
	}
	problem(r, 410, "CTL_GONE", "the migration is %s", state ? state : "lost");
	free(state);
	free(id);
	return NULL;
}

/* What is kept of a registration: the facts,
 * and with them the commands that the worker knows. */
static char *kept_facts(const json_t *in)
{
	json_t *facts = json_copy(json_object_get(in, "facts"));
	json_t *commands = json_object_get(in, "commands");
	char *text;

	if (commands)
		json_object_set(facts, "commands", commands);
	text = json_dumps(facts, JSON_COMPACT);
	json_decref(facts);
	return text;
}

/* Makes a worker for a boot that was not seen before. Its row, or -1. */
static int64_t add_worker(struct store *st, const char *migration, const json_t *in)
{
	int64_t boot = sql_int(st, 0,
		"SELECT count(*) + 1 FROM worker WHERE migration = ?", "s", migration),
		now = now_ms();
	unsigned char random[8];
	char id[64], *facts = kept_facts(in);
	int rc;

	identity_random(random, sizeof(random));
	memcpy(id, "w-", 2);
	identity_hex(random, sizeof(random), id + 2);
	if (!facts || boot < 1)
		return -1;
	if (store_take(st, migration, strlen(facts)) < 0) {
		free(facts);
		return -1;
	}
	rc = sql_run(st,
		"INSERT INTO worker (id, migration, boot, boot_id, nonce, registered_ms,"
		" seen_ms, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "ssissiis", id,
		migration, boot, get_string(in, "boot_id"), get_string(in, "nonce"), now,
		now, facts);
	free(facts);
	if (rc < 0)
		return -1;
	if (boot > 1 && store_event(st, migration, sqlite3_last_insert_rowid(st->db),
				"reboot",
				"the machine registered again after another boot") < 0)
		return -1;
	return sql_int(st, -1, "SELECT row FROM worker WHERE id = ?", "s", id);
}

/* What earlier commands have set and still holds. */
static json_t *policy(struct store *st, const char *migration)
{
	char *verb = sql_text(st,
		"SELECT verb FROM command WHERE migration = ? AND status = 'done'"
		" AND verb IN ('pause', 'resume') ORDER BY seq DESC LIMIT 1", "s",
		migration);
	int64_t rate = sql_int(st, -1,
		"SELECT json_extract(args, '$.bandwidth_bps') FROM command"
		" WHERE migration = ? AND status = 'done' AND verb = 'throttle'"
		" ORDER BY seq DESC LIMIT 1", "s", migration);
	json_t *p = json_pack("{sb so}", "paused", verb && !strcmp(verb, "pause"),
		"bandwidth_bps", rate >= 0 ? json_integer(rate) : json_null());

	free(verb);
	return p;
}

/* Boots since the last one that came to a result, this one counted. */
static int64_t count_starts(struct store *st, int64_t worker)
{
	return sql_int(st, 0,
		"SELECT w.boot - coalesce((SELECT max(x.boot) FROM worker x JOIN result t"
		" ON t.worker = x.row WHERE x.migration = w.migration), 0)"
		" FROM worker w WHERE w.row = ?", "i", worker);
}

static int enter(struct server *s, struct request *q, const char *migration,
	const json_t *in, struct reply *r)
{
	struct store *st = &s->store;
	const char *boot_id = get_string(in, "boot_id"), *nonce = get_string(in, "nonce");
	int64_t worker = sql_int(st, 0,
		"SELECT row FROM worker WHERE migration = ? AND boot_id = ?",
		"ss", migration, boot_id);
	bool known = worker > 0;
	char *id, *old, token[65], now[32];

	if (!known && sql_int(st, MAX_BOOTS, "SELECT count(*) FROM worker WHERE migration = ?",
		"s", migration) >= MAX_BOOTS) {
		problem(r, 410, "CTL_GONE", "the machine has registered after %d boots",
			MAX_BOOTS);
		return 0;
	}
	if (!known)
		worker = add_worker(st, migration, in);
	else if (sql_int(st, 1,
		"SELECT boot < (SELECT max(boot) FROM worker WHERE migration = ?)"
		" FROM worker WHERE row = ?", "si", migration, worker)) {
		problem(r, 410, "CTL_GONE", "a newer boot of the machine has registered");
		return 0;
	}
	if (worker <= 0)
		return -1;
	old = sql_text(st, "SELECT nonce FROM worker WHERE row = ?", "i", worker);
	if (known && old && strcmp(old, nonce) &&
	    store_event(st, migration, worker, "restarted",
		    "the worker process started again") < 0) {
		free(old);
		return -1;
	}
	if ((!known || (old && strcmp(old, nonce))) &&
	    store_event(st, migration, worker, "registered",
		    "a worker process registered") < 0) {
		free(old);
		return -1;
	}
	free(old);
	if (sql_run(st,
		"UPDATE worker SET nonce = ?, seen_ms = ?, lost = 0 WHERE row = ?", "sii",
		nonce, now_ms(), worker) < 0)
		return -1;
	id = sql_text(st, "SELECT id FROM worker WHERE row = ?", "i", worker);
	if (!id)
		return -1;
	identity_session(&s->id, id, boot_id, token);
	format_time(now_ms(), now);
	q->worker = worker;
	r->status = 200;
	r->body = json_pack("{ss ss si si ss sI so}", "worker_id", id, "session_token",
		token, "heartbeat_s", (int)(s->lease_s / 4 ? s->lease_s / 4 : 1),
		"lease_s",
		(int)s->lease_s, "server_time", now, "starts",
		(json_int_t)count_starts(st, worker), "policy", policy(st, migration));
	free(id);
	return r->body ? 0 : -1;
}

void api_register(struct server *s, struct request *q, struct reply *r)
{
	json_t *in = json_loadb(q->body ? q->body : "", q->len, JSON_REJECT_DUPLICATES,
		NULL);
	char why[256], *migration = NULL;

	if (!in)
		problem(r, 400, "CTL_PROTO", "the body is not JSON");
	else if (check_fields(in, register_fields, why) < 0)
		problem(r, 400, "CTL_PROTO", "%s", why);
	else if (strspn(get_string(in, "boot_id"), "0123456789abcdef-") != 36 ||
		 strspn(get_string(in, "nonce"), "0123456789abcdef") != 32)
		problem(r, 400, "CTL_PROTO",
			"boot_id or nonce: only lower-case hexadecimal");
	else
		migration = find_migration(s, in, r);
	if (migration && enter(s, q, migration, in, r) < 0)
		problem(r, 500, "INTERNAL", "the registration could not be stored");
	free(migration);
	json_decref(in);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a registered worker tells and asks all the time: heartbeats, commands, events. */
#include "controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_INT53 9007199254740991

/* Commands above `after` that the worker has not answered for good;
 * a new array or NULL. */
static json_t *open_commands(struct store *s, const char *migration, int64_t after)
{
	sqlite3_stmt *st = sql(s,
		"SELECT seq, id, verb, args FROM command WHERE migration = ?"
		" AND seq > ? AND status IN ('queued', 'accepted') ORDER BY seq LIMIT 64",
		"si", migration, after);
	json_t *list = json_array();

	while (st && sqlite3_step(st) == SQLITE_ROW)
		json_array_append_new(list, json_pack("{sI ss ss so}", "seq",
			(json_int_t)sqlite3_column_int64(st, 0), "id", column(st, 1),
			"verb", column(st, 2), "args", column_json(st, 3)));
	sqlite3_finalize(st);
	return list;
}

/* Whether the worker's next request will be answered 410,
 * so that it should hear so now. */
static bool is_over(struct store *s, struct request *q)
{
	return sql_int(s, 1, "SELECT state = 'closed' OR (SELECT max(boot) FROM worker"
		" WHERE migration = m.id) > ? FROM migration m WHERE id = ?", "is",
		q->boot, q->migration) != 0;
}

void api_commands(struct server *s, struct request *q, struct reply *r)
{
	struct timespec until;
	json_t *list;

	if (q->after < 0 || q->wait < 0 || q->wait > 60) {
		problem(r, 400, "CTL_PROTO", "after or wait: missing or out of range");
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += q->wait;
	for (;;) {
		list = open_commands(&s->store, q->migration, q->after);
		if (json_array_size(list) || s->stopping || is_over(&s->store, q) ||
		    pthread_cond_timedwait(&s->changed, &s->lock, &until) != 0)
			break;
		json_decref(list);
	}
	r->status = 200;
	r->body = json_pack("{so}", "commands", list);
}

int api_note_state(struct server *s, struct request *q, const json_t *state,
	const json_t *step, const json_t *progress)
{
	int64_t drive = get_int(progress, "drive", -1);
	char *doc;
	int rc;

	if (json_is_string(state) &&
	    sql_run(&s->store, "UPDATE worker SET state = ?, step = ? WHERE row = ?",
		    "ssi", json_string_value(state), json_string_value(step),
		    q->worker) < 0)
		return -1;
	if (drive < 0 || drive > 63)
		return 0;
	doc = json_dumps(progress, JSON_COMPACT);
	if (doc && strlen(doc) > MAX_PROGRESS) {
		note("%s: progress of drive %lld: too long, not kept", q->worker_id,
			(long long)drive);
		free(doc);
		return 0;
	}
	rc = doc ? sql_run(&s->store, "INSERT INTO progress VALUES (?, ?, ?)"
		" ON CONFLICT (worker, drive) DO UPDATE SET doc = excluded.doc", "iis",
		q->worker, drive, doc) : -1;
	free(doc);
	return rc < 0 ? -1 : 0;
}

/* One answer to a command. Unknown ids and answers that come late are taken silently: the
 * worker repeats what it has no answer to. */
static int take_ack(struct server *s, struct request *q, const json_t *ack)
{
	const char *id = get_string(ack, "id"), *status = get_string(ack, "status");
	json_t *err = json_object_get(ack, "err");
	bool final = strcmp(status, "accepted") != 0;
	char *doc = err ? json_dumps(err, JSON_COMPACT) : NULL;
	int rc = sql_run(&s->store,
		"UPDATE command SET status = ?, err = ?, answered_ms = ?"
		" WHERE id = ? AND migration = ? AND status IN ('queued', 'accepted')",
		"ssiss", final ? status : "accepted", doc, now_ms(), id, q->migration);

	free(doc);
	return rc < 0 ? -1 : 0;
}

static const struct field heartbeat_fields[] = {
	{ "seq", JSON_INTEGER, true, 1, MAX_INT53 },
	{ "boot_id", JSON_STRING, true, 36, 36 },
	{ "uptime_s", JSON_INTEGER, true, 0, INT64_MAX },
	{ "state", JSON_STRING, true, 1, 16 },
	{ "step", JSON_STRING, false, 0, 64 },
	{ "attempt", JSON_INTEGER, true, 0, UINT32_MAX },
	{ "bytes", JSON_OBJECT, true, 0, 0 },
	{ "rate_bps", JSON_INTEGER, true, 0, INT64_MAX },
	{ "drives", JSON_ARRAY, true, 0, 64 },
	{ "acks", JSON_ARRAY, true, 0, 64 },
	{ "waiting_events", JSON_INTEGER, true, 0, UINT32_MAX },
	{ "dropped_events", JSON_INTEGER, true, 0, UINT32_MAX },
	{ "err", JSON_OBJECT, false, 0, 0 },
	{ .name = NULL },
};
static const struct field ack_fields[] = {
	{ "id", JSON_STRING, true, 1, 63 },
	{ "status", JSON_STRING, true, 4, 8 },
	{ "err", JSON_OBJECT, false, 0, 0 },
	{ .name = NULL },
};

static bool is_ack_status(const char *s)
{
	return !strcmp(s, "accepted") || !strcmp(s, "rejected") || !strcmp(s, "done") ||
		!strcmp(s, "failed");
}

static int check_heartbeat(struct request *q, const json_t *in, char why[256])
{
	json_t *ack;
	size_t i;

	if (check_fields(in, heartbeat_fields, why) < 0)
		return -1;
	if (strcmp(get_string(in, "boot_id"), q->boot_id)) {
		snprintf(why, 256, "boot_id: is not the one registered");
		return -1;
	}
	json_array_foreach(json_object_get(in, "acks"), i, ack) {
		if (check_fields(ack, ack_fields, why) < 0)
			return -1;
		if (!is_ack_status(get_string(ack, "status"))) {
			snprintf(why, 256, "acks[%zu].status: not known", i);
			return -1;
		}
	}
	return 0;
}

static int store_heartbeat(struct server *s, struct request *q, const json_t *in)
{
	json_t *item;
	char *doc = json_dumps(in, JSON_COMPACT);
	size_t i;
	int rc = doc ?
		sql_run(&s->store,
			"UPDATE worker SET heartbeat = ?, seen_ms = ?, lost = 0"
		" WHERE row = ?", "sii", doc, now_ms(), q->worker) : -1;

	free(doc);
	if (rc < 0 || api_note_state(s, q, json_object_get(in, "state"),
			      json_object_get(in, "step"), NULL) < 0)
		return -1;
	json_array_foreach(json_object_get(in, "drives"), i, item)
		if (api_note_state(s, q, NULL, NULL, item) < 0)
			return -1;
	json_array_foreach(json_object_get(in, "acks"), i, item)
		if (take_ack(s, q, item) < 0)
			return -1;
	return 0;
}

void api_heartbeat(struct server *s, struct request *q, struct reply *r)
{
	json_t *in = json_loadb(q->body ? q->body : "", q->len, JSON_REJECT_DUPLICATES,
		NULL);
	unsigned interval = s->lease_s / 4 ? s->lease_s / 4 : 1;
	char why[256], expires[32];

	if (!in)
		problem(r, 400, "CTL_PROTO", "the body is not JSON");
	else if (check_heartbeat(q, in, why) < 0)
		problem(r, 400, "CTL_PROTO", "%s", why);
	else if (store_heartbeat(s, q, in) < 0)
		problem(r, 500, "INTERNAL", "the heartbeat could not be stored");
	json_decref(in);
	if (r->status)
		return;
	format_time(now_ms() + (int64_t)s->lease_s * 1000, expires);
	r->status = 200;
	r->body = json_pack("{si ss so}", "interval_s", (int)interval, "lease_expires",
		expires, "commands", open_commands(&s->store, q->migration, 0));
}

static const struct field event_fields[] = {
	{ "specversion", JSON_STRING, true, 3, 3 },
	{ "id", JSON_STRING, true, 1, 128 },
	{ "source", JSON_STRING, true, 2, 256 },
	{ "type", JSON_STRING, true, 7, 70 },
	{ "subject", JSON_STRING, true, 1, 127 },
	{ "time", JSON_STRING, true, 20, 40 },
	{ "sequence", JSON_STRING, true, 12, 12 },
	{ "data", JSON_OBJECT, true, 0, 0 },
	{ .name = NULL },
};
static const struct field data_fields[] = {
	{ "migration_id", JSON_STRING, true, 1, 127 },
	{ "worker_id", JSON_STRING, true, 1, 63 },
	{ "boot_id", JSON_STRING, true, 36, 36 },
	{ "state", JSON_STRING, true, 1, 16 },
	{ "step", JSON_STRING, false, 0, 64 },
	{ "attempt", JSON_INTEGER, true, 0, UINT32_MAX },
	{ "monotonic_ms", JSON_INTEGER, true, 0, INT64_MAX },
	{ "text", JSON_STRING, false, 0, 8192 },
	{ "drive", JSON_INTEGER, false, 0, 63 },
	{ "progress", JSON_OBJECT, false, 0, 0 },
	{ "err", JSON_OBJECT, false, 0, 0 },
	{ .name = NULL },
};

static int check_event(struct request *q, const json_t *e, char why[256])
{
	char source[80];
	int n = snprintf(source, sizeof(source), "/workers/%s/", q->worker_id);

	if (check_fields(e, event_fields, why) < 0 ||
	    check_fields(json_object_get(e, "data"), data_fields, why) < 0)
		return -1;
	if (strncmp(get_string(e, "source"), source, (size_t)n)) {
		snprintf(why, 256, "source: does not start with %s", source);
		return -1;
	}
	if (strcmp(get_string(e, "subject"), q->migration) ||
	    strcmp(get_string(e, "specversion"), "1.0") ||
	    strncmp(get_string(e, "type"), "tw.", 3)) {
		snprintf(why, 256, "subject, specversion or type: not allowed here");
		return -1;
	}
	return 0;
}

/* Once, instead of those that are not kept. The worker goes on: its job is worth more
 * than what it says of it. */
static int note_full(struct server *s, struct request *q)
{
	if (sql_int(&s->store, 0, "SELECT count(*) FROM event WHERE migration = ?"
		" AND type = 'tw.limit.v1'", "s", q->migration))
		return 0;
	return store_event(&s->store, q->migration, q->worker, "limit",
		"this migration has left too much here: no more of its events and logs are kept");
}

/* 1 stored, 0 known already or too much, -1 failed. */
static int store_one_event(struct server *s, struct request *q, const json_t *e)
{
	json_t *data = json_object_get(e, "data");
	char *doc = json_dumps(e, JSON_COMPACT);
	int room = doc ? store_take(&s->store, q->migration, strlen(doc)) : -1, rc = room;

	if (room > 0)
		rc = sql_run(&s->store,
			"INSERT OR IGNORE INTO event (migration, worker, source,"
			" id, type, received_ms, doc) VALUES (?, ?, ?, ?, ?, ?, ?)",
			"sisssis", q->migration, q->worker, get_string(e, "source"),
			get_string(e, "id"), get_string(e, "type"), now_ms(), doc);
	else if (!room)
		rc = note_full(s, q);
	free(doc);
	if (rc >= 0 && (rc || !room) && api_note_state(s, q, json_object_get(data, "state"),
			      json_object_get(data, "step"),
			      json_object_get(data, "progress")) < 0)
		return -1;
	return rc;
}

void api_events(struct server *s, struct request *q, struct reply *r)
{
	json_t *in = json_loadb(q->body ? q->body : "", q->len, JSON_REJECT_DUPLICATES,
		NULL), *e;
	size_t n = json_array_size(in), i;
	int stored = 0, rc = 0;
	char why[256];

	if (!json_is_array(in) || !n || n > MAX_BATCH)
		problem(r, 400, "CTL_PROTO", "the body is not an array of 1 to %d",
			MAX_BATCH);
	else
		json_array_foreach(in, i, e)
			if (!r->status && check_event(q, e, why) < 0)
				problem(r, 400, "CTL_PROTO", "[%zu].%s", i, why);
	for (i = 0; i < n && !r->status; i++) {
		rc = store_one_event(s, q, json_array_get(in, i));
		if (rc < 0)
			problem(r, 500, "INTERNAL", "the events could not be stored");
		else
			stored += rc;
	}
	json_decref(in);
	if (r->status)
		return;
	if (sql_run(&s->store, "UPDATE worker SET seen_ms = ?, lost = 0 WHERE row = ?",
		"ii", now_ms(), q->worker) < 0) {
		problem(r, 500, "INTERNAL", "the events could not be stored");
		return;
	}
	r->status = 200;
	r->body = json_pack("{si si}", "accepted", stored, "duplicates", (int)n - stored);
}

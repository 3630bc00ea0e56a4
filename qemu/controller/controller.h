/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference controller: migrations, the workers that register for them, and what they
 * say, kept in SQLite below one state directory. Several processes may have a state open
 * at once: one server and any number of commands; SQLite's locks are the only link
 * between them.
 */
#ifndef CONTROLLER_H
#define CONTROLLER_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_BATCH 256
#define MAX_BODY (1u << 20)
#define MAX_LOG_CHUNK (256u << 10)
#define MAX_LOG (16u << 20)
#define MAX_JOURNAL (512u << 10) /* hexadecimal digits */
#define MAX_COMMANDS 64 /* in one answer */
#define MAX_REGISTER (256u << 10) /* read from whoever connects */
/* What one migration may leave here. */
#define MAX_BOOTS 100
#define MAX_LOGS 64                 /* of a boot */
#define MAX_MIGRATION (256u << 20)  /* bytes of events, facts and logs */
#define MAX_PROGRESS 4096           /* bytes for a drive */

/* main.c */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* one line to stderr */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* identity.c: key, certificate and the secret that session tokens are made from. */
struct identity {
	char *key_pem, *cert_pem;
	char pin[64]; /* "sha256//" and base64 */
	unsigned char secret[32];
};
/* Reads them from dir, or makes them there first; dies on failure. */
void identity_open(struct identity *id, const char *dir);
void identity_close(struct identity *id);
void identity_random(void *buf, size_t len);
/* 2 * len characters and a NUL */
void identity_hex(const void *buf, size_t len, char *ret);
void identity_sha256(const void *buf, size_t len, char ret[65]);
/* The session token of a worker: the same every time it is asked for. */
void identity_session(const struct identity *id, const char *worker_id,
	const char *boot_id, char ret[65]);

/* store.c */
struct store {
	sqlite3 *db;
	char dir[512];
};
/* Makes dir and the tables when they are missing; dies on failure. */
void store_open(struct store *s, const char *dir);
void store_close(struct store *s);
int64_t now_ms(void); /* since 1970 */
void format_time(int64_t ms, char ret[32]); /* RFC 3339, UTC */

/*
 * types has a letter for each parameter: i int64_t, s const char * (NULL is SQL's NULL).
 * A failed statement is noted on stderr with SQLite's reason.
 */
/* NULL: failed */
sqlite3_stmt *sql(struct store *s, const char *text, const char *types, ...);
/* changed rows or -1 */
int sql_run(struct store *s, const char *text, const char *types, ...);
/* First column of the first row; `none` when there is no row;
 * INT64_MIN when it failed. */
int64_t sql_int(struct store *s, int64_t none, const char *text, const char *types, ...);
/* Same as text (malloc); NULL when there is no row, the value is NULL or it failed. */
char *sql_text(struct store *s, const char *text, const char *types, ...);
const char *column(sqlite3_stmt *st, int i); /* "" for NULL */
json_t *column_json(sqlite3_stmt *st, int i); /* parsed; JSON null when empty */
/* Changes whenever another connection has committed something. */
int64_t store_version(struct store *s);
/* Adds an event of the controller itself. worker 0 = none; text may be NULL. 0 or -1. */
int store_event(struct store *s, const char *migration, int64_t worker, const char *type,
	const char *text);

/* Counts bytes that a migration is going to leave here. 1 counted, 0 it has too many
 * already, -1 failed. */
int store_take(struct store *s, const char *migration, size_t bytes);

/* check.c */
struct field {
	const char *name;
	json_type type; /* JSON_TRUE stands for both booleans */
	bool required;
	int64_t min, max; /* value of integers, length of strings and
			   * arrays; max 0 = no limit */
};
/* fields ends with a NULL name. -1: why says which field and what is wrong. */
int check_fields(const json_t *o, const struct field *fields, char why[256]);
const char *get_string(const json_t *o, const char *name); /* "" when it is not there */
int64_t get_int(const json_t *o, const char *name, int64_t none);
bool is_name(const char *s, size_t max, const char *extra); /* letters, digits, extra */
/* "200M": a number and K, M, G or T (powers of 1024) or nothing. -1: not that. */
int64_t parse_rate(const char *s);

/* server.c */
struct server {
	struct store store;
	struct identity id;
	pthread_mutex_t lock; /* around every use of store by the server's threads */
	pthread_cond_t changed; /* with lock: another process or request
				 * changed the store */
	pthread_mutex_t peers_lock;
	struct peer *peers; /* with peers_lock */
	unsigned lease_s;
	int64_t started_ms;
	_Atomic bool stopping;
};
struct reply {
	unsigned status;
	json_t *body; /* the answer, or members to add to a problem */
	const char *code; /* of a problem */
	char detail[256];
};
struct request {
	const struct route *route;
	char worker_id[64], name[65];
	int64_t worker, boot; /* row of the authenticated worker and its number */
	char migration[128], boot_id[64];
	int64_t offset, after, wait; /* query values, -1 = absent or not a number */
	char *body;
	size_t len, cap;
	bool too_large;
	bool refused; /* what comes is thrown away, and then it is told why */
	struct reply refusal;
};
struct route {
	const char *method, *path; /* "*" matches one part */
	const char *content_type; /* NULL: no body */
	size_t max_body;
	bool session;
	void (*run)(struct server *s, struct request *q, struct reply *r);
};
/* Fills r with a problem. */
void problem(struct reply *r, unsigned status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Answers at sa until MHD_stop_daemon. NULL with errno set: it cannot listen there. */
struct sockaddr_storage;
struct MHD_Daemon *server_listen(struct server *s, const struct sockaddr_storage *sa);

/* peers.c: strangers, and who is known */
void peers_notify(void *server, struct MHD_Connection *c, void **context,
	enum MHD_ConnectionNotificationCode code);
/* The connection is of this worker. false: it has too many. */
bool peers_admit(struct server *s, struct MHD_Connection *c, int64_t worker);
/* Ends strangers whose time is over; now and then. */
void peers_check(struct server *s);

/* api-*.c: called with the lock held. */
void api_register(struct server *s, struct request *q, struct reply *r);
void api_heartbeat(struct server *s, struct request *q, struct reply *r);
void api_commands(struct server *s, struct request *q, struct reply *r);
void api_events(struct server *s, struct request *q, struct reply *r);
void api_logs(struct server *s, struct request *q, struct reply *r);
void api_journal_put(struct server *s, struct request *q, struct reply *r);
void api_journal_get(struct server *s, struct request *q, struct reply *r);
void api_result(struct server *s, struct request *q, struct reply *r);
/* Finds the worker of q->worker_id and checks its token; fills r when it is refused. */
int api_authenticate(struct server *s, struct request *q, const char *bearer,
	struct reply *r);
/* Notes drives' progress and the state told by a heartbeat or an event. */
int api_note_state(struct server *s, struct request *q, const json_t *state,
	const json_t *step, const json_t *progress);

/* cmd-*.c */
int cmd_serve(const char *state, int argc, char **argv);
int cmd_job(const char *state, int argc, char **argv);
int cmd_command(const char *state, int argc, char **argv);
int cmd_show(const char *state, int argc, char **argv);
int cmd_wait(const char *state, int argc, char **argv);
int cmd_events(const char *state, int argc, char **argv);
int cmd_log(const char *state, int argc, char **argv);
int cmd_pin(const char *state, int argc, char **argv);
/* Dies unless the migration exists. */
void need_migration(struct store *s, const char *migration);
/* Everything known of a migration. */
json_t *describe(struct store *s, const char *migration);

#endif

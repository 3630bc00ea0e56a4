/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONTROL_INTERNAL_H
#define CONTROL_CONTROL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "control/control.h"
#include "job/job.h"

#define CONTROL_MAX_REPLY (1u << 20)
#define CONTROL_MAX_COMMANDS 64 /* in one answer */
#define CONTROL_MAX_WAITING 32  /* commands the job has not fetched */
#define CONTROL_MAX_ACKS 64     /* in one heartbeat */

/* http.c: one connection, used by one thread. */
struct control_http;
struct control_http_config {
	const char *url;       /* "https://host:port/v1", without a slash at the end */
	const char *const *pins; /* base64 of SHA-256, NULL-terminated */
	const _Atomic bool *cancel; /* works like control_http_stop, within
				     * a second; may be NULL */
};
struct control_request {
	const char *method, *path; /* path below the url, with its query */
	const char *content_type;  /* NULL: no body */
	const void *body;
	size_t len;
	const char *bearer;        /* NULL: none */
	unsigned timeout_s;
};
struct control_response {
	long status;
	int retry_after_s; /* -1 = not given */
	struct strbuf body;
};
int control_http_open(const struct control_http_config *cfg, struct control_http **ret,
	struct err *err);
/* Any HTTP status is a success. CTL_PIN, CTL_PROTO (answer too large), CTL_UNREACHABLE,
 * or CANCELLED after control_http_stop. ret->body is filled on success only; free it
 * always. */
int control_http_run(struct control_http *h, const struct control_request *q,
	struct control_response *ret, struct err *err);
/* From any thread: the running request and all later ones end at once. */
void control_http_stop(struct control_http *h);
void control_http_close(struct control_http *h);

/* decode.c: what the controller answers. Pure functions over hostile bytes; CTL_PROTO. */
struct control_registration {
	char worker_id[64], token[257];
	unsigned heartbeat_s, lease_s;
	bool paused, has_bandwidth;
	uint64_t bandwidth;
	unsigned starts;     /* of the machine since the last result; 0 = not told */
	int64_t server_time; /* the controller's clock, seconds since
			      * 1970; 0 = not told */
};
struct control_command {
	uint64_t seq;
	char id[64], verb[33];
	bool has_bandwidth;
	uint64_t bandwidth;
};
struct control_commands {
	int n;
	struct control_command list[CONTROL_MAX_COMMANDS];
};
struct control_problem {
	char code[33], detail[200];
	bool has_size;
	uint64_t size;
};
int control_decode_register(const char *buf, size_t len, struct control_registration *ret,
	struct err *err);
int control_decode_commands(const char *buf, size_t len, struct control_commands *ret,
	struct err *err);
int control_decode_heartbeat(const char *buf, size_t len, unsigned *ret_interval_s,
	struct control_commands *ret, struct err *err);
/* Fails unless all `sent` events are accounted for. */
int control_decode_events(const char *buf, size_t len, unsigned sent, struct err *err);
/* Of logs and journals: how much is stored. */
int control_decode_log(const char *buf, size_t len, uint64_t *ret_size, struct err *err);
/* *ret_then is -1 when the controller has no wish. */
int control_decode_result(const char *buf, size_t len, char ret_sha256[65], int *ret_then,
	struct err *err);
/* The bytes of a journal (malloc, NULL when there are none), at most max. */
int control_decode_journal(const char *buf, size_t len, size_t max, char **ret,
	size_t *ret_len, struct err *err);
/* Never fails: whatever is not there stays empty. */
void control_decode_problem(const char *buf, size_t len, struct control_problem *ret);

/* queue.c: events on their way. Not locked here. */
struct control_event {
	struct control_event *next;
	char type[32], step[65];
	enum job_state state;
	char *text;
	struct err *err;
	int drive;
	bool has_progress, important;
	struct copy_progress progress;
	unsigned attempt, repeated;
	uint64_t monotonic_ms;
	int64_t time_ms;   /* wall clock, may be wrong */
	uint64_t sequence; /* 0 = never sent; then it may still be changed or dropped */
};
struct control_queue {
	struct control_event *head, *tail;
	unsigned n, n_important, dropped;
	uint64_t last_sequence;
};
/*
 * Progress of a drive replaces its predecessor; the same failure again is counted in the
 * waiting one. Steps are dropped beyond 1024 waiting events; state changes and errors
 * only when there is no memory. dropped counts.
 */
void control_queue_add(struct control_queue *q, const struct job_event *e);
/* Numbers the first max events and returns how many there are. They stay in the queue. */
unsigned control_queue_batch(struct control_queue *q, unsigned max);
void control_queue_remove(struct control_queue *q, unsigned n);
void control_queue_free(struct control_queue *q);

/* encode.c: what the worker sends. Text from anywhere is made valid UTF-8 without control
 * characters first. */
struct control_ack {
	char id[64];
	const char *status; /* "accepted", "rejected", "done", "failed" */
	struct err err;     /* with rejected and failed; code ERR_NONE = none */
};
struct control_identity {
	const char *migration, *boot_id, *nonce, *worker_id;
};
struct control_heartbeat {
	uint64_t seq;
	enum job_state state;
	char step[65];
	unsigned attempt, waiting, dropped;
	bool drive_seen[JOB_MAX_DRIVES];
	struct copy_progress drives[JOB_MAX_DRIVES];
	int drive; /* at work, -1 = none yet */
	struct err err; /* code ERR_NONE = none */
};
/* INTERNAL when facts is not an object. */
int control_encode_register(const struct control_identity *id, const char *token,
	const char *facts, struct strbuf *out, struct err *err);
int control_encode_heartbeat(const struct control_identity *id,
	const struct control_heartbeat *h, const struct control_ack *acks,
	unsigned n_acks, struct strbuf *out, struct err *err);
/* The first n events of the queue. */
int control_encode_events(const struct control_identity *id,
	const struct control_queue *q, unsigned n, struct strbuf *out, struct err *err);
/* Copies at most max bytes of src; ret has room for max + 1. */
void control_clean_text(const char *src, char *ret, size_t max);
/* Makes a JSON text valid UTF-8 in place: names on disks may be anything. */
void control_clean_json(char *text);

/* control.c */
struct control {
	char migration[128], token[512]; /* the job goes before the last event has */
	const _Atomic bool *cancel;
	char boot_id[37], nonce[33], url[512];
	unsigned backoff_max_s, request_timeout_s;
	struct control_http *sender_http, *poller_http, *register_http;
	pthread_t sender, poller;
	bool sender_started, poller_started;
	char *facts;

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed; /* anything below; monotonic clock */
	bool stop;
	uint64_t stop_ms;      /* when the last events must be out */
	bool healthy;          /* the last request was answered */
	struct err fatal;      /* the controller will not talk to us any more */
	struct err last_error; /* why the last request failed */
	struct control_registration reg;
	unsigned session;      /* counts registrations */
	bool set_clock;
	bool need_register;
	unsigned refused;      /* 401 in a row */
	bool sender_done;

	struct control_queue queue;
	struct control_heartbeat now;
	struct control_ack acks[CONTROL_MAX_ACKS];
	unsigned n_acks, acks_lost;
	struct job_command waiting[CONTROL_MAX_WAITING + 1]; /* one more for the cancel */
	unsigned n_waiting;
	uint64_t last_command;  /* highest seq seen */
	char logs_wanted[64];   /* id of the command that wants them, "" = none */

	struct {
		char *bytes;    /* NULL = nothing to send */
		size_t len;
		unsigned number; /* counts what was put */
	} journals[JOB_MAX_DRIVES];
	bool no_journals;       /* the controller does not keep any */

	char *result;           /* waiting to be delivered */
	bool logs_first;        /* it tells of a failure: the log goes before it */
	bool result_done;
	struct err result_err;  /* the controller does not want it */
	int result_then;
};
/* locked; returns at any change */
void control_wait_until(struct control *c, uint64_t ms);

/* Whether a clock that shows `here` has to be set to the controller's time. */
bool control_clock_is_off(int64_t here, int64_t server);

/* session.c: registration, and what an HTTP status means for it. */
enum control_outcome {
	CONTROL_OK,
	CONTROL_RETRY, /* later; ret->retry_after_s says when at the
			* earliest, -1 = choose */
	CONTROL_BAD,   /* this request will never do */
	CONTROL_LARGE, /* 413 */
	CONTROL_GAP,   /* 409 on logs */
	CONTROL_DEAD,  /* fatal was set, or the session is being renewed */
};
struct control_backoff {
	unsigned tries;
};
/* Runs a request of the session; its path is the part behind /workers/ID. c is not
 * locked. err is filled unless OK. */
enum control_outcome control_session_run(struct control *c, struct control_http *h,
	struct control_request *q, struct control_response *ret, struct err *err);
/* The pause before the next try, in ms: full jitter below 1, 2, 4 ... max seconds, or
 * what the controller asked for. */
uint64_t control_backoff_next(struct control_backoff *b, unsigned max_s,
	int retry_after_s);
/* Registers once. OK, RETRY, or DEAD with fatal set. */
enum control_outcome control_session_register(struct control *c, struct control_http *h,
	struct control_response *ret, struct err *err);

/* commands.c; all but the poller are called with the lock held. */
const char *control_verb(size_t i); /* the i-th that is carried out, NULL
				     * behind the last; no lock */
void control_take_commands(struct control *c, const struct control_commands *list);
void control_take_policy(struct control *c, const struct control_registration *reg);
/* A command that no controller has sent, because the controller
 * has given this worker up. */
void control_take_cancel(struct control *c);
void control_add_ack(struct control *c, const char *id, const char *status,
	const struct err *err);
void *control_poller(void *ctx);

/* journals.c */
void control_journal_put(void *control, int drive, const void *buf, size_t len);
int control_journal_get(void *control, int drive, size_t max, char **ret, size_t *ret_len,
	struct err *err);
/* A drive whose journal waits, or -1. Locked. */
int control_journal_waiting(const struct control *c);
/* Sends the first that waits. */
enum control_outcome control_journal_send(struct control *c, struct control_http *h,
	struct control_response *r, struct err *err);
void control_journals_free(struct control *c);

/* sender.c */
void *control_sender(void *ctx);

/* logs.c: the worker's log and the kernel's, taken when the first byte is sent. OK, RETRY
 * or DEAD; what the controller does not want is left. u remembers what has arrived
 * between tries. */
#define CONTROL_LOGS 2
struct control_upload {
	struct strbuf text[CONTROL_LOGS];
	uint64_t sent[CONTROL_LOGS];
	unsigned number;
	bool collected;
};
enum control_outcome control_logs_send(struct control *c, struct control_http *h,
	struct control_upload *u, struct control_response *r, struct err *err);
void control_logs_free(struct control_upload *u);

#endif

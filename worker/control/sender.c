/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that tells the controller things, one at a time over one connection, so that
 * they arrive in order: answers to commands, events, logs, and the result behind all of
 * them. When the controller twice fails to take what is in front of the result, the
 * result goes first: it is what the controller waits for.
 */
#include "control/control-internal.h"

#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"

#define BATCH_MAX 100 /* events; about 150 KB */
#define JOURNAL_MS 5000 /* between two journals: so much is sent again after a kill */
#define PROGRESS_MS 1000 /* between two batches with nothing but progress */
#define HELD_UP 2 /* failures of what is in front of a result */

struct sender {
	struct control *c;
	struct control_http *http;
	struct control_response r;
	struct strbuf body;
	struct err err;
	struct control_backoff backoff;
	struct control_upload upload;
	uint64_t not_before, soon; /* soon: the same while a result waits */
	uint64_t next_heartbeat, next_progress, next_journal;
	unsigned batch_max;
	unsigned held_up; /* failures in front of the result that waits */
};

static struct control_identity identity(struct control *c)
{
	return (struct control_identity){ c->migration, c->boot_id, c->nonce,
		c->reg.worker_id };
}

/* Sends s->body, which was encoded under the lock. */
static enum control_outcome post(struct sender *s, const char *method, const char *path,
	const char *type)
{
	struct control_request q = { .method = method, .path = path, .content_type = type,
		.body = s->body.s, .len = s->body.len,
		.timeout_s = s->c->request_timeout_s };

	return control_session_run(s->c, s->http, &q, &s->r, &s->err);
}

static uint64_t jittered(unsigned seconds)
{
	uint16_t r;

	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = (uint16_t)clock_now_ns();
	return clock_now_ms() + seconds * 800u + seconds * 200u * r / 65535u;
}

static void remove_acks(struct control *c, unsigned n)
{
	c->n_acks -= n;
	memmove(c->acks, c->acks + n, c->n_acks * sizeof(c->acks[0]));
}

static enum control_outcome send_heartbeat(struct sender *s)
{
	struct control *c = s->c;
	struct control_identity id;
	struct control_commands list;
	enum control_outcome rc;
	unsigned n_acks, interval;
	int failed;

	pthread_mutex_lock(&c->lock);
	id = identity(c);
	n_acks = c->n_acks;
	c->now.seq++;
	c->now.waiting = c->queue.n;
	c->now.dropped = c->queue.dropped;
	strbuf_reset(&s->body);
	failed = control_encode_heartbeat(&id, &c->now, c->acks, n_acks, &s->body,
		&s->err);
	interval = c->reg.heartbeat_s;
	pthread_mutex_unlock(&c->lock);
	s->next_heartbeat = jittered(interval);
	if (failed)
		return CONTROL_RETRY;
	rc = post(s, "POST", "/heartbeat", "application/json");
	if (rc == CONTROL_OK &&
				 control_decode_heartbeat(s->r.body.s, s->r.body.len,
					 &interval, &list, &s->err) < 0)
		return CONTROL_RETRY;
	if (rc == CONTROL_RETRY || rc == CONTROL_DEAD)
		return rc;
	if (rc != CONTROL_OK)
		log_error("controller refuses the heartbeat: %s", s->err.text);
	pthread_mutex_lock(&c->lock);
	remove_acks(c, n_acks);
	if (rc == CONTROL_OK) {
		c->reg.heartbeat_s = interval;
		control_take_commands(c, &list);
	}
	pthread_mutex_unlock(&c->lock);
	s->next_heartbeat = jittered(interval);
	return CONTROL_OK;
}

static enum control_outcome send_events(struct sender *s)
{
	struct control *c = s->c;
	struct control_identity id;
	enum control_outcome rc;
	unsigned n;
	int failed;

	pthread_mutex_lock(&c->lock);
	id = identity(c);
	n = control_queue_batch(&c->queue, s->batch_max);
	strbuf_reset(&s->body);
	failed = control_encode_events(&id, &c->queue, n, &s->body, &s->err);
	pthread_mutex_unlock(&c->lock);
	if (failed)
		return CONTROL_RETRY;
	rc = post(s, "POST", "/events", "application/cloudevents-batch+json");
	if (rc == CONTROL_OK &&
	    control_decode_events(s->r.body.s, s->r.body.len, n, &s->err) < 0)
		return CONTROL_RETRY;
	if (rc == CONTROL_RETRY || rc == CONTROL_DEAD)
		return rc;
	s->next_progress = clock_now_ms() + PROGRESS_MS;
	if (rc != CONTROL_OK && n > 1) {
		/* One of them is to blame; smaller batches find it. */
		s->batch_max = rc == CONTROL_LARGE ? n / 2 : 1;
		return CONTROL_OK;
	}
	if (rc != CONTROL_OK)
		log_error("controller refuses an event: %s", s->err.text);
	s->batch_max = s->batch_max * 2 < BATCH_MAX ? s->batch_max * 2 : BATCH_MAX;
	pthread_mutex_lock(&c->lock);
	control_queue_remove(&c->queue, n);
	c->queue.dropped += rc != CONTROL_OK;
	pthread_mutex_unlock(&c->lock);
	return CONTROL_OK;
}

static enum control_outcome send_wanted_logs(struct sender *s)
{
	enum control_outcome rc = control_logs_send(s->c, s->http, &s->upload, &s->r,
		&s->err);

	if (rc != CONTROL_OK)
		return rc;
	control_logs_free(&s->upload);
	pthread_mutex_lock(&s->c->lock);
	control_add_ack(s->c, s->c->logs_wanted, "done", NULL);
	s->c->logs_wanted[0] = '\0';
	pthread_mutex_unlock(&s->c->lock);
	return CONTROL_OK;
}

static enum control_outcome send_journal(struct sender *s)
{
	s->next_journal = clock_now_ms() + JOURNAL_MS;
	return control_journal_send(s->c, s->http, &s->r, &s->err);
}

static void sha256_hex(const void *buf, size_t len, char ret[65])
{
	unsigned char hash[32];

	if (mbedtls_sha256(buf, len, hash, 0))
		memset(hash, 0, sizeof(hash));
	for (int i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

/* A failure is told with the log in front of it. */
static enum control_outcome send_first_logs(struct sender *s)
{
	enum control_outcome rc = control_logs_send(s->c, s->http, &s->upload, &s->r,
		&s->err);

	if (rc != CONTROL_OK)
		return rc;
	control_logs_free(&s->upload);
	pthread_mutex_lock(&s->c->lock);
	s->c->logs_first = false;
	pthread_mutex_unlock(&s->c->lock);
	return CONTROL_OK;
}

static enum control_outcome send_result(struct sender *s)
{
	struct control *c = s->c;
	char mine[65], theirs[65];
	enum control_outcome rc = CONTROL_OK;
	int then = -1;

	pthread_mutex_lock(&c->lock);
	strbuf_reset(&s->body);
	strbuf_str(&s->body, c->result);
	pthread_mutex_unlock(&c->lock);
	rc = s->body.failed ? CONTROL_RETRY :
		post(s, "PUT", "/result", "application/json");
	if (rc == CONTROL_OK) {
		sha256_hex(s->body.s, s->body.len, mine);
		if (control_decode_result(s->r.body.s, s->r.body.len, theirs, &then,
			&s->err) < 0)
			return CONTROL_RETRY;
		if (strcmp(mine, theirs)) {
			err_set(&s->err, ERR_CTL_PROTO,
				"controller acknowledges another result");
			return CONTROL_RETRY;
		}
	}
	if (rc == CONTROL_RETRY || rc == CONTROL_DEAD)
		return rc;
	pthread_mutex_lock(&c->lock);
	c->result_done = true;
	c->result_then = then;
	s->held_up = 0;
	if (rc != CONTROL_OK)
		c->result_err = s->err;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return CONTROL_OK;
}

static enum control_outcome renew_session(struct sender *s)
{
	return control_session_register(s->c, s->http, &s->r, &s->err);
}

typedef enum control_outcome step_fn(struct sender *s);

static bool result_waits(const struct control *c)
{
	return c->result && !c->result_done;
}

/* What is to be done now, or NULL and when to look again. Locked. */
static step_fn *choose(struct sender *s, uint64_t now, uint64_t *ret_until)
{
	struct control *c = s->c;
	bool result = result_waits(c), journal;

	if (c->need_register)
		return renew_session;
	if (result && s->held_up >= HELD_UP)
		return send_result;
	if (c->n_acks || s->next_heartbeat <= now)
		return send_heartbeat;
	if (c->queue.n_important || (c->queue.n && (result || s->next_progress <= now)))
		return send_events;
	if (*c->logs_wanted)
		return send_wanted_logs;
	journal = control_journal_waiting(c) >= 0;
	/* Who continues after a failure needs the last one. */
	if (journal && (result || s->next_journal <= now))
		return send_journal;
	if (result)
		return c->logs_first ? send_first_logs : send_result;
	*ret_until = s->next_heartbeat;
	if (c->queue.n && s->next_progress < *ret_until)
		*ret_until = s->next_progress;
	if (journal && s->next_journal < *ret_until)
		*ret_until = s->next_journal;
	return NULL;
}

static uint64_t next_try(const struct sender *s)
{
	return result_waits(s->c) ? s->soon : s->not_before;
}

/* The next step, waiting for one if need be; NULL ends the thread. Locked. */
static step_fn *next_step(struct sender *s)
{
	struct control *c = s->c;
	uint64_t now, until;
	step_fn *step;

	for (;;) {
		now = clock_now_ms();
		until = UINT64_MAX;
		step = NULL;
		if (c->stop && (c->fatal.code != ERR_NONE || !c->healthy || !c->queue.n ||
				       now >= c->stop_ms))
			return NULL;
		if (c->stop)
			return send_events;
		if (c->fatal.code == ERR_NONE && now < next_try(s))
			until = next_try(s);
		else if (c->fatal.code == ERR_NONE)
			step = choose(s, now, &until);
		if (step)
			return step;
		control_wait_until(c, until);
	}
}

/* Nobody has taken it, or answered with what makes no sense. Locked. */
static void note_failure(struct sender *s, step_fn *step)
{
	struct control *c = s->c;
	uint64_t now = clock_now_ms();
	uint64_t own = now + control_backoff_next(&s->backoff, c->backoff_max_s, -1);
	struct control_backoff asked = { 0 };

	c->last_error = s->err;
	c->healthy = false;
	s->soon = s->not_before = s->r.retry_after_s < 0 ? own :
		now + control_backoff_next(&asked, c->backoff_max_s,
			s->r.retry_after_s);
	if (step == send_result) {
		/* They take turns now: heartbeats keep the session alive. */
		s->held_up = s->held_up ? HELD_UP - 1 : 0;
	} else if (step != renew_session) {
		/* A log that is refused is no reason to wait long with the result. */
		s->soon = own;
		if (result_waits(c) && ++s->held_up == HELD_UP)
			log_warn("the result goes first: %s", s->err.text);
	}
}

void *control_sender(void *ctx)
{
	struct sender s = { .c = ctx, .http = ((struct control *)ctx)->sender_http,
		.batch_max = BATCH_MAX, .err = ERR_INIT };
	struct control *c = s.c;
	enum control_outcome rc;
	step_fn *step;

	pthread_mutex_lock(&c->lock);
	while ((step = next_step(&s))) {
		pthread_mutex_unlock(&c->lock);
		s.r.retry_after_s = -1;
		rc = step(&s);
		pthread_mutex_lock(&c->lock);
		if (rc == CONTROL_OK) {
			s.backoff.tries = 0;
		} else if (rc == CONTROL_RETRY) {
			note_failure(&s, step);
		}
	}
	c->sender_done = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	control_logs_free(&s.upload);
	strbuf_free(&s.r.body);
	strbuf_free(&s.body);
	return NULL;
}

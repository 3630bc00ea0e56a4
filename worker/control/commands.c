/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way from the controller to the job,
 * and the thread that asks for them. */
#include "control/control-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define POLL_S 25 /* how long the controller may hold the request back */

static const struct {
	const char *name;
	enum job_verb verb;
} verbs[] = {
	{ "pause", JOB_CMD_PAUSE }, { "resume", JOB_CMD_RESUME },
	{ "throttle", JOB_CMD_THROTTLE }, { "cancel", JOB_CMD_CANCEL },
	{ "retry", JOB_CMD_RETRY }, { "collect_logs", JOB_CMD_COLLECT_LOGS },
	{ "hold", JOB_CMD_HOLD }, { "poweroff", JOB_CMD_POWEROFF },
};

static enum job_verb find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, name))
			return verbs[i].verb;
	return JOB_CMD_NONE;
}

const char *control_verb(size_t i)
{
	return i < sizeof(verbs) / sizeof(verbs[0]) ? verbs[i].name : NULL;
}

void control_add_ack(struct control *c, const char *id, const char *status,
	const struct err *err)
{
	struct control_ack *a = &c->acks[c->n_acks];

	/* Each command has two answers, and no command arrives while
	 * answers do not get through. */
	if (c->n_acks == CONTROL_MAX_ACKS) {
		log_warn("controller: no room to answer command %s", id);
		return;
	}
	memset(a, 0, sizeof(*a));
	snprintf(a->id, sizeof(a->id), "%s", id);
	a->status = status;
	if (err)
		a->err = *err;
	c->n_acks++;
	pthread_cond_broadcast(&c->changed);
}

static void reject(struct control *c, const struct control_command *m, const char *why)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_CTL_PROTO, "command %s: %s", m->verb, why);
	log_warn("controller: %s", err.text);
	control_add_ack(c, m->id, "rejected", &err);
}

static void push(struct control *c, enum job_verb verb, const char *id,
	uint64_t bandwidth)
{
	struct job_command *w = &c->waiting[c->n_waiting++];

	memset(w, 0, sizeof(*w));
	w->verb = verb;
	w->bandwidth = bandwidth;
	snprintf(w->id, sizeof(w->id), "%s", id);
}

static void take(struct control *c, const struct control_command *m)
{
	enum job_verb verb = find_verb(m->verb);

	log_info("controller: command %s", m->verb);
	if (verb == JOB_CMD_NONE) {
		reject(c, m, "not known");
	} else if (verb == JOB_CMD_THROTTLE && !m->has_bandwidth) {
		reject(c, m, "needs bandwidth_bps");
	} else if (verb == JOB_CMD_COLLECT_LOGS && *c->logs_wanted) {
		reject(c, m, "logs are being sent already");
	} else {
		control_add_ack(c, m->id, "accepted", NULL);
		if (verb == JOB_CMD_COLLECT_LOGS)
			snprintf(c->logs_wanted, sizeof(c->logs_wanted), "%s", m->id);
		else
			push(c, verb, m->id, m->bandwidth);
	}
}

void control_take_commands(struct control *c, const struct control_commands *list)
{
	for (int i = 0; i < list->n; i++) {
		if (list->list[i].seq <= c->last_command)
			continue;
		/* What does not fit is left with the controller,
		 * which offers it again. */
		if (c->n_waiting >= CONTROL_MAX_WAITING ||
		    c->n_acks >= CONTROL_MAX_ACKS / 2)
			break;
		take(c, &list->list[i]);
		c->last_command = list->list[i].seq;
	}
	pthread_cond_broadcast(&c->changed);
}

void control_take_policy(struct control *c, const struct control_registration *reg)
{
	if (reg->has_bandwidth)
		push(c, JOB_CMD_THROTTLE, ".policy-throttle", reg->bandwidth);
	if (reg->paused)
		push(c, JOB_CMD_PAUSE, ".policy-pause", 0);
}

void control_take_cancel(struct control *c)
{
	if (c->fatal.code == ERR_NONE)
		push(c, JOB_CMD_CANCEL, ".gone", 0);
}

/* Waits until asking makes sense. False: never again. Locked. */
static bool may_ask(struct control *c, uint64_t not_before)
{
	while (!c->stop && c->fatal.code == ERR_NONE) {
		if (clock_now_ms() < not_before)
			control_wait_until(c, not_before);
		else if (c->need_register || c->n_waiting >= CONTROL_MAX_WAITING ||
			 c->n_acks >= CONTROL_MAX_ACKS / 2)
			control_wait_until(c, UINT64_MAX);
		else
			return true;
	}
	return false;
}

void *control_poller(void *ctx)
{
	struct control *c = ctx;
	struct control_backoff backoff = { 0 };
	struct control_response r = { .body = STRBUF_INIT };
	struct control_commands list;
	struct err err = ERR_INIT;
	uint64_t not_before = 0;
	char path[96];

	pthread_mutex_lock(&c->lock);
	while (may_ask(c, not_before)) {
		struct control_request q = { .method = "GET", .path = path,
			.timeout_s = POLL_S + c->request_timeout_s };
		enum control_outcome rc;

		snprintf(path, sizeof(path), "/commands?after=%" PRIu64 "&wait=%d",
			c->last_command, POLL_S);
		pthread_mutex_unlock(&c->lock);
		rc = control_session_run(c, c->poller_http, &q, &r, &err);
		if (rc == CONTROL_OK &&
		    control_decode_commands(r.body.s, r.body.len, &list, &err) < 0) {
			log_warn("%s", err.text);
			rc = CONTROL_RETRY;
		}
		pthread_mutex_lock(&c->lock);
		not_before = 0;
		if (rc == CONTROL_OK) {
			control_take_commands(c, &list);
			backoff.tries = 0;
		} else if (rc != CONTROL_DEAD) {
			not_before = clock_now_ms() + control_backoff_next(&backoff,
				c->backoff_max_s, rc == CONTROL_RETRY ? r.retry_after_s :
				-1);
		}
	}
	pthread_mutex_unlock(&c->lock);
	strbuf_free(&r.body);
	return NULL;
}

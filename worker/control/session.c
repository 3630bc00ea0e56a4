/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define MAX_RETRY_AFTER_S 300
#define CLOCK_SLACK_S 60 /* less may be the time that the answer took */
#define MAX_REFUSED 3 /* 401 in a row, each after a registration that worked */

uint64_t control_backoff_next(struct control_backoff *b, unsigned max_s,
	int retry_after_s)
{
	uint64_t limit = 1000u << (b->tries < 10 ? b->tries : 10), r;

	if (limit > (uint64_t)max_s * 1000)
		limit = (uint64_t)max_s * 1000;
	b->tries++;
	if (retry_after_s >= 0)
		return 1000u * (unsigned)(retry_after_s < MAX_RETRY_AFTER_S ?
			retry_after_s : MAX_RETRY_AFTER_S);
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = clock_now_ns();
	return 50 + r % limit;
}

/* Fills err with what the controller said about a status. */
static void refused(struct control *c, const struct control_response *r,
	enum err_code code, struct err *err)
{
	struct control_problem p;

	control_decode_problem(r->body.s ? r->body.s : "", r->body.len, &p);
	err_set(err, code, "controller %s: %ld%s%s%s%s", c->url, r->status,
		*p.code ? " " : "", p.code, *p.detail ? ": " : "", p.detail);
}

/* Notes whether the controller answers, and logs when that changes. Locked. */
static void note_health(struct control *c, bool healthy, const struct err *err)
{
	if (healthy && !c->healthy && c->last_error.code != ERR_NONE)
		log_info("controller %s: answers again", c->url);
	else if (!healthy && (c->healthy || c->last_error.code != err->code))
		log_warn("%s (%s); trying again", err->text, err_name(err->code));
	c->healthy = healthy;
	if (!healthy)
		c->last_error = *err;
}

static enum control_outcome give_up(struct control *c, const struct err *err)
{
	if (c->fatal.code == ERR_NONE) {
		c->fatal = *err;
		log_error("%s (%s)", err->text, err_name(err->code));
	}
	pthread_cond_broadcast(&c->changed);
	return CONTROL_DEAD;
}

static enum control_outcome judge(struct control *c, unsigned session,
	const struct control_response *r, struct err *err)
{
	if (r->status >= 200 && r->status < 300) {
		note_health(c, true, NULL);
		c->refused = 0;
		return CONTROL_OK;
	}
	if (r->status == 410) {
		refused(c, r, ERR_CTL_GONE, err);
		control_take_cancel(c);
		return give_up(c, err);
	}
	if (r->status == 401) {
		refused(c, r,
			c->refused < MAX_REFUSED ? ERR_CTL_LEASE : ERR_CTL_AUTH, err);
		if (session != c->session) /* another thread has renewed it meanwhile */
			return CONTROL_RETRY;
		if (c->refused++ >= MAX_REFUSED)
			return give_up(c, err);
		if (!c->need_register)
			log_warn("%s (%s); registering again", err->text,
				err_name(err->code));
		c->need_register = true;
		pthread_cond_broadcast(&c->changed);
		return CONTROL_DEAD;
	}
	refused(c, r,
		r->status == 429 || r->status >= 500 ? ERR_CTL_UNREACHABLE :
		ERR_CTL_PROTO, err);
	if (r->status == 429 || r->status >= 500) {
		note_health(c, false, err);
		return CONTROL_RETRY;
	}
	note_health(c, true, NULL);
	return r->status == 409 ? CONTROL_GAP : r->status == 413 ? CONTROL_LARGE :
		CONTROL_BAD;
}

enum control_outcome control_session_run(struct control *c, struct control_http *h,
	struct control_request *q, struct control_response *ret, struct err *err)
{
	char path[256], token[sizeof(c->reg.token)];
	enum control_outcome rc;
	unsigned session;
	int failed;

	pthread_mutex_lock(&c->lock);
	session = c->session;
	snprintf(path, sizeof(path), "/workers/%s%s", c->reg.worker_id, q->path);
	memcpy(token, c->reg.token, sizeof(token));
	pthread_mutex_unlock(&c->lock);
	q->path = path;
	q->bearer = token;
	failed = control_http_run(h, q, ret, err);
	q->bearer = NULL;
	explicit_bzero(token, sizeof(token));

	pthread_mutex_lock(&c->lock);
	if (!failed) {
		rc = judge(c, session, ret, err);
	} else if (err->code == ERR_CANCELLED) {
		rc = CONTROL_DEAD;
	} else {
		ret->retry_after_s = -1;
		note_health(c, false, err);
		rc = CONTROL_RETRY;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

bool control_clock_is_off(int64_t here, int64_t server)
{
	return server && llabs(here - server) > CLOCK_SLACK_S;
}

/* A VM without a battery, or with its clock in local time: the times in results, events
 * and the guest's files would be wrong. The controller was known by its key, which needs
 * no clock. */
static void take_time(int64_t server)
{
	struct timespec now, then = { .tv_sec = (time_t)server };

	clock_gettime(CLOCK_REALTIME, &now);
	if (!control_clock_is_off(now.tv_sec, server))
		return;
	if (clock_settime(CLOCK_REALTIME, &then) < 0)
		log_warn("the clock cannot be set: %s", err_text(errno));
	else
		log_info("the clock was %lld s off; it is set to the controller's",
			(long long)(now.tv_sec - server));
}

static enum control_outcome judge_registration(struct control *c,
	const struct control_response *r, struct err *err)
{
	struct control_registration reg;
	bool first = !c->session;

	if (r->status == 429 || r->status >= 500) {
		refused(c, r, ERR_CTL_UNREACHABLE, err);
		note_health(c, false, err);
		return CONTROL_RETRY;
	}
	if (r->status != 200) {
		refused(c, r, r->status == 401 ? ERR_CTL_AUTH
			: r->status == 410     ? ERR_CTL_GONE
					       : ERR_CTL_PROTO, err);
		if (r->status == 410 && !first)
			control_take_cancel(c);
		return give_up(c, err);
	}
	if (control_decode_register(r->body.s, r->body.len, &reg, err) < 0)
		return give_up(c, err);
	c->reg = reg;
	c->session++;
	c->need_register = false;
	note_health(c, true, NULL);
	if (first)
		control_take_policy(c, &reg);
	if (first && c->set_clock)
		take_time(reg.server_time);
	pthread_cond_broadcast(&c->changed);
	return CONTROL_OK;
}

enum control_outcome control_session_register(struct control *c, struct control_http *h,
	struct control_response *ret, struct err *err)
{
	struct control_identity id = { c->migration, c->boot_id, c->nonce, NULL };
	struct strbuf body = STRBUF_INIT;
	enum control_outcome rc = CONTROL_DEAD;
	struct control_request q = {
		.method = "POST", .path = "/register", .content_type = "application/json",
		.timeout_s = c->request_timeout_s,
	};

	if (control_encode_register(&id, c->token, c->facts, &body, err) < 0) {
		pthread_mutex_lock(&c->lock);
		rc = give_up(c, err);
		pthread_mutex_unlock(&c->lock);
		strbuf_free(&body);
		return rc;
	}
	q.body = body.s;
	q.len = body.len;
	if (!control_http_run(h, &q, ret, err)) {
		pthread_mutex_lock(&c->lock);
		rc = judge_registration(c, ret, err);
	} else {
		pthread_mutex_lock(&c->lock);
		ret->retry_after_s = -1;
		/* A wrong key at the start is a wrong job; later it is somebody in the
		 * middle, who learns nothing from our trying again. */
		if (err->code == ERR_CANCELLED) {
			rc = CONTROL_DEAD;
		} else if (!c->session &&
			(err->code == ERR_CTL_PIN || err->code == ERR_CTL_PROTO)) {
			rc = give_up(c, err);
		} else {
			note_health(c, false, err);
			rc = CONTROL_RETRY;
		}
	}
	pthread_mutex_unlock(&c->lock);
	explicit_bzero(body.s, body.len);
	strbuf_free(&body);
	if (ret->body.s) /* it holds the session token */
		explicit_bzero(ret->body.s, ret->body.len);
	return rc;
}

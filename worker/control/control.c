/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <yyjson.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BACKOFF_MAX_S 60
#define REQUEST_TIMEOUT_S 30
#define LAST_EVENTS_MS 2000
#define LOOK_MS 200 /* at the cancel flag, while waiting */
#define CANCELLED_MS 3000 /* for a report, once cancelled */

void control_wait_until(struct control *c, uint64_t ms)
{
	struct timespec ts = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	if (ms == UINT64_MAX)
		pthread_cond_wait(&c->changed, &c->lock);
	else
		pthread_cond_timedwait(&c->changed, &c->lock, &ts);
}

static int read_boot_id(struct control *c, const char *given, struct err *err)
{
	char *text CLEANUP_FREE = NULL;
	size_t len;

	if (!given) {
		if (fdio_read_file(BOOT_ID_FILE, 64, &text, &len, err) < 0)
			return -1;
		text[strcspn(text, "\n")] = '\0';
		given = text;
	}
	if (strlen(given) != 36)
		return err_set(err, ERR_INTERNAL, "%s: is not a boot id", given);
	memcpy(c->boot_id, given, 37);
	return 0;
}

static int make_nonce(struct control *c, struct err *err)
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, ERR_INTERNAL, "random numbers");
	for (int i = 0; i < 16; i++)
		snprintf(c->nonce + 2 * i, 3, "%02x", random[i]);
	return 0;
}

static int read_job(struct control *c, const struct job *job, struct err *err)
{
	size_t n = strlen(job->controller.url);

	if (!job->controller.present || strncmp(job->controller.url, "https://", 8))
		return err_set(err, ERR_CFG_INVALID,
			"controller.url: must start with https://");
	if (!job->controller.n_pins)
		return err_set(err, ERR_CFG_INVALID,
			"controller.pins: needs at least one pin");
	if (strlen(job->controller.token) < 16)
		return err_set(err, ERR_CFG_INVALID,
			"controller.token: has less than 16 characters");
	while (n && job->controller.url[n - 1] == '/')
		n--;
	memcpy(c->url, job->controller.url, n);
	memcpy(c->migration, job->migration, sizeof(c->migration));
	memcpy(c->token, job->controller.token, sizeof(c->token));
	return 0;
}

static int open_connections(struct control *c, const struct job *job, struct err *err)
{
	const char *pins[JOB_MAX_PINS + 1] = { NULL };
	struct control_http_config cfg = { .url = c->url, .pins = pins };

	for (int i = 0; i < job->controller.n_pins; i++)
		pins[i] = job->controller.pins[i];
	if (control_http_open(&cfg, &c->sender_http, err) < 0 ||
	    control_http_open(&cfg, &c->poller_http, err) < 0)
		return -1;
	cfg.cancel = c->cancel;
	return control_http_open(&cfg, &c->register_http, err);
}

int control_open(const struct job *job, const struct control_options *opt,
	struct control **ret, struct err *err)
{
	static const struct control_options none;
	struct control *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return err_set(err, ERR_NOMEM, "connection to the controller");
	opt = opt ? opt : &none;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->backoff_max_s = opt->backoff_max_s ? opt->backoff_max_s : BACKOFF_MAX_S;
	c->request_timeout_s = opt->request_timeout_s ? opt->request_timeout_s :
		REQUEST_TIMEOUT_S;
	c->cancel = opt->cancel;
	c->set_clock = opt->set_clock;
	c->now.drive = -1;
	c->result_then = -1;
	if (read_job(c, job, err) < 0 || read_boot_id(c, opt->boot_id, err) < 0 ||
	    make_nonce(c, err) < 0 || open_connections(c, job, err) < 0) {
		control_close(c);
		return -1;
	}
	*ret = c;
	return 0;
}

static int start_threads(struct control *c, struct err *err)
{
	if (!c->sender_started && pthread_create(&c->sender, NULL, control_sender, c))
		return err_set(err, ERR_NOMEM, "thread for the controller");
	c->sender_started = true;
	if (!c->poller_started && pthread_create(&c->poller, NULL, control_poller, c))
		return err_set(err, ERR_NOMEM, "thread for the controller");
	c->poller_started = true;
	return 0;
}

static bool is_cancelled(const struct control *c)
{
	return c->cancel && *c->cancel;
}

/* Waits until something changes, the time comes, or the job is cancelled. Locked. */
static void wait_cancellable(struct control *c, uint64_t until)
{
	uint64_t look = clock_now_ms() + LOOK_MS;

	control_wait_until(c, look < until ? look : until);
}

/* Registers until it works, the controller refuses, or the time is over. */
static int enter(struct control *c, uint64_t until, struct err *err)
{
	struct control_backoff backoff = { 0 };
	struct control_response r = { .body = STRBUF_INIT };
	enum control_outcome rc;
	uint64_t next = 0;

	for (;;) {
		rc = control_session_register(c, c->register_http, &r, err);
		if (rc != CONTROL_RETRY || clock_now_ms() >= until)
			break;
		next = clock_now_ms() +
			control_backoff_next(&backoff, c->backoff_max_s, r.retry_after_s);
		/* the last try is at the window's end,
		 * not as long before as a pause lasts */
		next = next < until ? next : until;
		pthread_mutex_lock(&c->lock);
		while (!is_cancelled(c) && clock_now_ms() < next)
			wait_cancellable(c, next);
		pthread_mutex_unlock(&c->lock);
	}
	strbuf_free(&r.body);
	if (rc == CONTROL_OK)
		return start_threads(c, err);
	if (rc == CONTROL_RETRY)
		return err_wrap(err, "registration given up");
	return -1;
}

static int port_announce(void *ctx, const char *facts_json, unsigned window_s,
	struct err *err)
{
	struct control *c = ctx;

	if (c->sender_started)
		return 0;
	if (c->fatal.code != ERR_NONE) {
		*err = c->fatal;
		return -1;
	}
	free(c->facts);
	c->facts = strdup(facts_json);
	if (!c->facts)
		return err_set(err, ERR_NOMEM, "facts for the controller");
	control_clean_json(c->facts);
	if (enter(c, clock_now_ms() + window_s * 1000ull, err) < 0)
		return -1;
	log_info("registered with the controller %s as %s", c->url, c->reg.worker_id);
	return 0;
}

static unsigned port_starts(void *ctx)
{
	struct control *c = ctx;
	unsigned n;

	pthread_mutex_lock(&c->lock);
	n = c->reg.starts;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void port_event(void *ctx, const struct job_event *e)
{
	struct control *c = ctx;
	struct control_heartbeat *now = &c->now;

	pthread_mutex_lock(&c->lock);
	control_queue_add(&c->queue, e);
	now->state = e->state;
	now->attempt = e->attempt;
	snprintf(now->step, sizeof(now->step), "%s", e->step ? e->step : "");
	if (e->progress && e->drive >= 0 && e->drive < JOB_MAX_DRIVES) {
		now->drive = e->drive;
		now->drive_seen[e->drive] = true;
		now->drives[e->drive] = *e->progress;
	}
	if (e->err)
		now->err = *e->err;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void port_command(void *ctx, struct job_command *ret)
{
	struct control *c = ctx;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&c->lock);
	if (c->n_waiting) {
		*ret = c->waiting[0];
		c->n_waiting--;
		memmove(c->waiting, c->waiting + 1, c->n_waiting * sizeof(c->waiting[0]));
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

static void port_command_done(void *ctx, const char *id, const struct err *err)
{
	struct control *c = ctx;

	if (*id == '.')
		return;
	pthread_mutex_lock(&c->lock);
	control_add_ack(c, id, err ? "failed" : "done", err);
	pthread_mutex_unlock(&c->lock);
}

static bool tells_of_success(const char *result_json)
{
	yyjson_doc *doc = yyjson_read(result_json, strlen(result_json), 0);
	bool yes = yyjson_equals_str(yyjson_obj_get(yyjson_doc_get_root(doc), "verdict"),
		"success");

	yyjson_doc_free(doc);
	return yes;
}

/* Waits for the sender. Locked. */
static int await_result(struct control *c, unsigned deadline_s, uint64_t until,
	int *ret_then, struct err *err)
{
	bool shortened = false;

	while (!c->result_done && c->fatal.code == ERR_NONE && clock_now_ms() < until) {
		if (is_cancelled(c) && !shortened) {
			shortened = true;
			if (until > clock_now_ms() + CANCELLED_MS)
				until = clock_now_ms() + CANCELLED_MS;
		}
		wait_cancellable(c, until);
	}
	if (c->result_done && c->result_err.code == ERR_NONE) {
		*ret_then = c->result_then;
		return 0;
	}
	if (c->result_done)
		*err = c->result_err;
	else if (c->fatal.code != ERR_NONE)
		*err = c->fatal;
	else if (c->last_error.code != ERR_NONE)
		*err = c->last_error;
	else
		err_set(err, ERR_CTL_UNREACHABLE, "controller %s: no answer", c->url);
	return err_wrap(err, "result not acknowledged (limit %u s)", deadline_s);
}

static int port_report(void *ctx, const char *result_json, unsigned deadline_s,
	enum job_finish *ret_then, struct err *err)
{
	struct control *c = ctx;
	uint64_t until = clock_now_ms() + deadline_s * 1000ull;
	int then = -1, rc;

	if (!c->sender_started) {
		if (c->fatal.code != ERR_NONE)
			*err = c->fatal;
		else if (!c->facts)
			err_set(err, ERR_INTERNAL, "result before registration");
		if (c->fatal.code != ERR_NONE || !c->facts || enter(c, until, err) < 0)
			return err_wrap(err, "result not acknowledged");
	}
	pthread_mutex_lock(&c->lock);
	free(c->result);
	c->result = strdup(result_json);
	if (c->result)
		control_clean_json(c->result);
	c->logs_first = c->result && !tells_of_success(c->result);
	c->result_done = !c->result;
	err_clear(&c->result_err);
	if (!c->result)
		err_set(&c->result_err, ERR_NOMEM, "result for the controller");
	pthread_cond_broadcast(&c->changed);
	rc = await_result(c, deadline_s, until, &then, err);
	c->result_done = true; /* too late is not sent any more */
	pthread_mutex_unlock(&c->lock);
	if (!rc && then >= 0)
		*ret_then = (enum job_finish)then;
	return rc;
}

void control_port(struct control *c, struct job_port *ret)
{
	*ret = (struct job_port){ .ctx = c, .announce = port_announce,
		.starts = port_starts,
		.event = port_event,
		.command = port_command, .command_done = port_command_done,
		.journal_put = control_journal_put, .journal_get = control_journal_get,
		.report = port_report };
}

static void end_threads(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	c->stop_ms = clock_now_ms() + LAST_EVENTS_MS;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->poller_started) {
		control_http_stop(c->poller_http);
		pthread_join(c->poller, NULL);
	}
	if (!c->sender_started)
		return;
	pthread_mutex_lock(&c->lock);
	while (!c->sender_done && clock_now_ms() < c->stop_ms)
		control_wait_until(c, c->stop_ms);
	pthread_mutex_unlock(&c->lock);
	control_http_stop(c->sender_http);
	pthread_join(c->sender, NULL);
}

void control_close(struct control *c)
{
	if (!c)
		return;
	end_threads(c);
	control_http_close(c->poller_http);
	control_http_close(c->sender_http);
	control_http_close(c->register_http);
	control_queue_free(&c->queue);
	control_journals_free(c);
	free(c->result);
	free(c->facts);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(&c->reg, sizeof(c->reg));
	explicit_bzero(c->token, sizeof(c->token));
	free(c);
}

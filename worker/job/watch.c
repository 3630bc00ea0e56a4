/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher: while the job's thread is inside a stage, this one takes commands from the
 * port and the stop signal, and tells init about waits that are meant (a pause is not a
 * hang).
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

#define POLL_US 100000
#define ALLOW_EVERY_MS 15000
#define ALLOW_S 60

static enum job_state state_of(const struct job_runner *r)
{
	return (enum job_state)atomic_load(&r->state);
}

static bool is_over(enum job_state s)
{
	return s == JOB_COMMIT || s == JOB_REPORT || s == JOB_OFF || s == JOB_FAILED ||
		s == JOB_CANCELLED || s == JOB_HELD;
}

static int too_late(const struct job_runner *r, struct err *err)
{
	return err_set(err, ERR_USAGE, "too late in state %s",
		job_state_name(state_of(r)));
}

static void pause_copy(struct job_runner *r, bool on)
{
	atomic_store(&r->ctl.pause, on);
	if (on && (state_of(r) == JOB_COPY || state_of(r) == JOB_VERIFY))
		job_set_state(r, JOB_PAUSED, "by command");
	else if (!on && state_of(r) == JOB_PAUSED)
		job_set_state(r, JOB_COPY, "continued by command");
}

static int carry_out(struct job_runner *r, const struct job_command *c, struct err *err)
{
	switch (c->verb) {
	case JOB_CMD_PAUSE:
	case JOB_CMD_RESUME:
		if (is_over(state_of(r)) || state_of(r) == JOB_CANCELLING)
			return too_late(r, err);
		pause_copy(r, c->verb == JOB_CMD_PAUSE);
		return 0;
	case JOB_CMD_THROTTLE:
		atomic_store(&r->ctl.bandwidth, c->bandwidth);
		return 0;
	case JOB_CMD_CANCEL:
		if (!job_enter_cancelling(r, "by command") && state_of(r) != JOB_HELD)
			return too_late(r, err);
		atomic_store(&r->released, true);
		return 0;
	case JOB_CMD_POWEROFF:
		atomic_store(&r->ending, JOB_POWEROFF);
		atomic_store(&r->released, true);
		/* When it is too late for that, the job ends by itself,
		 * and so as asked. */
		job_enter_cancelling(r, "power-off by command");
		return 0;
	case JOB_CMD_HOLD:
		atomic_store(&r->ending, JOB_HOLD);
		return 0;
	case JOB_CMD_RETRY:
		if (state_of(r) != JOB_HELD)
			return err_set(err, ERR_USAGE, "nothing to retry in state %s",
				job_state_name(state_of(r)));
		atomic_store(&r->retry, true);
		return 0;
	case JOB_CMD_COLLECT_LOGS: /* the port's own business */
	case JOB_CMD_NONE:
		break;
	}
	return 0;
}

static void take_command(struct job_runner *r)
{
	struct job_command c;
	struct err err = ERR_INIT;
	int rc;

	memset(&c, 0, sizeof(c));
	r->port.command(r->port.ctx, &c);
	if (c.verb == JOB_CMD_NONE)
		return;
	rc = carry_out(r, &c, &err);
	if (rc < 0)
		log_warn("command %s: %s", c.id, err.text);
	if (r->port.command_done)
		r->port.command_done(r->port.ctx, c.id, rc < 0 ? &err : NULL);
}

/* Whether silence is no hang: a pause, or within what the stage said it may take. */
static bool may_be_quiet(const struct job_runner *r, uint64_t now)
{
	return state_of(r) == JOB_PAUSED || state_of(r) == JOB_HELD ||
		now < atomic_load(&r->quiet_until_ms);
}

void job_quiet(struct job_runner *r, unsigned seconds)
{
	atomic_store(&r->quiet_ms, seconds * 1000ull);
	atomic_store(&r->quiet_until_ms, clock_now_ms() + seconds * 1000ull);
}

static void *watch(void *arg)
{
	struct job_runner *r = arg;
	uint64_t allowed_ms = clock_now_ms();
	bool signalled = false;

	while (!atomic_load(&r->stopped)) {
		uint64_t now = clock_now_ms();

		if (r->env->stop && atomic_load(r->env->stop) && !signalled) {
			signalled = true;
			job_enter_cancelling(r, "by signal");
			atomic_store(&r->released, true);
		}
		if (atomic_load(&r->registered) && r->port.command)
			take_command(r);
		if (may_be_quiet(r, now) && now - allowed_ms > ALLOW_EVERY_MS) {
			allowed_ms = now;
			job_init_send(r->env->init_fd, "allow %d", ALLOW_S);
		}
		usleep(POLL_US);
	}
	return NULL;
}

int job_watch_start(struct job_runner *r, pthread_t *ret, struct err *err)
{
	sigset_t all, old;
	int e;

	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(ret, NULL, watch, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		return err_set_at(err, ERR_NOMEM, e, __FILE__, __LINE__,
			"start a thread");
	return 0;
}

void job_watch_stop(struct job_runner *r, pthread_t t)
{
	atomic_store(&r->stopped, true);
	pthread_join(t, NULL);
}

int job_cancelled(const struct job_runner *r, struct err *err)
{
	if (!atomic_load(&r->ctl.cancel))
		return 0;
	return err_set(err, ERR_CANCELLED, "the job was cancelled");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told how a job ended: the volume, the controller, and init before both. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

int job_open_port(struct job_runner *r, struct err *err)
{
	struct job_port port = { .ctx = NULL };
	unsigned lost;

	if (!r->job->controller.present || !r->env->open_port)
		return 0;
	if (r->env->open_port(r->env->ctx, r->job, &port, err) < 0)
		return -1;
	pthread_mutex_lock(&r->lock);
	lost = r->early.lost;
	job_early_send(&r->early, &port);
	r->port = port;
	r->has_port = true;
	pthread_mutex_unlock(&r->lock);
	if (lost)
		job_warn(r, "%u events of the start were not kept for the controller",
			lost);
	return 0;
}

int job_announce(struct job_runner *r, unsigned window_s, struct err *err)
{
	CLEANUP_FREE char *facts = job_facts(r);

	if (!facts)
		return err_set(err, ERR_NOMEM, "no memory to describe this machine");
	job_quiet(r, window_s + 60);
	if (r->port.announce(r->port.ctx, facts, window_s, err) < 0)
		return -1;
	atomic_store(&r->registered, true);
	return 0;
}

static enum job_finish planned_finish(const struct job_runner *r, enum job_state end)
{
	if (!r->job || end == JOB_CANCELLED || r->looping)
		return JOB_POWEROFF;
	return end == JOB_OFF ? r->job->finish : r->job->on_error;
}

/* Offers the result until the deadline, also when the registration failed before. */
static int offer(struct job_runner *r, const char *text, unsigned deadline_s,
	enum job_finish *ret_then, struct err *err)
{
	uint64_t now = clock_now_ms(), end = now + deadline_s * 1000ull;

	if (!atomic_load(&r->registered)) {
		/* A refused document has not come to its network, nor has a job that is
		 * done or began too often, nor this process after others that crashed. */
		if (!r->linked && (r->found.contact || r->done || r->crashed ||
			r->looping) && job_stage_net(r, err) < 0)
			return -1;
		if (!r->linked)
			return err_set(err, ERR_CTL_UNREACHABLE,
				"no network adapter is up");
		if (!deadline_s)
			return err_set(err, ERR_CTL_UNREACHABLE, "not registered");
		if (job_announce(r, deadline_s, err) < 0)
			return -1;
		now = clock_now_ms();
		deadline_s = now < end ? (unsigned)((end - now + 999) / 1000) : 1;
	}
	return r->port.report(r->port.ctx, text, deadline_s, ret_then, err);
}

/* The controller has taken now what an earlier run had left. */
static void mark_done(struct job_runner *r)
{
	struct err err = ERR_INIT;
	char *text = job_result_mark(r->done, strlen(r->done));

	if (!text)
		return;
	if (job_result_keep(r, text, &err) < 0)
		job_warn(r, "the result cannot be kept here: %s", err.text);
	free(text);
}

/* What the volume says stays: the migration is a success. A controller that had not taken
 * that yet is told now. The machine goes off, so that it cannot start the same volume for
 * ever. */
static enum job_finish report_done(struct job_runner *r)
{
	struct err err = ERR_INIT;
	bool told = !(r->port.announce && r->port.report) ||
		job_result_acknowledged(r->done, strlen(r->done));
	enum job_finish then;

	if (!told) {
		told = offer(r, r->done, r->job->report_deadline_s, &then, &err) == 0;
		if (told)
			mark_done(r);
		else
			job_warn(r, "the controller has not taken the result: %s",
				err.text);
	}
	/* Also when the run that had done the job was cut off before it came to that. */
	job_wipe_medium(r, !told);
	return atomic_load(&r->ending) >= 0 ? (enum job_finish)atomic_load(&r->ending)
					    : JOB_POWEROFF;
}

enum job_finish job_report(struct job_runner *r, enum job_state end)
{
	enum job_finish then = planned_finish(r, end);
	unsigned deadline = r->job ? r->job->report_deadline_s : 0;
	struct err err = ERR_INIT;
	bool told = !(r->port.announce && r->port.report), done;
	char *text;

	job_set_state(r, JOB_REPORT, NULL);
	job_quiet(r, deadline + 420);
	/* A machine that has nothing to do needs no reset when it hangs at its end: it
	 * would start again, and hang again. */
	if (r->done || r->looping)
		job_init_send(r->env->init_fd, "unwatched");
	job_init_settle(r);
	if (r->done)
		return report_done(r);
	text = job_result(r, end, NULL);
	if (!text) {
		log_error("REPORT no memory for the result");
		return then;
	}
	if (job_result_keep(r, text, &err) < 0)
		job_warn(r, "the result cannot be kept here: %s", err.text);
	if (!r->env->image && !r->env->result_file)
		fputs(text, stdout);
	if (!told && !r->silent) {
		err_clear(&err);
		done = told = offer(r, text, deadline, &then, &err) == 0;
		if (!done)
			job_warn(r, "the controller has not taken the result: %s",
				err.text);
		free(text);
		text = job_result(r, end, &done);
		err_clear(&err);
		if (text && job_result_keep(r, text, &err) < 0)
			job_warn(r, "the result cannot be kept here: %s", err.text);
	}
	free(text);
	/* A failure keeps them: the same job continues where this one stopped. A result
	 * that nobody has taken is offered again when the volume is started once more. */
	if (end == JOB_OFF)
		job_wipe_medium(r, !told);
	if (atomic_load(&r->ending) >= 0)
		then = (enum job_finish)atomic_load(&r->ending);
	if (r->looping && then == JOB_REBOOT)
		then = JOB_POWEROFF;
	job_starts_end(r, end, then);
	return then;
}

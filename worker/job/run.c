/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a job: which stage follows which, and what a failure leads to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

static enum job_state state_of(const struct job_runner *r)
{
	return (enum job_state)atomic_load(&r->state);
}

/* An interrupted run left its result: then targets hold data of this migration already.
 * Only a result that is not there, or that of another migration, tells the contrary. A
 * machine that was only started again with the volume still in it has no order to copy
 * over a clone that works. */
static int look_for_earlier_run(struct job_runner *r, struct err *ret)
{
	char when[32];
	struct err err = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int rc = 0;

	if (r->env->last_crash)
		r->resume = true;
	if (r->env->result_file)
		rc = fdio_read_file(r->env->result_file, JOB_MAX_BYTES, &text, &len,
			&err);
	else if (r->found.has_medium)
		rc = job_medium_read(&r->found.medium, "result.json", &text, &len, &err);
	if (text && r->env->image && r->job->mode == JOB_FULL &&
		job_result_done(text, len, r->job->migration, when)) {
		r->done = text;
		text = NULL;
		return err_set(ret, ERR_JOB_DONE, "migration %s: ended in success at %s",
			r->job->migration, when);
	}
	if (job_is_spent(r->job)) {
		r->done = text;
		text = NULL;
		return err_set(ret, ERR_JOB_DONE,
			"migration %s: this job has ended and its secrets were removed",
			r->job->migration);
	}
	if (rc < 0 && err.sys != ENOENT) {
		log_warn("CONFIG the result of an earlier run cannot be read: %s",
			err.text);
		r->resume = true;
	} else if (text && job_result_resumes(text, len, r->job->migration)) {
		r->resume = true;
	}
	if (r->resume)
		log_info("CONFIG an earlier run has written to the targets; it is continued");
	return 0;
}

static int stage_config(struct job_runner *r, struct job_cmdline *cmdline,
	struct err *err)
{
	job_set_state(r, JOB_CONFIG, NULL);
	job_quiet(r, 120);
	if (job_find(r->env, &r->found, cmdline, err) < 0)
		return -1;
	if (r->found.job)
		return 0;
	/* The kernel command line points to the job: the network comes first. */
	job_set_state(r, JOB_NET, NULL);
	if (r->env->network && job_stage_net(r, err) < 0)
		return -1;
	job_set_state(r, JOB_CONFIG, cmdline->url);
	return job_find_url(r->env, cmdline, &r->found, err);
}

static int stage_register(struct job_runner *r, struct err *err)
{
	if (!r->port.announce)
		return 0;
	job_set_state(r, JOB_REGISTER, r->job->controller.url);
	if (job_announce(r, r->job->controller.register_window_s, err) < 0)
		return -1;
	return job_starts_told(r, err);
}

/* What is done once per worker process. */
static int begin(struct job_runner *r, struct err *err)
{
	struct job_cmdline cmdline = { .n_pins = 0 };
	char text[300];

	r->linked = !r->env->network;
	if (stage_config(r, &cmdline, err) < 0)
		return -1;
	r->job = r->found.job;
	if (job_open_port(r, err) < 0)
		return -1;
	atomic_store(&r->ctl.bandwidth, r->job->bandwidth);
	snprintf(text, sizeof(text), "migration %s, mode %s, %d drives, job from %s",
		r->job->migration, job_mode_name(r->job->mode), r->job->n_drives,
		job_channel_name(r->found.channel));
	job_step(r, "config", true, text);
	return look_for_earlier_run(r, err) < 0 ? -1 : job_starts_begin(r, err);
}

/* Network and registration, until both have worked once. */
static int go_online(struct job_runner *r, struct err *err)
{
	/* Preparing disks in place needs nobody else. */
	bool needed = r->job->mode != JOB_PREPARE || r->job->controller.present ||
		r->job->n_nets;

	if (r->online)
		return 0;
	if (r->env->network && needed && r->found.channel != JOB_CH_CMDLINE) {
		job_set_state(r, JOB_NET, NULL);
		if (job_stage_net(r, err) < 0)
			return -1;
	}
	if (job_cancelled(r, err) < 0 || stage_register(r, err) < 0)
		return -1;
	r->online = true;
	return 0;
}

/* Whether a run that is cut off leaves a trace of what it has done to the targets. */
static bool keeps_trace(const struct job_runner *r)
{
	return r->env->result_file ||
		(r->found.has_medium && !r->found.medium.read_only);
}

/* Says on the worker's volume that targets are about to be written. Where that cannot be
 * said, an earlier run may have written without a trace: then nobody's word is taken that
 * a target reads as zeroes, or holds a state of its source. */
static void keep_running(struct job_runner *r)
{
	struct err err = ERR_INIT;
	CLEANUP_FREE char *text = NULL;

	r->touched = true;
	text = job_result(r, JOB_COPY, NULL);
	if (text && job_result_keep(r, text, &err) == 0 && keeps_trace(r))
		return;
	if (err.code)
		job_warn(r, "the result cannot be kept here: %s", err.text);
	r->traceless = true;
}

/* Sources and targets. That the trace cannot be kept is known only when it is written:
 * then the sources are opened anew, without the word that was given for the targets. */
static int make_ready(struct job_runner *r, bool writes, struct err *err)
{
	bool known = !keeps_trace(r);

	r->traceless = known;
	if (job_preflight(r, err) < 0 || job_cancelled(r, err) < 0)
		return -1;
	if (!writes)
		return 0;
	keep_running(r);
	if (known == r->traceless)
		return 0;
	job_close_sources(r);
	return job_preflight(r, err);
}

/* What an earlier attempt of this process did is no result of this one. */
static void forget_attempt(struct job_runner *r)
{
	int i;

	for (i = 0; i < r->job->n_drives; i++) {
		r->drives[i].copied = r->drives[i].committed = false;
		memset(&r->drives[i].result, 0, sizeof(r->drives[i].result));
	}
	strbuf_reset(&r->prepare);
	r->n_warnings = 0;
}

/* One attempt, from READY to COMMIT. */
static int attempt(struct job_runner *r, struct err *err)
{
	bool copies = r->job->mode != JOB_PREPARE;
	bool writes = copies || (!r->job->prepare.dry_run && !r->job->prepare.rehearse);

	job_set_state(r, JOB_READY, "checking sources and targets");
	job_quiet(r, 120);
	job_close_sources(r);
	forget_attempt(r);
	if (make_ready(r, writes, err) < 0)
		return -1;
	if (copies) {
		job_set_state(r, JOB_COPY, NULL);
		if (atomic_load(&r->ctl.pause))
			job_set_state(r, JOB_PAUSED, "by command");
		if (job_stage_copy(r, err) < 0)
			return -1;
	}
	if (job_cancelled(r, err) < 0)
		return -1;
	job_set_state(r, JOB_PREPARING, NULL);
	if (job_stage_prepare(r, err) < 0)
		return -1;
	if (!copies)
		return 0;
	if (job_enter_commit(r, err) < 0)
		return -1;
	return job_stage_commit(r, err);
}

static void fail(struct job_runner *r, const struct err *err)
{
	struct job_event e = { .type = "error", .err = err, .drive = -1,
		.attempt = r->attempt };
	enum job_state end = err->code == ERR_CANCELLED ? JOB_CANCELLED : JOB_FAILED;

	job_let_go(r);
	r->failed_in = state_of(r);
	r->err = *err;
	e.state = r->failed_in;
	job_emit(r, &e);
	job_set_state(r, end, r->touched && r->job && r->job->mode != JOB_PREPARE
		? "the target is not bootable; the same job continues where this one stopped"
		: NULL);
}

/* Stays for a command. True when it was to try again. */
static bool hold(struct job_runner *r)
{
	job_set_state(r, JOB_HELD, "waiting for a command");
	while (!atomic_load(&r->released) && !atomic_load(&r->retry) &&
		!(r->env->stop && atomic_load(r->env->stop)))
		usleep(100000);
	return atomic_exchange(&r->retry, false) && !atomic_load(&r->released);
}

static void next_attempt(struct job_runner *r)
{
	r->attempt++;
	r->resume = r->resume || r->touched || r->done;
	free(r->done); /* by command: now there is an order */
	r->done = NULL;
	err_clear(&r->err);
	atomic_store(&r->ctl.cancel, false);
	atomic_store(&r->ctl.pause, false);
}

static void take_contact(struct job_runner *r)
{
	struct err err = ERR_INIT;

	r->job = r->found.contact;
	if (job_open_port(r, &err) < 0)
		log_warn("REPORT %s", err.text);
}

/* Everything between the start of the watcher and its end. */
static enum job_finish live(struct job_runner *r)
{
	struct err err = ERR_INIT;
	enum job_finish then;
	enum job_state end;
	int rc;

	source_cancelled_by(&r->ctl.cancel);
	rc = begin(r, &err);
	for (;;) {
		if (rc == 0)
			rc = go_online(r, &err);
		if (rc == 0)
			rc = attempt(r, &err);
		if (rc < 0)
			fail(r, &err);
		/* A refused document is still reported to the
		 * controller that it names. */
		if (!r->job && r->found.contact)
			take_contact(r);
		end = rc == 0 ? JOB_OFF : err.code == ERR_CANCELLED ? JOB_CANCELLED :
			JOB_FAILED;
		then = job_report(r, end);
		if (then != JOB_HOLD || !atomic_load(&r->registered) || !r->found.job)
			break;
		if (!hold(r)) {
			then = JOB_POWEROFF;
			break;
		}
		next_attempt(r);
		err_clear(&err);
		rc = 0;
	}
	job_set_state(r, then == JOB_HOLD ? JOB_HELD : JOB_OFF, job_finish_name(then));
	return then;
}

void job_runner_free(struct job_runner *r)
{
	job_close_sources(r);
	if (r->machine_fd >= 0)
		close(r->machine_fd);
	strbuf_free(&r->prepare);
	free(r->done);
	job_free(r->found.job);
	job_free(r->found.contact);
	job_early_free(&r->early);
	free(r->disks);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int job_run(const struct job_env *env)
{
	struct job_runner *r = calloc(1, sizeof(*r));
	struct err err = ERR_INIT;
	enum job_finish then;
	pthread_t watcher;
	int status;

	if (r)
		r->disks = calloc(JOB_MAX_DISKS, sizeof(*r->disks));
	if (!r || !r->disks) {
		free(r);
		log_error("no memory for the job");
		return err_exit_status(ERR_NOMEM);
	}
	r->env = env;
	r->attempt = 1;
	r->started_ms = r->state_since_ms = clock_now_ms();
	atomic_store(&r->ending, -1);
	pthread_mutex_init(&r->lock, NULL);
	job_machine_open(r);
	job_set_state(r, JOB_BOOT, "worker " TW_VERSION);
	if (env->last_reset)
		job_warn(r, "this machine was reset by its %s", env->last_reset);
	if (env->last_crash)
		job_warn(r, "started again after: %s", env->last_crash);
	if (job_watch_start(r, &watcher, &err) < 0) {
		log_error("%s", err.text);
		job_runner_free(r);
		return err_exit_status(err.code);
	}
	then = live(r);
	job_watch_stop(r, watcher);
	status = err_exit_status(r->err.code);
	job_init_send(env->init_fd, "finish %s", job_finish_name(then));
	job_runner_free(r);
	return env->image ? 0 : status;
}

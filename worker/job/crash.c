/* SPDX-License-Identifier: Apache-2.0 */
/* What is told when init has given the worker up, by a process of its own:
 * worker report-crash. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

#define REPORT_S 120 /* for the controller; init gives this process 300 s in all */

/* init begins with these words (initramfs/init-crash.c). */
void job_crash_err(const char *cause, struct err *ret)
{
	if (strncmp(cause, "stalled", 7) == 0)
		err_set(ret, ERR_WORKER_STALL,
			"the worker hung repeatedly; the last time: %s", cause);
	else if (strncmp(cause, "killed: out of memory", 21) == 0)
		err_set(ret, ERR_NOMEM,
			"the worker ran out of memory repeatedly; the last time: %s",
			cause);
	else
		err_set(ret, ERR_WORKER_CRASH,
			"the worker crashed repeatedly; the last time: %s", cause);
}

/* A worker that dies after the end of its job does not make a success a failure: r->done
 * is what the volume has, then. */
static bool ended_well(struct job_runner *r)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len;
	char when[32];

	if (!r->job || r->job->mode != JOB_FULL || !r->found.has_medium ||
		job_medium_read(&r->found.medium, "result.json", &text, &len,
			&none) < 0 ||
		!job_result_done(text, len, r->job->migration, when))
		return false;
	r->done = text;
	text = NULL;
	return true;
}

/* As the run that crashed found it. A job that the kernel command line points to wants
 * the network first, and is at no other place. */
static void find_job(struct job_runner *r)
{
	struct job_cmdline cmdline = { .n_pins = 0 };
	struct err err = ERR_INIT;
	int rc = job_find(r->env, &r->found, &cmdline, &err);

	if (rc == 0 && !r->found.job && r->env->network)
		rc = job_stage_net(r, &err) < 0 ? -1
			: job_find_url(r->env, &cmdline, &r->found, &err);
	if (rc < 0)
		log_warn("the job is not known: %s", err.text);
	r->job = r->found.job;
	if (r->job && r->job->report_deadline_s > REPORT_S)
		r->job->report_deadline_s = REPORT_S;
	err_clear(&err);
	if (r->job && job_open_port(r, &err) < 0)
		log_warn("REPORT %s", err.text);
}

static void tell(struct job_runner *r, const char *cause)
{
	struct job_event e = { .type = "error", .err = &r->err, .drive = -1,
		.state = JOB_FAILED, .attempt = r->attempt };

	job_crash_err(cause, &r->err);
	job_emit(r, &e);
	job_set_state(r, JOB_FAILED, "init has given the worker up");
	job_report(r, JOB_FAILED);
}

int job_report_crash(const struct job_env *env, const char *cause, struct err *err)
{
	struct job_runner *r = calloc(1, sizeof(*r));

	if (r)
		r->disks = calloc(JOB_MAX_DISKS, sizeof(*r->disks));
	if (!r || !r->disks) {
		free(r);
		return err_set(err, ERR_NOMEM, "no memory for the result");
	}
	r->env = env;
	r->attempt = 1;
	r->started_ms = r->state_since_ms = clock_now_ms();
	r->touched = true; /* not known here: the careful answer */
	r->linked = !env->network;
	r->crashed = true;
	atomic_store(&r->ending, -1);
	pthread_mutex_init(&r->lock, NULL);
	job_machine_open(r);
	find_job(r);
	if (ended_well(r)) {
		log_warn("the migration had ended in success; its result stays. Since then: %s", cause);
		job_report(r, JOB_OFF);
	} else {
		tell(r, cause);
	}
	job_runner_free(r);
	return 0;
}

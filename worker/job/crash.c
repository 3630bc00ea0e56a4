/* SPDX-License-Identifier: Apache-2.0 */
/* The result that is left when init has given the worker up: worker report-crash. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

/* init begins with these words (initramfs/init-crash.c). */
static void name_crash(const char *cause, struct err *ret)
{
	if (strncmp(cause, "stalled", 7) == 0)
		err_set(ret, ERR_WORKER_STALL, "the worker hung repeatedly; the last time: %s", cause);
	else if (strncmp(cause, "killed: out of memory", 21) == 0)
		err_set(ret, ERR_NOMEM, "the worker ran out of memory repeatedly; the last time: %s",
			cause);
	else
		err_set(ret, ERR_WORKER_CRASH, "the worker crashed repeatedly; the last time: %s",
			cause);
}

/* A worker that dies after the end of its job does not make a success a failure. */
static bool ended_well(struct job_runner *r)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len;
	char when[32];

	return r->job && r->job->mode == JOB_FULL && r->found.has_medium &&
		job_medium_read(&r->found.medium, "result.json", &text, &len, &none) == 0 &&
		job_result_done(text, len, r->job->migration, when);
}

int job_report_crash(const char *cause, struct err *err)
{
	struct job_env env = { .image = true, .init_fd = -1 };
	struct job_runner *r = calloc(1, sizeof(*r));
	struct job_cmdline cmdline = { .n_pins = 0 };
	struct err none = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	int rc;

	if (!r)
		return err_set(err, ERR_NOMEM, "no memory for the result");
	r->env = &env;
	r->started_ms = clock_now_ms();
	r->machine_fd = -1;
	r->touched = true; /* not known here: the careful answer */
	pthread_mutex_init(&r->lock, NULL);
	if (job_find(&env, &r->found, &cmdline, &none) < 0)
		log_warn("the job is not known: %s", none.text);
	r->job = r->found.job;
	if (ended_well(r)) {
		log_warn("the migration had ended in success; its result stays. Since then: %s", cause);
		job_runner_free(r);
		return 0;
	}
	name_crash(cause, &r->err);
	text = job_result(r, JOB_FAILED, NULL);
	rc = text ? job_result_keep(r, text, err) : err_set(err, ERR_NOMEM, "no memory");
	job_runner_free(r);
	return rc;
}

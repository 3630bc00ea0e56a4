/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the source's production stands still: told as a step of its own, so that
 * whoever watches a job knows since when, and that it is over.
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"
#include "source/source.h"

static uint64_t still_since(const struct job_runner *r)
{
	uint64_t since = 0;

	for (int i = 0; r->job && i < r->job->n_drives; i++) {
		const struct source *s = r->drives[i].source;
		uint64_t ms = s ? source_still_ms(s) : 0;

		if (ms && (!since || ms < since))
			since = ms;
	}
	return since;
}

void job_tell_still(struct job_runner *r)
{
	uint64_t since = still_since(r), now = clock_now_ms();
	char when[32], text[128];
	struct tm tm;
	time_t t;

	if (!since == !r->still_ms)
		return;
	if (since) {
		t = time(NULL) - (time_t)((now - since) / 1000);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
		snprintf(text, sizeof(text),
			"the source's file systems stand still since %s", when);
		r->still_ms = since;
		job_step(r, "still", false, text);
		return;
	}
	r->still_total_ms += now - r->still_ms;
	snprintf(text, sizeof(text), "the source stood still for %.1f s",
		(double)(now - r->still_ms) / 1000);
	r->still_ms = 0;
	job_step(r, "still", true, text);
}

void job_let_go(struct job_runner *r)
{
	struct err err = ERR_INIT;

	atomic_store(&r->let_go, true);
	/* Each session by itself keeps all that is mounted still. One that does not
	 * answer will not do so for the next drive. */
	for (int i = 0; r->job && i < r->job->n_drives; i++) {
		struct source *s = r->drives[i].source;

		if (!s || !source_still_ms(s))
			continue;
		if (source_let_go(s, &err) < 0) {
			log_warn("%s", err.text);
			break;
		}
	}
	job_tell_still(r);
}

/* That it cannot be told is no failure of the copy: it lets go by itself when nobody is
 * connected any more. */
void job_finish_sources(struct job_runner *r)
{
	const _Atomic bool *before = source_cancelled_by(NULL);

	for (int i = 0; i < r->job->n_drives; i++) {
		struct err err = ERR_INIT;

		if (source_finish(r->drives[i].source, &err) < 0)
			log_warn("%s", err.text);
	}
	source_cancelled_by(before);
	job_tell_still(r);
}

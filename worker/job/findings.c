/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings of a copy that worked: the operator decides what they mean. */
#include <inttypes.h>
#include <string.h>
#include <stdio.h>

#include "job/job-internal.h"

#define RANGES 8 /* in a sentence; the result has more */

static void tell_bad_ranges(struct job_runner *r, int drive, const struct copy_result *c)
{
	const unsigned n = c->n_bad < RANGES ? c->n_bad : RANGES;
	const unsigned more = c->n_bad + c->n_bad_left_out - n;
	struct err err = ERR_INIT;
	char list[RANGES * 44 + 32] = "";
	int at = 0;

	for (unsigned i = 0; i < n; i++)
		at += snprintf(list + at, sizeof(list) - (size_t)at, "%s%" PRIu64 "+%" PRIu64,
			i ? ", " : "", c->bad[i].off, c->bad[i].len);
	if (more)
		snprintf(list + at, sizeof(list) - (size_t)at, " and %u more ranges", more);
	err_set(&err, ERR_SRC_READ,
		"drives[%d] %s: %" PRIu64 " bytes could not be read and are zeroes at the "
		"target: %s", drive, r->job->drives[drive].source, c->bad_bytes, list);
	job_warn_result(r, drive, &err);
}

void job_tell_findings(struct job_runner *r, int drive)
{
	const struct copy_result *c = &r->drives[drive].result;
	struct err err = ERR_INIT;

	if (c->bad_bytes)
		tell_bad_ranges(r, drive, c);
	if (!strcmp(c->consistency, "crash")) {
		err_set(&err, ERR_SRC_CONSISTENCY,
			"drives[%d] %s: was not held still, so what was copied may be of many "
			"moments", drive, r->job->drives[drive].source);
		job_warn_result(r, drive, &err);
	}
	if (!c->changed_bytes)
		return;
	err_set(&err, ERR_SRC_CHANGED,
		"drives[%d] %s: %" PRIu64 " bytes of what was verified changed at the source, "
		"which nobody holds still, since they were copied", drive,
		r->job->drives[drive].source, c->changed_bytes);
	job_warn_result(r, drive, &err);
}

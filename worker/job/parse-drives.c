/* SPDX-License-Identifier: Apache-2.0 */
/* drives[] of the job document: which drive of the source goes to which disk. */
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

static const char *const states[] = { "pristine", "prepared", "booted", "unknown", NULL };

static int read_size_exact(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	if (job_read_bool(r, v, k, field) < 0)
		return -1;
	if (!*(bool *)field)
		return job_read_fail(r, "may only be true");
	return 0;
}

static const struct job_key target_keys[] = {
	{ "serial", job_read_string, JOB_FIELD(job_target, serial), .min = 1 },
	{ "wwn", job_read_string, JOB_FIELD(job_target, wwn), .min = 1 },
	{ "path", job_read_string, JOB_FIELD(job_target, path), .min = 1 },
	{ "device", job_read_string, JOB_FIELD(job_target, device), .min = 1 },
	{ "size_exact", read_size_exact, JOB_FIELD(job_target, size_exact) },
	{ .name = NULL },
};

int job_read_target(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job_target *t = field;

	(void)k;
	if (job_read_object(r, v, target_keys, t) < 0)
		return -1;
	if (!!*t->serial + !!*t->wwn + !!*t->path + !!*t->device + t->size_exact != 1)
		return job_read_fail(r,
			"needs exactly one of serial, wwn, path, device and size_exact");
	if (*t->device && *t->device != '/')
		return job_read_fail_key(r, "device", "must be an absolute path");
	return 0;
}

static const struct job_key drive_keys[] = {
	{ "source", job_read_string, JOB_FIELD(job_drive, source), .min = 1 },
	{ "target", job_read_target, JOB_FIELD(job_drive, target), .required = true },
	{ "target_state", job_read_enum, JOB_FIELD(job_drive, target_state),
		.names = states },
	{ "target_zero", job_read_bool, JOB_FIELD(job_drive, target_zero) },
	{ "since", job_read_string, JOB_FIELD(job_drive, since), .min = 1 },
	{ "bitmap", job_read_string, JOB_FIELD(job_drive, bitmap), .min = 1 },
	{ .name = NULL },
};

static bool same_target(const struct job_target *a, const struct job_target *b)
{
	return (*a->serial && !strcmp(a->serial, b->serial)) ||
		(*a->wwn && !strcmp(a->wwn, b->wwn)) ||
		(*a->path && !strcmp(a->path, b->path)) ||
		(*a->device && !strcmp(a->device, b->device));
}

static int read_drive(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;
	struct job_drive *d = &j->drives[i];
	size_t n;

	d->target_state = JOB_UNKNOWN;
	if (job_read_object(r, v, drive_keys, d) < 0)
		return -1;
	if (d->target_zero && d->target_state != JOB_PRISTINE)
		return job_read_fail_key(r, "target_zero",
			"needs target_state \"pristine\"");
	for (n = 0; n < i; n++) {
		if (same_target(&j->drives[n].target, &d->target))
			return job_read_fail_key(r, "target",
				"is that of drives[%zu] too", n);
		if (*d->source && !strcmp(j->drives[n].source, d->source))
			return job_read_fail_key(r, "source",
				"is that of drives[%zu] too", n);
	}
	j->n_drives = (int)i + 1;
	return 0;
}

int job_read_drives(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	if (job_read_array(r, v, JOB_MAX_DRIVES, read_drive, j) < 0)
		return -1;
	return j->n_drives ? 0 : job_read_fail(r, "needs at least one drive");
}

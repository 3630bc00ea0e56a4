/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the machine has started for a job that came to no end. A kernel that panics
 * in the middle restarts the machine, and the job begins again: without a count, for
 * ever. It stands beside the result, in starts.json
 *
 *     {"migration": "m-2041", "boot": "4e1b...", "starts": 2}
 *
 * and is written before anything else is done for the job. It begins anew when the job
 * has ended, whichever way. Where nothing can be kept, the controller counts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

#define NAME "starts.json"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MAX_BYTES 4096

/* Where there is no volume, beside the file that stands for the one on it. */
static bool own_path(const struct job_runner *r, char ret[512])
{
	return r->env->result_file && snprintf(ret, 512, "%s.starts",
		r->env->result_file) < 512;
}

static int read_kept(struct job_runner *r, char **ret, size_t *ret_len, struct err *err)
{
	char path[512];

	if (own_path(r, path))
		return fdio_read_file(path, MAX_BYTES, ret, ret_len, err);
	if (r->found.has_medium)
		return job_medium_read(&r->found.medium, NAME, ret, ret_len, err);
	return err_set(err, ERR_CFG_MISSING, "there is no TWCONFIG to count starts on");
}

static int write_kept(struct job_runner *r, const char *text, struct err *err)
{
	const struct job_file file = { NAME, text, strlen(text) };
	char path[512];

	if (own_path(r, path))
		return fdio_replace_file(path, text, strlen(text), 0600, err);
	if (r->found.has_medium)
		return job_medium_write(&r->found.medium, &file, 1, err);
	return err_set(err, ERR_CFG_MISSING, "there is no TWCONFIG to count starts on");
}

static int keep(struct job_runner *r, const char *boot, unsigned starts, struct err *err)
{
	char text[300];

	/* Names of migrations need no escapes, see job_read_name. */
	snprintf(text, sizeof(text), "{\"migration\": \"%s\", \"boot\": \"%s\", \"starts\": %u}\n",
		r->job->migration, boot, starts);
	return write_kept(r, text, err);
}

unsigned job_starts_next(const char *text, size_t len, const char *migration,
	const char *boot)
{
	yyjson_doc *doc = text ? yyjson_read(text, len, 0) : NULL;
	yyjson_val *root = yyjson_doc_get_root(doc);
	yyjson_val *starts = yyjson_obj_get(root, "starts");
	uint64_t n = yyjson_is_uint(starts) ? yyjson_get_uint(starts) : 0;

	if (!yyjson_equals_str(yyjson_obj_get(root, "migration"), migration))
		n = 0;
	/* A worker that init has started again is no start of the machine. */
	if (n < UINT32_MAX && (!n || !yyjson_equals_str(yyjson_obj_get(root, "boot"), boot)))
		n++;
	yyjson_doc_free(doc);
	return n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
}

static int judge(struct job_runner *r, unsigned starts, const char *who, struct err *err)
{
	unsigned max = r->job->max_starts;

	if (starts <= max)
		return 0;
	r->looping = true;
	/* The way to the controller may be what the kernel dies of. */
	r->silent = starts > max + 1;
	return err_set(err, ERR_BOOT_LOOP,
		"%s counts %u starts of this machine without an end of the job, %u are allowed",
		who, starts, max);
}

int job_starts_begin(struct job_runner *r, struct err *err)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *text = NULL, *boot = NULL;
	size_t len = 0, boot_len;
	int rc;

	if (!r->env->image)
		return 0;
	if (fdio_read_file(BOOT_ID, 64, &boot, &boot_len, err) < 0)
		return -1;
	boot[strcspn(boot, "\n")] = '\0';
	rc = read_kept(r, &text, &len, &none);
	if (rc < 0 && none.sys != ENOENT && none.code != ERR_CFG_MISSING)
		log_warn("CONFIG the count of starts cannot be read: %s", none.text);
	r->starts = job_starts_next(rc < 0 ? NULL : text, len, r->job->migration, boot);
	err_clear(&none);
	/* That there is no volume is told when the result cannot be kept either. */
	if (keep(r, boot, r->starts, &none) < 0 && none.code != ERR_CFG_MISSING)
		job_warn(r, "starts of this machine are not counted here: %s", none.text);
	return judge(r, r->starts, "TWCONFIG", err);
}

int job_starts_told(struct job_runner *r, struct err *err)
{
	unsigned n = r->port.starts ? r->port.starts(r->port.ctx) : 0;

	return r->env->image ? judge(r, n, "the controller", err) : 0;
}

/* After report-crash the kernel command line decides, and not the job (init.8). */
static bool crash_restarts(void)
{
	CLEANUP_FREE char *text = NULL;
	struct err err = ERR_INIT;
	size_t len;

	return fdio_read_file("/proc/cmdline", 64 << 10, &text, &len, &err) < 0 ||
		strstr(text, "tw.on_error=reboot");
}

void job_starts_end(struct job_runner *r, enum job_state end, enum job_finish then)
{
	/* A machine that restarts with this volume begins once more, unless JOB_DONE. */
	bool again = r->crashed ? crash_restarts() : then == JOB_REBOOT &&
		!(end == JOB_OFF && r->job->mode == JOB_FULL);
	struct err err = ERR_INIT;

	if ((r->starts || (r->crashed && r->job && r->env->image)) && !again &&
		keep(r, "", 0, &err) < 0 && err.code != ERR_CFG_MISSING)
		log_warn("the count of starts stays: %s", err.text);
}

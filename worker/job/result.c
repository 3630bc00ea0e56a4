/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result.json: the second witness beside the controller. It is written when the first
 * target is about to be written to (verdict "running": a reset will leave it so), when
 * the job ends, and once more when the controller has acknowledged it. worker.8 describes
 * its members.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

#define LOG_KEEP (64u << 10)    /* as much as base/log keeps */
/* of guest/'s report; TWCONFIG and the controller take 1 MiB */
#define REPORT_MAX (512u << 10)

static const char *verdict_of(enum job_state state)
{
	return state == JOB_OFF ? "success" : state == JOB_CANCELLED ? "cancelled"
		: state == JOB_FAILED ? "failed" : "running";
}

static void add_err(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct err *err)
{
	yyjson_mut_val *o;
	char site[128];

	yyjson_mut_obj_add_str(doc, root, "code", err_name(err->code));
	if (!err->code)
		return;
	o = yyjson_mut_obj_add_obj(doc, root, "err");
	snprintf(site, sizeof(site), "%s:%d", err->file ? err->file : "", err->line);
	yyjson_mut_obj_add_str(doc, o, "code", err_name(err->code));
	yyjson_mut_obj_add_strcpy(doc, o, "text", err->text);
	yyjson_mut_obj_add_str(doc, o, "hint", err_hint(err->code));
	yyjson_mut_obj_add_bool(doc, o, "retryable", err_retryable(err->code));
	yyjson_mut_obj_add_strcpy(doc, o, "site", site);
}

/* A list of {code, text, hint}, when there are any. */
static void add_list(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *name,
	const struct err *list, int n)
{
	yyjson_mut_val *all = n ? yyjson_mut_obj_add_arr(doc, root, name) : NULL;
	int i;

	for (i = 0; i < n; i++) {
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, all);

		yyjson_mut_obj_add_str(doc, o, "code", err_name(list[i].code));
		yyjson_mut_obj_add_strcpy(doc, o, "text", list[i].text);
		yyjson_mut_obj_add_str(doc, o, "hint", err_hint(list[i].code));
	}
}

static void add_drives(yyjson_mut_doc *doc, yyjson_mut_val *root,
	const struct job_runner *r)
{
	yyjson_mut_val *all = yyjson_mut_obj_add_arr(doc, root, "drives");
	int i;

	for (i = 0; r->job && i < r->job->n_drives; i++) {
		const struct job_run_drive *d = &r->drives[i];
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, all);
		CLEANUP_STRBUF struct strbuf copy = STRBUF_INIT;

		yyjson_mut_obj_add_str(doc, o, "source", r->job->drives[i].source);
		yyjson_mut_obj_add_str(doc, o, "target", d->target);
		yyjson_mut_obj_add_str(doc, o, "serial",
			d->disk ? d->disk->b.serial : "");
		yyjson_mut_obj_add_bool(doc, o, "copied", d->copied);
		yyjson_mut_obj_add_bool(doc, o, "committed", d->committed);
		if (!d->copied)
			continue;
		copy_result_json(&d->result, NULL, &copy);
		if (!copy.failed)
			yyjson_mut_obj_add_val(doc, o, "copy",
				yyjson_mut_rawncpy(doc, copy.s, copy.len));
	}
}

static void add_prepare(yyjson_mut_doc *doc, yyjson_mut_val *root,
	const struct job_runner *r)
{
	if (!r->prepare.len || r->prepare.failed)
		return;
	if (r->prepare.len > REPORT_MAX)
		yyjson_mut_obj_add_bool(doc, root, "prepare_left_out", true);
	else
		yyjson_mut_obj_add_val(doc, root, "prepare",
			yyjson_mut_rawn(doc, r->prepare.s, r->prepare.len));
}

static void add_times(yyjson_mut_doc *doc, yyjson_mut_val *root,
	const struct job_runner *r)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "times");
	char now[32];
	time_t t = time(NULL);
	struct tm tm;
	int i;

	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	yyjson_mut_obj_add_strcpy(doc, o, "written", now);
	yyjson_mut_obj_add_real(doc, o, "seconds",
		(double)(clock_now_ms() - r->started_ms) / 1000);
	for (i = 0; i < JOB_N_STATES; i++)
		if (r->state_ms[i])
			yyjson_mut_obj_add_real(doc, o, job_state_name((enum job_state)i),
				(double)r->state_ms[i] / 1000);
}

char *job_result(struct job_runner *r, enum job_state state, const bool *acknowledged)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	char *text;

	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_int(doc, root, "version", 1);
	yyjson_mut_obj_add_str(doc, root, "worker", TW_VERSION);
	yyjson_mut_obj_add_str(doc, root, "migration", r->job ? r->job->migration : "");
	yyjson_mut_obj_add_str(doc, root, "mode",
		r->job ? job_mode_name(r->job->mode) : "");
	yyjson_mut_obj_add_str(doc, root, "verdict", verdict_of(state));
	yyjson_mut_obj_add_str(doc, root, "state", job_state_name(state));
	yyjson_mut_obj_add_str(doc, root, "failed_in",
		r->err.code ? job_state_name(r->failed_in) : "");
	add_err(doc, root, &r->err);
	/* Also by an earlier run: whoever continues must not take a target for new. */
	yyjson_mut_obj_add_bool(doc, root, "touched", r->touched || r->resume);
	yyjson_mut_obj_add_uint(doc, root, "attempt", r->attempt);
	if (r->starts)
		yyjson_mut_obj_add_uint(doc, root, "starts", r->starts);
	yyjson_mut_obj_add_real(doc, root, "source_still_seconds",
		(double)r->still_total_ms / 1000);
	add_drives(doc, root, r);
	add_list(doc, root, "warnings", r->warnings, r->n_warnings);
	add_list(doc, root, "left_behind", r->left, r->n_left);
	add_prepare(doc, root, r);
	add_times(doc, root, r);
	yyjson_mut_obj_add_str(doc, root, "firmware", job_firmware());
	yyjson_mut_obj_add_str(doc, root, "job_channel",
		job_channel_name(r->found.channel));
	if (r->job && r->job->provenance_json)
		yyjson_mut_obj_add_val(doc, root, "provenance",
			yyjson_mut_raw(doc, r->job->provenance_json));
	if (acknowledged)
		yyjson_mut_obj_add_bool(doc, root, "acknowledged", *acknowledged);
	text = yyjson_mut_write(doc,
		YYJSON_WRITE_ALLOW_INVALID_UNICODE | YYJSON_WRITE_NEWLINE_AT_END, NULL);
	yyjson_mut_doc_free(doc);
	return text;
}

static int keep_on_medium(const struct job_medium *m, const char *text, struct err *err)
{
	struct job_file files[2] = { { "result.json", text, strlen(text) } };
	CLEANUP_FREE char *log = malloc(LOG_KEEP);

	if (!log)
		return err_set(err, ERR_NOMEM, "no memory for worker.log");
	files[1] = (struct job_file){ "worker.log", log, log_recent(log, LOG_KEEP) };
	return job_medium_write(m, files, 2, err);
}

int job_result_keep(struct job_runner *r, const char *text, struct err *err)
{
	if (r->env->result_file)
		return fdio_replace_file(r->env->result_file, text, strlen(text),
			0600, err);
	if (r->found.has_medium)
		return keep_on_medium(&r->found.medium, text, err);
	if (r->env->image)
		return err_set(err, ERR_CFG_MISSING,
			"no TWCONFIG partition to leave result.json on");
	return 0;
}

bool job_result_resumes(const char *text, size_t len, const char *migration)
{
	yyjson_doc *doc = yyjson_read(text, len, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);
	yyjson_val *touched = yyjson_obj_get(root, "touched");
	yyjson_val *whose = yyjson_obj_get(root, "migration");
	bool resumes = !yyjson_is_str(whose) || !yyjson_is_bool(touched) ||
		(yyjson_equals_str(whose, migration) && yyjson_get_bool(touched));

	yyjson_doc_free(doc);
	return resumes;
}

bool job_result_done(const char *text, size_t len, const char *migration,
	char ret_when[32])
{
	yyjson_doc *doc = yyjson_read(text, len, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);
	const char *when =
		yyjson_get_str(yyjson_obj_get(yyjson_obj_get(root, "times"), "written"));
	bool done = yyjson_equals_str(yyjson_obj_get(root, "migration"), migration) &&
		yyjson_equals_str(yyjson_obj_get(root, "verdict"), "success") &&
		yyjson_equals_str(yyjson_obj_get(root, "mode"), job_mode_name(JOB_FULL));

	snprintf(ret_when, 32, "%s", when ? when : "an unknown time");
	yyjson_doc_free(doc);
	return done;
}

char *job_result_mark(const char *text, size_t len)
{
	yyjson_doc *doc = yyjson_read(text, len, 0);
	yyjson_mut_doc *out = yyjson_doc_mut_copy(doc, NULL);
	yyjson_mut_val *root = yyjson_mut_doc_get_root(out);
	char *marked = NULL;

	if (yyjson_mut_is_obj(root) &&
		yyjson_mut_obj_put(root, yyjson_mut_str(out, "acknowledged"),
			yyjson_mut_bool(out, true)))
		marked = yyjson_mut_write(out, YYJSON_WRITE_ALLOW_INVALID_UNICODE |
			YYJSON_WRITE_NEWLINE_AT_END, NULL);
	yyjson_mut_doc_free(out);
	yyjson_doc_free(doc);
	return marked;
}

bool job_result_acknowledged(const char *text, size_t len)
{
	yyjson_doc *doc = yyjson_read(text, len, 0);
	bool is =
		yyjson_get_bool(yyjson_obj_get(yyjson_doc_get_root(doc), "acknowledged"));

	yyjson_doc_free(doc);
	return is;
}

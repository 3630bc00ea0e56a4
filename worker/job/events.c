/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event goes three ways: a line for people (the log), a line of JSON for a program on
 * the virtio-serial port "tw.events", and the port of the controller.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

#define LINE_EVERY_MS 5000
#define TICK_EVERY_MS 1000
#define PORTS "/sys/class/virtio-ports"

void job_machine_open(struct job_runner *r)
{
	char path[300], name[32];
	struct dirent *e;
	DIR *dir = opendir(PORTS);

	r->machine_fd = -1;
	while (dir && r->machine_fd < 0 && (e = readdir(dir))) {
		CLEANUP_FCLOSE FILE *f = NULL;

		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), PORTS "/%.200s/name", e->d_name);
		f = fopen(path, "re");
		if (!f || !fgets(name, sizeof(name), f) || strcmp(name, "tw.events\n"))
			continue;
		snprintf(path, sizeof(path), "/dev/%.200s", e->d_name);
		/* Nobody may be reading: that must not stop the job. */
		r->machine_fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
}

static void add_progress(yyjson_mut_doc *doc, yyjson_mut_val *root,
	const struct copy_progress *p)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "progress");

	yyjson_mut_obj_add_strcpy(doc, o, "phase", p->phase ? p->phase : "");
	yyjson_mut_obj_add_uint(doc, o, "total", p->total);
	yyjson_mut_obj_add_uint(doc, o, "done", p->done);
	yyjson_mut_obj_add_uint(doc, o, "flushed", p->flushed);
	yyjson_mut_obj_add_uint(doc, o, "wire", p->wire);
	yyjson_mut_obj_add_uint(doc, o, "rate_bps", p->rate);
	if (p->eta_s == UINT64_MAX)
		yyjson_mut_obj_add_null(doc, o, "eta_s");
	else
		yyjson_mut_obj_add_uint(doc, o, "eta_s", p->eta_s);
}

static void add_err(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct err *err)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "err");

	yyjson_mut_obj_add_str(doc, o, "code", err_name(err->code));
	yyjson_mut_obj_add_strcpy(doc, o, "text", err->text);
	yyjson_mut_obj_add_str(doc, o, "hint", err_hint(err->code));
	yyjson_mut_obj_add_bool(doc, o, "retryable", err_retryable(err->code));
}

static char *event_json(const struct job_event *e, size_t *ret_len)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	char *text;

	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_uint(doc, root, "monotonic_ms", clock_now_ms());
	yyjson_mut_obj_add_strcpy(doc, root, "type", e->type);
	yyjson_mut_obj_add_str(doc, root, "state", job_state_name(e->state));
	yyjson_mut_obj_add_uint(doc, root, "attempt", e->attempt);
	if (e->step)
		yyjson_mut_obj_add_strcpy(doc, root, "step", e->step);
	if (e->text)
		yyjson_mut_obj_add_strcpy(doc, root, "text", e->text);
	if (e->drive >= 0)
		yyjson_mut_obj_add_int(doc, root, "drive", e->drive);
	if (e->progress)
		add_progress(doc, root, e->progress);
	if (e->err)
		add_err(doc, root, e->err);
	text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE |
		YYJSON_WRITE_NEWLINE_AT_END, ret_len);
	yyjson_mut_doc_free(doc);
	return text;
}

/* The lines of a reader who has fallen behind are dropped whole; a line that was begun is
 * finished, with a wait of at most 2 s. */
static void machine_line(struct job_runner *r, const char *text, size_t len)
{
	size_t sent = 0;
	int tries = 0;

	while (sent < len) {
		ssize_t n = write(r->machine_fd, text + sent, len - sent);

		if (n > 0) {
			sent += (size_t)n;
		} else if (n < 0 && errno == EAGAIN && sent && tries++ < 200) {
			usleep(10000);
		} else if (n < 0 && errno != EINTR) {
			return;
		}
	}
}

static void log_event(const struct job_event *e)
{
	char drive[32] = "";

	if (e->drive >= 0)
		snprintf(drive, sizeof(drive), " drives[%d]", e->drive);
	if (e->err)
		log_line(strcmp(e->type, "warning") ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
			"%s%s: %s: %s (%s)", job_state_name(e->state), drive,
			err_name(e->err->code), e->err->text, err_hint(e->err->code));
	else if (!strcmp(e->type, "warning"))
		log_warn("%s%s: %s", job_state_name(e->state), drive,
			e->text ? e->text : "");
	else if (strcmp(e->type, "disk.progress"))
		log_info("%s%s%s%s%s%s%s", job_state_name(e->state), drive,
			e->step ? " " : "", e->step ? e->step :
			"", !strcmp(e->type, "step.finished") ? " done" :
				"", e->text ? ": " : "", e->text ? e->text : "");
}

void job_emit(struct job_runner *r, const struct job_event *e)
{
	size_t len = 0;
	char *text;

	pthread_mutex_lock(&r->lock);
	log_event(e);
	if (r->machine_fd >= 0) {
		text = event_json(e, &len);
		if (text)
			machine_line(r, text, len);
		free(text);
	}
	if (r->port.event)
		r->port.event(r->port.ctx, e);
	else if (!r->has_port)
		job_early_keep(&r->early, e);
	pthread_mutex_unlock(&r->lock);
}

/* With the lock held. */
static void enter(struct job_runner *r, enum job_state s)
{
	uint64_t now = clock_now_ms();

	r->state_ms[atomic_load(&r->state)] += now - r->state_since_ms;
	r->state_since_ms = now;
	atomic_store(&r->state, (int)s);
}

static void tell_state(struct job_runner *r, enum job_state s, const char *text)
{
	struct job_event e = { .type = "state", .state = s, .text = text, .drive = -1,
		.attempt = r->attempt };

	job_init_send(r->env->init_fd, "status %s%s%s", job_state_name(s),
		text ? ": " : "", text ? text : "");
	job_emit(r, &e);
}

/* What may follow a cancellation: its end, not another stage. */
static bool ends(enum job_state s)
{
	return s == JOB_FAILED || s == JOB_CANCELLED || s == JOB_REPORT || s == JOB_OFF ||
		s == JOB_HELD;
}

void job_set_state(struct job_runner *r, enum job_state s, const char *text)
{
	bool refused;

	pthread_mutex_lock(&r->lock);
	refused = atomic_load(&r->state) == JOB_CANCELLING && !ends(s);
	if (!refused)
		enter(r, s);
	pthread_mutex_unlock(&r->lock);
	if (!refused)
		tell_state(r, s, text);
}

int job_enter_commit(struct job_runner *r, struct err *err)
{
	int rc;

	pthread_mutex_lock(&r->lock);
	rc = job_cancelled(r, err);
	if (rc == 0)
		enter(r, JOB_COMMIT);
	pthread_mutex_unlock(&r->lock);
	if (rc == 0)
		tell_state(r, JOB_COMMIT, NULL);
	return rc;
}

bool job_enter_cancelling(struct job_runner *r, const char *why)
{
	enum job_state s;
	bool over;

	pthread_mutex_lock(&r->lock);
	s = (enum job_state)atomic_load(&r->state);
	over = s == JOB_COMMIT || ends(s);
	if (!over) {
		atomic_store(&r->ctl.cancel, true);
		atomic_store(&r->ctl.pause, false);
		enter(r, JOB_CANCELLING);
	}
	pthread_mutex_unlock(&r->lock);
	if (!over && s != JOB_CANCELLING)
		tell_state(r, JOB_CANCELLING, why);
	return !over;
}

void job_step(struct job_runner *r, const char *step, bool done, const char *text)
{
	struct job_event e = { .type = done ? "step.finished" : "step.started",
		.state = (enum job_state)atomic_load(&r->state), .step = step,
		.text = text, .drive = -1, .attempt = r->attempt };

	if (!done)
		job_init_send(r->env->init_fd, "status %s: %s", job_state_name(e.state),
			step);
	job_emit(r, &e);
}

void job_warn(struct job_runner *r, const char *fmt, ...)
{
	char text[480];
	struct job_event e = { .type = "warning", .text = text, .drive = -1,
		.state = (enum job_state)atomic_load(&r->state), .attempt = r->attempt };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	job_emit(r, &e);
}

void job_tick(struct job_runner *r)
{
	uint64_t now = clock_now_ms();

	atomic_store(&r->quiet_until_ms, now + atomic_load(&r->quiet_ms));
	pthread_mutex_lock(&r->lock);
	if (now - r->last_tick_ms >= TICK_EVERY_MS) {
		r->last_tick_ms = now;
		job_init_send(r->env->init_fd, "tick");
	}
	pthread_mutex_unlock(&r->lock);
}

static void eta_text(uint64_t s, char ret[32])
{
	if (s == UINT64_MAX)
		snprintf(ret, 32, "unknown");
	else
		snprintf(ret, 32, "%" PRIu64 ":%02u:%02u", s / 3600,
			(unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

/* The line that people watch: percent of durable bytes. */
static void progress_line(struct job_runner *r, int drive, const struct copy_progress *p)
{
	char eta[32];
	unsigned permille =
		p->total ? (unsigned)((double)p->flushed * 1000 / (double)p->total) : 0;

	eta_text(p->eta_s, eta);
	log_info("%s drives[%d] %s: %s %u.%u%%, %" PRIu64 " of %" PRIu64 " MB, %" PRIu64
		 " MB/s, ETA %s", job_state_name((enum job_state)atomic_load(&r->state)),
		drive, r->job->drives[drive].source, p->phase ? p->phase : "", permille / 10,
		permille % 10, p->flushed / 1000000, p->total / 1000000,
		p->rate / 1000000, eta);
	job_init_send(r->env->init_fd, "status %s drive %d of %d (%s): %u%%, %" PRIu64
		      " MB/s, ETA %s", p->phase ? p->phase : "", drive + 1,
		      r->job->n_drives,
		r->job->drives[drive].source, permille / 10, p->rate / 1000000, eta);
}

void job_warn_result(struct job_runner *r, int drive, const struct err *err)
{
	struct job_event e = { .type = "warning", .err = err, .drive = drive,
		.attempt = r->attempt,
		.state = (enum job_state)atomic_load(&r->state) };

	job_emit(r, &e);
	if (r->n_warnings < JOB_MAX_WARNINGS)
		r->warnings[r->n_warnings++] = *err;
}

/* Called by the copy engine about once a second, from a thread of it. */
void job_progress(struct job_runner *r, int drive, const struct copy_progress *p)
{
	struct job_event e = { .type = "disk.progress", .drive = drive, .progress = p,
		.step = p->phase, .attempt = r->attempt };
	uint64_t now = clock_now_ms(), moved = p->flushed + p->done;
	bool progressed, line, entered;

	pthread_mutex_lock(&r->lock);
	entered = drive != r->progress_drive ||
		strcmp(r->phase, p->phase ? p->phase : "");
	progressed = entered || moved != r->last_flushed;
	line = entered || now - r->last_line_ms >= LINE_EVERY_MS;
	r->progress_drive = drive;
	r->last_flushed = moved;
	snprintf(r->phase, sizeof(r->phase), "%s", p->phase ? p->phase : "");
	if (line)
		r->last_line_ms = now;
	pthread_mutex_unlock(&r->lock);

	if (progressed)
		job_tick(r);
	if (entered && !strcmp(r->phase, "verify") && atomic_load(&r->state) == JOB_COPY)
		job_set_state(r, JOB_VERIFY, NULL);
	e.state = (enum job_state)atomic_load(&r->state);
	if (line)
		progress_line(r, drive, p);
	job_emit(r, &e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The stages that write to disks: copy, prepare, commit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "job/job-internal.h"
#include "block/block.h"
#include "sink/sink.h"

#define JOURNAL_UNIT (64ull << 20) /* source.h: a bit of the bitmap */
#define STALL_S 600        /* the engine's own limit when the job names none */
#define PREPARE_QUIET_S 300 /* a journal is replayed, caches are flushed; tools tick */
#define WORK_DIR "/run/guest-XXXXXX"
#define WORK_DIR_HOST "/tmp/target-worker-XXXXXX"
_Static_assert(JOB_MAX_DRIVES <= GUEST_MAX_DISKS,
	"what a job can name can also be prepared");

/* copy */

struct drive_ctx {
	struct job_runner *r;
	int drive;
};

static void on_progress(void *ctx, const struct copy_progress *p)
{
	struct drive_ctx *c = ctx;

	job_progress(c->r, c->drive, p);
	job_tell_still(c->r);
}

/* The controller keeps the journal of a source that has none. */
static int load_journal(void *ctx, size_t max, char **ret, size_t *ret_len,
	struct err *err)
{
	struct drive_ctx *c = ctx;

	job_tick(c->r);
	return c->r->port.journal_get(c->r->port.ctx, c->drive, max, ret, ret_len, err);
}

static int save_journal(void *ctx, const void *buf, size_t len, struct err *err)
{
	struct drive_ctx *c = ctx;

	(void)err;
	c->r->port.journal_put(c->r->port.ctx, c->drive, buf, len);
	return 0;
}

static void on_let_go(void *ctx)
{
	struct drive_ctx *c = ctx;

	job_let_go(c->r);
}

static int open_sink(struct job_runner *r, int i, struct sink **ret, struct err *err)
{
	const struct job_run_drive *d = &r->drives[i];

	return sink_open(d->target, source_get_info(d->source)->size, ret, err);
}

/* From here on init flushes the disk before any power-off. */
static void note_written(struct job_runner *r, int i)
{
	r->touched = true;
	if (!strncmp(r->drives[i].target, "/dev/", 5))
		job_init_send(r->env->init_fd, "written %s", r->drives[i].target);
}

/* The passes over a drive in use were made before: their numbers count. */
static void add_passes(struct copy_result *to, const struct copy_result *live)
{
	to->live_passes += live->live_passes;
	to->bytes_wire += live->bytes_wire;
	to->bytes_written += live->bytes_written;
	to->retries += live->retries;
	to->seconds += live->seconds;
	to->cpu_seconds += live->cpu_seconds;
}

/* live: only the passes over a drive in use; then the last one follows without them. */
enum copy_part { COPY_WHOLE, COPY_LIVE, COPY_LAST };

static int copy_drive(struct job_runner *r, int i, enum copy_part part, struct err *err)
{
	struct job_run_drive *d = &r->drives[i];
	const struct copy_result before = d->result;
	struct drive_ctx ctx = { r, i };
	const struct copy_keeper keeper = { load_journal, save_journal, &ctx };
	bool kept = r->port.journal_put && !source_get_info(d->source)->journals;
	struct copy_options opt = {
		.delta = d->delta || part == COPY_LAST,
		.resume = r->resume && part != COPY_LAST,
		.target_zero = d->zero && part != COPY_LAST,
		.live_passes = part == COPY_LAST ? 0 : r->job->source.live_passes,
		.live_only = part == COPY_LIVE,
		.downtime_s = r->job->source.downtime_s,
		.connections = r->job->source.connections,
		.bandwidth = atomic_load(&r->ctl.bandwidth),
		.verify = r->job->verify,
		.keep_head_back = true,
		.bad_max = r->job->source.bad_ranges_max,
		.keeper = kept ? &keeper : NULL,
		.stall_s = r->job->source.stall_s,
		.progress = on_progress,
		.let_go = on_let_go,
		.ctx = &ctx,
	};
	struct sink *sink;
	int rc;

	if (open_sink(r, i, &sink, err) < 0)
		return -1;
	note_written(r, i);
	rc = copy_run(d->source, sink, &opt, &r->ctl, &d->result, err);
	sink_close(sink);
	if (part == COPY_LAST)
		add_passes(&d->result, &before);
	d->copied = rc == 0 && part != COPY_LIVE;
	if (d->copied)
		job_tell_findings(r, i);
	return rc;
}

static int copy_drives(struct job_runner *r, enum copy_part part, struct err *err)
{
	char text[400];
	int i;

	for (i = 0; i < r->job->n_drives; i++) {
		if (job_cancelled(r, err) < 0)
			return -1;
		if (atomic_load(&r->state) == JOB_VERIFY)
			job_set_state(r, JOB_COPY, "next drive");
		snprintf(text, sizeof(text), "%s to %s%s", r->job->drives[i].source,
			r->drives[i].target, part == COPY_LIVE ? ", the source in use" :
			"");
		job_step(r, "copy", false, text);
		if (copy_drive(r, i, part, err) < 0)
			return err_wrap(err, "drives[%d] %s", i,
				r->job->drives[i].source);
		job_step(r, "copy", true, text);
	}
	return 0;
}

/* A pause lets the source go. Drives that were copied before it are of another time than
 * those after it: then all are compared, at one time. */
static int copy_still(struct job_runner *r, enum copy_part part, struct err *err)
{
	for (;;) {
		int i;

		atomic_store(&r->let_go, false);
		if (copy_drives(r, part, err) < 0)
			return -1;
		if (!atomic_load(&r->let_go) || r->job->n_drives == 1)
			return 0;
		log_info("COPY the source was let go meanwhile; all drives are compared again");
		part = COPY_LAST;
		for (i = 0; i < r->job->n_drives; i++)
			if (source_begin_anew(r->drives[i].source, err) < 0)
				return err_wrap(err, "drives[%d]", i);
	}
}

int job_stage_copy(struct job_runner *r, struct err *err)
{
	job_quiet(r, (r->job->source.stall_s ? r->job->source.stall_s : STALL_S) + 60);
	/* Before any drive is held still, all were passed over. */
	if (!r->job->source.live_passes || r->job->n_drives == 1)
		return copy_still(r, COPY_WHOLE, err);
	return copy_drives(r, COPY_LIVE, err) < 0 ? -1 : copy_still(r, COPY_LAST, err);
}

/* prepare */

static void on_step(void *ctx, const char *step, bool done, const char *detail)
{
	struct job_runner *r = ctx;

	job_tick(r);
	job_step(r, step, done, detail);
}

static void on_tick(void *ctx)
{
	job_tick(ctx);
}

/* The partitions become real, but nothing that firmware starts from. */
static int release_heads(struct job_runner *r, struct err *err)
{
	struct sink *sink;
	int i, rc;

	for (i = 0; i < r->job->n_drives; i++) {
		if (open_sink(r, i, &sink, err) < 0)
			return -1;
		rc = copy_release_masked(r->drives[i].source, sink,
			r->job->source.bad_ranges_max != 0, err);
		sink_close(sink);
		if (rc == 0 && r->job->prepare.enabled)
			rc = block_reread_table(r->drives[i].target, err);
		if (rc < 0)
			return err_wrap(err, "drives[%d] %s", i, r->drives[i].target);
		job_tick(r);
	}
	return 0;
}

static enum guest_when when_of(const char *name)
{
	static const char *const whens[] = GUEST_WHENS;
	int i = 0;

	while (whens[i + 1] && strcmp(whens[i], name))
		i++;
	return (enum guest_when)i;
}

static int run_guest(struct job_runner *r, struct err *err)
{
	const struct job *j = r->job;
	const char *disks[JOB_MAX_DRIVES + 1] = { NULL },
		*sources[JOB_MAX_DRIVES] = { NULL };
	struct guest_key keys[JOB_MAX_KEYS];
	struct guest_extension extensions[JOB_MAX_EXTENSIONS];
	char work_dir[64];
	struct guest_options opt = {
		.action = j->prepare.undo      ? GUEST_UNDO
			  : j->prepare.dry_run ? GUEST_DRY_RUN
					       : GUEST_APPLY,
		.disks = disks,
		.sources = sources,
		.keys = keys,
		.n_keys = j->prepare.n_keys,
		.extensions = extensions,
		.n_extensions = j->n_extensions,
		.root = strcmp(j->prepare.guest, "auto") ? j->prepare.guest : NULL,
		.firmware = job_firmware(),
		.nics = j->prepare.nics,
		.n_nics = j->prepare.n_nics,
		.addresses = j->prepare.addresses,
		.n_addresses = j->prepare.n_addresses,
		.in_target = r->env->image,
		/* Who prepares in place starts the guest elsewhere. */
		.firmware_stays = r->env->image && j->mode != JOB_PREPARE,
		.remove_tools = j->prepare.remove_tools,
		.cloud_init_anew = j->prepare.cloud_init_anew,
		.guest_agent = j->prepare.guest_agent == JOB_AGENT_INSTALL,
		.packages = *r->packages ? r->packages : NULL,
		.relabel = j->prepare.relabel,
		.console = j->prepare.console,
		.rehearse = j->prepare.rehearse,
		.edited = j->prepare.edited,
		.undo_earlier = j->prepare.undo_earlier,
		.write_nvram = j->prepare.nvram && r->env->image,
		.work_dir = work_dir,
		.tool_timeout_s = j->prepare.tool_timeout_s,
		.step = on_step,
		.tick = on_tick,
		.ctx = r,
		.cancel = &r->ctl.cancel,
	};
	int i, rc;

	for (i = 0; i < j->n_drives; i++) {
		disks[i] = r->drives[i].target;
		sources[i] = j->drives[i].source;
	}
	for (i = 0; i < j->prepare.n_keys; i++)
		keys[i] = (struct guest_key){ j->prepare.keys[i].device,
			j->prepare.keys[i].uuid,
			j->prepare.keys[i].secret, j->prepare.keys[i].len };
	for (i = 0; i < j->n_extensions; i++)
		extensions[i] = (struct guest_extension){
			.when = when_of(j->extensions[i].when),
			.text = j->extensions[i].run, .fatal = j->extensions[i].fatal };
	strcpy(work_dir, r->env->image ? WORK_DIR : WORK_DIR_HOST);
	if (!mkdtemp(work_dir))
		return err_sys(err, ERR_INTERNAL, "make %s", work_dir);
	strbuf_reset(&r->prepare);
	rc = guest_run(&opt, &r->prepare, err);
	/* Only Linux gets so far: guest/ names Windows as not supported yet. */
	if (rc == 0 && *r->virtio_win)
		job_step(r, "virtio-win", true, "not needed: the guest is not Windows");
	if (rmdir(work_dir) < 0)
		log_warn("remove %s: %s", work_dir, err_text(errno));
	return rc;
}

/* From here on the targets are no longer what the source's journals say of them. A
 * journal that stays could hide half a preparation from the next run: that it cannot be
 * emptied is a failure. */
static int empty_journals(struct job_runner *r, struct err *err)
{
	int i;

	for (i = 0; i < r->job->n_drives; i++) {
		struct source *s = r->drives[i].source;
		uint64_t units =
			(source_get_info(s)->size + JOURNAL_UNIT - 1) / JOURNAL_UNIT;
		CLEANUP_FREE uint8_t *none = calloc(1, units / 8 + 1);
		struct source_chan *chan;
		int rc;

		if (!none)
			return err_set(err, ERR_NOMEM, "no memory for a journal");
		if (source_chan_open(s, &chan, err) < 0)
			return err_wrap(err, "empty the journal of drives[%d]", i);
		rc = source_commit(chan, none, (units + 7) / 8, err);
		source_chan_close(chan);
		if (rc < 0)
			return err_wrap(err, "empty the journal of drives[%d]", i);
	}
	return 0;
}

int job_stage_prepare(struct job_runner *r, struct err *err)
{
	int i;

	job_quiet(r, PREPARE_QUIET_S);
	if (job_cancelled(r, err) < 0)
		return -1;
	if (r->job->mode != JOB_PREPARE) {
		if (empty_journals(r, err) < 0 || release_heads(r, err) < 0)
			return -1;
		job_finish_sources(r);
	}
	if (!r->job->prepare.enabled)
		return 0;
	for (i = 0; i < r->job->n_drives && !r->job->prepare.dry_run &&
	    !r->job->prepare.rehearse; i++)
		note_written(r, i);
	return run_guest(r, err);
}

/* commit */

/* The boot disk comes first in a job and is committed last: until then the machine cannot
 * start from half of its disks. */
int job_stage_commit(struct job_runner *r, struct err *err)
{
	struct sink *sink;
	int i, rc;

	job_quiet(r, 120);
	for (i = r->job->n_drives - 1; i >= 0; i--) {
		if (open_sink(r, i, &sink, err) < 0)
			return -1;
		rc = copy_commit(r->drives[i].source, sink, err);
		if (rc == 0)
			rc = sink_flush(sink, err);
		sink_close(sink);
		if (rc < 0)
			return err_wrap(err, "commit drives[%d] %s", i,
				r->drives[i].target);
		r->drives[i].committed = true;
		job_tick(r);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A run: head away, probe the journal, copy, flush, verify, head back. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"

/* nbdkit serves 16 requests of each: all that fits the memory at 512 KiB */
#define CHANNELS 5
#define ANEW_MAX 3    /* comparisons with a source that changed, in one run */
#define LAST_WORD_MS 1500

/* Tells the journal at the source, over a connection that is at rest. A missing one costs
 * only time later. */
static void tell_source(struct copy_job *job)
{
	uint8_t *all = malloc(copy_journal_bytes(job));
	struct err why = ERR_INIT;

	/* Also after a cancel: what was read is worth it, if it does not take long. */
	if (source_is_cancelled())
		source_hurry(LAST_WORD_MS);
	for (unsigned i = 0; all && !job->let_go && i < job->n_slots; i++) {
		if (!job->slots[i].chan || job->slots[i].in_flight)
			continue;
		copy_journal_fill(job, job->durable_units, all);
		if (!source_commit(job->slots[i].chan, all, copy_journal_bytes(job),
			&why))
			break;
		log_info("%s: journal: %s", source_name(job->src), why.text);
	}
	source_hurry(0);
	free(all);
}

static int copy_all(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	if (copy_pass(job, COPY_MODE_COPY, "copy", pace, err) < 0)
		return -1;
	if (!job->differences)
		return 0;
	log_warn("%s: the change tracker missed a change; everything is compared",
		source_name(job->src));
	if (copy_drop_durable(job, err) < 0)
		return -1;
	job->distrust = true;
	copy_root_free(job->root);
	job->root = copy_root_new(job->size);
	return copy_pass(job, COPY_MODE_COPY, "copy", pace, err);
}

static int verify(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	struct err why = ERR_INIT;

	if (job->opt->verify == COPY_VERIFY_NONE)
		return 0;
	/* Everything was flushed: what the target has is compared,
	 * not what memory has of it. */
	sink_forget(job->dst);
	if (copy_received_begin(job, err) < 0)
		return -1;
	job->everything = job->opt->verify == COPY_VERIFY_FULL;
	if (job->everything) {
		copy_root_free(job->received);
		job->received = job->root;
		job->root = copy_root_new(job->size);
	}
	if (copy_pass(job, COPY_MODE_VERIFY, "verify", pace, err) < 0)
		return -1;
	if (!job->differences || copy_received_judge(job, err) == 0)
		return 0;
	return copy_drop_durable(job, &why) < 0 ? err_wrap(err, "%s", why.text) : -1;
}

/* The last barrier, also after a cancel: what was written counts for the next run. */
static int last_barrier(struct copy_job *job, struct err *err)
{
	job->phase = "flush";
	if (copy_barrier(job, err) < 0)
		return -1;
	tell_source(job);
	return 0;
}

static int flush_beside(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	struct err start = ERR_INIT, last = ERR_INIT;
	pthread_t flusher;
	int r = 0;

	if (copy_start_thread(&flusher, copy_flusher, job, &start) < 0) {
		*err = start;
		return -1;
	}
	if (job->opt->resume && !job->compares && !job->live_passes)
		r = copy_resume(job, pace, err);
	if (!r)
		r = copy_all(job, pace, err);
	pthread_mutex_lock(&job->lock);
	job->flusher_stop = true;
	pthread_cond_broadcast(&job->watch);
	pthread_mutex_unlock(&job->lock);
	pthread_join(flusher, NULL);
	/* A flush beside the end of the pass may have failed: that is no copy. */
	if (!r && job->failed) {
		*err = job->err;
		r = -1;
	}
	if (last_barrier(job, r ? &last : err) < 0)
		return -1;
	return r;
}

/* Until somebody tells to go on. */
static int wait_for_resume(struct copy_job *job, struct err *err)
{
	static const struct timespec moment = { .tv_nsec = 100000000 };

	while (job->ctl->pause && !job->ctl->cancel)
		nanosleep(&moment, NULL);
	job->paused = false;
	return job->ctl->cancel ? err_set(err, ERR_CANCELLED, "%s: cancelled",
		source_name(job->src)) : 0;
}

/* The source is not what was copied so far. */
static int begin_anew(struct copy_job *job, struct err *err)
{
	if (!job->paused && job->anew++ == ANEW_MAX)
		return -1;
	log_warn("%s; everything is compared again", err->text);
	err_clear(err);
	if (job->paused && wait_for_resume(job, err) < 0)
		return -1;
	job->compares = true;
	job->let_go = false;
	return source_begin_anew(job->src, err) < 0 ? -1 : copy_compare_anew(job, err);
}

static int copy_and_verify(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	int r = flush_beside(job, pace, err);

	if (!r)
		r = verify(job, pace, err);
	if (!r && job->opt->keep_head_back)
		r = copy_head_hash(job, err);
	if (r < 0 || job->opt->keep_head_back) {
		copy_close_channels(job);
		return r;
	}
	job->phase = "head";
	if (copy_head_release(job, err) < 0)
		return -1;
	job->done = job->flushed = job->size;
	job->data += job->head;
	return 0;
}

static int run(struct copy_job *job, struct err *err)
{
	struct copy_pace pace = { .rate = 0 };
	int r;

	if (copy_head_clear(job, err) < 0 || copy_live_passes(job, &pace, err) < 0)
		return -1;
	job->final_ns = clock_now_ns();
	r = 0;
	if (!job->opt->live_only)
		do
			r = copy_and_verify(job, &pace, err);
		while (r < 0 && err->code == ERR_SRC_CHANGED && !begin_anew(job, err));
	if (r < 0)
		copy_let_go(job);
	/* The last report says where the copy stands, whatever pass came last. */
	job->mode = COPY_MODE_COPY;
	copy_pace_tell(job, &pace, true);
	return r;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int init(struct copy_job *job, struct err *err)
{
	const struct source_info *si = source_get_info(job->src);
	unsigned n = job->opt->connections ? job->opt->connections : CHANNELS;

	if (sink_get_info(job->dst)->size < si->size)
		return err_set(err, ERR_DISK_SMALL,
			"%s has %" PRIu64 " bytes, the source %" PRIu64,
			sink_name(job->dst), sink_get_info(job->dst)->size, si->size);
	if (*si->identity && !strcmp(si->identity, sink_get_info(job->dst)->identity))
		return err_set(err, ERR_DISK_BUSY, "%s is the source itself",
			sink_name(job->dst));
	if (copy_check_sectors(job->src, sink_get_info(job->dst)->sector,
		sink_name(job->dst), err) < 0)
		return -1;
	job->size = si->size;
	job->sector = si->sector;
	job->head = si->size < COPY_HEAD ? si->size : COPY_HEAD;
	job->delta = job->opt->delta || job->opt->resume;
	job->known_zero = !job->delta &&
		(job->opt->target_zero || sink_get_info(job->dst)->reads_zero);
	job->salt = clock_now_ns();
	job->journals = si->journals;
	job->in_use = !strcmp(si->consistency, "crash");
	if (job->opt->bandwidth && !job->ctl->bandwidth)
		job->ctl->bandwidth = job->opt->bandwidth;
	n = n < si->max_channels ? n : si->max_channels;
	job->n_slots = n < COPY_MAX_SLOTS ? n : COPY_MAX_SLOTS;
	for (unsigned i = 0; i < job->n_slots; i++) {
		job->slots[i].job = job;
		job->slots[i].number = i + 1;
		pthread_mutex_init(&job->slots[i].guard, NULL);
		job->slots[i].scratch = aligned_alloc(4096, COPY_SCRATCH);
		if (!job->slots[i].scratch)
			return err_set(err, ERR_NOMEM, "start the copy: out of memory");
	}
	if (copy_journal_check(job, err) < 0)
		return -1;
	job->root = copy_root_new(job->size);
	if (copy_bad_init(job, err) < 0)
		return -1;
	if (copy_account_init(job, err) < 0)
		return -1;
	if (copy_metadata_init(job, err) < 0)
		return -1;
	return copy_pool_init(job, err);
}

static void release(struct copy_job *job)
{
	copy_close_channels(job);
	for (unsigned i = 0; i < job->n_slots; i++) {
		free(job->slots[i].scratch);
		pthread_mutex_destroy(&job->slots[i].guard);
	}
	copy_plan_free(job);
	copy_pool_free(job);
	copy_account_free(job);
	free(job->metadata);
	copy_root_free(job->root);
	copy_root_free(job->received);
	free(job->look_units);
	copy_bad_free(job);
	pthread_cond_destroy(&job->cond);
	pthread_cond_destroy(&job->watch);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

static void fill_result(struct copy_job *job, uint64_t begin_ns, double cpu,
	const struct source_counters *wire, uint64_t written, struct copy_result *ret)
{
	struct source_counters now;
	struct sink_counters sink;

	source_get_counters(job->src, &now);
	sink_get_counters(job->dst, &sink);
	*ret = (struct copy_result){
		.bytes_total = job->size,
		.bytes_data = job->data,
		.bytes_zero = job->zero,
		.bytes_equal = job->equal,
		.bytes_wire = now.wire_in - wire->wire_in,
		.bytes_written = sink.written - written,
		.retries = job->retries,
		.live_passes = job->live_passes,
		.final_seconds = job->final_ns ?
			(double)(clock_now_ns() - job->final_ns) / 1e9 : 0,
		.seconds = (double)(clock_now_ns() - begin_ns) / 1e9,
		.cpu_seconds = cpu_seconds() - cpu,
		.changed_bytes = job->changed,
	};
	copy_bad_tell(job, ret);
	copy_root_hex(job->root, ret->root_hash);
}

/* For copy_wait: a clock that nobody sets. */
static void init_conditions(struct copy_job *job)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&job->cond, &attr);
	pthread_cond_init(&job->watch, &attr);
	pthread_condattr_destroy(&attr);
}

int copy_run(struct source *src, struct sink *dst, const struct copy_options *opt,
	struct copy_control *ctl, struct copy_result *ret, struct err *err)
{
	struct copy_job *job = calloc(1, sizeof(*job));
	struct source_counters wire;
	struct sink_counters sink;
	uint64_t begin = clock_now_ns();
	double cpu = cpu_seconds();
	const _Atomic bool *before;
	int r;

	if (!job)
		return err_set(err, ERR_NOMEM, "start the copy: out of memory");
	before = source_cancelled_by(&ctl->cancel);
	source_get_counters(src, &wire);
	sink_get_counters(dst, &sink);
	job->src = src;
	job->dst = dst;
	job->opt = opt;
	job->ctl = ctl;
	job->phase = "copy";
	pthread_mutex_init(&job->lock, NULL);
	init_conditions(job);
	r = init(job, err);
	if (!r)
		r = run(job, err);
	fill_result(job, begin, cpu, &wire, sink.written, ret);
	if (!r && !job->bad && !opt->live_only)
		source_state(src, ret->source_state);
	source_consistency(src, ret->consistency);
	release(job);
	source_cancelled_by(before);
	return r;
}

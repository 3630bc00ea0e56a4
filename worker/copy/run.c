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

#define CHANNELS 5 /* nbdkit serves 16 requests of each: all that fits the memory at 512 KiB */
#define STALL_S 600
#define WATCH_MS 50
#define ANEW_MAX 3    /* comparisons with a source that changed, in one run */
#define DRAIN_MS 1000 /* what is on the way may still arrive after a cancel */

void copy_fail_locked(struct copy_job *job, const struct err *err)
{
	if (!job->failed)
		job->err = *err;
	job->failed = job->stop = true;
	pthread_cond_broadcast(&job->cond);
	pthread_cond_broadcast(&job->watch);
}

void copy_fail(struct copy_job *job, const struct err *err)
{
	pthread_mutex_lock(&job->lock);
	copy_fail_locked(job, err);
	pthread_mutex_unlock(&job->lock);
}

static void watch_wait(struct copy_job *job)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += WATCH_MS * 1000000l;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&job->watch, &job->lock, &t);
}

static void cancel_channels(struct copy_job *job)
{
	for (unsigned i = 0; i < job->n_slots; i++) {
		pthread_mutex_lock(&job->slots[i].guard);
		if (job->slots[i].chan)
			source_chan_cancel(job->slots[i].chan);
		pthread_mutex_unlock(&job->slots[i].guard);
	}
}

static void check_stall(struct copy_job *job)
{
	unsigned limit = job->opt->stall_s ? job->opt->stall_s : STALL_S;
	struct err err = ERR_INIT;

	if (job->ctl->pause)
		job->last_byte_ms = clock_now_ms();
	if (clock_now_ms() - job->last_byte_ms < limit * 1000ull)
		return;
	err_set(&err, ERR_SRC_SLOW, "%s: no byte for %u s", source_name(job->src), limit);
	copy_fail_locked(job, &err);
}

/* Watches until all threads of the pass have ended. */
static void watch(struct copy_job *job, struct copy_pace *pace)
{
	uint64_t stop_at = 0;

	pthread_mutex_lock(&job->lock);
	while (job->running) {
		watch_wait(job);
		if (job->ctl->cancel && !job->stop) {
			struct err err = ERR_INIT;

			err_set(&err, ERR_CANCELLED, "%s: cancelled", source_name(job->src));
			job->err = err;
			job->stop = true;
		}
		if (!job->stop)
			check_stall(job);
		if (job->stop && !stop_at)
			stop_at = clock_now_ms() + (job->failed ? 0 : DRAIN_MS);
		pthread_mutex_unlock(&job->lock);
		if (stop_at && clock_now_ms() >= stop_at)
			cancel_channels(job);
		copy_pace_tell(job, pace, false);
		pthread_mutex_lock(&job->lock);
	}
	pthread_mutex_unlock(&job->lock);
}

static int start_thread(pthread_t *t, void *(*fn)(void *), void *arg, struct err *err)
{
	int e = pthread_create(t, NULL, fn, arg);

	if (!e)
		return 0;
	errno = e;
	return err_sys(err, ERR_NOMEM, "start a thread");
}

int copy_pass(struct copy_job *job, enum copy_mode mode, const char *phase,
	struct copy_pace *pace, struct err *err)
{
	struct err start = ERR_INIT;

	pthread_mutex_lock(&job->lock);
	copy_plan_start(job, mode);
	job->phase = phase;
	job->last_byte_ms = clock_now_ms();
	for (unsigned i = 0; i < job->n_slots; i++) {
		struct copy_slot *slot = &job->slots[i];

		slot->started = false;
		if (start_thread(&slot->thread, copy_channel, slot, &start) < 0) {
			copy_fail_locked(job, &start);
			break;
		}
		slot->started = true;
		job->running++;
	}
	pthread_mutex_unlock(&job->lock);
	watch(job, pace);
	for (unsigned i = 0; i < job->n_slots; i++)
		if (job->slots[i].started)
			pthread_join(job->slots[i].thread, NULL);
	if (job->stop) {
		*err = job->err;
		return -1;
	}
	if (mode == COPY_MODE_COPY && !copy_account_complete(job))
		return err_set(err, ERR_INTERNAL, "%s: the pass ended with ranges left over",
			sink_name(job->dst));
	return 0;
}

/* Tells the journal at the source, over a connection that is at rest. A missing one costs only
 * time later. */
static void tell_source(struct copy_job *job)
{
	uint8_t *all = malloc(copy_journal_bytes(job));
	struct err why = ERR_INIT;

	for (unsigned i = 0; all && i < job->n_slots; i++) {
		if (!job->slots[i].chan || job->slots[i].in_flight)
			continue;
		copy_journal_fill(job, job->durable_units, all);
		if (!source_commit(job->slots[i].chan, all, copy_journal_bytes(job), &why))
			break;
		log_info("%s: journal: %s", source_name(job->src), why.text);
	}
	free(all);
}

/* What was taken for durable is not what the source has. The journals must not say so either:
 * the target gets a new mark, which ends every journal of it, also one that cannot be reached. */
int copy_drop_durable(struct copy_job *job, struct err *err)
{
	copy_account_reset(job);
	for (unsigned i = 0; i < COPY_MARK; i++)
		job->mark[i] = (uint8_t)~job->mark[i];
	return copy_mark_write(job, err) < 0 ? -1 : sink_flush(job->dst, err);
}

static int read_journal(struct copy_job *job, uint8_t *units, struct copy_leaves *leaves,
	size_t *ret_bytes, struct err *err)
{
	struct copy_slot *slot = &job->slots[0];

	if (copy_journal_load(job, units, leaves, ret_bytes, err) < 0 || *ret_bytes)
		return *ret_bytes ? 0 : -1;
	/* A source that is away now is not the end: the hashes of the target say the same. */
	if (source_chan_open(job->src, &slot->chan, err) < 0 ||
		source_resume(slot->chan, units, copy_journal_bytes(job), ret_bytes, err) < 0) {
		log_info("no journal from %s: %s", source_name(job->src), err->text);
		source_chan_close(slot->chan);
		slot->chan = NULL;
		err_clear(err);
		*ret_bytes = 0;
	}
	return 0;
}

/* Believes the journal as far as samples of the target confirm it. */
static int resume(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	uint8_t *units = calloc(1, copy_journal_bytes(job));
	struct copy_leaves *leaves = calloc(1, sizeof(*leaves));
	size_t bytes = 0, n = 0;
	int r = 0;

	if (!units || !leaves)
		r = err_set(err, ERR_NOMEM, "resume: out of memory");
	else
		r = read_journal(job, units, leaves, &bytes, err);
	if (!r && bytes == copy_journal_bytes(job) && !copy_journal_fits(job, units))
		log_info("%s: the journal is of another target; everything is compared",
			sink_name(job->dst));
	else if (!r && bytes == copy_journal_bytes(job)) {
		copy_set_durable(job, units, leaves);
		for (size_t u = 0; u < job->n_units; u++)
			n += units[u / 8] >> (u % 8) & 1;
		log_info("%s: the journal has %zu of %zu units and parts of %u", sink_name(job->dst),
			n, job->n_units, leaves->n);
		r = copy_pass(job, COPY_MODE_PROBE, "probe", pace, err);
		if (!r && job->differences) {
			log_warn("%s: is not what the journal says (byte %" PRIu64
				"); everything is compared", sink_name(job->dst),
				job->first_difference);
			r = copy_drop_durable(job, err);
		}
	}
	free(units);
	free(leaves);
	return r;
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
	if (job->opt->verify == COPY_VERIFY_NONE)
		return 0;
	job->everything = job->opt->verify == COPY_VERIFY_FULL;
	if (job->everything) {
		copy_root_free(job->root);
		job->root = copy_root_new(job->size);
	}
	if (copy_pass(job, COPY_MODE_VERIFY, "verify", pace, err) < 0)
		return -1;
	if (!job->differences)
		return 0;
	if (copy_drop_durable(job, err) < 0)
		return -1;
	return err_set(err, ERR_VERIFY_HASH,
		"%s: %u leaves of 64 KiB differ from the source, the first at byte %" PRIu64,
		sink_name(job->dst), job->differences, job->first_difference);
}

void copy_close_channels(struct copy_job *job)
{
	for (unsigned i = 0; i < job->n_slots; i++) {
		source_chan_close(job->slots[i].chan);
		job->slots[i].chan = NULL;
	}
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

	if (start_thread(&flusher, copy_flusher, job, &start) < 0) {
		*err = start;
		return -1;
	}
	if (job->opt->resume && !job->anew && !job->live_passes)
		r = resume(job, pace, err);
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

int copy_compare_anew(struct copy_job *job, struct err *err)
{
	err_clear(&job->err);
	copy_plan_free(job);
	for (unsigned i = 0; i < job->n_slots; i++) {
		job->slots[i].failures = 0;
		job->slots[i].given_up = false;
	}
	job->stop = job->failed = job->flusher_stop = false;
	job->delta = job->distrust = true;
	job->known_zero = false;
	copy_root_free(job->root);
	job->root = copy_root_new(job->size);
	if (job->bad_file && (fflush(job->bad_file) || ftruncate(fileno(job->bad_file), 0) < 0))
		return err_sys(err, ERR_DISK_IO, "empty %s", job->opt->bad_ranges);
	if (job->bad_file)
		rewind(job->bad_file);
	return copy_drop_durable(job, err);
}

/* The source is not what was copied so far. */
static int begin_anew(struct copy_job *job, struct err *err)
{
	if (job->anew == ANEW_MAX)
		return -1;
	job->anew++;
	log_warn("%s; everything is compared again", err->text);
	err_clear(err);
	return source_begin_anew(job->src, err) < 0 ? -1 : copy_compare_anew(job, err);
}

static int copy_and_verify(struct copy_job *job, struct copy_pace *pace, struct err *err)
{
	int r = flush_beside(job, pace, err);

	if (!r)
		r = verify(job, pace, err);
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
			"%s has %" PRIu64 " bytes, the source %" PRIu64, sink_name(job->dst),
			sink_get_info(job->dst)->size, si->size);
	if (*si->identity && !strcmp(si->identity, sink_get_info(job->dst)->identity))
		return err_set(err, ERR_DISK_BUSY, "%s is the source itself", sink_name(job->dst));
	job->size = si->size;
	job->sector = si->sector;
	job->head = si->size < COPY_HEAD ? si->size : COPY_HEAD;
	job->delta = job->opt->delta || job->opt->resume;
	job->known_zero = !job->delta &&
		(job->opt->target_zero || sink_get_info(job->dst)->reads_zero);
	job->salt = clock_now_ns();
	job->journals = si->journals;
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
	if (job->opt->bad_ranges) {
		job->bad_file = fopen(job->opt->bad_ranges, "we");
		if (!job->bad_file)
			return err_sys(err, ERR_USAGE, "create %s", job->opt->bad_ranges);
	}
	if (copy_account_init(job, err) < 0)
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
	copy_root_free(job->root);
	if (job->bad_file)
		fclose(job->bad_file);
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
		.bad_bytes = job->bad,
	};
	copy_root_hex(job->root, ret->root_hash);
}

int copy_run(struct source *src, struct sink *dst, const struct copy_options *opt,
	struct copy_control *ctl, struct copy_result *ret, struct err *err)
{
	struct copy_job *job = calloc(1, sizeof(*job));
	struct source_counters wire;
	struct sink_counters sink;
	uint64_t begin = clock_now_ns();
	double cpu = cpu_seconds();
	int r;

	if (!job)
		return err_set(err, ERR_NOMEM, "start the copy: out of memory");
	source_get_counters(src, &wire);
	sink_get_counters(dst, &sink);
	job->src = src;
	job->dst = dst;
	job->opt = opt;
	job->ctl = ctl;
	job->phase = "copy";
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->cond, NULL);
	pthread_cond_init(&job->watch, NULL);
	r = init(job, err);
	if (!r)
		r = run(job, err);
	fill_result(job, begin, cpu, &wire, sink.written, ret);
	if (!r && !job->bad && !opt->live_only)
		source_state(src, ret->source_state);
	release(job);
	return r;
}

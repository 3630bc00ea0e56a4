/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: one thread a channel takes pieces from the plan, submits them, and writes
 * what comes back; one thread makes durable; the caller's thread watches (progress,
 * cancel, stall). A run is one or more passes over the drive: probe (resume), copy,
 * verify.
 */
#ifndef COPY_COPY_INTERNAL_H
#define COPY_COPY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "copy/copy.h"

#define COPY_UNIT (64u << 20)      /* of the journal */
#define COPY_MIN_REQUEST (256u << 10)
#define COPY_PIECE_MIN 4096u       /* a failing range is split down to this */
#define COPY_MAX_REQS 128
#define COPY_BUDGET_MAX (128u << 20)
#define COPY_MAX_SLOTS 16
#define COPY_EXTENTS 2048
#define COPY_WINDOWS 16

enum copy_mode {
	COPY_MODE_COPY,
	COPY_MODE_PROBE,  /* samples of what the journal calls durable: do they match? */
	COPY_MODE_VERIFY, /* all or samples: do they match? */
};

/* What is to be done with a range; at most SOURCE_MAX_REQUEST when it is read. */
enum copy_act { COPY_ACT_READ, COPY_ACT_DIFF, COPY_ACT_ZERO, COPY_ACT_SKIP };
struct copy_piece {
	uint64_t off, len;
	enum copy_act act;
	bool sample;       /* an unchanged range that is looked at nevertheless */
	unsigned attempt;  /* failures so far at the smallest size */
	uint32_t step;     /* largest request that this range may be read with */
	uint64_t not_before_ms;
	struct copy_piece *next;
};

struct copy_req {
	struct source_req r; /* first: completed requests are cast back */
	struct copy_piece piece;
	/* DIFF: leaves of the target, seed 0 */
	struct source_hash plain[SOURCE_MAX_LEAVES];
	struct copy_slot *owner; /* in flight there; NULL = free or in hands */
	uint64_t submitted_ns;
	struct copy_req *next_free;
};

enum copy_kind { COPY_DATA, COPY_ZERO, COPY_EQUAL, COPY_BAD };

/* A range that the source is asked about at once. */
struct copy_window {
	uint64_t end;             /* of the range */
	uint64_t told;            /* the list reaches to here */
	struct source_extent *list; /* COPY_EXTENTS; the thread's that asks while busy */
	size_t n, next;
	bool busy;
};

/* One channel and its thread. */
struct copy_slot {
	struct copy_job *job;
	/* NULL = not connected. Set by the slot's thread with lock and guard, of which
	 * others need one */
	struct source_chan *chan;
	pthread_mutex_t guard;    /* the watcher has it while it cancels chan */
	pthread_t thread;
	bool started, given_up;
	unsigned in_flight, failures;
	uint64_t in_flight_bytes;
	unsigned number;
	uint64_t limit_told;      /* to the server; UINT64_MAX = nothing yet */
	uint8_t *scratch;         /* COPY_SCRATCH bytes, aligned */
};
#define COPY_SCRATCH (256u << 10)
/* bytes of the number that ties journals to a target */
#define COPY_MARK 16

/* Leaves of units that are not whole; in no order. */
#define COPY_UNFINISHED 64
struct copy_leaves {
	unsigned n;
	struct copy_unit_leaves {
		uint64_t unit;
		uint64_t bits[COPY_UNIT / SOURCE_LEAF / 64];
	} list[COPY_UNFINISHED];
};

struct copy_root;

struct copy_job {
	struct source *src;
	struct sink *dst;
	const struct copy_options *opt;
	struct copy_control *ctl;
	uint64_t size, head;      /* head = bytes held back */
	uint32_t sector;
	bool delta;               /* compare with the target before writing */
	bool known_zero;          /* what was not written yet reads as zeroes */
	bool distrust;            /* a tracker was wrong: look at everything */

	pthread_mutex_t lock;     /* everything below, unless _Atomic */
	pthread_cond_t cond;      /* channels wait for work */
	pthread_cond_t watch;     /* the watcher and the flusher wait; a
				   * barrier has ended */
	bool stop;                /* failed, cancelled or done: threads end */
	bool failed;
	struct err err;           /* of the first failure */

	/* plan.c */
	enum copy_mode mode;
	bool everything;          /* VERIFY: full */
	uint64_t cursor;          /* planned up to here */
	uint64_t probe_near;      /* PROBE: looks closer from here on */
	struct copy_piece *again; /* ranges to be asked anew */
	unsigned n_again;
	uint64_t salt;
	/* received.c: of a VERIFY pass */
	struct copy_root *received; /* what this run had copied; NULL = it is root */
	bool in_use;              /* nobody holds the source still */
	uint8_t *look_units;      /* differ, and have a hash of the whole only */
	unsigned not_received, not_as_sent; /* leaves */
	uint64_t first_not_as_sent, changed;
	unsigned outstanding;     /* pieces in hands of threads */
	uint64_t pass_total, pass_done; /* bytes of this pass */
	unsigned differences;     /* leaves that did not match: PROBE, VERIFY, samples */
	uint64_t first_difference;

	/* map.c */
	/* a ring of n_windows from first_window on */
	struct copy_window windows[COPY_WINDOWS];
	unsigned first_window, n_windows;
	uint64_t asked;           /* windows reach to here */
	uint64_t ask;             /* length of the next */

	/* pool.c */
	struct copy_req reqs[COPY_MAX_REQS];
	struct copy_req *free;
	uint8_t *mapping, *buffers; /* buffers: aligned within the mapping */
	size_t mapped;
	uint64_t budget;          /* bytes */
	uint64_t window;          /* bytes that may be on their way now */
	/* a bit per leaf of the buffers */
	uint64_t used[COPY_BUDGET_MAX / SOURCE_LEAF / 64];
	_Atomic uint32_t request; /* size of requests, adaptive */
	uint32_t request_cap;     /* after EINVAL and the like */
	uint64_t base_latency_ns, min_latency_ns, adapt_at_ms, adapt_bytes;
	uint64_t tokens_at_ms;
	double tokens;            /* bytes the bandwidth limit allows now */

	/* account.c */
	uint32_t *left;           /* per unit: bytes not handled yet */
	uint8_t *done_units, *durable_units, *bad_units; /* bitmaps */
	size_t n_units, bitmap_bytes;
	/* while a barrier is under way: what it makes durable */
	struct copy_leaves leaves_done, leaves_flushing, leaves_durable;
	bool flush_failed;        /* the kernel tells of lost writes once:
				   * nothing counts after */
	bool in_barrier;
	bool unit_done;           /* since the last barrier began */
	bool journals;            /* somebody keeps one */
	uint64_t done, flushed, unflushed;
	uint64_t data, zero, equal, bad;
	uint64_t last_byte_ms;
	_Atomic bool commit_pending;
	_Atomic uint64_t retries;
	FILE *bad_file;           /* bad.c */
	struct copy_range *bad_list; /* ascending, apart from each other */
	size_t n_bad, bad_room;
	uint64_t bad_max;
	struct copy_root *root;

	/* metadata.c */
	uint8_t *metadata;        /* verify=sample: a bit per metadata_step
				   * bytes that look so */
	uint64_t metadata_step;

	/* mark.c */
	uint8_t mark[COPY_MARK];
	bool mark_found;          /* the target carries it from an earlier run */

	/* pass.c */
	struct copy_slot slots[COPY_MAX_SLOTS];
	unsigned n_slots, running; /* threads of this pass */
	bool flusher_stop;
	_Atomic bool abandon;     /* threads of channels wait for nothing any more */
	_Atomic bool let_go;      /* the source was told: nothing that is read from now
				   * on, and no journal, belongs to what was */
	bool paused;              /* and that was why */

	/* run.c */
	unsigned live_passes;     /* that were made */
	uint64_t final_ns;        /* when the pass that counts began */
	unsigned anew;            /* how often the source changed under the copy */
	bool compares;            /* what earlier runs left is not believed any more */
	const char *phase;
};

/* plan.c: 1 a piece, 0 nothing now (wait and ask again), -1 nothing more in this pass, -2
 * the channel is broken. The caller holds job->lock; extents are fetched through the
 * slot's channel with the lock released. */
int copy_plan_next(struct copy_slot *slot, struct copy_piece *ret);
void copy_plan_start(struct copy_job *job, enum copy_mode mode);
/* Puts a range back. The caller holds the lock. -1 when there are too many. */
int copy_plan_again(struct copy_job *job, const struct copy_piece *p);
void copy_plan_free(struct copy_job *job);

/* map.c: with the lock held */
void copy_map_start(struct copy_job *job);
void copy_map_free(struct copy_job *job);
/* 1 the extent at the cursor is known, 0 others ask for it, -2 the channel is broken.
 * Asks through the slot's channel with the lock released. */
int copy_map_ready(struct copy_slot *slot);
/* The extent at off, which is not behind an earlier one; after copy_map_ready. */
const struct source_extent *copy_map_at(struct copy_job *job, uint64_t off);

/* pool.c: with the lock held */
int copy_pool_init(struct copy_job *job, struct err *err);
void copy_pool_free(struct copy_job *job);
bool copy_pool_has_room(const struct copy_slot *slot, uint32_t len);
struct copy_req *copy_pool_take(struct copy_job *job, uint32_t len);
void copy_pool_give(struct copy_job *job, struct copy_req *q);
uint32_t copy_pool_request_size(struct copy_job *job);
void copy_pool_measure(struct copy_job *job, const struct copy_req *q);
/* Whether len more bytes may be asked for now. */
bool copy_pool_allowed(struct copy_job *job, uint32_t len);

/* account.c */
int copy_account_init(struct copy_job *job, struct err *err);
void copy_account_free(struct copy_job *job);
/* With the lock held, until cond is told or ms (below 1000) have
 * passed by CLOCK_MONOTONIC. */
void copy_wait(struct copy_job *job, pthread_cond_t *cond, unsigned ms);
/* Nothing is done or durable any more. Waits for a barrier under way; takes the lock. */
void copy_account_reset(struct copy_job *job);
/* Whether every byte of the drive behind the head was handled. */
bool copy_account_complete(const struct copy_job *job);
void copy_account(struct copy_job *job, uint64_t off, uint64_t len, enum copy_kind kind);
bool copy_unit_durable(const struct copy_job *job, uint64_t off);
void copy_set_durable(struct copy_job *job, const uint8_t *units,
	const struct copy_leaves *leaves);
/* Flushes the sink and marks what was done before as durable; then the journals. */
int copy_barrier(struct copy_job *job, struct err *err);
void *copy_flusher(void *job);

/* leaves.c: with the lock held */
/* The whole leaves of a range of one unit are done; before copy_account. */
void copy_leaves_done(struct copy_job *job, uint64_t off, uint64_t len);
struct copy_unit_leaves *copy_leaves_find(struct copy_leaves *l, uint64_t unit);
void copy_leaves_forget(struct copy_leaves *l, uint64_t unit);
/* How far from off on, at most to the end of its unit,
 * all leaves are durable, or none is. */
uint64_t copy_durable_run(struct copy_job *job, uint64_t off, bool *ret_durable);

/* metadata.c */
int copy_metadata_init(struct copy_job *job, struct err *err);
/* Whether a leaf looks like a file system's own records; never when nobody asks later. */
bool copy_metadata_in(const struct copy_job *job, const uint8_t *leaf, uint32_t len);
/* The leaf at off is such a one. The caller holds the lock. */
void copy_metadata_mark(struct copy_job *job, uint64_t off);
/* How far from off on, at most len, all leaves are marked, or none is. */
uint64_t copy_metadata_run(const struct copy_job *job, uint64_t off, uint64_t len,
	bool *ret);

/* mark.c: read before the head is cleared, written after */
int copy_mark_read(struct copy_job *job, struct err *err);
int copy_mark_write(struct copy_job *job, struct err *err);

/* journal.c: what a journal holds is the bitmap of units and the target's mark; a local
 * one also the leaves of unfinished units */
static inline size_t copy_journal_bytes(const struct copy_job *job)
{
	return job->bitmap_bytes + COPY_MARK;
}
void copy_journal_fill(const struct copy_job *job, const uint8_t *units, uint8_t *ret);
/* Whether a journal of copy_journal_bytes is of this target. */
bool copy_journal_fits(const struct copy_job *job, const uint8_t *journal);
/* Whether one is kept on this side: in a file or by a keeper. */
static inline bool copy_journal_kept(const struct copy_job *job)
{
	return job->opt->journal || job->opt->keeper;
}
/* units are copy_journal_bytes here */
int copy_journal_load(struct copy_job *job, uint8_t *units, struct copy_leaves *leaves,
	size_t *ret_bytes, struct err *err);
/* What follows the units in the file: whatever is accepted is of this drive. */
int copy_journal_leaves(const struct copy_job *job, const uint8_t *in, size_t len,
	struct copy_leaves *ret);
/* Whether it can be kept, before the target is touched. */
int copy_journal_check(const struct copy_job *job, struct err *err);
/* With job->leaves_durable. */
int copy_journal_save(struct copy_job *job, const uint8_t *units, struct err *err);

/* apply.c: what came back goes to the sink; -1 fails the job */
int copy_apply(struct copy_job *job, struct copy_req *q, struct err *err);
int copy_apply_zero(struct copy_slot *slot, const struct copy_piece *p, struct err *err);
/* Fills the hashes of the target into a READ_IF_DIFF request. */
int copy_hash_target(struct copy_job *job, struct copy_req *q, struct err *err);

/* channel.c */
void *copy_channel(void *slot);

/* retry.c: a request failed by itself; 0 it is asked again or listed as bad,
 * -1 job fails */
int copy_retry(struct copy_job *job, const struct copy_req *q, struct err *err);

/* pass.c */
struct copy_pace;
/* One pass over the drive with all channels. */
int copy_pass(struct copy_job *job, enum copy_mode mode, const char *phase,
	struct copy_pace *pace, struct err *err);
int copy_start_thread(pthread_t *t, void *(*fn)(void *), void *arg, struct err *err);
void copy_close_channels(struct copy_job *job);
/* Once in a run, or until it begins anew. By the caller's thread. */
void copy_let_go(struct copy_job *job);
void copy_fail(struct copy_job *job, const struct err *err);
void copy_fail_locked(struct copy_job *job, const struct err *err);

/* resume.c */
/* Believes the journal as far as samples of the target confirm it. */
int copy_resume(struct copy_job *job, struct copy_pace *pace, struct err *err);
/* What was taken for durable is not what the source has;
 * ends every journal of the target. */
int copy_drop_durable(struct copy_job *job, struct err *err);
/* Nothing that was copied so far counts; the next pass compares all of it. */
int copy_compare_anew(struct copy_job *job, struct err *err);

/* live.c: as many passes as the options allow and are of use;
 * channels are closed after it */
int copy_live_passes(struct copy_job *job, struct copy_pace *pace, struct err *err);

/* root.c: XXH3-128 (seed 0) over the leaf hashes (seed 0) of each 64 MiB, then over
 * these. NULL is a root that is not computed. */
struct copy_root *copy_root_new(uint64_t size);
void copy_root_free(struct copy_root *root);
/* Leaves one after the other from off on, len bytes together. */
void copy_root_leaves(struct copy_root *root, uint64_t off, uint32_t len,
	const struct source_hash *h);
void copy_root_data(struct copy_root *root, uint64_t off, const void *buf, size_t len);
void copy_root_zero(struct copy_root *root, uint64_t off, uint64_t len);
/* The hash of a leaf of zeroes, len bytes up to SOURCE_LEAF. */
void copy_root_zero_hash(const struct copy_root *root, uint32_t len,
	struct source_hash *ret);
/* The hash of a leaf with seed 0. */
void copy_leaf_hash(const void *buf, size_t len, struct source_hash *ret);
/* From now on it cannot be computed. */
void copy_root_break(struct copy_root *root);
/* Leaves it empty when some leaf was never seen. */
void copy_root_hex(struct copy_root *root, char ret[33]);
/* Whether nothing but the first len bytes is missing. */
bool copy_root_lacks_head(struct copy_root *root, uint64_t len);
/* Tells what is known of a leaf: it was not seen, it was this or another one; or only
 * the hash of its unit is left. h NULL: a part of the leaf, which is never SAME or
 * OTHER. */
enum copy_seen { COPY_SEEN_NOT, COPY_SEEN_SAME, COPY_SEEN_OTHER, COPY_SEEN_UNIT };
enum copy_seen copy_root_look(struct copy_root *root, uint64_t off,
	const struct source_hash *h);
/* Whether a complete unit consists of these leaves. */
bool copy_root_is_unit(struct copy_root *root, size_t unit,
	const struct source_hash *leaves);
#define COPY_UNIT_LEAVES (COPY_UNIT / SOURCE_LEAF)

/* received.c: a leaf that differs from the source may be what the source had sent. */
int copy_received_begin(struct copy_job *job, struct err *err);
/* With the lock held, of each leaf that a VERIFY pass finds to differ; h as above. */
void copy_received_differs(struct copy_job *job, uint64_t off,
	const struct source_hash *h);
/* After the pass, when leaves differ: 0 when that is no fault of the target, else -1 with
 * VERIFY_HASH. */
int copy_received_judge(struct copy_job *job, struct err *err);

/* bad.c: what the source cannot read. With the lock held, or without other threads. */
int copy_bad_init(struct copy_job *job, struct err *err);
void copy_bad_free(struct copy_job *job);
/* -1: too much, or it cannot be listed. */
int copy_bad_add(struct copy_job *job, uint64_t off, uint64_t len, struct err *err);
int copy_bad_forget(struct copy_job *job, struct err *err);
/* How far from off on, at most len, all leaves have such a range in them, or none has. */
uint64_t copy_bad_run(const struct copy_job *job, uint64_t off, uint64_t len, bool *ret);
void copy_bad_tell(const struct copy_job *job, struct copy_result *ret);

/* progress.c */
struct copy_pace {
	uint64_t begin_ms, last_ms, last_flushed;
	double rate;             /* smoothed, bytes/s */
	double recent[30];       /* one a second */
	unsigned n_recent;
};
void copy_pace_tell(struct copy_job *job, struct copy_pace *pace, bool end);

/* head.c */
int copy_head_clear(struct copy_job *job, struct err *err);
int copy_head_release(struct copy_job *job, struct err *err);
/* The head stays with the source, but counts in the root and in what cannot be read. */
int copy_head_hash(struct copy_job *job, struct err *err);

/* larger.c: what an earlier use of the target left behind the drive's end and would be
 * taken for the target's own: labels of arrays, pools and tables */
int copy_tail_clear(struct copy_job *job, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replication of one drive: from a source to a sink, full or delta, resumable, verified.
 * The first MiB of the target is held back (written as zeroes) until everything else is
 * durable.
 */
#ifndef COPY_COPY_H
#define COPY_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "sink/sink.h"
#include "source/source.h"

#define COPY_HEAD (1u << 20) /* bytes held back */

enum copy_verify { COPY_VERIFY_NONE, COPY_VERIFY_SAMPLE, COPY_VERIFY_FULL };

struct copy_progress {
	uint64_t total;    /* bytes of the drive */
	uint64_t done;     /* handled, not necessarily durable */
	uint64_t flushed;  /* durable: what a percentage counts */
	uint64_t wire;     /* bytes received */
	uint64_t rate;     /* bytes/s, smoothed; 0 = unknown */
	uint64_t eta_s, eta_lo_s, eta_hi_s; /* UINT64_MAX = unknown (first 10 s) */
	const char *phase; /* "live", "copy", "flush", "verify", "head" */
};

/* Keeps a copy's journal for a source that has none, elsewhere than in a local file. */
struct copy_keeper {
	/* The last one that was saved, at most max bytes (malloc); *ret_len 0 = there is
	 * none. -1: it cannot be told now, and everything is compared. */
	int (*load)(void *ctx, size_t max, char **ret, size_t *ret_len, struct err *err);
	/* Must not block for long. */
	int (*save)(void *ctx, const void *buf, size_t len, struct err *err);
	void *ctx;
};

struct copy_range {
	uint64_t off, len;
};
#define COPY_BAD_TOLD 64 /* in a result */

struct copy_options {
	bool delta;            /* compare hashes first; implied by resume
				* without a journal */
	bool resume;
	unsigned live_passes;  /* at most so many passes while the source works, before
				* the one that counts; 0 = none */
	bool live_only;        /* return after these: the target is not complete, and to
				* be copied again with delta and without live_passes */
	unsigned downtime_s;   /* they end when the last pass will take no
				* longer; 0 = 30 */
	bool target_zero;      /* the caller vouches that the target reads as zeroes */
	unsigned connections;  /* 0 = choose */
	uint64_t bandwidth;    /* bytes/s, 0 = no limit; see copy_control */
	enum copy_verify verify;
	bool keep_head_back;   /* leave the first MiB to copy_release_head */
	uint64_t bad_max;      /* so many bytes may be unreadable: the copy goes on, and
				* they are zeroed. 0 = the first such range fails it */
	const char *bad_ranges; /* file that lists them; NULL = none, and without bad_max
				 * there is no limit then */
	const char *journal;   /* local file that keeps what is durable, for sources
				* without a journal of their own; NULL = none */
	const struct copy_keeper *keeper; /* keeps it instead; NULL = the file */
	size_t memory;         /* bytes for data in flight, 0 = 40 MiB or a
				* sixth of the RAM */
	unsigned stall_s;      /* no byte for this long is SRC_SLOW; 0 = 600 */
	/* Called as soon as it is known that the source need not stand still any more,
	 * before anything else is waited for: at a cancel, a failure, a pause. NULL: this
	 * source is told. */
	void (*let_go)(void *ctx);
	/* Called about once a second and at the end, from a thread of the engine. */
	void (*progress)(void *ctx, const struct copy_progress *p);
	void *ctx;
};

/* What may be changed while copy_run is at work, from any thread or a signal handler. */
struct copy_control {
	_Atomic bool cancel;
	_Atomic bool pause;
	_Atomic uint64_t bandwidth;
};

struct copy_result {
	uint64_t bytes_total, bytes_data, bytes_zero, bytes_equal, bytes_wire,
		bytes_written;
	uint64_t retries;
	unsigned live_passes;  /* how many there were */
	double final_seconds;  /* of the pass that counts, and of verifying */
	double seconds, cpu_seconds;
	uint64_t bad_bytes;    /* could not be read, and are zeroes */
	struct copy_range bad[COPY_BAD_TOLD]; /* the first of these, ascending */
	unsigned n_bad, n_bad_left_out;
	uint64_t changed_bytes; /* a source in use has others there now than it had sent;
				 * the target has what was sent */
	char consistency[16];  /* as source_consistency */
	char source_state[40]; /* what was copied, "" = it has no name, or
				* not all of it was */
	char root_hash[33];    /* hex XXH3-128 over the leaf hashes, "" if not computed */
};

/* Returns when everything (but the head, if kept back) is durable. Cancelled:
 * ERR_CANCELLED. A pause lets a source go that stands still; then everything is compared
 * again. */
int copy_run(struct source *src, struct sink *dst, const struct copy_options *opt,
	struct copy_control *ctl, struct copy_result *ret, struct err *err);
/* DISK_SECTOR: the drive has a partition table, and its unit is not the logical sector of
 * the target (0: a file, which has none). Reads the drive only when one of the two is not
 * known to have sectors of 512 bytes. target: its name, for messages. */
int copy_check_sectors(struct source *src, uint32_t sector, const char *target,
	struct err *err);
/* Writes the held-back first MiB from the source, but with everything that firmware
 * starts from masked (boot code of sector 0, type of EFI system partitions in GPT and
 * MBR), so that the guest can be prepared. around: what cannot be read is zeroes;
 * copy_run has listed it. */
int copy_release_masked(struct source *src, struct sink *dst, bool around,
	struct err *err);
/* The commit: puts back the exact bytes that copy_release_masked changed. On a target
 * that is larger than the drive the second copy of a GPT goes to the end, as copy_run
 * does it when it keeps no head back. */
int copy_commit(struct source *src, struct sink *dst, struct err *err);

/* The result as a JSON object, in the form that `worker copy --json` prints. */
void copy_result_json(const struct copy_result *r, const struct err *err,
	struct strbuf *out);

#endif

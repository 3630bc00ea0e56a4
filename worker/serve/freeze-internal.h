/* SPDX-License-Identifier: Apache-2.0 */
/* Between freeze.c, flush.c and watchdog.c. */
#ifndef SERVE_FREEZE_INTERNAL_H
#define SERVE_FREEZE_INTERNAL_H

#include <stdatomic.h>

#include "serve/serve-internal.h"

enum freeze_how { THAWED, FROZEN, READ_ONLY };

/* Seen by both processes. */
struct freeze_shared {
	_Atomic bool lost;         /* thawed by the watchdog: what is read
				    * now is not consistent */
	_Atomic bool owed;         /* the program before freezing ran, that
				    * after thawing did not */
	_Atomic bool freezing;     /* a freeze call may be under way: thaw
				    * again and again */
	_Atomic unsigned limit_s;  /* this time, from the word BEGIN on */
	_Atomic int how[SERVE_MAX_MOUNTS];
};

struct serve_freezer {
	struct serve_drive *drives;
	unsigned n_drives;
	struct serve_mounts mounts;
	unsigned limit_s, grace_s;
	struct capture_hooks hooks;
	_Atomic bool ended;        /* nothing is frozen any more */
	struct freeze_shared *shared;
	int channel;               /* to the watchdog; its end is the signal to thaw */
	pid_t watchdog;
	pthread_mutex_t lock;      /* what follows */
	bool busy;                 /* somebody flushes or runs a program, to freeze:
				    * mounts and channel are his */
	bool frozen;
	unsigned holders;
	uint64_t epoch, alone_ms;  /* since when nobody holds it */
	uint64_t still_ms;         /* since when it is frozen */
};

/* OVER: the time is over now. */
enum freeze_word { WORD_BEGIN = 'b', WORD_FEED = 'f', WORD_END = 'e', WORD_OVER = 'o' };

/* Both processes thaw by these. What is not ours to thaw stays as it is. */
void serve_thaw_all(struct serve_freezer *z);
/* The operator's program, once, whoever comes first. */
void serve_after_thaw(struct serve_freezer *z);

/* flush.c: as often as it takes to leave little behind, with no limit. -1: whoever waits
 * gave up. */
int serve_flush(const struct serve_mounts *m, const struct serve_wait *w,
	struct err *err);

/* The same for what is mounted from a block device. */
int serve_flush_volume(const char *volume, const struct serve_wait *w, struct err *err);

/* freeze-mounts.c */
/* One after the other, until one fails or the time is over. What was frozen is noted in
 * z->shared. */
int serve_freeze_mounts(struct serve_freezer *z, struct err *err);
/* -1 when the time is over, or source-server ends. */
int serve_freeze_lost(struct serve_freezer *z, struct err *err);

/* Forks the watchdog over z->mounts. */
int serve_watchdog_start(struct serve_freezer *z, struct err *err);
/* It thaws what is frozen, and ends. */
void serve_watchdog_stop(struct serve_freezer *z);
void serve_watchdog_tell(struct serve_freezer *z, enum freeze_word word);

#endif

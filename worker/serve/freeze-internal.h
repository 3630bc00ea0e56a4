/* SPDX-License-Identifier: Apache-2.0 */
/* Between freeze.c and watchdog.c. */
#ifndef SERVE_FREEZE_INTERNAL_H
#define SERVE_FREEZE_INTERNAL_H

#include <stdatomic.h>

#include "serve/serve-internal.h"

#define FREEZE_MAX_MOUNTS 64

enum freeze_how { THAWED, FROZEN, READ_ONLY };

/* Seen by both processes. */
struct freeze_shared {
	_Atomic bool lost;         /* thawed by the watchdog: what is read
				    * now is not consistent */
	_Atomic bool owed;         /* the program before freezing ran, that
				    * after thawing did not */
	_Atomic bool freezing;     /* a freeze call may be under way: thaw
				    * again and again */
	_Atomic int how[FREEZE_MAX_MOUNTS];
};

struct serve_freezer {
	struct serve_drive *drives;
	unsigned n_drives;
	struct serve_mount mounts[FREEZE_MAX_MOUNTS];
	unsigned n_mounts, limit_s, grace_s;
	struct capture_hooks hooks;
	struct freeze_shared *shared;
	int channel;               /* to the watchdog; its end is the signal to thaw */
	pid_t watchdog;
	pthread_mutex_t lock;      /* what follows */
	bool frozen;
	unsigned holders;
	uint64_t epoch, alone_ms;  /* since when nobody holds it */
};

enum freeze_word { WORD_BEGIN = 'b', WORD_FEED = 'f', WORD_END = 'e' };

/* Both processes thaw by these. What is not ours to thaw stays as it is. */
void serve_thaw_all(struct serve_freezer *z);
/* The operator's program, once, whoever comes first. */
void serve_after_thaw(struct serve_freezer *z);

/* Forks the watchdog over z->mounts. */
int serve_watchdog_start(struct serve_freezer *z, struct err *err);
/* It thaws what is frozen, and ends. */
void serve_watchdog_stop(struct serve_freezer *z);
void serve_watchdog_tell(struct serve_freezer *z, enum freeze_word word);

#endif

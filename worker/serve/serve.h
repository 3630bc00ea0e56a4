/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source side: serves drives of this machine, read-only, over the drive protocol
 * (proto/PROTOCOL.md), and holds their file systems still while they are read.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "capture/capture.h"
#include "net/net.h"

#define SERVE_MAX_DRIVES 64
#define SERVE_MAX_KEYS 64

struct serve_drive_spec {
	const char *name, *path;
};

/* Names with commas between; NULL = all. */
struct serve_rights {
	const char *drives, *jobs;
};

/* keys.c */
struct serve_keys {
	unsigned n;
	struct net_psk psks[SERVE_MAX_KEYS];
	struct serve_rights rights[SERVE_MAX_KEYS];
	const struct net_psk *list[SERVE_MAX_KEYS + 1]; /* NULL behind the last */
};
/* Adds those of a key file (source-server.8). serve_keys_wipe also after a failure. */
int serve_keys_load(const char *path, struct serve_keys *ret, struct err *err);
void serve_keys_wipe(struct serve_keys *k);

struct serve_config {
	const struct serve_drive_spec *drives;
	unsigned n_drives;
	const char *host;      /* to listen on; "" = all addresses */
	uint16_t port;         /* 0 = any free one */
	const struct net_psk *const *psks; /* accepted keys, NULL-terminated;
					    * NULL = none */
	const struct serve_rights *rights; /* of each of psks; NULL = all may all */
	bool allow_plain;      /* also serve clients without TLS */
	uint64_t bandwidth;    /* bytes/s for all connections together; 0 = no limit */
	const char *state_dir; /* journals of copies survive a restart
				* here; NULL = in memory */
	unsigned freeze_s;     /* longest time the file systems are held; 0
				* = never freeze */
	unsigned grace_s;      /* held so long for a client that lost its connection */
	struct capture_hooks hooks; /* around each freeze */
	bool snapshots;        /* LVM volumes are served from snapshots */
	bool all_blocks;       /* also read what frozen file systems do not use */
};

struct serve;

/* Opens the drives, listens, starts the thaw watchdog.
 * Before any thread of the process. */
int serve_start(const struct serve_config *c, struct serve **ret, struct err *err);
/* Gives up for good what serving needs no more: all capabilities, and gaining any, unless
 * there are file systems to freeze; all system calls but those it needs, unless there are
 * programs to run around that. Before any thread of the process. */
int serve_confine(struct serve *s, struct err *err);
uint16_t serve_port(const struct serve *s);
/* Serves until serve_stop; thaws and ends all connections before it returns. */
int serve_run(struct serve *s, struct err *err);
void serve_stop(struct serve *s); /* async-signal-safe */
void serve_free(struct serve *s);

/* logpipe.c: a log that no frozen file system can stop */
struct serve_log {
	int fd, pipe;
	pthread_t thread;
};
/* Standard error goes through a pipe and a thread until serve_log_end. */
int serve_log_detach(struct serve_log *ret, struct err *err);
void serve_log_end(struct serve_log *l);

#endif

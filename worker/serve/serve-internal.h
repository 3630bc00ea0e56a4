/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVE_SERVE_INTERNAL_H
#define SERVE_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "block/block.h"
#include "proto/proto.h"
#include "serve/serve.h"

#define SERVE_MAX_CONNECTIONS 32 /* of all clients that have greeted */
#define SERVE_MAX_STRANGERS 32   /* that have not */
#define SERVE_MAX_OF_ADDRESS 16  /* of these, of one address */
#define SERVE_MAX_HELLO 4096     /* bytes of its payload */
#define SERVE_MAX_PER_SESSION 9
#define SERVE_MAX_SESSIONS 128
/* Far more than descriptors may be open: that is the limit, and it is told. */
#define SERVE_MAX_MOUNTS (1u << 16)
#define SERVE_READ_ALIGN 4096
#define SERVE_BUFFER (PROTO_MAX_READ + 2 * SERVE_READ_ALIGN)

/* drive.c */
struct serve_drive {
	char name[64];
	struct block_dev dev;
	_Atomic bool no_direct; /* the file system refuses direct reads */
	_Atomic dev_t device;  /* of a block device, else of the file's file system */
	bool rotational;
	char serial[64], model[64];
	_Atomic uint64_t *unused; /* unused.c; NULL = everything is read */
	bool counts;           /* a read moved the kernel's counters of it */
	bool caught;           /* it is a snapshot, whenever it is read */
	_Atomic bool untold;   /* that it does not count was said */
	_Atomic bool used;     /* holders.c: somebody has it, or a part of it */
	_Atomic dev_t unheld;  /* what of it is in use and not held still, 0 = nothing */
};
int serve_drive_open(const struct serve_drive_spec *spec, struct serve_drive *ret,
	struct err *err);
void serve_drive_close(struct serve_drive *d);
/* Reads [off, off + len), len <= PROTO_MAX_READ, past the page cache. buf has
 * SERVE_BUFFER bytes and is aligned; *ret_data points into it. -1 with errno. */
int serve_drive_read(struct serve_drive *d, void *buf, uint64_t off, uint32_t len,
	uint8_t **ret_data);
/* Data and holes of [off, off + len); -1 with errno when the file cannot tell. */
int serve_drive_extents(struct serve_drive *d, uint64_t off, uint64_t len,
	struct proto_extent *ret, size_t max, size_t *ret_n);
/* A text that changes whenever the content may have changed,
 * over restarts of this program; of a device that does not count, another one each
 * time. */
void serve_drive_generation(struct serve_drive *d, char ret[40]);

/* unused.c: what no file system uses is served as zeroes and not read. A bit for each
 * PROTO_LEAF of a drive, counted from its start. It is true for who holds the file
 * systems since they froze. */
int serve_unused_new(struct serve_drive *d, struct err *err);
struct serve_mount;
/* Notes the free space of frozen file systems; begin forgets what was noted. */
void serve_unused_begin(struct serve_drive *drives, unsigned n);
void serve_unused_add(struct serve_drive *drives, unsigned n,
	const struct serve_mount *m);
void serve_unused_report(const struct serve_drive *drives, unsigned n);
/* As serve_drive_read and serve_drive_extents. */
int serve_unused_read(struct serve_drive *d, void *buf, uint64_t off, uint32_t len,
	uint8_t **ret_data);
void serve_unused_extents(const struct serve_drive *d, uint64_t off, uint64_t len,
	struct proto_extent *ret, size_t max, size_t *ret_n);

/* limit.c: token bucket */
struct serve_limit {
	pthread_mutex_t lock;
	uint64_t rate; /* bytes/s, 0 = none */
	uint64_t next; /* ns: when the bytes taken so far will have gone */
	_Atomic unsigned changes; /* who waits for an old rate need not */
};
void serve_limit_init(struct serve_limit *l, uint64_t rate);
bool serve_limit_set(struct serve_limit *l, uint64_t rate); /* whether it is another */
/* Takes bytes; returns how many ns the caller has to wait before it sends them. */
uint64_t serve_limit_take(struct serve_limit *l, uint64_t bytes);

/* mounts.c */
/* Whether the block device is one of the drives, a partition of one, or stands on one. */
bool serve_on_drives(const struct serve_drive *drives, unsigned n, dev_t dev);
struct serve_mount {
	char path[512];       /* of another mount namespace: below /proc/PID/root */
	dev_t device;         /* of the file system */
	dev_t block;          /* on which it is */
	int fd;               /* of the mount point */
	unsigned long flags;  /* MS_NOSUID ... as it is mounted now */
	bool foreign;         /* of another mount namespace */
	bool unheld;          /* it could not be made still */
};
struct serve_mounts {
	struct serve_mount *list; /* to be frozen */
	unsigned n;
	dev_t *quiet;             /* block devices that are mounted read-only */
	unsigned n_quiet;
};
/* Writable file systems on the drives, each once, in the order they must be frozen: of
 * other mount namespaces first, those mounted deepest first, the root last. */
int serve_mounts_find(const struct serve_drive *drives, unsigned n,
	struct serve_mounts *ret, struct err *err);
void serve_mounts_free(struct serve_mounts *l);

/* holders.c */
/* Fills in of each drive whether all that is in use of it is held still, by what the
 * kernel lets nobody else have: block devices that are open exclusively and neither in l,
 * nor swap, nor below another device. */
void serve_holders(struct serve_drive *drives, unsigned n, const struct serve_mounts *l);
/* The same where nothing is frozen: only what is mounted read-only is still. */
void serve_holders_unheld(struct serve_drive *drives, unsigned n);
/* The word of PROTOCOL.md for a drive that is not served from snapshots. */
const char *serve_consistency(const struct serve_drive *d);

/* freeze.c */
struct serve_freezer;
/* *ret is NULL when nothing is mounted from the drives. Forks the watchdog. */
int serve_freezer_new(struct serve_drive *drives, unsigned n,
	const struct serve_config *c, struct serve_freezer **ret, struct err *err);
void serve_freezer_free(struct serve_freezer *z); /* thaws; NULL is allowed */
/* Work that may take its time, and the clients that wait for it. */
struct serve_wait {
	/* About once a second; -1: the wait is over. */
	int (*tick)(void *ctx, struct err *err);
	void *ctx;
};
/* Freezes if nobody did yet; *ret_epoch names this time of stillness. Everything is
 * flushed before, however long that takes: nobody stands still for it. */
int serve_freezer_hold(struct serve_freezer *z, const struct serve_wait *wait,
	uint64_t *ret_epoch, struct err *err);
/* Ends it now, whatever is under way, and for good. NULL is allowed. */
void serve_freezer_end(struct serve_freezer *z);
/* One holder less. lost: its connection broke, wait for it to come back. */
void serve_freezer_release(struct serve_freezer *z, bool lost);
/* Who was waited for does not come back: without a holder it thaws at the next tick. */
void serve_freezer_expire(struct serve_freezer *z);
/* Whether the file systems have been still since the epoch began. */
bool serve_freezer_intact(struct serve_freezer *z, uint64_t epoch);
/* For how many ms, at least 1, they have been; 0 = they are not. */
uint64_t serve_freezer_still(struct serve_freezer *z);
/* Once a second: feeds the watchdog, thaws when nobody is left. */
void serve_freezer_tick(struct serve_freezer *z);
/* Around writes to files of this machine: a write that waits for a frozen file system
 * would keep its writer from feeding the watchdog. true: nothing is frozen, and nothing
 * will be before end_write.
 * false: do not write, and do not call end_write. NULL is allowed. */
bool serve_freezer_begin_write(struct serve_freezer *z);
void serve_freezer_end_write(struct serve_freezer *z);

/* journal.c: what of which drive the worker of which job has made durable */
struct serve_journal;
int serve_journal_open(const char *dir, struct serve_journal **ret, struct err *err);
void serve_journal_close(struct serve_journal *j);
struct serve_journal_key {
	const char *owner, *job, *drive, *state;
	uint64_t size;
};
/* may_write: the folder may be touched now (serve_freezer_begin_write); else
 * serve_journal_flush does it later. */
int serve_journal_put(struct serve_journal *j, const struct serve_journal_key *k,
	const void *bitmap, size_t len, bool may_write, struct err *err);
/* At most max bytes; returns the length, 0 when there is none. */
size_t serve_journal_get(struct serve_journal *j, const struct serve_journal_key *k,
	void *ret, size_t max);
/* Forgets all that the job has, also what an earlier process left in the folder. */
void serve_journal_drop(struct serve_journal *j, const char *owner, const char *job,
	bool may_write);
/* journal-trim.c: the folder keeps what is younger than a month, at most so much of it
 * that a month of copies fits, the youngest. */
#define SERVE_MAX_JOURNALS 256
#define SERVE_MAX_JOURNAL_BYTES (64ull << 20)
void serve_journal_trim(const char *dir);
/* Brings the folder up to date; not while it may be frozen. */
void serve_journal_flush(struct serve_journal *j);

/* filter.c: all system calls fail from here on but those of a server that keeps journals,
 * that holds file systems still. Of this thread and those it starts. A kernel without
 * filters (Linux before 3.5, or so configured) is a warning. */
int serve_filter(bool state, bool freezer, struct err *err);

/* snapper.c: the process for snapshots */
struct serve_snapper;
/* *ret is NULL when no drive is an LVM volume.
 * Removes what an earlier process left. Forks. */
int serve_snapper_new(const struct serve_config *c, struct serve_snapper **ret,
	struct err *err);
/* Removes all snapshots, of which nothing may be open any more. NULL is allowed. */
void serve_snapper_free(struct serve_snapper *z);
/* NULL is allowed */
bool serve_snapper_knows(const struct serve_snapper *z, unsigned drive);
/* A snapshot, instead of the one before; nothing of that may be open. wait
 * may be NULL. */
int serve_snapper_make(struct serve_snapper *z, unsigned drive,
	const struct serve_wait *wait, int *ret_fd, struct err *err);
int serve_snapper_drop(struct serve_snapper *z, unsigned drive, struct err *err);
/* Whether its snapshot is full. look: now, not every few seconds. */
bool serve_snapper_lost(struct serve_snapper *z, unsigned drive, bool look);
/* Takes what came for a request that was given up; for a thread that does so often. */
void serve_snapper_drain(struct serve_snapper *z);

/* snapshot.c: drives that are served from snapshots. Failures have errno in err->sys as
 * PROTOCOL.md says. */
struct serve_caught {
	bool has;                /* there are snapshots of this drive */
	_Atomic bool ready;      /* there is one now */
	_Atomic unsigned number; /* of the one that there is or was last */
	uint8_t owner[16];       /* session that it was made for */
	char job[128], user[128]; /* and what that session is of */
	uint64_t idle_ms;        /* since when no connection needs it; the
				  * watch's own. 0 = one does */
};
struct serve_conn;
int serve_caught_new(struct serve *s, const struct serve_config *c, struct err *err);
void serve_caught_free(struct serve *s); /* its drives being closed */
/* While the drives are opened: false when there are none of this one, else what is to be
 * opened. Then serve_caught_opened. */
bool serve_caught_open(struct serve *s, unsigned drive, struct serve_drive_spec *spec,
	char path[64], int *ret_fd);
int serve_caught_opened(struct serve *s, unsigned drive, int fd, struct err *err);
/* Before content is read: makes a snapshot where there is none for this job. */
int serve_caught_bind(struct serve_conn *c, const struct proto_frame *f, struct err *err);
/* After it was read: whether it was of the snapshot that this connection knows. */
int serve_caught_intact(struct serve_conn *c, unsigned drive, bool failed,
	struct err *err);
/* A newer one. */
int serve_caught_take(struct serve_conn *c, unsigned drive, struct err *err);
/* The job has everything: drops what it read. */
void serve_caught_done(struct serve_conn *c);
/* Drops full ones until s->stop; a thread. */
void *serve_caught_watch(void *s);

/* serve.c */
struct serve_session {
	uint8_t id[16];
	unsigned connections; /* may be 0 for a while: the client comes back */
	uint64_t used;        /* order of use, 0 = free */
	bool holding;         /* counted by the freezer */
	bool awaited;         /* its last connection ended while it held:
			       * it may come back */
	bool released;        /* the client said that it has everything */
	bool ended;           /* another session of the job said so: what it
			       * read from is not held for it any more */
	uint64_t epoch;       /* of the freezer, 0 = not held yet */
	uint64_t base[SERVE_MAX_DRIVES]; /* generations at its beginning,
					  * without a freezer */
	uint64_t read;        /* a bit for each drive that it has read from a snapshot */
	struct serve_limit limit; /* what the client asked for */
	char job[128];
	char owner[128];      /* whose key began it; "" without TLS */
};

struct serve {
	struct serve_drive drives[SERVE_MAX_DRIVES];
	unsigned n_drives;
	struct serve_snapper *snapper;
	struct serve_caught caught[SERVE_MAX_DRIVES];
	pthread_mutex_t catching; /* taken before lock */
	unsigned grace_s;         /* a snapshot waits so long for a client to come back */
	int null;
	struct net_tls_config tls;
	const struct net_psk *const *psks;
	const struct serve_rights *rights;
	bool allow_plain;
	bool writes; /* has a folder of journals */
	bool hooks;  /* runs programs of the operator */
	struct listener *listener;
	struct serve_limit limit;
	struct serve_freezer *freezer;
	struct serve_journal *journal;
	_Atomic bool stop;
	pthread_mutex_t lock; /* what follows, and the sessions' fields but limit */
	pthread_cond_t changed;
	struct serve_conn *conns; /* the newest first */
	unsigned n_conns;
	uint64_t crowded_ms; /* when the log told of it */
	struct serve_session sessions[SERVE_MAX_SESSIONS];
	uint64_t clock; /* of the sessions' use */
	char generations[SERVE_MAX_DRIVES][40]; /* of generation_epoch */
	uint64_t generation_epoch;
};

/* session.c */
/* Joins or makes the session of a greeting by a key of that owner; NULL when there are
 * too many, or (SRC_AUTH) it is a session of another owner or job. */
struct serve_session *serve_session_join(struct serve *s, const struct proto_hello *h,
	const char *owner, struct err *err);
/* Whether both are of one job of one owner; without a name a job is of one session. */
bool serve_same_job(const struct serve_session *a, const struct serve_session *b);
void serve_session_leave(struct serve *s, struct serve_session *v);
/* ESTALE when another session has ended its job. */
int serve_session_check(struct serve *s, struct serve_session *v, struct err *err);
/* Before content is read: freezes when that is needed.
 * -1 when it cannot be vouched for. */
int serve_session_hold(struct serve *s, struct serve_session *v,
	const struct serve_wait *wait, struct err *err);
/* Whether it was told that it is held still no more. */
bool serve_session_is_released(struct serve *s, struct serve_session *v);
/* Whether the session reads the state that it holds, not what the drive is by now. */
bool serve_session_holds(struct serve *s, struct serve_session *v);
/* After content was read: whether it was still all the while. */
bool serve_session_intact(struct serve *s, struct serve_session *v);
/* The client has all it wants: what it still reads may change meanwhile. whole_job: all
 * its other sessions let go, too, as those that a worker left behind whose machine was
 * reset; one that still reads gets ESTALE. */
void serve_session_release(struct serve *s, struct serve_session *v, bool whole_job);
void serve_generation(struct serve *s, struct serve_session *v, unsigned drive,
	char ret[40]);
uint64_t serve_number_of(const char *text);
/* Names the content that the session reads: as PROTOCOL.md, section 6 says. */
void serve_state(struct serve *s, struct serve_session *v, unsigned drive, char ret[40]);

/* pool.c: connections and their threads. Who has not shown a key yet is kept apart, so
 * that strangers do not take the places of those who have. */
struct serve_conn;
/* Takes the stream over. The oldest stranger of the address that has most makes room. */
void serve_pool_add(struct serve *s, struct stream *stream);
/* It has greeted. false: there are as many as there may be. */
bool serve_pool_admit(struct serve_conn *c);
/* Ends all connections and waits for it. */
void serve_pool_end(struct serve *s);

/* conn.c */
#define SERVE_QUEUE 192  /* requests waiting on a connection */
/* bytes of payload kept in the queue */
#define SERVE_SMALL (PROTO_MAX_LEAVES * PROTO_HASH_LEN)
struct serve_request {
	struct proto_frame f;
	bool cancelled;
	const uint8_t *payload;
	uint8_t small[SERVE_SMALL];
};
struct serve_conn {
	struct serve *serve;
	struct serve_conn *next;
	struct stream *stream;
	uint8_t peer[NET_PEER];
	bool known;          /* it has greeted; with serve->lock, as what follows */
	_Atomic bool evicted; /* another stranger has its place */
	struct serve_session *session;
	const struct serve_rights *rights; /* NULL = all */
	const struct serve_wait *wait; /* of the request that is worked for */
	uint64_t seed;
	uint32_t features;
	uint32_t credit;     /* bytes that it may have asked for at once */
	unsigned poor, skip; /* chunks that LZ4 did not shrink, chunks not to try */
	struct serve_request queue[SERVE_QUEUE];
	unsigned head, n_queued;
	bool big;            /* a queued request's payload is in `in` */
	uint32_t bye_id;
	bool bye, complete;  /* the client said it will ask no more; that
			      * it has everything */
	uint8_t *in;         /* PROTO_MAX_PAYLOAD */
	uint8_t *buf;        /* SERVE_BUFFER, aligned: what was read */
	uint8_t *out;        /* header and payload of a reply */
	unsigned caught[SERVE_MAX_DRIVES]; /* numbers of the snapshots that it
					    * reads, 0 = none yet */
	uint64_t told_ms;    /* last PROGRESS */
	uint64_t sent, data; /* bytes on the wire, bytes of drives */
};
/* Runs one connection to its end; closes the stream. */
void serve_conn_run(struct serve_conn *c);
int serve_conn_send(struct serve_conn *c, struct proto_frame *f, const void *payload,
	struct err *err);
/* The answer to a request. */
int serve_conn_reply(struct serve_conn *c, const struct proto_frame *request,
	enum proto_type type, const void *payload, size_t len, struct err *err);
int serve_conn_error(struct serve_conn *c, const struct proto_frame *f, int sys,
	const char *text, struct err *err);
/* Takes what has arrived meanwhile, without waiting: answers PING,
 * notes CANCEL and LIMIT. */
int serve_conn_drain(struct serve_conn *c, struct err *err);

/* keys.c: what the client's key may do */
bool serve_may_read(const struct serve_conn *c, unsigned drive);
bool serve_may_job(const struct serve_rights *rights, const char *job);

/* rules.c: whether a frame of a client keeps to PROTOCOL.md, sections 2 to 4, as far as
 * that can be told without the drives. */
int serve_check_rules(const struct serve_conn *c, const struct proto_frame *f,
	struct err *err);
/* Whether the header's drive means something. */
bool serve_names_drive(const struct proto_frame *f);

/* verbs.c: one request. -1 only when the connection is broken. */
int serve_verb(struct serve_conn *c, const struct serve_request *q, struct err *err);

/* content.c: READ, READ_IF_DIFF and HASH. -1 only when the connection is broken. */
int serve_content_read(struct serve_conn *c, const struct serve_request *q,
	struct err *err);
int serve_content_hash(struct serve_conn *c, const struct serve_request *q,
	struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of job/ share. */
#ifndef JOB_JOB_INTERNAL_H
#define JOB_JOB_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/err.h"
#include "block/block.h"
#include "job/job.h"

/*
 * read.c: JSON objects read by a table of their keys. Whatever the table does not name is
 * an error, and every error carries the full path of the key: "drives[1].target.serial:
 * ...".
 */
struct job_reader {
	char path[256];
	size_t path_len;
	struct err *err;
};

struct job_key {
	const char *name;
	/* Stores v at field. -1 with r->err filled through job_read_fail. */
	int (*read)(struct job_reader *r, yyjson_val *v, const struct job_key *k,
		void *field);
	size_t offset;  /* of the field in the object that job_read_object fills */
	size_t size;    /* strings: bytes of the field, including the NUL */
	uint64_t min, max;  /* numbers: range; strings: min 1 refuses "" */
	const char *const *names; /* job_read_enum: NULL-terminated, the
				   * index is stored */
	bool required;
};

/* Where a table's field is in its object. */
#define JOB_FIELD(s, f) \
	.offset = offsetof(struct s, f), .size = sizeof(((struct s *)0)->f)

/* v must be an object with only the keys of the table (ended by a
 * NULL name), each once. */
int job_read_object(struct job_reader *r, yyjson_val *v, const struct job_key *keys,
	void *dst);
/* Calls each for every element of an array of at most max elements,
 * with "[i]" on the path. */
int job_read_array(struct job_reader *r, yyjson_val *v, size_t max,
	int (*each)(struct job_reader *r, yyjson_val *v, size_t i, void *ctx), void *ctx);

int job_read_string(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_bool(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_unsigned(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
/* One of k->names; field is an int or enum. */
int job_read_enum(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
/* malloc'd text of at most k->max bytes; line breaks and tabs are allowed. */
int job_read_text(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);

/* CFG_INVALID "path: message"; -1. */
int job_read_fail(struct job_reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* As job_read_fail, for a key below the current path. */
int job_read_fail_key(struct job_reader *r, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds ".key" or "[i]"; the return value is what job_read_pop takes to go back. */
size_t job_read_push_key(struct job_reader *r, const char *key);
size_t job_read_push_index(struct job_reader *r, size_t i);
void job_read_pop(struct job_reader *r, size_t mark);

/* An allocator that wipes what it frees: documents hold secrets. */
extern const yyjson_alc job_read_wiping_alc;

/* parse-drives.c, parse-prepare.c: parts of the document; all as job_key.read */
int job_read_target(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_drives(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_prepare(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_extensions(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);

/* fields.c: values with a form of their own; all as job_key.read */
int job_read_name(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_mac(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_net4(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_net6(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_addr4(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_addr6(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_addr(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_rate(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_bytes(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
int job_read_psk(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field);
/* to lower case with colons; -1: is none */
int job_mac_parse(const char *s, char ret[18]);
int job_pin_parse(const char *s, char ret[64]);   /* "sha256//BASE64"; -1: is none */
/* "200M", powers of 1024; -1: is none */
int job_rate_parse(const char *s, uint64_t *ret);

/* uri.c */
#define JOB_URI_MAX 1024
/* scheme://host[:port][/path], nothing else in it; -1: is none. */
int job_url_check(const char *url, const char *scheme);
bool job_source_url_known(const char *url);
/* The URI of one drive for source_open: source.url with the
 * drive's name put in its place. */
int job_drive_uri(const struct job *j, const struct job_drive *d, char ret[JOB_URI_MAX]);

/* smbios.c: what the raw SMBIOS structure table (/sys/firmware/dmi/tables/DMI) carries
 * for us in its OEM strings (type 11). All strings of a kind are joined in the order of
 * the table. */
struct job_smbios {
	char *job;            /* the document, decoded; NULL = none */
	size_t job_len;
	bool announce_volume; /* "target-worker:announce=volume[:SERIAL]": a config
			       * volume will come */
	char announced[64];   /* its serial number, "" = any */
};
/* 0 also when the table says nothing for us.
 * CFG_INVALID for a job that cannot be decoded. */
int job_smbios_parse(const void *table, size_t len, struct job_smbios *ret,
	struct err *err);
void job_smbios_free(struct job_smbios *s);

/* base64.c: RFC 4648 section 4; white space is skipped, padding may be left out. ret
 * holds len / 4 * 3 + 3 bytes. -1: not base64. */
int job_base64_decode(const char *text, size_t len, void *ret, size_t *ret_len);

/* disks.c, map.c: which disk is meant by drives[].target */
struct job_disk {
	struct block_disk b;
	bool boot_medium;    /* this machine was started from it */
	bool maybe_medium;   /* carries our own image, and nobody tells whether this
			      * machine was started from it */
	bool config_volume;  /* the job came from it */
};
#define JOB_MAX_DISKS 512

/* Disks of this machine below the given roots ("/sys", "/dev" in life). Returns how many,
 * at most max are filled. What lies on them is not looked at. */
int job_disks(const char *sys_root, const char *dev_root, struct job_disk *ret, int max,
	struct err *err);
struct job_found;
/* Marks those that are no targets, by what job_find has found. Content alone makes no
 * disk a medium, except where it could be the one that is not to be lost. */
void job_disks_mark(struct job_disk *disks, int n, const struct job_found *found);
/* The disk of one drive: at least size bytes (0: any), not in taken[]. Errors:
 * DISK_NOT_FOUND, DISK_AMBIGUOUS, DISK_SMALL, DISK_RO, DISK_BUSY. */
int job_map(const struct job_target *t, uint64_t size, const struct job_disk *disks,
	int n, const struct job_disk *const *taken, int n_taken,
	const struct job_disk **ret, struct err *err);

/* The only disk that is meant, whatever is on it: for reading. DISK_NOT_FOUND,
 * DISK_AMBIGUOUS. */
int job_map_find(const struct job_target *t, uint64_t size, const struct job_disk *disks,
	int n, const struct job_disk **ret, struct err *err);

/* medium.c: the volume we booted from, and attached config volumes */
struct job_medium {
	char node[64];
	uint64_t offset, length; /* of the FAT file system */
	bool read_only;
	/* In hexadecimal, "" = none: what the image says it is, and the key that set-job
	 * has left. Both are claims of whoever wrote the disk. */
	char image[65], key[65];
};
/* Whether fd (a disk, at least 36 KiB) carries our image; then ret tells where TWCONFIG
 * is. 1 yes, 0 no, -1 it does but without a usable TWCONFIG. */
int job_medium_probe(int fd, uint64_t size, struct job_medium *ret);
/* Whether fd is a small volume labelled TWCONFIG, itself FAT or ISO 9660. */
bool job_volume_probe(int fd, uint64_t size);
/* Reads one file of a FAT volume; CFG_MISSING when it is not there. */
int job_medium_read(const struct job_medium *m, const char *name, char **ret,
	size_t *ret_len, struct err *err);
/* Replaces files on the volume: written, flushed, unmounted. */
struct job_file {
	const char *name;
	const void *data;
	size_t len;
};
int job_medium_write(const struct job_medium *m, const struct job_file *files, int n,
	struct err *err);

/* Writes over the bytes of a file, in its blocks, and flushes them; the length stays. */
int job_medium_overwrite(const struct job_medium *m, const char *name, const void *data,
	size_t len, struct err *err);

/* cmdline.c: tw.* of the kernel command line: pointers and pins only */
struct job_cmdline {
	char url[512];
	char pins[JOB_MAX_PINS][64];
	int n_pins;
	bool announce_volume;
	char announced[64]; /* serial number of the volume, "" = any */
	char volume[65];    /* of tw.volume=: SHA-256 of the key of the boot volume;
			     * zeroes from our loader on a volume without key;
			     * "" = not given */
};
int job_cmdline_parse(const char *text, struct job_cmdline *ret, struct err *err);
/* "volume" or "volume:SERIAL"; -1: neither. */
int job_announce_parse(const char *s, char ret_serial[64]);

/* origin.c: which volume this machine was started from */
#define JOB_MAX_PCI 16
enum job_unit { JOB_UNIT_NONE, JOB_UNIT_SCSI, JOB_UNIT_ATA, JOB_UNIT_NVME };
/* The place of a disk as a UEFI device path tells it. */
struct job_devpath {
	bool network;
	unsigned root;      /* number of the PCI root bridge */
	int n_pci;
	unsigned short pci[JOB_MAX_PCI]; /* device << 3 | function, from the root on */
	enum job_unit unit; /* a and b: SCSI target and LUN; ATA port from 1 and device;
			     * NVMe name space */
	unsigned a, b;
};
/* -1: cut off, damaged, or too long a way. */
int job_devpath_parse(const void *path, size_t len, struct job_devpath *ret);
int job_boot_option_parse(const void *data, size_t len, struct job_devpath *ret);
bool job_devpath_matches(const struct job_devpath *w, const struct block_disk *d);

enum job_origin_kind {
	JOB_ORIGIN_NONE,     /* not from a volume: network, or a kernel given by hand */
	JOB_ORIGIN_KEY,      /* from the one whose key has the sum in `volume` */
	JOB_ORIGIN_FIRMWARE, /* from the one at `path` */
	JOB_ORIGIN_UNKNOWN,  /* from some volume */
};
struct job_origin {
	enum job_origin_kind kind;
	char volume[65];
	struct job_devpath path;
	char image[65]; /* the running image, "" = not known */
};
/* root is "" in life. */
void job_origin_find(const char *root, const struct job_cmdline *c,
	struct job_origin *ret);
bool job_origin_key_fits(const struct job_origin *o, const char key[65]);

/* look.c: worker volumes among the disks. Content makes a candidate and no more. */
struct job_alike {
	const struct job_disk *disk;
	struct job_medium m;
	bool damaged; /* without a usable TWCONFIG */
};
/* Looks at a disk: 1 it holds a worker volume, 0 it does not. */
int job_look_alike(const struct job_disk *d, struct job_alike *ret);
/* Which of them the machine was started from: its index, -1 none. It cannot be told when
 * *ret_other is not -1, but one more that may be meant. j is a job that came from
 * elsewhere, NULL when there is none: the disks that it names are targets. */
int job_look_choose(const struct job_origin *o, const struct job_alike *a, int n,
	const struct job *j, int *ret_other);
/* Whether a target of the job is this disk by serial, WWN or path. */
bool job_names_disk(const struct job *j, const struct job_disk *d);
/* The same of one target; never by size. */
bool job_target_is(const struct job_target *t, const struct job_disk *d);

/* search.c: jobs on disks, and the volume for the result. Disks appear some time after
 * the kernel has started, so the search is repeated for a while. */
struct job_candidate { /* a document and where it was found */
	char *text;
	size_t len;
	char node[64];
};
void job_candidate_free(struct job_candidate *c);
struct job_wanted {
	bool medium;    /* the boot medium's job counts */
	bool announced; /* a volume will come: with this serial number, or "" */
	char serial[64];
};
struct job_found;
/* 1 with a job in *c (and ret->volume set when it is a config volume's), 0 without, which
 * is an error when the boot medium was to have one. The boot medium is in ret then. */
int job_search(const struct job_wanted *w, struct job_found *ret,
	struct job_candidate *c, struct err *err);
/* The volume this machine was started from, for a job that came another way. */
void job_search_medium(struct job_found *ret);

/* channel.c */
enum job_channel { JOB_CH_FILE, JOB_CH_SMBIOS, JOB_CH_MEDIUM, JOB_CH_VOLUME,
	JOB_CH_CMDLINE };
struct job_found {
	struct job *job;
	struct job *contact; /* whom to tell that the document is refused;
			      * job is NULL then */
	enum job_channel channel;
	struct job_origin origin;
	bool has_medium;
	struct job_medium medium; /* of the boot volume, for the result */
	char volume[64];          /* node of the config volume with the job, "" = none */
};
const char *job_channel_name(enum job_channel c);
/* Looks through the channels (or reads env->job_file) and parses what it finds. 0 with
 * ret->job NULL: the kernel command line has a URL; it wants the network, then
 * job_find_url. */
int job_find(const struct job_env *env, struct job_found *ret,
	struct job_cmdline *cmdline, struct err *err);
int job_find_url(const struct job_env *env, const struct job_cmdline *cmdline,
	struct job_found *ret, struct err *err);

/* initlink.c: messages to init; nothing when fd is -1 */
struct job_runner;
void job_init_send(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Before the report, while the network is there: init flushes, unmounts and takes down
 * what the job may have left. What stays becomes a warning each, and is in r->left for
 * the result. */
void job_init_settle(struct job_runner *r);

/* early.c: events from before there was a port. Not locked here. */
#define JOB_MAX_EARLY 64
struct job_early_event {
	struct job_event e; /* its pointers are those below */
	char *text, *step;
	struct err *err;
};
struct job_early {
	struct job_early_event list[JOB_MAX_EARLY];
	int n;
	unsigned lost; /* more came, or there was no memory */
};
void job_early_keep(struct job_early *q, const struct job_event *e);
/* and forgets them */
void job_early_send(struct job_early *q, const struct job_port *port);
void job_early_free(struct job_early *q);

#define JOB_N_STATES (JOB_HELD + 1)
#define JOB_MAX_LEFT 16
#define JOB_MAX_WARNINGS 128 /* two a drive */

/* What a run knows. The job's thread owns it;
 * what other threads touch is atomic or under lock. */
struct job_run_drive {
	char uri[JOB_URI_MAX];
	char target[256];          /* device node or file */
	const struct job_disk *disk; /* NULL for a file */
	uint32_t sector;           /* logical, of a disk; 0 = a file */
	bool zero;                 /* the job vouches that the target reads as zeroes */
	bool delta;
	struct source *source;
	struct copy_result result;
	bool copied, committed;
	char identity[300];        /* of the target, whatever its name: "b:254:16",
				    * "f:DEV:INODE" */
};

struct job_runner {
	const struct job_env *env;
	struct job_found found;
	struct job *job;           /* found.job */
	struct job_port port;      /* set once, under lock */
	bool has_port;
	struct job_early early;    /* under lock */
	_Atomic bool registered;
	bool online;               /* network and registration have worked */
	bool crashed;              /* this process only tells how the others have ended */
	unsigned starts;           /* of the machine for this job; 0 = not counted */
	bool looping;              /* BOOT_LOOP: too many */
	bool silent;               /* once more: nobody is told but the volume */
	bool linked;               /* an adapter came up, or the network is not ours */
	struct job_disk *disks;
	int n_disks;
	struct job_run_drive drives[JOB_MAX_DRIVES];
	struct copy_control ctl;   /* cancel is for every stage, not only for the copy */
	struct strbuf prepare;     /* guest/'s report */
	char packages[256];        /* the same of packages for the guest */
	char virtio_win[256];      /* device node or path of virtio-win's
				    * drivers, "" = none */
	bool resume;               /* an earlier attempt has written to these targets */
	bool touched;              /* a target has been written in this run */
	bool traceless;            /* nobody keeps that, should this run be cut off */
	char *done;                /* JOB_DONE: the result of the run that
				    * had done this job */
	unsigned attempt;
	uint64_t started_ms;
	struct err err;            /* why it failed */
	struct err left[JOB_MAX_LEFT]; /* what init could not take down, OFF_* */
	int n_left;
	struct err warnings[JOB_MAX_WARNINGS]; /* of this attempt, for the result */
	int n_warnings;
	enum job_state failed_in;
	uint64_t state_since_ms, state_ms[JOB_N_STATES]; /* time spent in each state */
	_Atomic int state;         /* enum job_state */
	_Atomic int ending;        /* -1, or an enum job_finish that a
				    * command asked for */
	_Atomic bool retry;        /* HOLD: a command asked for another attempt */
	_Atomic bool released;     /* HOLD: a command asked to end it */
	_Atomic bool stopped;      /* the watcher: end */
	_Atomic bool let_go;       /* since the copy began, the sources were told to go
				    * on */
	uint64_t still_ms;         /* since when they stand still, as was told; 0 = no */
	uint64_t still_total_ms;   /* and for how long they did before */
	_Atomic uint64_t quiet_ms; /* how long the stage may go without progress */
	_Atomic uint64_t quiet_until_ms;
	/* under lock */
	pthread_mutex_t lock;
	int machine_fd;            /* virtio-serial port tw.events, -1 = none */
	uint64_t last_line_ms, last_tick_ms, last_flushed;
	int progress_drive;
	char phase[16];
};

void job_runner_free(struct job_runner *r); /* run.c */

/* still.c, by the job's thread: tells when the source begins or ends to stand still */
void job_tell_still(struct job_runner *r);
/* The sources go on with their work, before anything else that is to be done now. */
void job_let_go(struct job_runner *r);
/* The job has all it wants of its sources. */
void job_finish_sources(struct job_runner *r);

/* events.c: hands what happened to the log, the machine channel and the port. */
void job_emit(struct job_runner *r, const struct job_event *e);
void job_set_state(struct job_runner *r, enum job_state s, const char *text);
/* COMMIT and CANCELLING exclude each other: whoever comes first wins. job_enter_commit
 * fails with CANCELLED; job_enter_cancelling returns false when it is too late, else
 * cancels. */
int job_enter_commit(struct job_runner *r, struct err *err);
bool job_enter_cancelling(struct job_runner *r, const char *why);
void job_step(struct job_runner *r, const char *step, bool done, const char *text);
void job_warn(struct job_runner *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A warning with a code, which also stands in the result. drive: -1 = none. */
void job_warn_result(struct job_runner *r, int drive, const struct err *err);
void job_progress(struct job_runner *r, int drive, const struct copy_progress *p);
void job_machine_open(struct job_runner *r);
/* Progress was made: tells init, at most once a second. */
void job_tick(struct job_runner *r);

/* watch.c: a thread that carries out commands and the stop signal */
int job_watch_start(struct job_runner *r, pthread_t *ret, struct err *err);
void job_watch_stop(struct job_runner *r, pthread_t t);
/* A stage begins that may go this long without progress (its own limits are shorter):
 * until then init is told that the worker is not hanging. */
void job_quiet(struct job_runner *r, unsigned seconds);
int job_cancelled(const struct job_runner *r, struct err *err); /* -1 CANCELLED, else 0 */

/* preflight.c: everything that can be known before the first write */
int job_preflight(struct job_runner *r, struct err *err);
void job_close_sources(struct job_runner *r);

/* facts.c: this machine, for the controller and the log; NULL when out of memory */
char *job_facts(struct job_runner *r);
const char *job_firmware(void); /* "bios" or "uefi" */

/* findings.c: what a copy that worked has met all the same becomes warnings. */
void job_tell_findings(struct job_runner *r, int drive);

/* stage-net.c, stages.c */
int job_stage_net(struct job_runner *r, struct err *err);
int job_stage_copy(struct job_runner *r, struct err *err);
int job_stage_prepare(struct job_runner *r, struct err *err);
int job_stage_commit(struct job_runner *r, struct err *err);

/* report.c: who is told. Opening the way to the controller sends no packet yet: what has
 * happened until now waits there, too. 0 without a controller. */
int job_open_port(struct job_runner *r, struct err *err);
int job_announce(struct job_runner *r, unsigned window_s, struct err *err);
/* Tells everybody how it ended. What cannot be told does not change how it ended. */
enum job_finish job_report(struct job_runner *r, enum job_state end);

/* starts.c: BOOT_LOOP when the machine has started too often for this job. */
int job_starts_begin(struct job_runner *r, struct err *err);
/* The same by the controller's count, once it is registered with. */
int job_starts_told(struct job_runner *r, struct err *err);
/* The job has come to an end. */
void job_starts_end(struct job_runner *r, enum job_state end, enum job_finish then);
/* The count after one that was kept (NULL: none). */
unsigned job_starts_next(const char *text, size_t len, const char *migration,
	const char *boot);

/* crash.c: the failure that init's words for an end of the worker mean. */
void job_crash_err(const char *cause, struct err *ret);

/* wipe.c: masks the secrets of a document in place; returns how many strings that has
 * changed, -1 when it is no JSON or there is no memory. */
int job_wipe_text(char *text, size_t len, bool keep_token);
/* Whether this job has lost its secrets that way. */
bool job_is_spent(const struct job *j);
/* On the boot volume, if the job came from there. What fails is a warning. */
void job_wipe_medium(struct job_runner *r, bool keep_token);

/* result.c: the document; state is how the run ended (OFF, FAILED, CANCELLED).
 * acknowledged is left out when NULL. NULL when out of memory. */
char *job_result(struct job_runner *r, enum job_state state, const bool *acknowledged);
/* Leaves it (and the log) on TWCONFIG, in env->result_file, or on standard output. */
int job_result_keep(struct job_runner *r, const char *text, struct err *err);
/* Whether an earlier run of this migration may have written to the targets: it left a
 * result that says so, or something that is no result. */
bool job_result_resumes(const char *text, size_t len, const char *migration);
/* Whether it says that a full copy of this migration has ended in success.
 * ret_when gets the time. */
bool job_result_done(const char *text, size_t len, const char *migration,
	char ret_when[32]);
/* Whether the controller had taken it. */
bool job_result_acknowledged(const char *text, size_t len);
/* The same document with that mark; NULL: it is none, or no memory. */
char *job_result_mark(const char *text, size_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: its description, checked completely before anything starts; the channels it is
 * found on; the state machine that runs it. Talking to the controller is control/'s
 * business: job/ sees it only as a struct job_port.
 */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "copy/copy.h"
#include "guest/guest.h"
#include "net/net.h"

#define JOB_MAX_BYTES (1u << 20) /* size of a job document */
#define JOB_MAX_DRIVES 64
#define JOB_MAX_NETS 16
#define JOB_MAX_PINS 4
#define JOB_MAX_EXTENSIONS 32
#define JOB_MAX_KEYS 16

enum job_mode { JOB_FULL, JOB_DELTA, JOB_PREPARE };
enum job_finish { JOB_POWEROFF, JOB_REBOOT, JOB_HOLD };
enum job_agent { JOB_AGENT_KEEP, JOB_AGENT_INSTALL };
enum job_target_state { JOB_PRISTINE, JOB_PREPARED, JOB_BOOTED, JOB_UNKNOWN };

/* Order is the order of a run; PAUSED and the last four are side states. */
enum job_state {
	JOB_BOOT, JOB_CONFIG, JOB_NET, JOB_REGISTER, JOB_READY, JOB_COPY, JOB_PAUSED,
	JOB_VERIFY, JOB_PREPARING, JOB_COMMIT, JOB_REPORT, JOB_OFF,
	JOB_FAILED, JOB_CANCELLING, JOB_CANCELLED, JOB_HELD,
};
const char *job_state_name(enum job_state s); /* "COPY", "PREPARE", "HOLD", ... */
const char *job_mode_name(enum job_mode m);
const char *job_finish_name(enum job_finish f);

/* How a target is named. Exactly one of serial, wwn, path, or size_exact. */
struct job_target {
	char serial[64], wwn[64], path[256]; /* path: bus path as in sysfs, or
					      * /dev/disk/by-path */
	char device[256];                    /* a device node or file; outside
					      * the image only */
	bool size_exact;
};
struct job_drive {
	char source[64];
	struct job_target target;
	enum job_target_state target_state;
	bool target_zero;
	char since[40];   /* the target holds this state of the drive, "" = unknown */
	char bitmap[256]; /* NBD: the dirty bitmap since the target's state, "" = none */
};
struct job_extension {
	char when[16]; /* "pre-mount", "mounted", "mounted-worker", "first-boot" */
	char *run;
	bool fatal;
};

/* Of encrypted volumes of the guest: of the one that is named,
 * or of whichever it opens. */
struct job_disk_key {
	char device[256], uuid[64]; /* "" = not named that way */
	char *secret;
	size_t len;
};

struct job {
	char migration[128];
	enum job_mode mode;
	struct {
		bool present;
		char url[512], token[512];
		char pins[JOB_MAX_PINS][64]; /* base64 of the SHA-256 of the SPKI */
		int n_pins;
		unsigned register_window_s; /* how long the registration is tried */
	} controller;
	struct net_config nets[JOB_MAX_NETS];
	int n_nets;
	struct {
		char url[512]; /* without the drive */
		char psk[256]; /* "user:hex", "" = none */
		bool allow_plain;
		bool require_consistency; /* SRC_CONSISTENCY where it cannot be told */
		unsigned connections; /* 0 = the engine decides */
		unsigned stall_s;     /* no byte for this long is SRC_SLOW;
				       * 0 = engine's default */
		unsigned live_passes; /* at most so many while the source
				       * works; 0 = none */
		unsigned downtime_s;  /* 0 = engine's default */
		uint64_t bad_ranges_max; /* bytes of a drive that may be
					  * unreadable, 0 = none */
	} source;
	struct job_drive drives[JOB_MAX_DRIVES];
	int n_drives;
	enum copy_verify verify;
	uint64_t bandwidth;
	struct {
		bool enabled;   /* false: copy only */
		char guest[256]; /* "auto" or a root device */
		bool remove_tools, dry_run, rehearse, undo, undo_earlier, nvram,
			cloud_init_anew, relabel;
		enum guest_edited edited; /* of an undo */
		enum guest_console console;
		enum job_agent guest_agent;
		unsigned tool_timeout_s; /* 0 = guest/'s default */
		struct guest_nic nics[JOB_MAX_NETS];
		int n_nics;
		struct guest_address addresses[JOB_MAX_NETS];
		int n_addresses;
		struct job_disk_key keys[JOB_MAX_KEYS];
		int n_keys;
		bool has_virtio_win;
		struct job_target virtio_win; /* disk with virtio-win's
					       * drivers; never size_exact */
		bool has_packages;
		struct job_target packages; /* disk with packages for the
					     * guest; likewise */
	} prepare;
	struct job_extension extensions[JOB_MAX_EXTENSIONS];
	int n_extensions;
	enum job_finish finish;
	enum job_finish on_error;
	unsigned report_deadline_s;
	unsigned max_starts; /* of the machine, until the job comes to an end */
	char *provenance_json; /* {"key": "channel"} */
};

/* Parses and checks a whole document. Errors name the key:
 * CFG_INVALID "drives[1].target: ...". */
int job_parse(const char *text, size_t len, struct job **ret, struct err *err);
/* What a refused document tells about whom to report that to: migration, mode,
 * controller, network and report_deadline_s, with defaults for all else. NULL when the
 * first or the controller is wrong itself. */
struct job *job_parse_contact(const char *text, size_t len);
void job_free(struct job *j); /* wipes secrets */

/* What happened, as handed to the port, the console and the machine channel. */
struct job_event {
	const char *type;      /* "state", "step.started", "step.finished",
				* "disk.progress", ... */
	enum job_state state;
	const char *step;      /* may be NULL */
	const char *text;      /* one sentence for a person; may be NULL */
	const struct err *err; /* may be NULL */
	int drive;             /* index, -1 = none */
	const struct copy_progress *progress; /* may be NULL */
	unsigned attempt;
	uint64_t at_ms; /* monotonic clock; 0 = now */
};

enum job_verb {
	JOB_CMD_NONE, JOB_CMD_PAUSE, JOB_CMD_RESUME, JOB_CMD_THROTTLE, JOB_CMD_CANCEL,
	JOB_CMD_RETRY, JOB_CMD_COLLECT_LOGS, JOB_CMD_POWEROFF,
	JOB_CMD_HOLD, /* do not power off at the end */
};
struct job_command {
	enum job_verb verb;
	char id[64];
	uint64_t bandwidth; /* THROTTLE */
};

/* The way to the controller. All members may be NULL (no controller). Calls come from the
 * job's threads and must not block longer than said. */
struct job_port {
	void *ctx;
	/* Registers with the facts as JSON; blocks until accepted or hopeless, at most
	 * window_s. May be called again after CTL_UNREACHABLE. */
	int (*announce)(void *ctx, const char *facts_json, unsigned window_s,
		struct err *err);
	/* How often the machine has registered for the migration since its last result,
	 * this time counted; 0 = not told. After announce. */
	unsigned (*starts)(void *ctx);
	/* Queues an event; never blocks, never loses state changes and errors. */
	void (*event)(void *ctx, const struct job_event *e);
	/* The next command, JOB_CMD_NONE if there is none; never blocks. */
	void (*command)(void *ctx, struct job_command *ret);
	void (*command_done)(void *ctx, const char *id, const struct err *err_or_null);
	/* Keeps the journal of a drive's copy, until the next one; never blocks. */
	void (*journal_put)(void *ctx, int drive, const void *buf, size_t len);
	/* The journal that an earlier worker of this migration left there, at most max
	 * bytes (malloc); *ret_len 0 = none. Blocks as long as one request may take. */
	int (*journal_get)(void *ctx, int drive, size_t max, char **ret, size_t *ret_len,
		struct err *err);
	/* Delivers the result until acknowledged or deadline_s passed; *ret_then gets the
	 * controller's wish. The document has at least "verdict": "success", "failed" or
	 * "cancelled" (control/controller-api.yaml, Result). */
	int (*report)(void *ctx, const char *result_json, unsigned deadline_s,
		enum job_finish *ret_then, struct err *err);
};

/* What a run may use; NULL members have the stated default. */
struct job_env {
	bool image;              /* in the image: channels, TWCONFIG, init;
				  * no device targets */
	bool network;            /* bring links up as the job says */
	const char *job_file;    /* the job; NULL = look through the
				  * channels (image only) */
	const char *result_file; /* where result.json goes; NULL = TWCONFIG
				  * in the image */
	int init_fd;             /* socket to init, -1 = none */
	const char *last_crash;  /* why init starts this worker again; NULL
				  * = first start */
	const char *last_reset;  /* what had reset the machine before this
				  * boot; NULL = not known */
	const _Atomic bool *stop; /* set by a signal: end in order, keep data */
	void *ctx;
	/* Opens the port of a job that has a controller; NULL = run without one. */
	int (*open_port)(void *ctx, const struct job *j, struct job_port *ret,
		struct err *err);
	/* GETs a document (tw.job=) from a server whose key is pinned.
	 * NULL = not possible. */
	int (*fetch)(void *ctx, const char *url, const char (*pins)[64], int n_pins,
		struct strbuf *ret, struct err *err);
};

/* Does a whole job, from CONFIG to OFF. Failures are reported as the job says; returns
 * the exit status of the process and, for init, leaves the final verb there. */
int job_run(const struct job_env *env);
/* Reports for runs that crashed: WORKER_CRASH, WORKER_STALL when they hung, NOMEM. NOMEM
 * is the only failure; what cannot be told is a line of the log. */
int job_report_crash(const struct job_env *env, const char *cause, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of PID 1 share. Times are seconds of the monotonic clock. Functions that
 * can fail and matter return 0, or -1 with errno set; the rest report on the consoles and
 * go on.
 */
#ifndef INIT_INTERNAL_H
#define INIT_INTERNAL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* How the machine ends. Decided once; later decisions are ignored. */
enum verb { VERB_NONE, VERB_POWEROFF, VERB_REBOOT, VERB_HOLD, VERB_SHELL };

enum { ALLOW_DEFAULT = 60, ALLOW_START = 300, ALLOW_MAX = 86400 };

/* options.c: tw.* words of the kernel command line that PID 1 itself obeys. */
struct options {
	enum verb on_error;  /* tw.on_error=poweroff|reboot|hold|shell,
			      * after the crash budget */
	bool debug;          /* tw.debug=1: lab build only */
	unsigned grace;      /* tw.grace=SECONDS between TERM and KILL of the worker */
	unsigned debug_exit; /* tw.debug_exit=PORT: lab build only, isa-debug-exit */
};

void options_parse(struct options *ret, const char *cmdline);

/* message.c: one packet from the worker. */
enum message_kind {
	MESSAGE_TICK,
	MESSAGE_ALLOW,
	MESSAGE_STATUS,
	MESSAGE_WRITTEN,
	MESSAGE_UNWATCHED,
	MESSAGE_SETTLE,
	MESSAGE_FINISH,
};

struct message {
	enum message_kind kind;
	unsigned seconds; /* ALLOW */
	enum verb verb;   /* FINISH */
	char text[256];   /* STATUS, WRITTEN: printable, cut to fit */
};

/* False for a packet that is not in the protocol; ret is then undefined. */
bool message_parse(struct message *ret, const char *buf, size_t len);
enum verb verb_parse(const char *word);
const char *verb_name(enum verb verb);
/* Replaces control characters, so that no text can steer a terminal. */
void text_sanitise(char *text);

/* crash.c: what a dead child leaves behind,
 * as one line for people and for TW_LAST_CRASH. */
struct crash {
	int status; /* from wait4 */
	long maxrss_kb;
	unsigned ran_s;
	bool oom, stalled;
	char last_line[200];
};

/* How often the worker has failed: one after the other, and since the machine started. */
struct crashes {
	unsigned in_row, all;
};

/* Counts a worker that ran so long. Whether another one may be started. */
bool crash_count(struct crashes *c, unsigned ran_s);
void crash_describe(char *ret, size_t size, const struct crash *crash);

/* mount.c */
void mount_base(void);
int mount_unescape(char *path); /* octal escapes of /proc/self/mountinfo, in place */

struct mount_entry {
	char point[512];
	bool base; /* mounted by mount_base: stays until the end */
};

/* Reads one line of mountinfo. False when it is malformed or too long. */
bool mount_entry_parse(struct mount_entry *ret, const char *line);
/* A mount that lies under another one has a name that leads elsewhere, where the other is
 * of a guest and holds links. 0: there are none on the way; else an errno. */
int mount_check_way(const char *path);

/* console.c */
void console_open_all(void);
void console_line(const char *line);                  /* to every output */
void console_status(const char *status);              /* the line on top of the screen */
void console_problem(const char *problem);            /* stays on the screen */
void console_safe(void);                              /* the warning on the screen goes */
void console_refresh(double now);                     /* redraws the screen when due */
/* Fills in the consoles that have unsent text and returns their number. */
size_t console_poll_fds(struct pollfd *fds, size_t max);
void console_flush(void);
void console_drain(unsigned ms); /* before power-off: waits for slow serial ports */
const char *console_serial(void); /* first console that is not a screen, or NULL */
/* One line of PID 1: consoles and kernel log. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A needed step failed before the worker could start: shown, then power-off. */
void panic(const char *what) __attribute__((noreturn));

/* watchdog.c */
void watchdog_open(void);
bool watchdog_has_reset(void); /* this boot follows one that it has ended */
void watchdog_feed(double now);
/* The machine is about to go: from here on it has one more period. Where the card would
 * go on counting behind a restart, it is stopped instead. */
void watchdog_arm(bool restart);
void watchdog_not_at_end(void); /* arming stops it instead */
void watchdog_close(void);

/* button.c: input devices with a power key. */
size_t button_open(int *fds, size_t max);
bool button_pressed(int fd);

/* worker.c */
struct worker {
	pid_t pid;     /* 0: not running */
	int socket;    /* -1: none */
	int output;    /* -1: none */
	double started, deadline, allow;
	bool stalled;
	uint64_t oom_kills; /* of the whole machine when it started */
	char line[512];     /* unfinished line of output */
	size_t line_len;
	char last_line[200];
};

int worker_start(struct worker *w, const char *verb, const char *last_crash);
void worker_read_output(struct worker *w);
/* Reads one packet. 1: parsed, 0: none or not understood, -1: closed. */
int worker_read_message(struct worker *w, struct message *ret);
void worker_close(struct worker *w);
void worker_crash(const struct worker *w, int status, const struct rusage *usage,
	struct crash *ret);

/* shell.c: its pid, or 0 when this is not a lab build or there is no serial console. */
pid_t shell_start(void);

/* stack.c: ends device-mapper, md and loop devices that nothing holds any more. Returns
 * how many went; in the last round it says why the others stay. */
unsigned stack_round(bool last);

/* shutdown.c */
void shutdown_written(const char *path); /* remembers a disk to flush */
void shutdown_flush(void);
/* Before the worker reports: the tear-down of shutdown_run but for the processes, and
 * what stays told to this socket (message.c). */
void shutdown_settle(int socket);
/* Something stays as it is: a line, and a message to a worker that
 * waits in shutdown_settle. */
void shutdown_stays(const char *code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* After a crash: ends what the worker left running, mounted and mapped, so that the next
 * one starts as the first did. */
void shutdown_leftovers(void);
void shutdown_run(enum verb verb, const struct options *opt, unsigned exit_code)
	__attribute__((noreturn));
/* Runs fn in a child for at most so long. 0, an errno of fn, or -1: it did not return. */
int bounded(unsigned seconds, int (*fn)(const char *), const char *arg);

/* off.c: powers off or restarts; says what to do where that does not work. */
void off_machine(enum verb verb, const struct options *opt, unsigned exit_code)
	__attribute__((noreturn));

double now_s(void);
/* text, terminated; -1 on failure */
int file_read(const char *path, char *buf, size_t size);
int file_write(const char *path, const char *text);

#endif

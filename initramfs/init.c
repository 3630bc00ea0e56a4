/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the image. When it starts there is the initramfs and nothing else: no /proc,
 * no /dev but one console node, no environment worth having, no one to report to. It
 * mounts, opens every console, starts the worker and supervises it, and takes the machine
 * down in order. It reads nothing from the network and nothing from a disk; the worker
 * does that and may crash.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init-internal.h"

enum {
	BUTTONS = 8,
	REPORT_SECONDS = 300,   /* for `worker report-crash` */
	KILLED_SECONDS = 30,    /* a killed process that still lives is
				 * stuck in the kernel */
};

enum phase {
	PHASE_RUN,     /* the worker runs */
	PHASE_BACKOFF, /* restart it at `deadline` */
	PHASE_STOP,    /* it was asked to stop, KILL at `deadline` */
	PHASE_REPORT,  /* the budget is spent; `worker report-crash`
			* runs, KILL at `deadline` */
	PHASE_HOLD,    /* nothing runs, wait for the power button */
	PHASE_OFF,
};

struct init {
	struct options opt;
	struct worker worker;
	enum phase phase;
	enum verb verb;      /* how it will end, once decided */
	unsigned exit_code;  /* lab: 1 the worker finished, 2 it failed, 3
			      * asked from outside */
	double deadline;     /* of the phase */
	struct crashes crashes;
	char last_crash[360];
	int signals;
	int buttons[BUTTONS];
	size_t n_buttons;
	pid_t shell; /* lab build with tw.debug=1 */
};

double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void signals_block(struct init *in)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	in->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in->signals < 0)
		panic("signalfd");
	reboot(RB_DISABLE_CAD); /* Ctrl-Alt-Del becomes SIGINT */
}

/* For all that is started from here: memory that holds keys is written nowhere. */
static void forbid_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		say("init: switch core dumps off: %s", strerror(errno));
}

/* A setting that cannot be made is worth a line, not a failure. */
static void tune(const char *path, const char *value)
{
	if (file_write(path, value) < 0)
		say("init: write %s to %s: %s", value, path, strerror(errno));
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		say("init: bring up lo: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void decide(struct init *in, enum verb verb, unsigned exit_code, const char *why)
{
	if (in->verb != VERB_NONE)
		return;
	in->verb = verb;
	in->exit_code = exit_code;
	say("init: %s decided: %s", verb_name(verb), why);
}

static void start(struct init *in)
{
	if (worker_start(&in->worker, "run", in->crashes.all ? in->last_crash : NULL) < 0)
		panic("start the worker");
	in->phase = PHASE_RUN;
}

static void stop(struct init *in, enum verb verb, const char *why)
{
	if (in->phase == PHASE_HOLD)
		in->verb = VERB_NONE; /* a held machine takes a new decision */
	decide(in, verb, 3, why);
	if (in->phase == PHASE_RUN) {
		console_status("stopping");
		kill(in->worker.pid, SIGTERM);
		in->phase = PHASE_STOP;
		in->deadline = now_s() + in->opt.grace;
	} else if (in->phase == PHASE_BACKOFF || in->phase == PHASE_HOLD) {
		in->phase = PHASE_OFF;
	}
}

static void give_up(struct init *in)
{
	char text[480];

	snprintf(text, sizeof(text), "the worker failed %u times: %s", in->crashes.all,
		in->last_crash);
	console_problem(text);
	say("init: %s", text);
	decide(in, in->opt.on_error, 2, "tw.on_error");
	in->phase = PHASE_REPORT;
	in->deadline = now_s() + REPORT_SECONDS;
	if (worker_start(&in->worker, "report-crash", in->last_crash) < 0) {
		say("init: start report-crash: %s", strerror(errno));
		in->phase = PHASE_OFF;
	}
}

static void crashed(struct init *in, int status, const struct rusage *usage)
{
	struct crash crash;
	bool again;

	worker_crash(&in->worker, status, usage, &crash);
	crash_describe(in->last_crash, sizeof(in->last_crash), &crash);
	again = crash_count(&in->crashes, crash.ran_s);
	console_problem(in->last_crash);
	say("init: the worker ended: %s", in->last_crash);
	worker_close(&in->worker);
	shutdown_leftovers();
	if (in->shell)
		in->shell = shell_start();
	if (!again) {
		give_up(in);
		return;
	}
	in->phase = PHASE_BACKOFF;
	in->deadline = now_s() + (1u << (in->crashes.in_row - 1));
	console_status("the worker failed and will be started again");
}

/* The worker waits for it: none of its time passes meanwhile. */
static void settle(struct init *in)
{
	double start = now_s();

	shutdown_settle(in->worker.socket);
	in->deadline += now_s() - start;
	in->worker.deadline += now_s() - start;
}

static void take_message(struct init *in, const struct message *m)
{
	struct worker *w = &in->worker;

	switch (m->kind) {
	case MESSAGE_TICK:
		w->deadline = now_s() + ALLOW_DEFAULT;
		break;
	case MESSAGE_ALLOW:
		w->deadline = now_s() + m->seconds;
		break;
	case MESSAGE_STATUS:
		console_status(m->text);
		break;
	case MESSAGE_WRITTEN:
		shutdown_written(m->text);
		break;
	case MESSAGE_UNWATCHED:
		watchdog_not_at_end();
		break;
	case MESSAGE_SETTLE:
		settle(in);
		break;
	case MESSAGE_FINISH:
		decide(in, m->verb, 1, "the worker finished");
		/* From now on it has the grace period to exit by itself. */
		if (in->phase == PHASE_RUN) {
			in->phase = PHASE_STOP;
			in->deadline = now_s() + in->opt.grace;
		}
		break;
	}
}

static void read_worker(struct init *in)
{
	struct message m;
	int r;

	worker_read_output(&in->worker);
	while ((r = worker_read_message(&in->worker, &m)) > 0)
		take_message(in, &m);
}

static void worker_ended(struct init *in, int status, const struct rusage *usage)
{
	read_worker(in); /* its last words, a verdict among them */
	if (in->phase == PHASE_RUN) {
		crashed(in, status, usage);
		return;
	}
	worker_close(&in->worker);
	if (in->phase == PHASE_REPORT && status != 0)
		say("init: report-crash ended with status %#x", status);
	in->phase = PHASE_OFF;
}

static void reap(struct init *in)
{
	struct rusage usage;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		if (pid == in->worker.pid)
			worker_ended(in, status, &usage);
		else if (pid == in->shell)
			in->shell = shell_start();
	}
}

/*
 * init.8 documents this table. TERM and INT do not mean reboot as with BusyBox: "shut
 * down guest" of a hypervisor must end in power-off.
 */
static void read_signals(struct init *in)
{
	struct signalfd_siginfo si;

	while (read(in->signals, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			reap(in);
			break;
		case SIGTERM:
		case SIGINT:
		case SIGPWR:
		case SIGUSR2:
			stop(in, VERB_POWEROFF, strsignal(si.ssi_signo));
			break;
		case SIGUSR1:
			stop(in, VERB_REBOOT, strsignal(si.ssi_signo));
			break;
		}
	}
}

static void check_deadlines(struct init *in, double now)
{
	struct worker *w = &in->worker;

	if (in->phase == PHASE_RUN && !w->stalled && now > w->deadline) {
		w->stalled = true;
		w->deadline = now + KILLED_SECONDS;
		say("init: the worker makes no progress, ending it");
		kill(w->pid, SIGKILL);
	} else if (in->phase == PHASE_BACKOFF && now > in->deadline) {
		start(in);
	} else if ((in->phase == PHASE_STOP || in->phase == PHASE_REPORT) &&
		now > in->deadline) {
		say("init: the worker does not end in time, ending it");
		kill(-w->pid, SIGKILL);
		in->phase = PHASE_OFF;
	}
	/* A worker that outlives its KILL is stuck in the kernel:
	 * let the watchdog reset. */
	if (!(in->phase == PHASE_RUN && w->stalled && now > w->deadline))
		watchdog_feed(now);
}

static void wait_events(struct init *in)
{
	struct pollfd fds[BUTTONS + 16] = { { .fd = in->signals, .events = POLLIN } };
	size_t n = 1, first_button;

	fds[n++] = (struct pollfd){ .fd = in->worker.socket, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = in->worker.output, .events = POLLIN };
	first_button = n;
	for (size_t i = 0; i < in->n_buttons; i++)
		fds[n++] = (struct pollfd){ .fd = in->buttons[i], .events = POLLIN };
	n += console_poll_fds(fds + n, sizeof(fds) / sizeof(fds[0]) - n);
	poll(fds, n, 1000);
	console_flush();
	/* Messages before deaths: a verdict that was sent counts. */
	if (in->worker.pid)
		read_worker(in);
	read_signals(in);
	for (size_t i = 0; i < in->n_buttons; i++)
		if (fds[first_button + i].revents && button_pressed(in->buttons[i]))
			stop(in, VERB_POWEROFF, "power button");
}

/* Hold and shell keep the machine up for a person; the watchdog must not end that. */
static void hold(struct init *in)
{
	shutdown_flush();
	console_safe();
	in->phase = PHASE_HOLD;
	console_status("finished; held for inspection until the power button is pressed");
	say("init: held for inspection");
	if (in->verb == VERB_SHELL && !in->shell)
		in->shell = shell_start();
}

int main(void)
{
	static struct init in = { .worker = { .socket = -1, .output = -1 } };
	char cmdline[4096] = "";

	if (getpid() != 1) {
		fprintf(stderr,
			"init: this program is PID 1 of the target-worker image\n");
		return 1;
	}
	signals_block(&in);
	mount_base();
	console_open_all();
	if (file_read("/proc/cmdline", cmdline, sizeof(cmdline)) < 0)
		panic("read /proc/cmdline");
	options_parse(&in.opt, cmdline);
	forbid_dumps();
	say("target-worker " TW_VERSION ", kernel start to PID 1 in %.2f s", now_s());
	/* The supervisor is the last process the kernel may sacrifice. */
	tune("/proc/self/oom_score_adj", "-1000");
	/* Little unwritten data at any time: progress means flushed,
	 * and the end is quick. */
	tune("/proc/sys/vm/dirty_bytes", "33554432");
	tune("/proc/sys/vm/dirty_background_bytes", "8388608");
	loopback_up();
	in.n_buttons = button_open(in.buttons, BUTTONS);
	watchdog_open();
	if (in.opt.debug)
		in.shell = shell_start();
	start(&in);
	for (;;) {
		wait_events(&in);
		check_deadlines(&in, now_s());
		console_refresh(now_s());
		if (in.phase == PHASE_OFF &&
		    (in.verb == VERB_HOLD || in.verb == VERB_SHELL))
			hold(&in);
		if (in.phase == PHASE_OFF)
			shutdown_run(in.verb, &in.opt, in.exit_code);
	}
}

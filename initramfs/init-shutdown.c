/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out, in an order that leaves every disk clean: end all processes, flush the
 * disks that were written, unmount in reverse order, take down the device stacks, sync;
 * then power off (init-off.c). Each step that could block runs in a child with a time
 * limit; what was skipped is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init-internal.h"

enum {
	DISKS = 64,
	MOUNTS = 256,
	TERM_SECONDS = 3,
	KILL_SECONDS = 3,
	FLUSH_SECONDS = 60, /* one disk; 32 MiB of dirty pages at most,
			     * but slow storage */
	UMOUNT_SECONDS = 15,
	UNWIND_SECONDS = 45, /* no new round after that */
	SYNC_SECONDS = 30,
	ALL_SECONDS = 200, /* then each step that is left has one second */
};

static char disks[DISKS][64];
static size_t n_disks;
static double patient_until;
static int asker = -1; /* socket of the worker that wants to know what stays */

static void nap_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static void answer(const char *text)
{
	/* A worker that does not listen any more loses nothing that
	 * the consoles have not shown. */
	if (asker >= 0 &&
	    send(asker, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		say("init: the worker cannot be told: %s", strerror(errno));
}

void shutdown_stays(const char *code, const char *fmt, ...)
{
	char text[320], packet[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("power-off: %s", text);
	snprintf(packet, sizeof(packet), "left %s %s", code, text);
	answer(packet);
}

void shutdown_written(const char *path)
{
	for (size_t i = 0; i < n_disks; i++)
		if (strcmp(disks[i], path) == 0)
			return;
	if (n_disks == DISKS || strlen(path) >= sizeof(disks[0])) {
		say("power-off: %s will only be flushed by the final sync", path);
		return;
	}
	strcpy(disks[n_disks++], path);
}

int bounded(unsigned seconds, int (*fn)(const char *), const char *arg)
{
	double end = now_s() + (patient_until && now_s() > patient_until ? 1 : seconds);
	pid_t pid = fork(), got;
	int status;

	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(fn(arg));
	while ((got = waitpid(pid, &status, WNOHANG)) != pid) {
		if (got < 0 || now_s() > end) {
			kill(pid, SIGKILL);
			return -1;
		}
		watchdog_feed(now_s());
		console_flush();
		nap_ms(10);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* Reaps until no child is left. False when some are after so many seconds. */
static bool reap_all(unsigned seconds)
{
	double end = now_s() + seconds;
	pid_t got;

	while (now_s() < end) {
		got = waitpid(-1, NULL, WNOHANG);
		if (got < 0 && errno == ECHILD)
			return true;
		watchdog_feed(now_s());
		if (got == 0)
			nap_ms(20);
	}
	return false;
}

static void end_processes(void)
{
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (reap_all(TERM_SECONDS))
		return;
	kill(-1, SIGKILL);
	if (!reap_all(KILL_SECONDS))
		say("power-off: a process does not end, going on without it");
}

static int flush_one(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int sys = 0;

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))
		return ENOTBLK;
	if (fsync(fd) < 0)
		sys = errno;
	if (ioctl(fd, BLKFLSBUF, 0) < 0 && sys == 0)
		sys = errno;
	return sys;
}

void shutdown_flush(void)
{
	for (size_t i = 0; i < n_disks; i++) {
		int r = bounded(FLUSH_SECONDS, flush_one, disks[i]);

		if (r != 0)
			shutdown_stays("OFF_SYNC", "flush %s: %s", disks[i],
				r < 0 ? "no answer in time" : strerror(r));
	}
}

static int umount_one(const char *path)
{
	int sys = mount_check_way(path);

	return sys ? sys : umount2(path, UMOUNT_NOFOLLOW) < 0 ? errno : 0;
}

static int remount_ro(const char *path)
{
	int sys = mount_check_way(path);

	return sys ? sys :
		mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0 ? errno : 0;
}

static void give_up_on(const char *point, int r)
{
	shutdown_stays("OFF_UMOUNT", "unmount %s: %s; making it read-only", point,
		r < 0 ? "no answer in time" : strerror(r));
	r = bounded(UMOUNT_SECONDS, remount_ro, point);
	if (r != 0)
		shutdown_stays("OFF_UMOUNT", "%s stays writable: %s", point,
			r < 0 ? "no answer in time" : strerror(r));
}

/* The kernel lists mounts in the order they were made; children come after parents. */
static unsigned umount_round(bool last)
{
	static struct mount_entry entries[MOUNTS];
	static char line[4096];
	unsigned gone = 0;
	size_t n = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f) {
		shutdown_stays("OFF_UMOUNT", "read mounts: %s", strerror(errno));
		return 0;
	}
	while (n < MOUNTS && fgets(line, sizeof(line), f))
		if (mount_entry_parse(&entries[n], line) && !entries[n].base)
			n++;
	fclose(f);
	while (n-- > 0) {
		int r = bounded(UMOUNT_SECONDS, umount_one, entries[n].point);

		if (r == 0)
			gone++;
		else if (last)
			give_up_on(entries[n].point, r);
	}
	return gone;
}

/* Mounts and devices in turns: a loop device may lie on a mounted
 * filesystem and carry another. */
static void unwind(void)
{
	double end = now_s() + UNWIND_SECONDS;

	while (umount_round(false) + stack_round(false) > 0 && now_s() < end)
		continue;
	umount_round(true);
	stack_round(true);
}

void shutdown_leftovers(void)
{
	kill(-1, SIGKILL);
	if (!reap_all(KILL_SECONDS))
		say("init: a process of the failed worker does not end");
	unwind();
}

static int sync_all(const char *unused)
{
	(void)unused;
	sync();
	return 0;
}

static void take_down(void)
{
	patient_until = now_s() + ALL_SECONDS;
	shutdown_flush();
	unwind();
	if (bounded(SYNC_SECONDS, sync_all, NULL) != 0)
		shutdown_stays("OFF_SYNC", "sync did not end in %d s", SYNC_SECONDS);
	patient_until = 0;
}

void shutdown_settle(int socket)
{
	asker = socket;
	take_down();
	answer("settled");
	asker = -1;
}

void shutdown_run(enum verb verb, const struct options *opt, unsigned exit_code)
{
	double start = now_s();

	console_status(verb == VERB_REBOOT ? "restarting" : "powering off");
	end_processes();
	take_down();
	say("power-off: ready after %.1f s", now_s() - start);
	console_drain(500);
	off_machine(verb, opt, exit_code);
}

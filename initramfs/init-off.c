/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step, when everything is taken down: off, or a restart. Nothing here can be
 * relied on to work, or to return:
 *
 *   reboot(RB_POWER_OFF)  without a way to power off, the kernel halts all processors
 *                         instead, and nothing runs after it; when the firmware does not
 *                         obey, the caller exits, which panics the kernel if it is PID 1
 *   SysRq o               the same power-off from a worker of the kernel: it goes on when
 *                         there is no way
 *   reboot(RB_AUTOBOOT)   shuts down each device first, and hangs when one does
 *   SysRq b               resets at once
 *
 * So PID 1 itself makes no such call. While the kernel shuts down, the watchdog runs: who
 * hangs there is reset. When all has failed, the watchdog stops, and the screen says what
 * to do.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <time.h>

#include "init-internal.h"

enum { GO_SECONDS = 20 };

static void wait_s(unsigned seconds)
{
	double end = now_s() + seconds;
	struct timespec ts = { .tv_nsec = 200000000 };

	while (now_s() < end) {
		nanosleep(&ts, NULL);
		console_refresh(now_s());
		console_flush();
	}
}

/* True: the kernel was asked, and has time to do it. */
static bool press_sysrq(const char *key)
{
	if (file_write("/proc/sysrq-trigger", key) < 0) {
		say("power-off: SysRq %s: %s", key, strerror(errno));
		return false;
	}
	wait_s(GO_SECONDS);
	return true;
}

static int call_restart(const char *unused)
{
	(void)unused;
	return reboot(RB_AUTOBOOT) < 0 ? errno : 0;
}

static int call_power_off(const char *unused)
{
	(void)unused;
	return reboot(RB_POWER_OFF) < 0 ? errno : 0;
}

static void tell_the_end(enum verb verb)
{
	const char *what = verb == VERB_REBOOT ? "restarted" : "powered off";
	char text[120];

	snprintf(text, sizeof(text), "this machine cannot be %s by software; switch it off",
		what);
	console_safe();
	console_status("finished; switch this machine off");
	console_problem(text);
	say("power-off: the machine stays on; switch it off");
	console_drain(1000);
}

#ifdef TW_LAB
/* QEMU's isa-debug-exit ends the emulator with (code << 1) | 1. */
static void debug_exit(unsigned port, unsigned code)
{
	if (port && ioperm(port, 1, 1) == 0)
		outb(code, port);
}
#endif

void off_machine(enum verb verb, const struct options *opt, unsigned exit_code)
{
	watchdog_arm(verb == VERB_REBOOT);
#ifdef TW_LAB
	debug_exit(opt->debug_exit, exit_code);
#else
	(void)opt;
	(void)exit_code;
#endif
	if (verb == VERB_REBOOT) {
		bounded(GO_SECONDS, call_restart, NULL);
		press_sysrq("b");
	} else {
		press_sysrq("o");
	}
	watchdog_close();
	tell_the_end(verb);
	/* It may halt the processors: then the text stays on the screen. */
	if (verb != VERB_REBOOT)
		bounded(GO_SECONDS, call_power_off, NULL);
	for (;;)
		wait_s(GO_SECONDS);
}

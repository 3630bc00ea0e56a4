/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog resets the machine when PID 1 cannot get things moving any more: init.c
 * feeds it as long as the worker's progress is fresh, or a stalled worker is being ended
 * and restarted. A card of the hypervisor is preferred to the kernel's software timer,
 * because it also sees a hung kernel. Closing needs the letter V first ("magic close"),
 * else the machine is reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "init-internal.h"

enum { TIMEOUT = 60, FEED_EVERY = 5, CANDIDATES = 4 };

static int fd = -1;
static double fed;
static bool has_reset;
static bool outlives; /* a restart of the machine */
static bool not_at_end;

static void magic_close(int wd)
{
	if (write(wd, "V", 1) != 1)
		say("watchdog: cannot stop it: %s", strerror(errno));
	close(wd);
}

void watchdog_open(void)
{
	struct watchdog_info info, used = { 0 };
	char path[32];
	int wd, status = 0, timeout = TIMEOUT;

	for (int i = 0; i < CANDIDATES; i++) {
		snprintf(path, sizeof(path), "/dev/watchdog%d", i);
		wd = open(path, O_WRONLY | O_CLOEXEC);
		if (wd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		ioctl(wd, WDIOC_GETSUPPORT, &info);
		/* The software timer only while nothing better was found. */
		if (fd >= 0 && strncmp((const char *)info.identity, "Software", 8) == 0) {
			magic_close(wd);
			continue;
		}
		if (fd >= 0)
			magic_close(fd);
		fd = wd;
		used = info;
		if (strncmp((const char *)info.identity, "Software", 8) != 0)
			break;
	}
	if (fd < 0) {
		say("watchdog: none in this machine");
		return;
	}
	/* Some cards remember; the others, and a panic's own restart, leave no trace. */
	has_reset = ioctl(fd, WDIOC_GETBOOTSTATUS, &status) == 0 &&
		status & WDIOF_CARDRESET;
	if (has_reset)
		say("watchdog: it has reset this machine");
	if (ioctl(fd, WDIOC_SETTIMEOUT, &timeout) < 0)
		ioctl(fd, WDIOC_GETTIMEOUT, &timeout);
	/* The reset of a machine ends the first, and the kernel's end the second. */
	outlives = strncmp((const char *)used.identity, "i6300ESB", 8) != 0 &&
		strncmp((const char *)used.identity, "Software", 8) != 0;
	say("watchdog: %.32s, %d s", used.identity, timeout);
}

bool watchdog_has_reset(void)
{
	return has_reset;
}

void watchdog_feed(double now)
{
	if (fd < 0 || now - fed < FEED_EVERY)
		return;
	if (write(fd, "", 1) != 1)
		say("watchdog: cannot feed it: %s", strerror(errno));
	fed = now;
}

void watchdog_not_at_end(void)
{
	not_at_end = true;
}

void watchdog_arm(bool restart)
{
	if (not_at_end || (restart && outlives))
		watchdog_close();
	fed = 0;
	watchdog_feed(now_s());
}

void watchdog_close(void)
{
	if (fd < 0)
		return;
	magic_close(fd);
	fd = -1;
}

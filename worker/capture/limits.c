/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the limits after which this machine takes a program that waits for a frozen file
 * system for dead: the kernel's detector of hung tasks when it panics, hardware watchdogs
 * that somebody feeds, systemd's watchdogs of services, and those of clusters. systemd's
 * own services do not count: they are started again, and lose nothing.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture/capture-internal.h"

#define SBD_S 5      /* sbd's and pacemaker's defaults */
#define MONITOR_S 20

static void take_limit(struct capture_limit *ret, double seconds, const char *fmt,
	const char *what)
{
	unsigned s = seconds < 1 ? 1 : seconds > 1e6 ? 1000000 : (unsigned)seconds;

	if (seconds <= 0 || (ret->seconds && ret->seconds <= s))
		return;
	ret->seconds = s;
	snprintf(ret->why, sizeof(ret->why), fmt, what);
}

double capture_seconds(const char *text)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = { { "usec", 1e-6 }, { "us", 1e-6 }, { "msec", 1e-3 }, { "ms", 1e-3 },
		{ "minutes", 60 }, { "minute", 60 }, { "min", 60 }, { "months", 2629800 },
		{ "m", 60 }, { "seconds", 1 }, { "second", 1 }, { "sec", 1 }, { "s", 1 },
		{ "hours", 3600 }, { "hour", 3600 }, { "hr", 3600 }, { "h", 3600 },
		{ "days", 86400 }, { "day", 86400 }, { "d", 86400 } };
	double sum = 0;

	while (*text) {
		double factor = 1;
		char *end;
		double n = strtod(text, &end);

		if (!isdigit((unsigned char)*text) || end == text)
			return 0; /* also "infinity" */
		for (text = end; *text == ' '; text++)
			continue;
		for (size_t i = 0; isalpha((unsigned char)*text) &&
		    i < sizeof(units) / sizeof(units[0]); i++) {
			size_t len = strlen(units[i].unit);

			if (strncmp(text, units[i].unit, len))
				continue;
			factor = units[i].factor;
			text += len;
			break;
		}
		if (isalpha((unsigned char)*text))
			return 0;
		sum += n * factor;
		text += strspn(text, " ");
	}
	return sum;
}

static bool is_running(const struct capture_view *v, const char *program)
{
	CAPTURE_CLEANUP_NAMES struct capture_names pids;
	char comm[64];

	capture_list(v, &pids, "/proc");
	for (unsigned i = 0; i < pids.n; i++) {
		if (!isdigit((unsigned char)pids.name[i][0]))
			continue;
		capture_line(v, comm, sizeof(comm), "/proc/%s/comm", pids.name[i]);
		if (!strcmp(comm, program))
			return true;
	}
	return false;
}

static void add_kernel(const struct capture_view *v, struct capture_limit *ret)
{
	char text[32];

	capture_line(v, text, sizeof(text), "/proc/sys/kernel/hung_task_panic");
	if (!*text || !strcmp(text, "0"))
		return;
	capture_line(v, text, sizeof(text), "/proc/sys/kernel/hung_task_timeout_secs");
	take_limit(ret, strtod(text, NULL), "the kernel panics (kernel.hung_task_%s)",
		"panic");
}

static void add_hardware(const struct capture_view *v, struct capture_limit *ret)
{
	CAPTURE_CLEANUP_NAMES struct capture_names dogs;
	char text[32];

	capture_list(v, &dogs, "/sys/class/watchdog");
	for (unsigned i = 0; i < dogs.n; i++) {
		capture_line(v, text, sizeof(text), "/sys/class/watchdog/%s/state",
			dogs.name[i]);
		if (strcmp(text, "active"))
			continue;
		capture_line(v, text, sizeof(text), "/sys/class/watchdog/%s/timeout",
			dogs.name[i]);
		take_limit(ret, strtod(text, NULL),
			"%s resets the machine when it is not fed", dogs.name[i]);
	}
}

/* The value of a KEY=value line of a unit or of system.conf; the last one counts. */
static double unit_value(const char *text, const char *key)
{
	size_t k = strlen(key);
	double seconds = 0;
	char value[64];

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, k) || p[k] != '=')
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + k + 1, "\n"),
			p + k + 1);
		seconds = capture_seconds(value);
	}
	return seconds;
}

static bool has_group(const struct capture_view *v, const char *unit)
{
	return capture_exists(v, "/sys/fs/cgroup/system.slice/%s", unit) ||
		capture_exists(v, "/sys/fs/cgroup/systemd/system.slice/%s", unit);
}

static void add_systemd(const struct capture_view *v, struct capture_limit *ret)
{
	static const char *const folders[] = { "/usr/lib/systemd/system",
		"/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system" };
	CLEANUP_FREE char *conf = capture_file(v, "/etc/systemd/system.conf");

	if (conf)
		take_limit(ret, unit_value(conf, "RuntimeWatchdogSec"),
			"systemd's watchdog resets the machine (%s)",
			"RuntimeWatchdogSec");
	for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++) {
		CAPTURE_CLEANUP_NAMES struct capture_names units;

		capture_list(v, &units, "%s", folders[f]);
		for (unsigned i = 0; i < units.n; i++) {
			const char *name = units.name[i], *dot = strrchr(name, '.');

			if (!dot || strcmp(dot, ".service") ||
				!strncmp(name, "systemd-", 8) || !has_group(v, name))
				continue;
			CLEANUP_FREE char *text = capture_file(v, "%s/%s", folders[f],
				name);
			if (text)
				take_limit(ret, unit_value(text, "WatchdogSec"),
					"systemd ends %s (WatchdogSec)", name);
		}
	}
}

static void add_cluster(const struct capture_view *v, struct capture_limit *ret)
{
	static const char *const files[] = { "/etc/sysconfig/sbd", "/etc/default/sbd" };
	CLEANUP_FREE char *cib = NULL;
	double least = MONITOR_S;
	char text[64];

	for (size_t i = 0; i < 2 && is_running(v, "sbd"); i++) {
		CLEANUP_FREE char *conf = capture_file(v, "%s", files[i]);
		double s = SBD_S;

		if (!conf)
			continue;
		capture_assignment(conf, "SBD_WATCHDOG_TIMEOUT", text, sizeof(text));
		if (*text)
			s = strtod(text, NULL);
		take_limit(ret, s, "the cluster resets the machine (%s)", "sbd");
	}
	if (!is_running(v, "pacemakerd"))
		return;
	cib = capture_file(v, "/var/lib/pacemaker/cib/cib.xml");
	for (const char *p = cib; p && (p = strstr(p, "<op ")); p++) {
		size_t len = strcspn(p, ">");
		const char *name = strstr(p, "name=\"monitor\"");
		const char *limit = strstr(p, " timeout=\"");

		if (!name || name > p + len || !limit || limit > p + len)
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(limit + 10, "\""),
			limit + 10);
		if (capture_seconds(text) > 0 && capture_seconds(text) < least)
			least = capture_seconds(text);
	}
	take_limit(ret, least, "the cluster takes a resource for failed (%s)",
		"pacemaker's monitor");
}

void capture_limit(const char *root, struct capture_limit *ret)
{
	struct capture_view v = { .root = strcmp(root, "/") ? root : "" };

	*ret = (struct capture_limit){ .seconds = 0 };
	add_kernel(&v, ret);
	add_hardware(&v, ret);
	add_systemd(&v, ret);
	add_cluster(&v, ret);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which services run: by the control groups of systemd,
 * else by what OpenRC or init.d left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture/capture-internal.h"

#define MAX_DEPTH 4 /* system.slice/system-getty.slice/getty@tty1.service */

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && !strcmp(s + n - k, end);
}

static void service(const struct capture_view *v, yyjson_mut_val *list, const char *name,
	const char *pid, uint64_t processes)
{
	yyjson_mut_val *s = yyjson_mut_arr_add_obj(v->doc, list);
	char comm[64] = "";

	capture_put(v, s, "name", name);
	if (*pid)
		capture_line(v, comm, sizeof(comm), "/proc/%.20s/comm", pid);
	capture_put(v, s, "command", comm);
	if (processes)
		yyjson_mut_obj_add_uint(v->doc, s, "processes", processes);
	else
		yyjson_mut_obj_add_null(v->doc, s, "processes");
}

/* Processes in a group and in those below it (a service may make some of its own). */
static uint64_t processes(const struct capture_view *v, const char *dir, char pid[24],
	unsigned depth)
{
	CLEANUP_FREE char *text = capture_file(v, "%s/cgroup.procs", dir);
	CAPTURE_CLEANUP_NAMES struct capture_names names = { .n = 0 };
	char below[900];
	uint64_t n = 0;

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL) {
		n++;
		if (!*pid)
			snprintf(pid, 24, "%.*s", (int)strcspn(p, "\n"), p);
	}
	if (depth)
		capture_list(v, &names, "%s", dir);
	for (unsigned i = 0; i < names.n; i++)
		if ((size_t)snprintf(below, sizeof(below), "%s/%s", dir, names.name[i]) <
				sizeof(below) &&
				capture_exists(v, "%s/cgroup.procs", below))
			n += processes(v, below, pid, depth - 1);
	return n;
}

/* "\x2d" in the name of a unit is how systemd writes a dash in a path. */
static void units(const struct capture_view *v, yyjson_mut_val *list, const char *dir,
	unsigned depth)
{
	CAPTURE_CLEANUP_NAMES struct capture_names names;
	char below[900], pid[24];
	uint64_t n;

	capture_list(v, &names, "%s", dir);
	for (unsigned i = 0; i < names.n; i++) {
		if ((size_t)snprintf(below, sizeof(below), "%s/%s", dir, names.name[i]) >=
			sizeof(below))
			continue;
		if (ends_with(names.name[i], ".slice") && depth)
			units(v, list, below, depth - 1);
		if (!ends_with(names.name[i], ".service"))
			continue;
		*pid = '\0';
		n = processes(v, below, pid, MAX_DEPTH);
		if (n)
			service(v, list, names.name[i], pid, n);
	}
}

static void openrc(const struct capture_view *v, yyjson_mut_val *list, const char *dir)
{
	CAPTURE_CLEANUP_NAMES struct capture_names names;

	capture_list(v, &names, "%s/started", dir);
	for (unsigned i = 0; i < names.n; i++)
		service(v, list, names.name[i], "", 0);
}

/* A script of init.d whose process lives: by its pid file, or by the lock that Red Hat's
 * scripts leave behind. */
static void scripts(const struct capture_view *v, yyjson_mut_val *list)
{
	static const char *const forms[] = { "/run/%s.pid", "/var/run/%s.pid",
		"/var/run/%s/%s.pid" };
	CAPTURE_CLEANUP_NAMES struct capture_names names;
	char pid[24];
	size_t k;

	capture_list(v, &names, "/etc/init.d");
	for (unsigned i = 0; i < names.n; i++) {
		const char *name = names.name[i];

		*pid = '\0';
		for (k = 0; k < sizeof(forms) / sizeof(forms[0]) && !*pid; k++)
			capture_line(v, pid, sizeof(pid), forms[k], name, name);
		if (strspn(pid, "0123456789") != strlen(pid) ||
		    !capture_exists(v, "/proc/%s", pid))
			*pid = '\0';
		if (*pid || capture_exists(v, "/var/lock/subsys/%s", name))
			service(v, list, name, pid, 0);
	}
}

void capture_services(const struct capture_view *v, yyjson_mut_val *obj)
{
	static const char *const groups[] = { "/sys/fs/cgroup/systemd/system.slice",
		"/sys/fs/cgroup/unified/system.slice", "/sys/fs/cgroup/system.slice" };
	yyjson_mut_val *list;
	char init[64];

	if (capture_exists(v, "/run/systemd/system"))
		snprintf(init, sizeof(init), "systemd");
	else if (capture_exists(v, "/run/openrc"))
		snprintf(init, sizeof(init), "openrc");
	else
		capture_line(v, init, sizeof(init), "/proc/1/comm");
	capture_put(v, obj, "init", init);
	list = yyjson_mut_obj_add_arr(v->doc, obj, "services");
	if (!strcmp(init, "openrc"))
		openrc(v, list, "/run/openrc");
	else if (strcmp(init, "systemd"))
		scripts(v, list);
	for (size_t i = 0; !strcmp(init, "systemd") && i < 3; i++)
		if (capture_exists(v, "%s", groups[i])) {
			units(v, list, groups[i], MAX_DEPTH);
			break;
		}
}

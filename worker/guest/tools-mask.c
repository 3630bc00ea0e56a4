/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services of guest tools that have to stay are switched off, each init system's way:
 * systemd starts no unit that is a link to /dev/null, OpenRC and System V start what a
 * runlevel has a link to, and upstart nothing whose NAME.override says "manual".
 */
#include "guest/guest-internal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

struct masking {
	struct guest *g;
	const char *tool, *why; /* NULL: only looked at */
	const char *pattern, *dir;
	struct guest_services *ret;
	struct err *err;
};

static int off(struct masking *m, enum guest_op_kind kind, const char *path,
	const char *from)
{
	m->ret->on++;
	return !m->why ||
		guest_op_add(m->g, kind, path, from, "%s: %s, so it is switched off",
			m->tool, m->why) ? 0 : err_set(m->err, ERR_NOMEM,
			"make the plan: out of memory");
}

static bool has_script(const struct guest *g, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/etc/init.d/%s", name);
	return fs_is_file(&g->root, path);
}

/* System V's scripts are units to systemd, too. */
static bool unit_exists(const struct guest *g, const char *unit, const char *name)
{
	static const char *const dirs[] = {
		"/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system",
	};
	char path[256];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], unit);
		if (fs_is_file(&g->root, path))
			return true;
	}
	return has_script(g, name);
}

static int by_systemd(struct masking *m, const char *unit, const char *name)
{
	char path[128], target[64];

	snprintf(path, sizeof(path), "/etc/systemd/system/%s", unit);
	if (!fs_readlink(&m->g->root, path, target, sizeof(target)) &&
	    !strcmp(target, "/dev/null"))
		m->ret->there++;
	else if (unit_exists(m->g, unit, name)) {
		m->ret->there++;
		return off(m, OP_LINK, path, "/dev/null");
	}
	return 0;
}

static int on_link(void *ctx, const char *name, const struct stat *st)
{
	struct masking *m = ctx;
	char path[256];

	if (S_ISDIR(st->st_mode) || fnmatch(m->pattern, name, 0) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", m->dir,
			name) >= sizeof(path))
		return 0;
	return off(m, OP_REMOVE, path, NULL);
}

static int links(struct masking *m, const char *dir, const char *pattern)
{
	m->dir = dir;
	m->pattern = pattern;
	return fs_list(&m->g->root, dir, on_link, m, m->err) < 0 ? -1 : 0;
}

static int by_openrc(struct masking *m, const char *name)
{
	static const char *const levels[] = { "sysinit", "boot", "default", "nonetwork" };
	char dir[64];

	m->ret->there += has_script(m->g, name);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		snprintf(dir, sizeof(dir), "/etc/runlevels/%s", levels[i]);
		if (links(m, dir, name) < 0)
			return -1;
	}
	return 0;
}

static int by_runlevels(struct masking *m, const char *name)
{
	static const char *const folders[] = { "/etc/rc%c.d", "/etc/rc.d/rc%c.d",
		"/etc/init.d/rc%c.d" };
	char dir[64], pattern[80], real[FS_PATH_MAX], seen[FS_PATH_MAX] = "";

	m->ret->there += has_script(m->g, name);
	snprintf(pattern, sizeof(pattern), "S[0-9][0-9]%s", name);
	for (const char *level = "S2345"; *level; level++)
		for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
			snprintf(dir, sizeof(dir), folders[i], *level);
			/* Red Hat's /etc/rc3.d is a link to the other one */
			if (!fs_is_dir(&m->g->root, dir) ||
				fs_real(&m->g->root, dir, real, sizeof(real),
					m->err) < 0 || !strcmp(real, seen))
				continue;
			snprintf(seen, sizeof(seen), "%s", real);
			if (links(m, real, pattern) < 0)
				return -1;
		}
	return 0;
}

static int by_upstart(struct masking *m, const char *name)
{
	char job[128], path[128];

	snprintf(job, sizeof(job), "/etc/init/%s.conf", name);
	snprintf(path, sizeof(path), "/etc/init/%s.override", name);
	if (!fs_is_file(&m->g->root, job))
		return 0;
	m->ret->there++;
	if (fs_is_file(&m->g->root, path))
		return 0;
	m->ret->on++;
	return !m->why ? 0 :
		guest_op_write(m->g, path, "manual\n", 7,
		"a hypervisor's tool that stays is "
		"switched off", m->err);
}

int guest_services_off(struct guest *g, const char *tool, const char *units,
	const char *why, struct guest_services *ret, struct err *err)
{
	struct masking m = { .g = g, .tool = tool, .why = why, .ret = ret, .err = err };

	*ret = (struct guest_services){ 0, 0 };
	for (const char *p = units; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		char unit[64], name[64];
		int rc;

		snprintf(unit, sizeof(unit), "%.*s", (int)len, p);
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(unit, "."), unit);
		p += len;
		if (!strcmp(g->facts.init, "systemd"))
			rc = by_systemd(&m, unit, name);
		else if (!strstr(unit, ".service"))
			rc = 0;
		else if (!strcmp(g->facts.init, "openrc"))
			rc = by_openrc(&m, name);
		else
			rc = by_upstart(&m, name) < 0 ? -1 : by_runlevels(&m, name);
		if (rc < 0)
			return -1;
	}
	return 0;
}

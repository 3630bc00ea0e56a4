/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu-guest-agent, where it is wanted and not there: from supplied packages, by the
 * guest's own tool and without network; else a script for the first boot installs it from
 * the guest's repositories.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define NAME "qemu-guest-agent"
#define MAX_PACKAGES 48
#define GROWTH 6              /* a package unpacked, with the database's part of it */
#define SPARE_BYTES (16u << 20)

/* The manager that the guest is kept up to date with;
 * of a family the first that is there. */
static const struct {
	const char *family, *program;
	const char *folder;  /* that has to be there too; NULL = none */
	const char *install;
} managers[] = {
	{ "debian", "apt-get", NULL, "apt-get update\n\t"
		"DEBIAN_FRONTEND=noninteractive apt-get -y install " NAME },
	{ "redhat", "zypper", "/etc/zypp/repos.d",
		"zypper --non-interactive install " NAME },
	{ "redhat", "dnf", NULL, "dnf -y install " NAME },
	{ "redhat", "yum", NULL, "yum -y install " NAME },
	{ "redhat", "tdnf", NULL, "tdnf -y install " NAME },
	/* ALT */
	{ "redhat", "apt-get", NULL, "apt-get update\n\tapt-get -y install " NAME },
	{ "alpine", "apk", NULL, "apk add --update-cache " NAME },
	/* Without -y: newer lists would mix new packages with old ones. */
	{ "arch", "pacman", NULL, "pacman -S --noconfirm --needed " NAME },
};

static const char *program(const struct guest *g, const char *name, char *path,
	size_t size)
{
	static const char *const dirs[] = { "/usr/bin", "/bin", "/sbin", "/usr/sbin" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, size, "%s/%s", dirs[i], name);
		if (fs_is_file(&g->root, path))
			return path;
	}
	return NULL;
}

static const char *install_command(const struct guest *g)
{
	char path[64];

	for (size_t i = 0; g->facts.family && i < sizeof(managers) / sizeof(managers[0]);
	    i++)
		if (!strcmp(managers[i].family, g->facts.family->name) &&
			(!managers[i].folder ||
				fs_is_dir(&g->root, managers[i].folder)) &&
			program(g, managers[i].program, path, sizeof(path)))
			return managers[i].install;
	return NULL;
}

static bool is_there(const struct guest *g)
{
	const struct guest_family *f = g->facts.family;
	char path[64];

	return program(g, "qemu-ga", path, sizeof(path)) ||
		(f && f->installed && f->installed(g, NAME));
}

/* The network and other users of the package manager's lock come and go: six attempts in
 * a minute. Whatever becomes of them, the start of the system is not held to be a
 * failure. A service that came after its device is started here; without the device it
 * would wait for one. */
int guest_agent_script(const struct guest *g, struct strbuf *ret)
{
	const char *install = install_command(g);

	if (!install)
		return -1;
	strbuf_fmt(ret, "#!/bin/sh\n# " NAME " from the repositories of this system.\n"
		"PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin\nthere()\n{\n\tcommand -v qemu-ga >/dev/null\n}\n"
		"attempt()\n{\n\t%s\n\tthere\n}\n"
		"n=1\nuntil there || attempt; do\n"
		"\tif [ $n = 6 ]; then\n\t\techo '" NAME " could not be installed'\n\t\texit 0\n\tfi\n"
		"\tn=$((n + 1))\n\tsleep 10\ndone\necho '" NAME " is installed'\n",
		install);
	if (!strcmp(g->facts.init, "openrc"))
		strbuf_str(ret, "rc-update add " NAME " default\n");
	strbuf_fmt(ret,
		"[ -e /dev/virtio-ports/org.qemu.guest_agent.0 ] || exit 0\n%s\nexit 0\n",
		!strcmp(g->facts.init, "systemd") ?
			"systemctl start --no-block " NAME ".service" :
		!strcmp(g->facts.init, "openrc") ? "rc-service " NAME " start" :
		"for name in " NAME " qemu-ga; do\n"
		"\tif [ -x /etc/init.d/$name ]; then /etc/init.d/$name start; fi\ndone");
	return 0;
}

static void later(struct guest *g)
{
	if (install_command(g))
		g->agent_later = true;
	else
		guest_report_warn(g,
			NAME " is not installed: none of the package managers that are known "
			"is in the guest");
}

/* 1 when a step to install was planned, 0 when there are no packages that suit. */
static int plan_install(struct guest *g, struct err *err)
{
	struct guest_supply supply = { .names = STRBUF_INIT };
	struct err why = ERR_INIT;
	struct guest_op *op = NULL;
	int result = 0;

	if (!g->opt->packages || !g->facts.family)
		return 0;
	if (guest_find_packages(g, NAME, &supply, &why) < 0) {
		guest_report_warn(g, "packages: %s", why.text);
	} else if (supply.named == 1 && supply.n <= MAX_PACKAGES &&
		!supply.names.failed) {
		op = guest_op_add(g, OP_INSTALL, NULL, supply.names.s,
			NAME " from supplied packages");
		result = op ? 1 : err_set(err, ERR_NOMEM, "make the plan: out of memory");
	} else if (supply.named) {
		guest_report_warn(g,
			"packages: %d of " NAME " and %d in all suit the guest: which is meant "
			"cannot be told", supply.named, supply.n);
	} else {
		guest_report_skip(g, g->step,
			"no supplied package of " NAME " suits the guest");
	}
	if (op)
		op->len = supply.bytes;
	strbuf_free(&supply.names);
	return result;
}

/* Where an earlier preparation left it to the first boot, it stays there. */
int guest_plan_agent(struct guest *g, struct err *err)
{
	int planned;

	if (!g->opt->guest_agent || is_there(g))
		return 0;
	planned = fs_is_file(&g->root, GUEST_AGENT_SCRIPT) ? 0 : plan_install(g, err);
	if (!planned)
		later(g);
	return planned < 0 ? -1 : 0;
}

/* Package tools write to these beside what a family saves itself. */
static int save_file(void *ctx, const char *name, const struct stat *st)
{
	struct {
		struct guest *g;
		const char *dir;
		struct err *err;
	} *s = ctx;
	char path[256];

	if (!S_ISREG(st->st_mode) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", s->dir,
			name) >= sizeof(path))
		return 0;
	return guest_journal_save(s->g, path, s->err);
}

static int save(struct guest *g, struct err *err)
{
	static const char *const files[] = { "/etc/ld.so.cache",
		"/var/cache/ldconfig/aux-cache",
		"/etc/apk/world", "/var/log/apk.log", "/etc/group", "/etc/gshadow",
		"/etc/passwd", "/etc/shadow" };
	struct {
		struct guest *g;
		const char *dir;
		struct err *err;
	} apk = { g, "/lib/apk/db", err };
	const struct guest_family *f = g->facts.family;
	struct stat st;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!fs_lstat(&g->root, files[i], &st) &&
		    guest_journal_save(g, files[i], err) < 0)
			return -1;
	if (f->save && f->save(g, NAME, err) < 0)
		return -1;
	return fs_list(&g->root, apk.dir, save_file, &apk, err) < 0 ? -1 : 0;
}

/* The name of the package that a file's name begins with. */
static void package_name(const char *file, char *ret, size_t size)
{
	size_t n = 0;

	while (file[n] && file[n] != '_' &&
	    !(file[n] == '-' && isdigit((unsigned char)file[n + 1])))
		n++;
	snprintf(ret, size, "%.*s", (int)n, file);
}

/* What the guest has of them stays as it is:
 * rpm takes a second one of a version for a mistake. */
static int has_package(struct guest *g, const char *file, struct err *err)
{
	char name[128], path[64];
	const char *argv[] = { program(g, "rpm", path, sizeof(path)), "-q", name, NULL };
	struct guest_run run = { .argv = argv };
	int status = 1;

	package_name(file, name, sizeof(name));
	if (strcmp(g->facts.family->name, "redhat"))
		return g->facts.family->installed(g, name);
	if (!strcmp(name, NAME))
		return 0;
	return guest_contain(g, &run, &status, err) < 0 ? -1 : !status;
}

static const struct {
	const char *family, *program, *arguments[4];
} tools[] = {
	{ "debian", "dpkg", { "-i" } },
	{ "redhat", "rpm", { "-U" } },
	{ "alpine", "apk", { "add", "--allow-untrusted", "--no-network" } },
};

/* OpenRC's packages start nothing by themselves. */
static int enable(struct guest *g, struct err *err)
{
	char path[64];
	const char *argv[] = { program(g, "rc-update", path, sizeof(path)), "add", NAME,
		"default", NULL };
	struct guest_run run = { .argv = argv };
	int status = 0;

	if (strcmp(g->facts.init, "openrc") || !argv[0])
		return 0;
	if (guest_contain(g, &run, &status, err) < 0)
		return -1;
	return status ? err_set(err, ERR_PREP_TOOLS, "rc-update ended with status %d",
		status) : 0;
}

static int run_tool(struct guest *g, const char *names, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(names);
	CLEANUP_FREE char (*paths)[256] = calloc(MAX_PACKAGES, sizeof(*paths));
	const char *argv[MAX_PACKAGES + 8];
	/* The initramfs is built once, at the end. */
	struct guest_run run = { .argv = argv, .folder = g->packages.at, .masks = { {
		"/etc/initramfs-tools/update-initramfs.conf",
			"update_initramfs=no\n" } } };
	size_t t = 0;
	char tool[64], *save = NULL;
	int n = 0, i = 0, status = 0, has;

	if (!copy || !paths)
		return err_set(err, ERR_NOMEM, "install packages: out of memory");
	while (t < 2 && strcmp(tools[t].family, g->facts.family->name))
		t++;
	argv[n++] = program(g, tools[t].program, tool, sizeof(tool));
	if (!argv[0])
		return err_set(err, ERR_PREP_TOOLS, "the guest has no %s",
			tools[t].program);
	for (int k = 0; tools[t].arguments[k]; k++)
		argv[n++] = tools[t].arguments[k];
	for (char *p = strtok_r(copy, " ", &save); p && i < MAX_PACKAGES;
	    p = strtok_r(NULL, " ", &save)) {
		has = has_package(g, p, err);
		if (has < 0)
			return -1;
		if (has)
			continue;
		snprintf(paths[i], sizeof(paths[i]), GUEST_RUN_FOLDER "/%.200s", p);
		argv[n++] = paths[i++];
	}
	argv[n] = NULL;
	if (guest_contain(g, &run, &status, err) < 0)
		return -1;
	return status || !is_there(g) ?
		err_set(err, ERR_PREP_TOOLS, "%s %s ended with status %d",
			tools[t].program, argv[1], status) :
		enable(g, err);
}

struct added {
	struct guest *g;
	struct err *err;
};

static int note_added(void *ctx, enum fs_change c, const char *path, unsigned mode)
{
	struct added *a = ctx;
	size_t n = strlen(GUEST_STATE_DIR);

	(void)mode;
	if (c != FS_ADDED ||
	    (!strncmp(path, GUEST_STATE_DIR, n) && (!path[n] || path[n] == '/')))
		return 0;
	return guest_journal_note_added(a->g, path, a->err);
}

static int take_back(struct guest *g, const struct fs_inventory *before, size_t mark,
	struct err *err)
{
	struct added a = { g, err };
	struct fs_inventory *after = NULL;
	int result;

	if (guest_take_inventory(g, before, &after, err) < 0)
		return -1;
	result = fs_inventory_diff(before, after, note_added, &a, err);
	fs_inventory_free(after);
	return result < 0 ? -1 : guest_journal_back_to(g, mark, err);
}

static int attempt(struct guest *g, const char *names, uint64_t bytes, size_t mark,
	struct err *err)
{
	struct fs_space space;
	int result;

	if (fs_space(&g->root, fs_is_dir(&g->root, "/usr") ? "/usr" : "/", &space,
		err) < 0)
		return -1;
	if (space.free_bytes < GROWTH * bytes + SPARE_BYTES)
		return err_set(err, ERR_PREP_TOOLS,
			"the packages do not fit into the guest");
	g->journal.since = mark; /* an earlier step may have saved, and
				  * changed, the same files */
	result = save(g, err);
	g->journal.since = 0;
	return result < 0 ? -1 : run_tool(g, names, err);
}

/* No agent is no reason to give up a guest. */
int guest_install_agent(struct guest *g, const char *names, uint64_t bytes,
	struct err *err)
{
	struct added a = { g, err };
	struct fs_inventory *before = NULL;
	size_t mark;
	int result;

	/* What tools of earlier steps added has to be known as such
	 * before it is saved. */
	if (guest_take_inventory(g, g->before, &before, err) < 0)
		return -1;
	result = fs_inventory_diff(g->before, before, note_added, &a, err);
	if (result == 0)
		result = guest_journal_mark(g, &mark, err);
	if (result < 0) {
		fs_inventory_free(before);
		return -1;
	}
	result = attempt(g, names, bytes, mark, err);
	if (result < 0 && err->code != ERR_CANCELLED && err->code != ERR_NOMEM &&
	    !g->stuck) {
		guest_report_warn(g, NAME ": %s; what that changed goes back", err->text);
		err_clear(err);
		result = take_back(g, before, mark, err);
		if (result == 0) {
			later(g);
			result = guest_plan_first_boot(g, err);
		}
	}
	fs_inventory_free(before);
	return result;
}

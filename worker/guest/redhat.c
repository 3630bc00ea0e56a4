/* SPDX-License-Identifier: Apache-2.0 */
/* rpm: Fedora, RHEL and their relatives, SUSE. Its database is read by the guest's own
 * rpm, which knows the format that it wrote. */
#include "guest/guest-internal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* In /bin before /usr was merged. */
static const char *rpm(const struct guest *g)
{
	return fs_is_file(&g->root, "/usr/bin/rpm") ? "/usr/bin/rpm" :
		fs_is_file(&g->root, "/bin/rpm") ? "/bin/rpm" : NULL;
}

static bool detect(const struct guest *g)
{
	return rpm(g) &&
		(fs_is_dir(&g->root, "/var/lib/rpm") ||
			fs_is_dir(&g->root, "/usr/lib/sysimage/rpm"));
}

/* Without running anything: a package leaves its programs.
 * The plan asks no more than this. */
static const struct mark {
	const char *package, *file;
	const char *also;  /* patterns of packages that go with it, blanks between */
} marks[] = {
	{ "open-vm-tools", "/usr/bin/vmtoolsd", "open-vm-tools-*" },
	{ "open-vm-tools-desktop", "/usr/bin/vmware-user-suid-wrapper", "" },
	{ "VMwareTools", "/usr/sbin/vmware-tools-upgrader", "" },
	{ "vmware-tools-services", "/etc/init.d/vmware-tools-services",
		"vmware-tools-* kmod-vmware-tools-*" },
	{ "vmware-tools-services", "/etc/init/vmware-tools-services.conf",
		"vmware-tools-* kmod-vmware-tools-*" },
	{ "hyperv-daemons", "/usr/sbin/hypervkvpd", "" },
	{ "WALinuxAgent", "/usr/sbin/waagent", "WALinuxAgent-*" },
	{ "xe-guest-utilities", "/usr/sbin/xe-daemon", "xe-guest-utilities-*" },
	{ "xen-guest-agent", "/usr/sbin/xen-guest-agent", "" },
	{ "ovirt-guest-agent-common", "/usr/share/ovirt-guest-agent/ovirt-guest-agent.py",
		"" },
	{ "virtualbox-guest-additions", "/usr/sbin/VBoxService", "virtualbox-guest-*" },
	{ "virtualbox-guest-additions", "/usr/bin/VBoxService", "virtualbox-guest-*" },
};
#define N_MARKS (sizeof(marks) / sizeof(marks[0]))

/* A link is of an installer that no package manager knows:
 * its programs lie below /opt. */
static bool is_there(const struct guest *g, const struct mark *m)
{
	struct stat st;

	return !fs_lstat(&g->root, m->file, &st) && S_ISREG(st.st_mode);
}

static const struct mark *mark_of(const struct guest *g, const char *package)
{
	for (size_t i = 0; i < N_MARKS; i++)
		if (!strcmp(package, marks[i].package) && is_there(g, &marks[i]))
			return &marks[i];
	return NULL;
}

static bool installed(const struct guest *g, const char *package)
{
	return mark_of(g, package) != NULL;
}

static void matching(const struct guest *g, const char *pattern, char *ret, size_t size)
{
	for (size_t i = 0; i < N_MARKS; i++) {
		size_t used = strlen(ret);

		if (fnmatch(pattern, marks[i].package, 0) ||
		    mark_of(g, marks[i].package) != &marks[i])
			continue;
		snprintf(ret + used, size - used, "%s%s",
			used ? " " : "", marks[i].package);
	}
}

/* Calls each line that rpm prints, unless it fails:
 * then it knows of nothing that was asked for. */
static int each_line(struct guest *g, const char *const *argv,
	int (*each)(void *ctx, const char *line, struct err *err), void *ctx,
	struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	struct guest_run run = { .argv = argv, .output = &out, .output_max = 4u << 20 };
	char *save = NULL;
	int status = 0;

	if (guest_contain(g, &run, &status, err) < 0)
		return -1;
	for (char *p = status || !out.s ? NULL : strtok_r(out.s, "\n", &save); p;
		p = strtok_r(NULL, "\n", &save))
		if (each(ctx, p, err) < 0)
			return -1;
	return 0;
}

static int save_file(void *ctx, const char *path, struct err *err)
{
	struct guest *g = ctx;
	struct stat st;

	return *path == '/' && path[1] && !fs_lstat(&g->root, path, &st) ?
		guest_journal_save(g, path, err) : 0;
}

static int save_files(struct guest *g, const char *package, struct err *err)
{
	const char *argv[] = { rpm(g), "-ql", package, NULL };

	return each_line(g, argv, save_file, g, err);
}

struct database {
	struct guest *g;
	const char *dir;
	struct err *err;
};

static int save_part(void *ctx, const char *name, const struct stat *st)
{
	struct database *d = ctx;
	char path[256];

	if (!S_ISREG(st->st_mode) || (size_t)snprintf(path, sizeof(path), "%s/%s", d->dir,
		name) >= sizeof(path))
		return 0;
	return guest_journal_save(d->g, path, d->err);
}

static int save_database(struct guest *g, const char *packages, struct err *err)
{
	static const char *const dirs[] = { "/var/lib/rpm", "/usr/lib/sysimage/rpm",
		"/etc/systemd/system/multi-user.target.wants", "/etc/vmware-tools" };

	(void)packages;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		struct database d = { g, dirs[i], err };

		if (fs_list(&g->root, dirs[i], save_part, &d, err) < 0)
			return -1;
	}
	return 0;
}

#define MAX_NAMES 64

struct names {
	char *list[MAX_NAMES];
	int n;
};

static int add_name(struct names *k, const char *name, struct err *err)
{
	for (int i = 0; i < k->n; i++)
		if (!strcmp(k->list[i], name))
			return 0;
	if (k->n == MAX_NAMES)
		return err_set(err, ERR_PREP_TOOLS, "more than %d packages of the old tools",
			MAX_NAMES);
	k->list[k->n] = strdup(name);
	if (!k->list[k->n])
		return err_set(err, ERR_NOMEM, "remove packages: out of memory");
	k->n++;
	return 0;
}

static void free_names(struct names *k)
{
	while (k->n)
		free(k->list[--k->n]);
}

static int add_answer(void *ctx, const char *name, struct err *err)
{
	return add_name(ctx, name, err);
}

/* The names of packages that rpm answers a question with. */
static int ask(struct guest *g, const char *how, const char *what, struct names *ret,
	struct err *err)
{
	const char *argv[] = { rpm(g), how, "--qf", "%{NAME}\\n", what, NULL };

	return each_line(g, argv, add_answer, ret, err);
}

/* The package that has the file, which distributions call differently,
 * and what goes with it. */
static int find_all(struct guest *g, const char *package, struct names *ret,
	struct err *err)
{
	const struct mark *m = mark_of(g, package);
	CLEANUP_FREE char *also = strdup(m ? m->also : "");
	int before = ret->n;
	char *save = NULL;

	if (!also)
		return err_set(err, ERR_NOMEM, "remove packages: out of memory");
	if (m && ask(g, "-qf", m->file, ret, err) < 0)
		return -1;
	if (ret->n == before && add_name(ret, package, err) < 0)
		return -1;
	for (char *p = strtok_r(also, " ", &save); p; p = strtok_r(NULL, " ", &save))
		if (ask(g, "-qa", p, ret, err) < 0)
			return -1;
	return 0;
}

/* rpm -e without --nodeps: a package that others need makes it fail, and nothing is
 * removed.
 * libraries: those that came with the tools, too. */
static int erase(struct guest *g, const struct names *k, bool libraries, int *ret_status,
	struct err *err)
{
	const char *argv[MAX_NAMES + 3] = { rpm(g), "-e" };
	struct guest_run run = { .argv = argv };
	int n = 2;

	for (int i = 0; i < k->n; i++)
		if (libraries || !strstr(k->list[i], "-libraries-"))
			argv[n++] = k->list[i];
	return guest_contain(g, &run, ret_status, err);
}

static bool has_libraries(const struct names *k)
{
	for (int i = 0; i < k->n; i++)
		if (strstr(k->list[i], "-libraries-"))
			return true;
	return false;
}

static int remove_all(struct guest *g, const char *packages, const struct names *k,
	struct err *err)
{
	CLEANUP_FREE char *copy = strdup(packages);
	char *save = NULL;
	int status = 0;

	if (!copy)
		return err_set(err, ERR_NOMEM, "remove packages: out of memory");
	for (int i = 0; i < k->n; i++)
		if (save_files(g, k->list[i], err) < 0)
			return -1;
	if (erase(g, k, true, &status, err) < 0)
		return -1;
	if (status && has_libraries(k)) {
		guest_report_warn(g, "rpm -e with the tools' libraries ended with status %d; they stay, as "
			"other programs may need them", status);
		if (erase(g, k, false, &status, err) < 0)
			return -1;
	}
	for (char *p = strtok_r(copy, " ", &save); status &&
	    p; p = strtok_r(NULL, " ", &save))
		if (installed(g, p))
			return err_set(err, ERR_PREP_TOOLS,
				"rpm -e %s ended with status %d", packages, status);
	if (status)
		guest_report_warn(g, "rpm -e ended with status %d; the packages are gone",
			status);
	return 0;
}

static int purge(struct guest *g, const char *packages, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(packages);
	struct names all = { .n = 0 };
	char *save = NULL;
	int result = copy ? 0 : err_set(err, ERR_NOMEM, "remove packages: out of memory");

	for (char *p = result ? NULL : strtok_r(copy, " ", &save); p && !result;
	    p = strtok_r(NULL, " ", &save))
		result = find_all(g, p, &all, err);
	if (!result)
		result = remove_all(g, packages, &all, err);
	free_names(&all);
	return result;
}

const struct guest_family guest_redhat = {
	.name = "redhat",
	.detect = detect,
	.installed = installed,
	.matching = matching,
	.save = save_database,
	.purge = purge,
};

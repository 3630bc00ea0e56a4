/* SPDX-License-Identifier: Apache-2.0 */
/* rpm: Fedora, RHEL and their relatives, SUSE. Its database is read by the guest's own rpm, which
 * knows the format that it wrote. */
#include "guest/guest-internal.h"

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
		(fs_is_dir(&g->root, "/var/lib/rpm") || fs_is_dir(&g->root, "/usr/lib/sysimage/rpm"));
}

/* Without running anything: a package leaves its programs. The plan asks no more than this. */
static bool installed(const struct guest *g, const char *package)
{
	static const struct {
		const char *package, *file;
	} marks[] = {
		{ "open-vm-tools", "/usr/bin/vmtoolsd" },
		{ "open-vm-tools-desktop", "/usr/bin/vmware-user-suid-wrapper" },
		{ "VMwareTools", "/usr/sbin/vmware-tools-upgrader" },
		{ "hyperv-daemons", "/usr/sbin/hypervkvpd" },
		{ "WALinuxAgent", "/usr/sbin/waagent" },
		{ "xe-guest-utilities", "/usr/sbin/xe-daemon" },
		{ "virtualbox-guest-additions", "/usr/sbin/VBoxService" },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (!strcmp(package, marks[i].package))
			return fs_is_file(&g->root, marks[i].file);
	return false;
}

static int save_files(struct guest *g, const char *package, struct err *err)
{
	const char *argv[] = { rpm(g), "-ql", package, NULL };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	struct guest_run run = { .argv = argv, .output = &out, .output_max = 4u << 20 };
	char *save = NULL;
	int status = 0;

	if (guest_contain(g, &run, &status, err) < 0)
		return -1;
	for (char *p = strtok_r(out.s, "\n", &save); !status && p; p = strtok_r(NULL, "\n", &save)) {
		struct stat st;

		if (*p == '/' && p[1] && !fs_lstat(&g->root, p, &st) &&
			guest_journal_save(g, p, err) < 0)
			return -1;
	}
	return 0;
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

	if (!S_ISREG(st->st_mode) || (size_t)snprintf(path, sizeof(path), "%s/%s", d->dir, name) >=
		sizeof(path))
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

/* rpm -e without --nodeps: a package that others need makes it fail, and nothing is removed. */
static int purge(struct guest *g, const char *packages, struct err *err)
{
	const char *argv[40] = { rpm(g), "-e" };
	struct guest_run run = { .argv = argv };
	CLEANUP_FREE char *copy = strdup(packages);
	int n = 2, status = 0;
	char *save = NULL;

	if (!copy)
		return err_set(err, ERR_NOMEM, "remove packages: out of memory");
	for (char *p = strtok_r(copy, " ", &save); p && n < 39; p = strtok_r(NULL, " ", &save)) {
		argv[n++] = p;
		if (save_files(g, p, err) < 0)
			return -1;
	}
	if (guest_contain(g, &run, &status, err) < 0)
		return -1;
	for (int i = 2; status && i < n; i++)
		if (installed(g, argv[i]))
			return err_set(err, ERR_PREP_TOOLS, "rpm -e %s ended with status %d", packages, status);
	if (status)
		guest_report_warn(g, "rpm -e ended with status %d; the packages are gone", status);
	return 0;
}

const struct guest_family guest_redhat = {
	.name = "redhat",
	.detect = detect,
	.installed = installed,
	.save = save_database,
	.purge = purge,
};

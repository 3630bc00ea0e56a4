/* SPDX-License-Identifier: Apache-2.0 */
/* pacman: Arch and its relatives. A package is the folder NAME-VERSION-RELEASE. */
#include "guest/guest-internal.h"

#include <string.h>

#define DATABASE "/var/lib/pacman/local"

static bool detect(const struct guest *g)
{
	return fs_is_dir(&g->root, DATABASE);
}

static int is_named(void *ctx, const char *name, const struct stat *st)
{
	const char *package = ctx, *version = name + strlen(package) + 1, *dash;

	if (!S_ISDIR(st->st_mode) || strlen(name) <= strlen(package) ||
		strncmp(name, package, strlen(package)) || version[-1] != '-')
		return 0;
	dash = strchr(version, '-');
	return dash && !strchr(dash + 1, '-'); /* "open-vm-tools" is not
						* "open-vm-tools-desktop" */
}

static bool installed(const struct guest *g, const char *package)
{
	struct err ignored = ERR_INIT; /* an unreadable database names no package */
	char name[64];

	if (strlen(package) >= sizeof(name))
		return false;
	strcpy(name, package);
	return fs_list(&g->root, DATABASE, is_named, name, &ignored) == 1 &&
		fs_is_dir(&g->root, DATABASE);
}

const struct guest_family guest_arch = {
	.name = "arch",
	.detect = detect,
	.installed = installed,
};

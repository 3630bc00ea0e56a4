/* SPDX-License-Identifier: Apache-2.0 */
/* apk: Alpine. Its database is one text file: "P:" names a package,
 * an empty line ends it. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define DATABASE "/lib/apk/db/installed"
#define DATABASE_MAX (48u << 20)

static bool detect(const struct guest *g)
{
	return fs_is_file(&g->root, DATABASE);
}

static bool installed(const struct guest *g, const char *package)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT; /* an unreadable database names no package */
	char line[80];
	size_t len = 0, n;

	if (fs_read(&g->root, DATABASE, DATABASE_MAX, &text, &len, &ignored))
		return false;
	n = (size_t)snprintf(line, sizeof(line), "\nP:%s\n", package);
	return (len >= n - 1 && !memcmp(text, line + 1, n - 1)) ||
		memmem(text, len, line, n);
}

/* No purge: apk takes packages that nothing needs any more with it, and never without. */
const struct guest_family guest_alpine = {
	.name = "alpine",
	.detect = detect,
	.installed = installed,
};

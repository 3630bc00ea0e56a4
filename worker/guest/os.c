/* SPDX-License-Identifier: Apache-2.0 */
/* What the system calls itself. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Before os-release: one file, its first line says name and version.
 * First match counts. */
static const struct {
	const char *file, *word, *id, *like;
} releases[] = {
	{ "/etc/oracle-release", "", "ol", "fedora" },
	{ "/etc/altlinux-release", "", "altlinux", "" },
	{ "/etc/centos-release", "", "centos", "rhel fedora" },
	{ "/etc/redhat-release", "CentOS", "centos", "rhel fedora" },
	{ "/etc/redhat-release", "Scientific", "scientific", "rhel fedora" },
	{ "/etc/redhat-release", "Fedora", "fedora", "" },
	{ "/etc/redhat-release", "", "rhel", "fedora" },
	{ "/etc/SuSE-release", "openSUSE", "opensuse", "suse" },
	{ "/etc/SuSE-release", "", "sles", "suse" },
	{ "/etc/system-release", "Amazon", "amzn", "rhel fedora" },
	{ "/etc/alpine-release", "", "alpine", "" },
	{ "/etc/arch-release", "", "arch", "" },
	{ "/etc/debian_version", "", "debian", "" },
};

static int read_release(struct guest *g, struct err *err)
{
	struct guest_facts *f = &g->facts;

	for (size_t i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
		CLEANUP_FREE char *text = NULL;
		size_t len = 0, line;
		const char *p;
		int got = fs_read(&g->root, releases[i].file, GUEST_TEXT_MAX, &text,
			&len, err);

		if (got < 0)
			return -1;
		if (got || !strstr(text, releases[i].word))
			continue;
		line = strcspn(text, "\r\n");
		p = text + strcspn(text, "0123456789\r\n");
		snprintf(f->os_id, sizeof(f->os_id), "%s", releases[i].id);
		snprintf(f->os_like, sizeof(f->os_like), "%s", releases[i].like);
		snprintf(f->os_name, sizeof(f->os_name), "%.*s",
			line < sizeof(f->os_name) ? (int)line :
			(int)sizeof(f->os_name) - 1, text);
		snprintf(f->os_version, sizeof(f->os_version), "%.*s",
			(int)strspn(p, "0123456789."), p);
		return 0;
	}
	return 0;
}

int guest_read_os(struct guest *g, struct err *err)
{
	struct guest_facts *f = &g->facts;
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int got = fs_read(&g->root, "/etc/os-release", GUEST_TEXT_MAX, &text, &len, err);

	if (got == 1)
		got = fs_read(&g->root, "/usr/lib/os-release", GUEST_TEXT_MAX, &text,
			&len, err);
	if (got < 0)
		return -1;
	if (got)
		return read_release(g, err);
	guest_shell_value(text, "ID", f->os_id, sizeof(f->os_id));
	guest_shell_value(text, "ID_LIKE", f->os_like, sizeof(f->os_like));
	guest_shell_value(text, "VERSION_ID", f->os_version, sizeof(f->os_version));
	guest_shell_value(text, "PRETTY_NAME", f->os_name, sizeof(f->os_name));
	return 0;
}

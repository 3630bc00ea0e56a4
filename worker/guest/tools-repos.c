/* SPDX-License-Identifier: Apache-2.0 */
/* Package repositories with VMware's tools are switched off:
 * the next update would bring them back. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Not all of that host: Photon's own packages come from there too. */
static bool is_vmware(const char *s, size_t len)
{
	return memmem(s, len, "vmware.com/tools", 16) ||
		memmem(s, len, "vmware.com/packages", 19);
}

static size_t line_at(const char *s, size_t len, size_t at)
{
	const char *nl = memchr(s + at, '\n', len - at);

	return nl ? (size_t)(nl - (s + at)) + 1 : len - at;
}

/* "enabled=1", "enabled = 1" */
static bool is_enabled(const char *s, size_t len, bool *ret_on)
{
	static const char key[] = "enabled";
	size_t i = sizeof(key) - 1;

	if (len <= i || memcmp(s, key, i))
		return false;
	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	if (i == len || s[i++] != '=')
		return false;
	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	*ret_on = i == len || s[i] != '0';
	return true;
}

/* yum, dnf, zypper: sections of KEY=value lines. */
int guest_repo_sections(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t next;

	(void)m;
	for (size_t at = 0; at < len; at = next) {
		bool off, on, had = false;

		for (next = at + line_at(s, len, at); next < len && s[next] != '[';)
			next += line_at(s, len, next);
		off = s[at] == '[' && is_vmware(s + at, next - at);
		for (size_t i = at, n; i < next; i += n) {
			n = line_at(s, len, i);
			if (off && is_enabled(s + i, n, &on)) {
				had = true;
				changed += on;
				strbuf_str(out, "enabled=0\n");
				continue;
			}
			strbuf_add(out, s + i, n);
		}
		if (off && !had) {
			if (out->len && out->s[out->len - 1] != '\n')
				strbuf_str(out, "\n");
			strbuf_str(out, "enabled=0\n");
			changed++;
		}
	}
	return changed;
}

/* apt: one line a repository. */
int guest_repo_lines(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;

	(void)m;
	for (size_t at = 0, n; at < len; at += n) {
		n = line_at(s, len, at);
		if (n > 4 && !memcmp(s + at, "deb", 3) && is_vmware(s + at, n)) {
			strbuf_str(out, "# target-worker: ");
			changed++;
		}
		strbuf_add(out, s + at, n);
	}
	return changed;
}

/* apt's .sources: paragraphs of "Field: value" lines, see sources.list(5). */
int guest_repo_paragraphs(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t next;

	(void)m;
	for (size_t at = 0, n; at < len; at = next) {
		bool off;

		for (next = at; next < len; next += n) {
			n = line_at(s, len, next);
			if (s[next] == '\n' || (s[next] == '\r' && n == 2))
				break;
		}
		off = next > at && is_vmware(s + at, next - at);
		if (off && !memmem(s + at, next - at, "Enabled: no\n", 12)) {
			strbuf_str(out, "Enabled: no\n");
			changed++;
		} else {
			off = false;
		}
		for (size_t i = at; i < next; i += n) {
			n = line_at(s, len, i);
			if (!off || n < 8 || strncasecmp(s + i, "Enabled:", 8))
				strbuf_add(out, s + i, n);
		}
		if (next < len) {
			n = line_at(s, len, next);
			strbuf_add(out, s + next, n);
			next += n;
		}
	}
	return changed;
}

struct folder {
	struct guest *g;
	const char *dir, *suffix;
	int (*rewrite)(const char *, size_t, const struct boot_map *, struct strbuf *);
	struct err *err;
};

static int look(void *ctx, const char *name, const struct stat *st)
{
	const struct folder *f = ctx;
	size_t n = strlen(name), suffix = strlen(f->suffix);
	char path[FS_PATH_MAX];

	if (!S_ISREG(st->st_mode) || n <= suffix || strcmp(name + n - suffix, f->suffix))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return guest_plan_rewrite(f->g, path, f->rewrite,
		"VMware's tools are not to come back", f->err);
}

int guest_plan_repos(struct guest *g, struct err *err)
{
	const struct folder folders[] = {
		{ g, "/etc/yum.repos.d", ".repo", guest_repo_sections, err },
		{ g, "/etc/zypp/repos.d", ".repo", guest_repo_sections, err },
		{ g, "/etc/apt/sources.list.d", ".list", guest_repo_lines, err },
		{ g, "/etc/apt/sources.list.d", ".sources", guest_repo_paragraphs, err },
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		struct folder f = folders[i];

		if (fs_list(&g->root, f.dir, look, &f, err) < 0)
			return -1;
	}
	return guest_plan_rewrite(g, "/etc/apt/sources.list", guest_repo_lines,
		"VMware's tools are not to come back", err);
}

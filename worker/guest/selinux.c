/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was written from outside has no SELinux label, and an enforcing guest
 * denies it to its own services: udev would not read the .link file, systemd not the
 * unit. So each path that the preparation added or changed gets the label that the
 * guest's policy (file_contexts) gives it, or where that says nothing its folder's, which
 * is what a program of the guest would have caused.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define CONTEXTS_MAX (8u << 20)
#define PATTERN_MAX 512

/* "--" and its like: the kind of file that a line is for. */
static bool of_kind(const char *kind, unsigned mode)
{
	switch (kind[1]) {
	case '-': return S_ISREG(mode);
	case 'd': return S_ISDIR(mode);
	case 'l': return S_ISLNK(mode);
	case 'c': return S_ISCHR(mode);
	case 'b': return S_ISBLK(mode);
	case 'p': return S_ISFIFO(mode);
	case 's': return S_ISSOCK(mode);
	}
	return false;
}

/* A pattern without anything but escapes is one path. */
static bool literal(const char *pattern, char *ret)
{
	for (; *pattern; pattern++) {
		if (*pattern == '\\' && pattern[1] && !isalnum((unsigned char)pattern[1]))
			pattern++;
		else if (strchr(".^$?*+|[({\\)]}", *pattern))
			return false;
		*ret++ = *pattern;
	}
	*ret = '\0';
	return true;
}

/* The text up to the first character of meaning: most lines are ruled out by it. */
static bool begins(const char *pattern, const char *path)
{
	size_t n = strcspn(pattern, ".^$?*+|[({\\");

	/* the last one may be optional */
	if (n && pattern[n] && strchr("?*{", pattern[n]))
		n--;
	return !strncmp(pattern, path, n);
}

/* Bounds can make a small pattern a huge automaton; policies hold none. */
static bool matches(const char *pattern, const char *path)
{
	char anchored[PATTERN_MAX + 8];
	regex_t re;
	bool hit;

	if (strchr(pattern, '{') || strstr(pattern, "(?") ||
		(size_t)snprintf(anchored, sizeof(anchored), "^(%s)$",
			pattern) >= sizeof(anchored))
		return false;
	for (const char *p = strchr(pattern, '\\'); p; p = strchr(p + 2, '\\'))
		if (!p[1] || isalnum((unsigned char)p[1]))
			return false;
	if (regcomp(&re, anchored, REG_EXTENDED | REG_NOSUB))
		return false;
	hit = !regexec(&re, path, 0, NULL, 0);
	regfree(&re);
	return hit;
}

/* Fields "PATTERN [KIND] LABEL". The last line that matches counts, but one that is no
 * pattern before all others. */
bool guest_selinux_find(const char *text, size_t len, const char *path, unsigned mode,
	char *ret, size_t size)
{
	bool exact = false, found = false;

	for (const char *p = text, *end = text + len, *next; p < end; p = next) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);
		char line[PATTERN_MAX + 256], plain[PATTERN_MAX + 256], *save = NULL;
		char *pattern, *kind, *label;

		next = nl ? nl + 1 : end;
		if (n >= sizeof(line))
			continue;
		memcpy(line, p, n);
		line[n] = '\0';
		pattern = strtok_r(line, " \t\r", &save);
		kind = strtok_r(NULL, " \t\r", &save);
		label = strtok_r(NULL, " \t\r", &save);
		if (!pattern || *pattern == '#' || !kind)
			continue;
		if (!label)
			label = kind;
		else if (*kind != '-' || strlen(kind) != 2 || !of_kind(kind, mode))
			continue;
		if (literal(pattern, plain) ? strcmp(plain, path) != 0 :
			exact || !begins(pattern, path) || !matches(pattern, path))
			continue;
		exact |= literal(pattern, plain);
		found = (size_t)snprintf(ret, size, "%s", label) < size;
	}
	return found;
}

int guest_plan_relabel(struct guest *g, struct err *err)
{
	if (!g->opt->relabel)
		return 0;
	if (!g->facts.selinux) {
		guest_report_skip(g, g->step, "the guest has no SELinux");
		return 0;
	}
	return fs_is_file(&g->root, "/.autorelabel") ? 0 :
		guest_op_write(g, "/.autorelabel", "", 0,
		"the guest labels all its files when it boots, as the job asks", err);
}

static int add_text(struct guest *g, const char *policy, const char *file,
	struct strbuf *out, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char path[256];
	size_t len = 0;
	int got;

	snprintf(path, sizeof(path), "/etc/selinux/%s/contexts/files/%s", policy, file);
	got = fs_read(&g->root, path, CONTEXTS_MAX, &text, &len, err);
	if (got < 0) {
		guest_report_warn(g, "%s", err->text);
		err_clear(err);
	} else if (!got) {
		strbuf_add(out, text, len);
		strbuf_str(out, "\n");
	}
	return out->failed ? err_set(err, ERR_NOMEM, "read %s: out of memory", path) : 0;
}

int guest_selinux_open(struct guest *g, struct err *err)
{
	/* each overrides those before it */
	static const char *const files[] = { "file_contexts", "file_contexts.homedirs",
		"file_contexts.local" };
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, aliases = STRBUF_INIT;
	CLEANUP_FREE char *config = NULL;
	char policy[64] = "targeted", label[256];
	size_t len = 0;

	if (!g->facts.selinux)
		return 0;
	/* Never labelled: its policy was not in force where it ran. */
	if (fs_get_label(&g->root, "/etc", label, sizeof(label), err)) {
		err_clear(err);
		guest_report_skip(g, "selinux", "the guest's files have no labels");
		return 0;
	}
	if (fs_read(&g->root, "/etc/selinux/config", GUEST_TEXT_MAX, &config, &len,
		err) < 0)
		return -1;
	if (config)
		guest_shell_value(config, "SELINUXTYPE", policy, sizeof(policy));
	if (strchr(policy, '/'))
		return err_set(err, ERR_FS_UNSAFE,
			"/etc/selinux/config: SELINUXTYPE is not a name");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (add_text(g, policy, files[i], &text, err) < 0)
			return -1;
	if (add_text(g, policy, "file_contexts.subs_dist", &aliases, err) < 0 ||
		add_text(g, policy, "file_contexts.subs", &aliases, err) < 0)
		return -1;
	g->contexts = strdup(text.s ? text.s : "");
	g->aliases = strdup(aliases.s ? aliases.s : "");
	return g->contexts && g->aliases ? 0 :
		err_set(err, ERR_NOMEM, "labels: out of memory");
}

/* "/lib64 /usr/lib": policy speaks of the second and means the first too. */
static void resolve_alias(const char *aliases, const char *path, char *ret, size_t size)
{
	char line[512], *from, *to, *save;

	snprintf(ret, size, "%s", path);
	for (const char *p = aliases; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t n = strcspn(p, "\n");

		if (n >= sizeof(line))
			continue;
		memcpy(line, p, n);
		line[n] = '\0';
		from = strtok_r(line, " \t\r", &save);
		to = from && *from == '/' ? strtok_r(NULL, " \t\r", &save) : NULL;
		n = to ? strlen(from) : 0;
		if (!to || strncmp(path, from, n) || (path[n] && path[n] != '/'))
			continue;
		snprintf(ret, size, "%s%s", to, path + n);
		return;
	}
}

int guest_selinux_label(struct guest *g, const char *path, unsigned mode, struct err *err)
{
	char label[256], real[FS_PATH_MAX + 512], folder[FS_PATH_MAX];
	int got;

	if (!g->contexts)
		return 0;
	got = fs_get_label(&g->root, path, label, sizeof(label), err);
	if (got <= 0)
		return got;
	resolve_alias(g->aliases, path, real, sizeof(real));
	if (!guest_selinux_find(g->contexts, strlen(g->contexts), real, mode, label,
		sizeof(label))) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path),
			path);
		got = fs_get_label(&g->root, *folder ? folder : "/", label, sizeof(label),
			err);
		if (got)
			return got < 0 ? -1 : 0;
	} else if (!strcmp(label, "<<none>>")) {
		return 0;
	}
	return fs_set_label(&g->root, path, label, err) < 0 ? -1 : 0;
}

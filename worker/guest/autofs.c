/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of autofs (auto.master(5), autofs(5), the Sun format): entries that mount a
 * hypervisor's shared folder become comments, as the lines of fstab do.
 * 	master:  MOUNT-POINT [TYPE[,FORMAT]:]MAP [OPTION...]
 * 	map:     KEY [-OPTION[,OPTION...]] LOCATION...
 * A backslash at the end of a line goes on with the next one. A map that can be executed
 * is a program.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define MAX_MAPS 64

/* The length of a logical line. */
static size_t logical_len(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == '\n' && (!i || s[i - 1] != '\\'))
			return i + 1;
	return len;
}

/* The next word from *at on; "\" and a line break are blank. */
static bool next_word(const char *s, size_t len, size_t *at, const char **ret,
	size_t *ret_len)
{
	size_t i = *at;

	while (i < len && (isspace((unsigned char)s[i]) ||
		(s[i] == '\\' && i + 1 < len && s[i + 1] == '\n')))
		i++;
	*ret = s + i;
	while (i < len && !isspace((unsigned char)s[i]) &&
	    !(s[i] == '\\' && i + 1 < len && s[i + 1] == '\n'))
		i++;
	*ret_len = (size_t)(s + i - *ret);
	*at = i;
	return *ret_len;
}

/* Of "-fstype=vboxsf,uid=1" the type, "" = none. */
static void take_type(const char *options, size_t len, char *ret, size_t size)
{
	static const char key[] = "fstype=";
	size_t n = strlen(key);

	*ret = '\0';
	for (size_t i = 1; i + n <= len; i++) {
		size_t k = 0;

		if ((options[i - 1] != ',' && i > 1) || memcmp(options + i, key, n))
			continue;
		while (i + n + k < len && options[i + n + k] != ',')
			k++;
		snprintf(ret, size, "%.*s", k < size ? (int)k : 0, options + i + n);
	}
}

static bool is_shared_folder(const char *line, size_t len)
{
	char type[64] = "", spec[256];
	const char *word;
	size_t at = 0, n;

	if (!next_word(line, len, &at, &word, &n) || *word == '#' || *word == '+' ||
		!next_word(line, len, &at, &word, &n))
		return false;
	if (*word == '-') {
		take_type(word, n, type, sizeof(type));
		if (!next_word(line, len, &at, &word, &n))
			return false;
	}
	if (*word == '/') /* an entry of several mounts */
		return false;
	if (*word == ':') {
		word++;
		n--;
	}
	snprintf(spec, sizeof(spec), "%.*s", n < sizeof(spec) ? (int)n : 0, word);
	return guest_tool_mount(spec, type);
}

int guest_autofs_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t full;

	(void)m;
	for (size_t at = 0; at < len; at += full) {
		bool shared;

		full = logical_len(s + at, len - at);
		shared = !memchr(s + at, '\0', full) && is_shared_folder(s + at, full);
		for (size_t i = 0; i < full; i++) {
			if (shared && (!i || s[at + i - 1] == '\n'))
				strbuf_str(out, "# target-worker: ");
			strbuf_add(out, s + at + i, 1);
		}
		changed += shared;
	}
	return changed;
}

struct maps {
	struct guest *g;
	int n;
	struct err *err;
};

static int plan_map(struct maps *k, const char *path)
{
	struct stat st;

	if (fs_stat(&k->g->root, path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_mode & 0111)
		return 0;
	if (st.st_size > GUEST_TEXT_MAX || k->n == MAX_MAPS) {
		guest_report_warn(k->g,
			"%s: too large, or one map of autofs too many; it stays as it is",
			path);
		return 0;
	}
	k->n++;
	return guest_plan_rewrite(k->g, path, guest_autofs_rewrite,
		"a hypervisor's shared folders, which are not there any more", k->err);
}

/* "file:/etc/auto.x", "/etc/auto.x", "auto.x" (in /etc); others are no files. */
static int plan_named(struct maps *k, const char *map, size_t len)
{
	const char *colon = memchr(map, ':', len);
	char path[256];

	if (colon && strncmp(map, "file:", 5) && strncmp(map, "file,sun:", 9))
		return 0;
	if (colon) {
		len -= (size_t)(colon + 1 - map);
		map = colon + 1;
	}
	if (!len || *map == '-' || (size_t)snprintf(path, sizeof(path), "%s%.*s",
		*map == '/' ? "" : "/etc/", (int)len, map) >= sizeof(path))
		return 0;
	return plan_map(k, path);
}

static int plan_master(struct maps *k, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, full;

	if (!fs_is_file(&k->g->root, path) ||
	    fs_read(&k->g->root, path, GUEST_TEXT_MAX, &text, &len, k->err))
		return k->err->code ? -1 : 0;
	for (size_t at = 0; at < len; at += full) {
		const char *word;
		size_t i = 0, n;

		full = logical_len(text + at, len - at);
		if (next_word(text + at, full, &i, &word, &n) && *word == '/' &&
			next_word(text + at, full, &i, &word, &n) &&
			plan_named(k, word, n) < 0)
			return -1;
	}
	return 0;
}

static int see_master(void *ctx, const char *name, const struct stat *st)
{
	static const char end[] = ".autofs";
	size_t n = strlen(name), m = strlen(end);
	char path[FS_PATH_MAX];

	(void)st;
	if (n <= m || strcmp(name + n - m, end) ||
		(size_t)snprintf(path, sizeof(path), "/etc/auto.master.d/%s",
			name) >= sizeof(path))
		return 0;
	return plan_master(ctx, path);
}

int guest_plan_autofs(struct guest *g, struct err *err)
{
	struct maps k = { g, 0, err };

	return plan_master(&k, "/etc/auto.master") < 0 ||
		plan_master(&k, "/etc/autofs/auto.master") < 0 || fs_list(&g->root,
			"/etc/auto.master.d", see_master, &k, err) < 0 ? -1 : 0;
}

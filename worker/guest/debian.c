/* SPDX-License-Identifier: Apache-2.0 */
/* dpkg: Debian, Ubuntu and their relatives. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define STATUS "/var/lib/dpkg/status"
#define STATUS_MAX (48u << 20)

static bool detect(const struct guest *g)
{
	return fs_is_file(&g->root, STATUS);
}

/* Paragraphs of dpkg's status file. */
static bool field(const char *par, size_t len, const char *name, const char **ret,
	size_t *ret_len)
{
	size_t n = strlen(name);

	for (const char *p = par; p && p < par + len;) {
		const char *nl = memchr(p, '\n', len - (size_t)(p - par));
		size_t line = nl ? (size_t)(nl - p) : len - (size_t)(p - par);

		if (line > n && !memcmp(p, name, n) && p[n] == ':') {
			*ret = p + n + 1;
			*ret_len = line - n - 1;
			while (*ret_len && **ret == ' ') {
				(*ret)++;
				(*ret_len)--;
			}
			return true;
		}
		p = nl ? nl + 1 : NULL;
	}
	return false;
}

static bool equals(const char *s, size_t len, const char *want)
{
	return strlen(want) == len && !memcmp(s, want, len);
}

/* Calls each installed package's paragraph; a non-zero result ends it. */
static int each_installed(const char *text, size_t len,
	int (*each)(void *ctx, const char *par, size_t len), void *ctx)
{
	const char *par = text;

	while (par < text + len) {
		const char *end = memmem(par, len - (size_t)(par - text), "\n\n", 2);
		size_t status_len;
		size_t n = end ? (size_t)(end - par) : len - (size_t)(par - text);
		const char *status;
		int result;

		/* "install ok installed", not "purge ok not-installed" */
		if (field(par, n, "Status", &status, &status_len) && status_len >= 10 &&
			!memcmp(status + status_len - 10, " installed", 10) &&
			(result = each(ctx, par, n)))
			return result;
		par += n + 2;
	}
	return 0;
}

static int read_status(const struct guest *g, char **ret, size_t *ret_len,
	struct err *err)
{
	int got = fs_read(&g->root, STATUS, STATUS_MAX, ret, ret_len, err);

	return got > 0 ? err_set(err, ERR_PREP_TOOLS, "%s is missing", STATUS) : got;
}

static int is_named(void *ctx, const char *par, size_t len)
{
	const char *name;
	size_t n;

	return field(par, len, "Package", &name, &n) && equals(name, n, ctx);
}

static bool installed(const struct guest *g, const char *package)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT; /* an unreadable database names no package */
	char name[128];
	size_t len;

	snprintf(name, sizeof(name), "%s", package);
	return !read_status(g, &text, &len, &ignored) &&
		each_installed(text, len, is_named, name);
}

struct match {
	const char *pattern;
	char *ret;
	size_t size;
};

static int add_match(void *ctx, const char *par, size_t len)
{
	struct match *m = ctx;
	size_t used = strlen(m->ret), n;
	const char *name;
	char one[128];

	if (!field(par, len, "Package", &name, &n) || n >= sizeof(one))
		return 0;
	memcpy(one, name, n);
	one[n] = '\0';
	if (!fnmatch(m->pattern, one, 0) && used + n + 2 < m->size)
		snprintf(m->ret + used, m->size - used, "%s%s", used ? " " : "", one);
	return 0;
}

static void matching(const struct guest *g, const char *pattern, char *ret, size_t size)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT; /* an unreadable database names no package */
	struct match m = { pattern, ret, size };
	size_t len;

	if (!read_status(g, &text, &len, &ignored))
		each_installed(text, len, add_match, &m);
}

/* Whether a space- or comma-separated list has the word. */
static bool has_word(const char *list, size_t len, const char *word, size_t word_len)
{
	for (size_t i = 0; i + word_len <= len; i++) {
		if (memcmp(list + i, word, word_len))
			continue;
		if ((i && (isalnum((unsigned char)list[i - 1]) ||
			    strchr("-+.", list[i - 1]))) ||
		    (i + word_len < len && (isalnum((unsigned char)list[i + word_len]) ||
			    strchr("-+.", list[i + word_len]))))
			continue;
		return true;
	}
	return false;
}

struct needs {
	const char *packages;
	struct strbuf *ret;
};

static int look_need(void *ctx, const char *par, size_t len)
{
	static const char *const fields[] = { "Depends", "Pre-Depends" };
	struct needs *k = ctx;
	const char *name, *list;
	size_t name_len, list_len;

	if (!field(par, len, "Package", &name, &name_len) ||
		has_word(k->packages, strlen(k->packages), name, name_len))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		if (!field(par, len, fields[i], &list, &list_len))
			continue;
		for (const char *p = k->packages; *p; p += strspn(p, " ")) {
			size_t n = strcspn(p, " ");

			if (has_word(list, list_len, p, n)) {
				strbuf_fmt(k->ret, "%s%.*s",
					k->ret->len ? " " : "", (int)name_len, name);
				return 0;
			}
			p += n;
		}
	}
	return 0;
}

static int needed_by(struct guest *g, const char *packages, struct strbuf *ret,
	struct err *err)
{
	struct needs k = { packages, ret };
	CLEANUP_FREE char *text = NULL;
	size_t len;

	if (read_status(g, &text, &len, err) < 0)
		return -1;
	each_installed(text, len, look_need, &k);
	return 0;
}

/* Saving what dpkg is going to change. */

struct tree {
	struct guest *g;
	const char *dir, *prefix;
	bool deep;
	struct err *err;
};

static int save_tree(struct guest *g, const char *dir, const char *prefix, bool deep,
	struct err *err);

static int save_name(void *ctx, const char *name, const struct stat *st)
{
	struct tree *t = ctx;
	char path[FS_PATH_MAX];

	if (t->prefix && strncmp(name, t->prefix, strlen(t->prefix)))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	if (S_ISDIR(st->st_mode))
		return t->deep ? save_tree(t->g, path, NULL, true, t->err) : 0;
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return 0;
	return guest_journal_save(t->g, path, t->err);
}

static int save_tree(struct guest *g, const char *dir, const char *prefix, bool deep,
	struct err *err)
{
	struct tree t = { g, dir, prefix, deep, err };

	if (!fs_is_dir(&g->root, dir))
		return 0;
	if (!prefix && guest_journal_save(g, dir, err) < 0)
		return -1;
	return fs_list(&g->root, dir, save_name, &t, err) < 0 ? -1 : 0;
}

static int save_package(struct guest *g, const char *package, struct err *err)
{
	static const char info[] = "/var/lib/dpkg/info";
	static const char *const forms[] = { "%s/%s.list", "%s/%s:amd64.list",
		"%s/%s:i386.list",
		"%s/%s:arm64.list" };
	CLEANUP_FREE char *text = NULL;
	char path[256];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && !text; i++) {
		snprintf(path, sizeof(path), forms[i], info, package);
		if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err) < 0)
			return -1;
	}
	for (char *p = text, *next; p && *p; p = next) {
		struct stat st;

		next = strchr(p, '\n');
		if (next)
			*next++ = '\0';
		if (p[0] == '/' && p[1] && p[1] != '.' && !fs_lstat(&g->root, p, &st) &&
			guest_journal_save(g, p, err) < 0)
			return -1;
	}
	snprintf(path, sizeof(path), "%s.", package);
	if (save_tree(g, info, path, false, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s:", package);
	return save_tree(g, info, path, false, err);
}

static int save_shared(struct guest *g, struct err *err)
{
	static const char *const deep[] = {
		"/etc/systemd/system", "/etc/systemd/user",
		"/var/lib/systemd/deb-systemd-helper-enabled",
		"/var/lib/systemd/deb-systemd-helper-masked", "/var/lib/dpkg/triggers",
		"/etc/rc0.d", "/etc/rc1.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d",
		"/etc/rc5.d", "/etc/rc6.d", "/etc/rcS.d", "/etc/vmware-tools",
	};
	static const char *const files[] = {
		"/var/log/dpkg.log", "/var/log/alternatives.log", "/etc/ld.so.cache",
		"/var/cache/ldconfig/aux-cache", "/etc/init.d/.depend.boot",
		"/etc/init.d/.depend.start",
		"/etc/init.d/.depend.stop", "/etc/mailcap",
		"/usr/share/applications/mimeinfo.cache", "/etc/shells",
	};

	for (size_t i = 0; i < sizeof(deep) / sizeof(deep[0]); i++)
		if (save_tree(g, deep[i], NULL, true, err) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (guest_journal_save(g, files[i], err) < 0)
			return -1;
	return save_tree(g, "/var/lib/dpkg", "", false, err);
}

static int save(struct guest *g, const char *packages, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(packages);
	char *next = NULL;

	if (!copy)
		return err_set(err, ERR_NOMEM, "remove packages: out of memory");
	for (char *p = strtok_r(copy, " ", &next); p; p = strtok_r(NULL, " ", &next))
		if (save_package(g, p, err) < 0)
			return -1;
	return save_shared(g, err);
}

static int purge(struct guest *g, const char *packages, struct err *err)
{
	const char *argv[40] = { "/usr/bin/dpkg", "--purge" };
	/* The initramfs is built once, at the end. */
	struct guest_run run = { .argv = argv, .masks = { {
		"/etc/initramfs-tools/update-initramfs.conf",
			"update_initramfs=no\n" } } };
	CLEANUP_FREE char *copy = strdup(packages);
	int n = 2, status = 0;
	char *next = NULL;

	if (!copy)
		return err_set(err, ERR_NOMEM, "remove packages: out of memory");
	for (char *p = strtok_r(copy, " ", &next); p && n < 39;
	    p = strtok_r(NULL, " ", &next))
		argv[n++] = p;
	if (guest_contain(g, &run, &status, err) < 0)
		return -1;
	for (int i = 2; i < n; i++)
		if (installed(g, argv[i]))
			return err_set(err, ERR_PREP_TOOLS,
				"dpkg --purge %s ended with status %d", argv[i], status);
	if (status)
		guest_report_warn(g,
			"dpkg --purge ended with status %d; the packages are gone",
			status);
	return 0;
}

const struct guest_family guest_debian = {
	.name = "debian",
	.detect = detect,
	.installed = installed,
	.matching = matching,
	.needed_by = needed_by,
	.save = save,
	.purge = purge,
};

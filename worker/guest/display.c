/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xorg.conf(5) that names the driver of another hypervisor's card: with it X finds no
 * screen. Without such a file X chooses for itself, so all others are left alone.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

/* Words of a line: KEYWORD "VALUE"; the value is [ret, ret + ret_len),
 * without the quotes. */
static bool keyword(const struct boot_line *l, const char *word, const char **ret,
	size_t *ret_len)
{
	const char *p = l->s, *end = l->s + l->len, *quote;
	size_t n = strlen(word);

	while (p < end && isspace((unsigned char)*p))
		p++;
	if ((size_t)(end - p) <= n || strncasecmp(p, word, n) ||
	    !isspace((unsigned char)p[n]))
		return false;
	for (p += n; p < end && isspace((unsigned char)*p); p++)
		;
	if (p == end || *p != '"')
		return false;
	quote = memchr(p + 1, '"', (size_t)(end - p - 1));
	if (!quote)
		return false;
	*ret = p + 1;
	*ret_len = (size_t)(quote - *ret);
	return true;
}

static bool ends_section(const struct boot_line *l)
{
	size_t i = 0;

	while (i < l->len && isspace((unsigned char)l->s[i]))
		i++;
	return l->len - i >= 10 && !strncasecmp(l->s + i, "EndSection", 10);
}

static bool is_foreign(const char *name, size_t len)
{
	static const char *const drivers[] = { "vmware", "vboxvideo", "prlvideo",
		"cirrus" };

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (len == strlen(drivers[i]) && !strncasecmp(name, drivers[i], len))
			return true;
	return false;
}

/* Whether the Device section that begins here, behind its first line,
 * is of such a card. */
static bool section_is_foreign(const char *s, size_t len)
{
	size_t at = 0, n;
	struct boot_line l;
	const char *value;

	while (boot_line_next(s, len, &at, &l) && !ends_section(&l))
		if (keyword(&l, "Driver", &value, &n))
			return is_foreign(value, n);
	return false;
}

int guest_xorg_rewrite(const char *s, size_t len, const char *driver, struct strbuf *out)
{
	bool foreign = false;
	int changed = 0;
	size_t at = 0, n;
	struct boot_line l;
	const char *value;

	while (boot_line_next(s, len, &at, &l)) {
		if (keyword(&l, "Section", &value, &n))
			foreign = n == 6 && !strncasecmp(value, "Device", 6) &&
				section_is_foreign(s + at, len - at);
		else if (ends_section(&l))
			foreign = false;
		if (foreign && keyword(&l, "Driver", &value, &n)) {
			strbuf_add(out, l.s, (size_t)(value - l.s));
			strbuf_str(out, driver);
			strbuf_add(out, value + n, l.full - (size_t)(value + n - l.s));
			changed++;
			continue;
		}
		/* The card's place on the old machine's bus,
		 * and what only that driver understands. */
		if (foreign && (keyword(&l, "BusID", &value, &n) ||
			keyword(&l, "Option", &value, &n))) {
			strbuf_str(out, "# target-worker: ");
			changed++;
		}
		strbuf_add(out, l.s, l.full);
	}
	return changed;
}

/* The one for any card that the kernel drives, or else for any card with a VESA BIOS;
 * NULL = neither. */
static const char *own_driver(const struct guest *g)
{
	static const char *const drivers[] = { "modesetting", "vesa" };
	static const char *const dirs[] = { "/usr/lib/xorg/modules/drivers",
		"/usr/lib64/xorg/modules/drivers" };
	char path[128];

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		for (size_t k = 0; k < sizeof(dirs) / sizeof(dirs[0]); k++) {
			snprintf(path, sizeof(path), "%s/%s_drv.so", dirs[k], drivers[i]);
			if (fs_is_file(&g->root, path))
				return drivers[i];
		}
	return NULL;
}

struct look {
	struct guest *g;
	const char *dir;
	struct err *err;
};

static int plan_file(struct guest *g, const char *path, struct err *err)
{
	const char *driver = own_driver(g);
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (!fs_is_file(&g->root, path))
		return 0;
	if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err))
		return -1;
	if (!guest_xorg_rewrite(text, len, driver ? driver : "", &out))
		return 0;
	if (!driver) {
		guest_report_warn(g, "%s names a driver for the old hypervisor's display, and X has neither "
			"modesetting nor vesa: it will not start until one is installed and named there", path);
		return 0;
	}
	return out.failed ? err_set(err, ERR_NOMEM, "make the plan: out of memory") :
		guest_op_write(g, path, out.s, out.len,
			"X finds no card of the old hypervisor", err);
}

static int see_part(void *ctx, const char *name, const struct stat *st)
{
	const struct look *k = ctx;
	char path[FS_PATH_MAX];
	size_t n = strlen(name);

	if (S_ISDIR(st->st_mode) || n < 6 || strcmp(name + n - 5, ".conf") ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", k->dir,
			name) >= sizeof(path))
		return 0;
	return plan_file(k->g, path, k->err);
}

int guest_plan_display(struct guest *g, struct err *err)
{
	static const char *const files[] = { "/etc/X11/xorg.conf", "/etc/X11/XF86Config",
		"/etc/X11/XF86Config-4" };
	struct look k = { g, "/etc/X11/xorg.conf.d", err };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (plan_file(g, files[i], err) < 0)
			return -1;
	return fs_list(&g->root, k.dir, see_part, &k, err) < 0 ? -1 : 0;
}

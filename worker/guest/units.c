/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .mount and .swap units of systemd that an operator wrote in place of lines of fstab. A
 * device is named by a path: systemd before 240 takes no UUID= in a unit.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define ADMIN_DIR "/etc/systemd/system"
#define DROP_IN "90-target-worker.conf"
#define WHY "names that depend on the disk controller become paths by UUID"

/* systemd.unit(5), "string escaping": a path as the name of a unit. */
static void escape(const char *path, char *ret, size_t size)
{
	size_t n = 0;

	*ret = '\0';
	for (const char *p = path + strspn(path, "/"); *p && n + 5 < size; p++) {
		if (isalnum((unsigned char)*p) || *p == ':' || *p == '_' || *p == '.')
			n += (size_t)snprintf(ret + n, size - n, "%c", *p);
		else if (*p == '/')
			n += (size_t)snprintf(ret + n, size - n, "-");
		else
			n += (size_t)snprintf(ret + n, size - n, "\\x%02x",
				(unsigned char)*p);
	}
}

static bool unescape(const char *name, size_t len, char *ret, size_t size)
{
	size_t n = 0;

	ret[n++] = '/';
	for (size_t i = 0; i < len; i++) {
		unsigned c = (unsigned char)name[i];

		if (c == '-') {
			c = '/';
		} else if (c == '\\') {
			char hex[3] = { 0 };

			if (i + 3 >= len || name[i + 1] != 'x' ||
				!isxdigit((unsigned char)name[i + 2]) ||
				!isxdigit((unsigned char)name[i + 3]))
				return false;
			memcpy(hex, name + i + 2, 2);
			if (sscanf(hex, "%x", &c) != 1 || !c)
				return false;
			i += 3;
		}
		if (n + 1 >= size)
			return false;
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return true;
}

/* "dev-sda2.device" becomes the unit of the same volume by UUID. */
static bool map_unit(const struct boot_map *m, const char *word, size_t len, char *ret,
	size_t size)
{
	static const char *const kinds[] = { ".device", ".swap" };
	char spec[256], path[256];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t k = strlen(kinds[i]);

		if (len <= k || memcmp(word + len - k, kinds[i], k) ||
			!unescape(word, len - k, spec, sizeof(spec)) ||
			!guest_stable_path(m, spec, path, sizeof(path)))
			continue;
		escape(path, ret, size - k);
		strcat(ret, kinds[i]);
		return true;
	}
	return false;
}

static int map_words(const struct boot_map *m, const char *s, size_t len,
	struct strbuf *out)
{
	char name[512];
	int changed = 0;

	for (size_t at = 0, n; at < len; at += n) {
		bool blank = isspace((unsigned char)s[at]);

		for (n = 1; at + n < len && !isspace((unsigned char)s[at + n]) == !blank;
		    n++)
			;
		if (!blank && map_unit(m, s + at, n, name, sizeof(name))) {
			strbuf_str(out, name);
			changed++;
		} else {
			strbuf_add(out, s + at, n);
		}
	}
	return changed;
}

enum key { OTHER, WHAT, TYPE, UNITS };

/* What a line of a unit sets; its value is [ret, ret + ret_len). */
static enum key key_of(const struct boot_line *l, const char *section, const char **ret,
	size_t *ret_len)
{
	static const char *const units[] = { "After", "Before", "Requires", "Requisite",
		"BindsTo", "Wants" };
	const char *eq = memchr(l->s, '=', l->len);
	size_t n = eq ? (size_t)(eq - l->s) : 0;
	bool mount = !strcmp(section, "[Mount]") || !strcmp(section, "[Swap]");

	while (n && isspace((unsigned char)l->s[n - 1]))
		n--;
	if (!n)
		return OTHER;
	*ret = eq + 1;
	*ret_len = (size_t)(l->s + l->len - *ret);
	while (*ret_len && isspace((unsigned char)**ret))
		++*ret, --*ret_len;
	while (*ret_len && isspace((unsigned char)(*ret)[*ret_len - 1]))
		--*ret_len;
	if (mount && n == 4 && !memcmp(l->s, "What", n))
		return WHAT;
	if (mount && n == 4 && !memcmp(l->s, "Type", n))
		return TYPE;
	for (size_t i = 0; !strcmp(section, "[Unit]") &&
	    i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i]) == n && !memcmp(l->s, units[i], n))
			return UNITS;
	return OTHER;
}

/* A unit line by line. */
struct reader {
	const char *s;
	size_t len, at;
	char section[32];
	struct boot_line l;
	enum key key;
	const char *value;  /* within l; its beginning when it sets nothing that counts */
	size_t value_len;
};

static bool next_line(struct reader *r)
{
	size_t n;

	if (!boot_line_next(r->s, r->len, &r->at, &r->l))
		return false;
	for (n = r->l.len; n && isspace((unsigned char)r->l.s[n - 1]); n--)
		;
	if (n && r->l.s[0] == '[')
		snprintf(r->section, sizeof(r->section), "%.*s", (int)n, r->l.s);
	r->value = r->l.s;
	r->value_len = 0;
	r->key = key_of(&r->l, r->section, &r->value, &r->value_len);
	return true;
}

static void take(const struct reader *r, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s",
		r->value_len < size ? (int)r->value_len : 0, r->value);
}

int guest_unit_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	struct reader r = { .s = s, .len = len };
	char spec[256], path[256];
	int changed = 0;

	while (next_line(&r)) {
		const char *end = r.value + r.value_len;

		strbuf_add(out, r.l.s, (size_t)(r.value - r.l.s));
		take(&r, spec, sizeof(spec));
		if (r.key == WHAT && guest_stable_path(m, spec, path, sizeof(path))) {
			strbuf_str(out, path);
			changed++;
		} else if (r.key == UNITS) {
			changed += map_words(m, r.value, r.value_len, out);
		} else {
			strbuf_add(out, r.value, r.value_len);
		}
		strbuf_add(out, end, (size_t)(r.l.s + r.l.full - end));
	}
	return changed;
}

bool guest_unit_mount(const char *s, size_t len, char *ret_what, char *ret_type,
	size_t size)
{
	struct reader r = { .s = s, .len = len };

	*ret_what = *ret_type = '\0';
	while (next_line(&r))
		if (r.key == WHAT || r.key == TYPE)
			take(&r, r.key == WHAT ? ret_what : ret_type, size);
	return *ret_what;
}

struct units {
	struct guest *g;
	const char *dir;
	/* A unit's links: its names; fresh NULL: only out of what needs it to start. */
	const char *old, *fresh;
	struct err *err;
};

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NOMEM, "make the plan: out of memory");
}

static bool ends(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && !strcmp(s + n - k, end);
}

static int move_link(struct units *u, const char *from_dir, const char *to_dir,
	const char *target, const char *why)
{
	char from[2 * FS_PATH_MAX], to[2 * FS_PATH_MAX];

	snprintf(from, sizeof(from), "%s/%s", from_dir, u->old);
	snprintf(to, sizeof(to), "%s/%s", to_dir, u->fresh ? u->fresh : u->old);
	return guest_op_add(u->g, OP_REMOVE, from, NULL, "%s", why) &&
		guest_op_add(u->g, OP_LINK, to, target, "%s", why) ? 0 :
		no_memory(u->err);
}

/* What starts the unit: links to it in NAME.wants and NAME.requires. */
static int see_links(void *ctx, const char *name, const struct stat *st)
{
	struct units *u = ctx;
	char dir[FS_PATH_MAX], path[2 * FS_PATH_MAX], target[FS_PATH_MAX];
	bool needed = ends(name, ".requires");

	if (!S_ISDIR(st->st_mode) || (!needed && !ends(name, ".wants")) ||
	    (!u->fresh && !needed))
		return 0;
	snprintf(dir, sizeof(dir), "%s/%s", ADMIN_DIR, name);
	snprintf(path, sizeof(path), "%s/%s", dir, u->old);
	if (fs_readlink(&u->g->root, path, target, sizeof(target)) < 0)
		return 0;
	if (u->fresh) {
		snprintf(path, sizeof(path), "%s/%s", u->dir, u->fresh);
		return move_link(u, dir, dir, path, WHY);
	}
	snprintf(path, sizeof(path), "%.*s.wants",
		(int)(strlen(dir) - strlen(".requires")), dir);
	return move_link(u, dir, path, target,
		"a drive that was not copied must not hold up the start");
}

static int links(struct units *u, const char *old, const char *fresh)
{
	u->old = old;
	u->fresh = fresh;
	return fs_list(&u->g->root, ADMIN_DIR, see_links, u, u->err) < 0 ? -1 : 0;
}

/* Starts on its own hypervisor only, as the tools' own units do. A unit that is masked or
 * gone would fail what requires it; one whose condition does not hold does not. */
static int hold_back(struct units *u, const char *name, const char *type)
{
	const char *vm = !strcmp(type, "vboxsf") ? "oracle" :
		!strcmp(type, "prl_fs") ? "parallels" : "vmware";
	char path[FS_PATH_MAX], text[128];

	if ((size_t)snprintf(path, sizeof(path), ADMIN_DIR "/%s.d/" DROP_IN,
		name) >= sizeof(path))
		return 0;
	snprintf(text, sizeof(text),
		"# A shared folder of the old hypervisor (target-worker)\n"
		"[Unit]\nConditionVirtualization=%s\n", vm);
	return guest_op_write(u->g, path, text, strlen(text),
		"a shared folder of a hypervisor that is left", u->err);
}

static int hold_back_both(struct units *u, const char *name, const char *type)
{
	char automount[256], path[FS_PATH_MAX];

	if (hold_back(u, name, type) < 0)
		return -1;
	snprintf(automount, sizeof(automount), "%.*s.automount",
		(int)(strlen(name) - strlen(".mount")), name);
	snprintf(path, sizeof(path), "%s/%s", u->dir, automount);
	return fs_is_file(&u->g->root, path) ? hold_back(u, automount, type) : 0;
}

/* A swap unit is only loaded when its name is that of its device. */
static int rename_swap(struct units *u, const char *path, const char *name,
	const char *device, const char *text, size_t len, const struct boot_map *m)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	char fresh[300], to[FS_PATH_MAX + 300];

	escape(device, fresh, sizeof(fresh) - strlen(".swap"));
	strcat(fresh, ".swap");
	snprintf(to, sizeof(to), "%s/%s", u->dir, fresh);
	guest_unit_rewrite(text, len, m, &out);
	if (out.failed)
		return no_memory(u->err);
	if (guest_op_write(u->g, to, out.s, out.len, WHY, u->err) < 0)
		return -1;
	return guest_op_add(u->g, OP_REMOVE, path, NULL, WHY) ? links(u, name, fresh) :
		no_memory(u->err);
}

static bool stable(void *ctx, const char *spec, char *ret, size_t size)
{
	return guest_stable_name(ctx, spec, ret, size);
}

static int plan_unit(struct units *u, const char *path, const char *name, bool is_link)
{
	const struct boot_map m = { .device = stable, .ctx = u->g };
	CLEANUP_FREE char *text = NULL;
	char what[256], type[256], device[300];
	size_t len = 0;

	if (!fs_is_file(&u->g->root, path))
		return 0; /* a link to /dev/null: masked */
	if (fs_read(&u->g->root, path, GUEST_TEXT_MAX, &text, &len, u->err))
		return -1;
	guest_unit_mount(text, len, what, type, sizeof(what));
	if (strchr(what, '%'))
		return 0; /* of a template: its device is known when it is started */
	if (ends(name, ".mount") && guest_tool_mount(what, type))
		return hold_back_both(u, name, type);
	if (guest_is_elsewhere(u->g, what)) {
		guest_report_warn(u->g, "%s: %s %s; systemd waits for it for 90 seconds at every start, "
			"and goes on without it", path, what, guest_why_absent(u->g, what));
		return links(u, name, NULL);
	}
	if (ends(name, ".mount") || !guest_stable_path(&m, what, device, sizeof(device)))
		return guest_plan_rewrite(u->g, path, guest_unit_rewrite, WHY, u->err);
	if (is_link) {
		guest_report_warn(u->g, "%s is a link, and its unit stays: name it after the UUID of its swap "
			"space, in place of %s", path, what);
		return 0;
	}
	return rename_swap(u, path, name, device, text, len, &m);
}

static int see_part(void *ctx, const char *name, const struct stat *st)
{
	struct units *u = ctx;
	char path[FS_PATH_MAX];

	(void)st;
	if (!ends(name, ".conf") || !strcmp(name, DROP_IN) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", u->dir,
			name) >= sizeof(path) ||
		!fs_is_file(&u->g->root, path))
		return 0;
	return guest_plan_rewrite(u->g, path, guest_unit_rewrite, WHY, u->err);
}

static int see_unit(void *ctx, const char *name, const struct stat *st)
{
	struct units *up = ctx, u = *up;
	char path[FS_PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", u.dir, name) >= sizeof(path))
		return 0;
	if (S_ISDIR(st->st_mode)) {
		u.dir = path;
		return ends(name, ".mount.d") && fs_list(&u.g->root, path, see_part, &u,
			u.err) < 0 ? -1 : 0;
	}
	return ends(name, ".mount") || ends(name, ".swap") ?
		plan_unit(&u, path, name, S_ISLNK(st->st_mode)) : 0;
}

int guest_plan_units(struct guest *g, struct err *err)
{
	static const char *const dirs[] = { ADMIN_DIR, "/usr/local/lib/systemd/system" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		struct units u = { .g = g, .dir = dirs[i], .err = err };

		if (fs_list(&g->root, dirs[i], see_unit, &u, err) < 0)
			return -1;
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Logins on consoles that the target has not got (console.c) are switched off: of System
 * V's init and BusyBox, systemd and upstart. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NOMEM, "make the plan: out of memory");
}

static bool starts(const char *s, size_t len, const char *with)
{
	return len >= strlen(with) && !memcmp(s, with, strlen(with));
}

/* inittab(5): id:runlevels:action:process. BusyBox takes the id for the device. */
static bool respawns(const struct boot_line *l)
{
	const char *action = l->s, *end = l->s + l->len;
	size_t n = 0;

	for (int i = 0; i < 2 && action; i++) {
		action = memchr(action, ':', (size_t)(end - action));
		action = action ? action + 1 : NULL;
	}
	while (action && action + n < end && action[n] != ':')
		n++;
	return action && l->s[0] != '#' && (starts(action, n, "respawn") ||
		starts(action, n, "ondemand") || starts(action, n, "askfirst"));
}

/* The next name of letters and digits of a line. */
static bool next_name(const struct boot_line *l, size_t *at, size_t *ret_start)
{
	while (*at < l->len && !isalnum((unsigned char)l->s[*at]))
		(*at)++;
	*ret_start = *at;
	while (*at < l->len && isalnum((unsigned char)l->s[*at]))
		(*at)++;
	return *at > *ret_start;
}

enum login { NO_LOGIN, ON_SCREEN, ON_SERIAL, ON_ABSENT };

static enum login login_on(const struct guest *g, const struct boot_line *l)
{
	enum login on = NO_LOGIN;
	size_t at = 0, start;

	while (respawns(l) && next_name(l, &at, &start)) {
		const char *name = l->s + start;
		size_t n = at - start;

		if (guest_console_absent(g, name, n))
			return ON_ABSENT;
		if (n == strlen(guest_serial_port(g)) &&
		    !memcmp(name, guest_serial_port(g), n))
			on = ON_SERIAL;
		else if (guest_console_is(name, n, "tty"))
			on = ON_SCREEN;
	}
	return on;
}

static bool has_login(const struct guest *g, const char *s, size_t len, enum login on)
{
	size_t at = 0;
	struct boot_line l;

	while (boot_line_next(s, len, &at, &l))
		if (login_on(g, &l) == on)
			return true;
	return false;
}

/* The only login that there is moves to the screen, others are commented out. */
static int inittab_rewrite(const struct guest *g, const char *s, size_t len,
	struct strbuf *out)
{
	bool screen = has_login(g, s, len, ON_SCREEN);
	size_t at = 0;
	struct boot_line l;
	int changed = 0;

	while (boot_line_next(s, len, &at, &l)) {
		size_t i = 0, start, done = 0;

		if (login_on(g, &l) != ON_ABSENT) {
			strbuf_add(out, l.s, l.full);
			continue;
		}
		changed++;
		if (screen)
			strbuf_str(out, "# target-worker: ");
		while (!screen && next_name(&l, &i, &start)) {
			bool absent = guest_console_absent(g, l.s + start, i - start);

			strbuf_add(out, l.s + done, (absent ? start : i) - done);
			strbuf_str(out, absent ? "tty1" : "");
			done = i;
		}
		strbuf_add(out, l.s + done, l.full - done);
		screen = true;
	}
	return changed;
}

static int plan_inittab(struct guest *g, struct err *err)
{
	static const char path[] = "/etc/inittab";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	const char *getty = fs_is_file(&g->root, "/sbin/getty") ? "getty" :
		"agetty", *port = guest_serial_port(g);
	size_t len = 0;
	int changed;

	if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (!text)
		return 0;
	changed = inittab_rewrite(g, text, len, &out);
	if (g->opt->console == GUEST_CONSOLE_SERIAL &&
	    !has_login(g, text, len, ON_SERIAL)) {
		bool busybox = g->facts.family == &guest_alpine;

		strbuf_fmt(&out, "%s%s:%s:respawn:/sbin/%s -L %s 115200 vt100\n",
			len && text[len - 1] != '\n' ? "\n" : "", busybox ? port :
			"tw", busybox ? "" : "2345", getty, port);
		changed++;
	}
	if (out.failed)
		return no_memory(err);
	return changed ? guest_op_write(g, path, out.s, out.len,
		"logins on " GUEST_WHY_CONSOLES, err) : 0;
}

struct logins {
	struct guest *g;
	const char *dir, *prefix, *suffix; /* prefix: up to and with this */
	struct err *err;
};

static int see_login(void *ctx, const char *name, const struct stat *st)
{
	const struct logins *k = ctx;
	const char *at = strstr(name, k->prefix), *dev = at ? at + strlen(k->prefix) : "";
	const char *end = strstr(dev, k->suffix);
	char path[FS_PATH_MAX];

	if (S_ISDIR(st->st_mode) || !end || end[strlen(k->suffix)] ||
		!guest_console_absent(k->g, dev, (size_t)(end - dev)) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", k->dir,
			name) >= sizeof(path))
		return 0;
	return guest_op_add(k->g, OP_REMOVE, path, NULL,
		"a login on one of the " GUEST_WHY_CONSOLES) ? 0 :
		no_memory(k->err);
}

/* What starts logins of systemd's is a link; upstart's is the job, which older ones know
 * no way to switch off but to take it away. */
static int plan_units(struct guest *g, struct err *err)
{
	struct logins all[] = {
		{ g, "/etc/systemd/system/getty.target.wants", "getty@", ".service",
			err },
		{ g, "/etc/systemd/system/multi-user.target.wants", "getty@", ".service",
			err },
		{ g, "/etc/systemd/system/default.target.wants", "getty@", ".service",
			err },
		{ g, "/etc/init", "", ".conf", err },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (fs_list(&g->root, all[i].dir, see_login, &all[i], err) < 0)
			return -1;
	return 0;
}

/* securetty(5): where root may log in, a name a line; without the file it is everywhere.
 * Returns whether it has the name, or one of Xen's consoles when there is no name. */
static bool allows(const char *s, size_t len, const char *name)
{
	size_t at = 0;
	struct boot_line l;

	while (boot_line_next(s, len, &at, &l)) {
		while (l.len && isspace((unsigned char)l.s[l.len - 1]))
			l.len--;
		if (name ? l.len == strlen(name) && !memcmp(l.s, name, l.len) :
			guest_console_is(l.s, l.len, "hvc") ||
			guest_console_is(l.s, l.len, "xvc")) return true;
	}
	return false;
}

/* Root gets in on what takes the place of a console, and on the one that is asked for. */
static int plan_securetty(struct guest *g, struct err *err)
{
	static const char path[] = "/etc/securetty";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	const char *port = guest_serial_port(g);
	size_t len = 0, before;

	if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (!text)
		return 0;
	strbuf_add(&out, text, len);
	strbuf_str(&out, len && text[len - 1] != '\n' ? "\n" : "");
	before = out.len;
	if (allows(text, len, NULL) && !allows(text, len, "tty1"))
		strbuf_str(&out, "tty1\n");
	if (g->opt->console == GUEST_CONSOLE_SERIAL && !allows(text, len, port))
		strbuf_fmt(&out, "%s\n", port);
	if (out.failed)
		return no_memory(err);
	return out.len > before ?
		guest_op_write(g, path, out.s, out.len,
			"root may log in on the consoles that "
		"the target has", err) : 0;
}

int guest_plan_logins(struct guest *g, struct err *err)
{
	const char *init = g->facts.init;

	if (plan_units(g, err) < 0 || plan_securetty(g, err) < 0)
		return -1;
	return !strcmp(init, "sysvinit") || !strcmp(init,
		"openrc") ? plan_inittab(g, err) : 0;
}

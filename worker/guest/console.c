/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles that the target has not got: those of Xen, serial ports behind the first, and
 * on a PC the ports of boards. On kernel command lines the screen (tty0) takes their
 * place, and logins on them are switched off, which init would start for ever (logins.c).
 * All others stay; a serial console is added where the job asks for one.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MAX_BOOT_FILES 512
#define WHY GUEST_WHY_CONSOLES
#define CONSOLE "console="

static bool starts(const char *s, size_t len, const char *with)
{
	return len >= strlen(with) && !memcmp(s, with, strlen(with));
}

bool guest_is_pc(const struct guest *g)
{
	return !strcmp(g->facts.arch, "x86_64") || !strcmp(g->facts.arch, "i386");
}

/* The serial port of KVM's machine. */
const char *guest_serial_port(const struct guest *g)
{
	return guest_is_pc(g) ? "ttyS0" : "ttyAMA0";
}

bool guest_console_is(const char *name, size_t len, const char *kind)
{
	size_t i = strlen(kind);

	if (len <= i || memcmp(name, kind, i))
		return false;
	while (i < len && isdigit((unsigned char)name[i]))
		i++;
	return i == len;
}

bool guest_console_absent(const struct guest *g, const char *name, size_t len)
{
	if (guest_console_is(name, len, "ttyS"))
		return len != 5 || name[4] != '0';
	return guest_console_is(name, len, "hvc") || guest_console_is(name, len, "xvc") ||
		(guest_is_pc(g) && guest_console_is(name, len, "ttyAMA"));
}

/* The next word of a command line; before it are blanks and quotes. */
static bool next_word(const char *s, size_t len, size_t *at, size_t *ret_start)
{
	static const char ends[] = " \t\r\n\"'";
	size_t i = *at;

	while (i < len && (!s[i] || strchr(ends, s[i])))
		i++;
	*ret_start = i;
	while (i < len && s[i] && !strchr(ends, s[i]))
		i++;
	*at = i;
	return i > *ret_start;
}

static bool all_blank(const char *s, size_t len)
{
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return !len;
}

/* Of two names of the screen in a row, of which one is ours, the second goes. */
static int repair(const struct guest *g, const char *s, size_t len, struct strbuf *out)
{
	enum { OTHER, SCREEN, OURS } before = OTHER, now;
	size_t at = 0, start, end = 0;
	int changed = 0;

	for (; next_word(s, len, &at, &start); end = at) {
		const char *name = s + start + strlen(CONSOLE), *comma;
		size_t n = at - start;

		if (!starts(s + start, n, CONSOLE)) {
			strbuf_add(out, s + end, at - end);
			continue;
		}
		n -= strlen(CONSOLE);
		comma = memchr(name, ',', n);
		n = comma ? (size_t)(comma - name) : n;
		now = guest_console_absent(g, name, n) ? OURS :
			n == 4 && !memcmp(name, "tty0", 4) ? SCREEN : OTHER;
		changed += now == OURS;
		if (now && before && (now == OURS || before == OURS) &&
			all_blank(s + end, start - end))
			continue;
		strbuf_add(out, s + end, start - end);
		if (now == OURS)
			strbuf_str(out, CONSOLE "tty0");
		else
			strbuf_add(out, s + start, at - start);
		before = now;
	}
	strbuf_add(out, s + end, len - end);
	return changed;
}

/* Behind the other consoles, or behind root= with the screen before it: a kernel that is
 * told one console has no other. A line with neither starts no system. */
static int add_serial(const struct guest *g, const char *s, size_t len,
	struct strbuf *out)
{
	size_t at = 0, start, root = 0, console = 0, behind;
	char key[32], value[64];

	snprintf(key, sizeof(key), CONSOLE "%s", guest_serial_port(g));
	if (boot_cmdline_get(s, len, key, value, sizeof(value))) {
		strbuf_add(out, s, len);
		return 0;
	}
	while (next_word(s, len, &at, &start)) {
		if (starts(s + start, at - start, CONSOLE "tty"))
			console = at;
		else if (starts(s + start, at - start, "root=") && at - start > 5)
			root = at;
	}
	behind = console ? console : root;
	strbuf_add(out, s, behind);
	if (behind)
		strbuf_fmt(out, "%s %s,115200", console ? "" : " " CONSOLE "tty0", key);
	strbuf_add(out, s + behind, len - behind);
	return behind != 0;
}

/* For boot_map: one command line. */
static int rewrite_cmdline(void *ctx, const char *s, size_t len, struct strbuf *out)
{
	const struct guest *g = ctx;
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	int changed;

	if (g->opt->console != GUEST_CONSOLE_SERIAL)
		return repair(g, s, len, out);
	changed = repair(g, s, len, &text);
	if (text.len)
		changed += add_serial(g, text.s, text.len, out);
	out->failed |= text.failed;
	return changed;
}

/* What the guest's next update-grub reads:
 * a line that names no root gets the consoles as well. */
static int serial_default(const struct guest *g, const char *s, size_t len,
	struct strbuf *out)
{
	static const char key[] = "GRUB_CMDLINE_LINUX";
	size_t at = 0, n = strlen(key);
	struct boot_line l, found = { NULL, 0, 0 };
	char words[64];

	snprintf(words, sizeof(words), CONSOLE "%s", guest_serial_port(g));
	while (boot_line_next(s, len, &at, &l)) {
		if (starts(l.s, l.len, key) && memmem(l.s, l.len, words, strlen(words)))
			found = (struct boot_line){ l.s, 0, 0 };
		else if (!(found.s && !found.len) && l.len > n &&
		    starts(l.s, l.len, key) && l.s[n] == '=')
			found = l;
	}
	if (found.s && !found.len) {
		strbuf_add(out, s, len);
		return 0;
	}
	snprintf(words, sizeof(words), CONSOLE "tty0 " CONSOLE "%s,115200",
		guest_serial_port(g));
	if (!found.s) {
		strbuf_add(out, s, len);
		strbuf_fmt(out, "%s%s=\"%s\"\n",
			len && s[len - 1] != '\n' ? "\n" : "", key, words);
		return 1;
	}
	n++;
	strbuf_add(out, s, (size_t)(found.s - s) + n);
	at = (size_t)(found.s - s) + n;
	if (n < found.len && (found.s[n] == '"' || found.s[n] == '\'')) {
		bool empty = n + 1 < found.len && found.s[n + 1] == found.s[n];

		strbuf_fmt(out, "%c%s%s", found.s[n], words, empty ? "" : " ");
		at++;
	} else {
		size_t end = n;

		while (end < found.len && !isspace((unsigned char)found.s[end]))
			end++;
		strbuf_fmt(out, "\"%s%s%.*s\"", words, end > n ? " " : "", (int)(end - n),
			found.s + n);
		at += end - n;
	}
	strbuf_add(out, s + at, len - at);
	return 1;
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NOMEM, "make the plan: out of memory");
}

static int plan_boot_file(struct guest *g, const struct boot_file *f, struct err *err)
{
	const struct boot_map m = { .cmdline = rewrite_cmdline, .ctx = g };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, more = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	bool serial = g->opt->console == GUEST_CONSOLE_SERIAL;
	size_t len = 0;
	int got, changed;

	got = guest_plan_has(g, f->path) ? guest_plan_read(g, f->path, &text, &len, err) :
		fs_read(&g->root, f->path, BOOT_TEXT_MAX, &text, &len, err);
	if (got)
		return got < 0 ? -1 : 0;
	changed = f->rewrite(text, len, &m, &out);
	if (serial && !strcmp(f->path, "/etc/default/grub")) {
		changed += serial_default(g,
			changed ? out.s : text, changed ? out.len : len, &more);
		strbuf_reset(&out);
		strbuf_add(&out, more.s, more.len);
	}
	if (out.failed || more.failed)
		return no_memory(err);
	return changed ? guest_op_write(g, f->path, out.s, out.len, serial ? WHY
		", and the serial one that the job asks for" : WHY, err) : 0;
}

static int plan_loader(struct guest *g, struct err *err)
{
	CLEANUP_FREE struct boot_file *files = calloc(MAX_BOOT_FILES, sizeof(*files));
	int n, r = 0;

	if (!files)
		return no_memory(err);
	n = boot_files(&g->root, &g->facts.boot, files, MAX_BOOT_FILES, err);
	for (int i = 0; i < n && r >= 0; i++)
		r = plan_boot_file(g, &files[i], err);
	return n < 0 ? -1 : r;
}

/* The command line of a unified image is sealed:
 * what to write on the source is all there is to say. */
static int tell_unified(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	CLEANUP_FREE struct boot_uki *u = calloc(1, sizeof(*u));
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	int found, changed;

	if (!u)
		return no_memory(err);
	found = boot_uki_read(&g->root, k->image, u, err);
	if (found)
		return found < 0 ? -1 : 0;
	changed = rewrite_cmdline(g, u->cmdline, strcspn(u->cmdline, "\r\n"), &out);
	if (out.failed)
		return no_memory(err);
	if (changed)
		guest_report_warn(g, "%s: the consoles of its command line are not edited. On the source write "
			"\"%.300s\" into /etc/kernel/cmdline and have the image built anew", k->image, out.s);
	return 0;
}

int guest_plan_console(struct guest *g, struct err *err)
{
	/* Elsewhere hvc0 may be the machine's own. */
	if (!guest_is_pc(g) && strcmp(g->facts.arch, "aarch64"))
		return 0;
	for (int i = 0; i < g->facts.n_kernels; i++)
		if (g->facts.kernels[i].unified &&
		    tell_unified(g, &g->facts.kernels[i], err) < 0)
			return -1;
	return plan_loader(g, err) < 0 ? -1 : guest_plan_logins(g, err);
}

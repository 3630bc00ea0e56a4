/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several systems the machine starts: each one's own loader configuration is
 * asked for its default entry. One answer decides; two different ones, or none, decide
 * nothing.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct pick {
	char want[300]; /* number, title or id, "" = the first */
	bool grub;
	int at;
	char first[256], root[256]; /* root= of the first and of the wanted entry */
};

static void take_value(const char *p, const char *end, char *ret, size_t size)
{
	size_t n;

	p += strspn(p, " \t=\"'");
	n = strcspn(p, "\"'\r\n");
	if (p + n <= end)
		snprintf(ret, size, "%.*s", n < size ? (int)n : (int)size - 1, p);
}

/* GRUB 2 keeps it in grubenv; legacy GRUB as a number in the file "default". */
static void read_saved(struct guest *g, const struct boot_config *b, char *ret,
	size_t size)
{
	CLEANUP_FREE char *env = NULL;
	struct err ignored = ERR_INIT; /* then the first entry is the default one */
	bool legacy = b->kind == BOOT_GRUB1;
	char path[300];
	size_t len = 0;

	*ret = '\0';
	snprintf(path, sizeof(path), "%.*s/%s", (int)(strrchr(b->path, '/') - b->path),
		b->path, legacy ? "default" : "grubenv");
	if (fs_read(&g->root, path, 4096, &env, &len, &ignored))
		return;
	if (legacy)
		snprintf(ret, size, "%.*s", (int)strspn(env, "0123456789"), env);
	else if (guest_shell_value(env, "saved_entry", ret, size))
		ret[strcspn(ret, "\n#")] = '\0';
}

/* The last plain value wins: grub.cfg sets variables in branches before it.
 * "${saved_entry}" is what grubenv says. */
static void read_default(struct guest *g, const struct boot_config *b, struct pick *p)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT; /* then the first entry is the default one */
	char value[300] = "", saved[300];
	size_t len = 0;

	if (fs_read(&g->root, b->path, BOOT_TEXT_MAX, &text, &len, &ignored))
		return;
	read_saved(g, b, saved, sizeof(saved));
	for (char *s = text; (s = strcasestr(s, "default")); s += 7) {
		const char *before = s;

		while (before > text && (before[-1] == ' ' || before[-1] == '\t'))
			before--;
		if (before > text && before[-1] != '\n' &&
		    strncmp(s - 4 < text ? text : s - 4, "set ", 4))
			continue;
		if (!s[7] || !strchr("= \t", s[7]))
			continue;
		take_value(s + 7, text + len, value, sizeof(value));
		if (!strcmp(value, "${saved_entry}") || !strcmp(value, "saved"))
			snprintf(p->want, sizeof(p->want), "%s", saved);
		else if (*value != '$')
			snprintf(p->want, sizeof(p->want), "%s", value);
	}
}

static int see_entry(void *ctx, const struct boot_entry *e)
{
	struct pick *p = ctx;
	char number[16];
	bool is_it;

	snprintf(number, sizeof(number), "%d", p->at);
	is_it = p->grub ? boot_grub_is(e, p->want) :
		!strcmp(e->title, p->want) || !strcmp(number, p->want);
	if (!p->at)
		snprintf(p->first, sizeof(p->first), "%s", e->root);
	if (*p->want && is_it && !*p->root)
		snprintf(p->root, sizeof(p->root), "%s", e->root);
	p->at++;
	return 0;
}

/* The system on a volume, if it is the only one there. */
static int system_on(const struct guest *g, int vol)
{
	int found = -1;

	for (int i = 0; i < g->n_systems; i++) {
		if (g->systems[i].vol != vol)
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found;
}

/* What the configuration that this system carries would start: -1 = it carries none, -2 =
 * nothing that was found. */
static int ask(struct guest *g, struct err *err)
{
	struct boot_config b;
	struct pick p = { .at = 0 };
	int vol;

	if (guest_mount_tree(g, false, err) < 0 || boot_detect(&g->root, &b, err) < 0)
		return -2;
	if (!b.kind)
		return -1;
	p.grub = !b.bls && (b.kind == BOOT_GRUB2 || b.kind == BOOT_GRUB1);
	read_default(g, &b, &p);
	if (boot_entries(&g->root, &b, see_entry, &p, err) < 0)
		return -2;
	if (!p.at)
		return -1;
	vol = guest_find_vol(g, *p.root ? p.root : p.first);
	return vol < 0 || system_on(g, vol) < 0 ? -2 : system_on(g, vol);
}

int guest_default_system(struct guest *g, struct err *err)
{
	int answer = -1;

	for (int i = 0; i < g->n_systems; i++) {
		struct err why = ERR_INIT;
		int says;

		g->root_vol = g->systems[i].vol;
		memcpy(g->root_subvol, g->systems[i].subvol, sizeof(g->root_subvol));
		says = ask(g, &why);
		if (why.code)
			guest_report_warn(g, "boot entries of %s: %s",
				g->vols[g->root_vol].fs.dev, why.text);
		if (guest_unmount(g, err) < 0)
			return -1;
		if (says == -2 || (says >= 0 && answer >= 0 && says != answer))
			return -1;
		if (says >= 0)
			answer = says;
	}
	return answer;
}

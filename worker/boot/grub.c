/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Lines that carry a kernel command line.
 * grub.cfg also sets one in a variable for blscfg. */
static const char *const kernel_words[] = {
	"linux", "linux16", "linuxefi", "kernel", "$linux", "module", "module2",
	"multiboot", "multiboot2", NULL,
};
static const char *const initrd_words[] = {
	"initrd", "initrd16", "initrdefi", "$initrd", NULL,
};

static bool sets_cmdline(const struct boot_line *l)
{
	static const char *const starts[] = { "set kernelopts=",
		"set default_kernelopts=",
		"set rootpartition=" }; /* the last: Photon */
	size_t i = 0;

	while (i < l->len && (l->s[i] == ' ' || l->s[i] == '\t'))
		i++;
	for (size_t k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
		size_t n = strlen(starts[k]);

		if (l->len - i > n && !memcmp(l->s + i, starts[k], n))
			return true;
	}
	return false;
}

int boot_grub_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	return boot_line_rewrite(s, len, kernel_words, sets_cmdline, m, out);
}

#define GRUBENV_SIZE 1024

int boot_grubenv_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char key[] = "kernelopts=";
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	int changed = 0;
	size_t at = 0, used;
	struct boot_line l;

	if (len != GRUBENV_SIZE)
		return 0;
	while (boot_line_next(s, len, &at, &l)) {
		if (l.len <= strlen(key) || memcmp(l.s, key, strlen(key))) {
			strbuf_add(&text, l.s, l.full);
			continue;
		}
		strbuf_str(&text, key);
		changed += boot_cmdline_rewrite(l.s + strlen(key), l.full - strlen(key),
			m, &text);
	}
	if (!changed)
		return 0;
	used = text.len;
	while (used && text.s[used - 1] == '#')
		used--;
	/* GRUB takes no block of another size: one that is too full stays as it is. */
	if (used > GRUBENV_SIZE)
		return 0;
	strbuf_add(out, text.s, used);
	for (size_t i = used; i < GRUBENV_SIZE; i++)
		strbuf_str(out, "#");
	out->failed |= text.failed;
	return changed;
}

/* GRUB_CMDLINE_LINUX...="...", GRUB_DEVICE=...; GRUB_DISABLE_LINUX_UUID=true would bring
 * device names back at the guest's next update-grub. */
int boot_grub_default_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char disable[] = "GRUB_DISABLE_LINUX_UUID=",
		cmdline[] = "GRUB_CMDLINE_LINUX";
	int changed = 0;
	size_t at = 0;
	struct boot_line l;

	while (boot_line_next(s, len, &at, &l)) {
		const char *eq = memchr(l.s, '=', l.len);

		if (eq && l.len > strlen(cmdline) &&
		    !memcmp(l.s, cmdline, strlen(cmdline))) {
			size_t head = (size_t)(eq - l.s) + 1;

			strbuf_add(out, l.s, head);
			changed += boot_cmdline_rewrite(l.s + head, l.full - head,
				m, out);
		} else if (eq && l.len >= strlen(disable) &&
			!memcmp(l.s, disable, strlen(disable)) &&
			memmem(eq, l.len - (size_t)(eq - l.s), "true", 4)) {
			strbuf_str(out, "GRUB_DISABLE_LINUX_UUID=false");
			strbuf_add(out, l.s + l.len, l.full - l.len);
			changed++;
		} else {
			strbuf_add(out, l.s, l.full);
		}
	}
	return changed;
}

static void copy_word(const char *s, size_t len, char *ret, size_t size)
{
	size_t i = 0, n = 0;
	char quote = '\0';

	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	if (i < len && (s[i] == '"' || s[i] == '\''))
		quote = s[i++];
	while (i < len && n + 1 < size &&
	    (quote ? s[i] != quote : s[i] != ' ' && s[i] != '\t'))
		ret[n++] = s[i++];
	ret[n] = '\0';
}

/* Takes "(hd0,0)" or "($root)" off the front of a path. */
static void drop_device(char *path)
{
	char *end;

	if (*path == '(' && (end = strchr(path, ')')))
		memmove(path, end + 1, strlen(end + 1) + 1);
}

/* A walk through the menu. A submenu counts as one item of the menu it is in; braces tell
 * where it ends. Of menus in a submenu nothing is known: its entries count as the
 * submenu's own. */
struct walk {
	struct boot_entry e, menu; /* being read */
	int next, menu_next;       /* numbers */
	int depth, menu_depth;     /* braces open now and around the
				    * submenu, -1 = in none */
	boot_entry_fn each;
	void *ctx;
};

static int flush(struct walk *w)
{
	int result = w->e.kernel[0] ? w->each(w->ctx, &w->e) : 0;

	memset(&w->e, 0, sizeof(w->e));
	return result;
}

/* What stands behind menuentry, submenu and title. */
static void read_head(const struct boot_line *l, size_t rest, bool legacy,
	struct boot_entry *e)
{
	static const char *const keys[] = { "menuentry_id_option", "--id" };
	const char *p = NULL;
	size_t at;

	copy_word(l->s + rest, l->len - rest, e->title, sizeof(e->title));
	for (size_t i = 0; i < 2 && !p && !legacy; i++) {
		p = memmem(l->s + rest, l->len - rest, keys[i], strlen(keys[i]));
		at = p ? (size_t)(p - l->s) + strlen(keys[i]) : 0;
		if (p)
			copy_word(l->s + at + (at < l->len && l->s[at] == '='),
				l->len - at - (at < l->len && l->s[at] == '='), e->id,
				sizeof(e->id));
	}
}

static void begin_entry(struct walk *w, const struct boot_line *l, size_t rest,
	bool legacy)
{
	read_head(l, rest, legacy, &w->e);
	if (w->menu_depth < 0) {
		w->e.number = w->next++;
		return;
	}
	memcpy(w->e.menu, w->menu.title, sizeof(w->e.menu));
	memcpy(w->e.menu_id, w->menu.id, sizeof(w->e.menu_id));
	w->e.menu_number = w->menu.number;
	w->e.number = w->menu_next++;
}

static void begin_menu(struct walk *w, const struct boot_line *l, size_t rest)
{
	if (w->menu_depth >= 0)
		return;
	memset(&w->menu, 0, sizeof(w->menu));
	read_head(l, rest, false, &w->menu);
	w->menu.number = w->next++;
	w->menu_next = 0;
	w->menu_depth = w->depth;
}

static void count_braces(struct walk *w, const struct boot_line *l, const char *word)
{
	size_t n = l->len;

	while (n && strchr(" \t\r", l->s[n - 1]) && l->s[n - 1])
		n--;
	if (word[0] == '}')
		w->depth--;
	else if (n && l->s[n - 1] == '{')
		w->depth++;
	else
		return;
	if (w->depth <= w->menu_depth)
		w->menu_depth = -1;
}

int boot_grub_entries(const char *s, size_t len, boot_entry_fn each, void *ctx)
{
	struct walk w = { .menu_depth = -1, .each = each, .ctx = ctx };
	size_t at = 0, rest;
	int result = 0;
	struct boot_line l;

	while (!result && boot_line_next(s, len, &at, &l)) {
		char word[32];

		boot_line_word(&l, word, sizeof(word), &rest);
		if (!strcmp(word, "menuentry") || !strcmp(word, "title")) {
			result = flush(&w);
			begin_entry(&w, &l, rest, word[0] == 't');
		} else if (!strcmp(word, "submenu")) {
			result = flush(&w);
			begin_menu(&w, &l, rest);
		} else if (boot_word_in(word, kernel_words) &&
			strncmp(word, "module", 6)) {
			copy_word(l.s + rest, l.len - rest, w.e.kernel,
				sizeof(w.e.kernel));
			drop_device(w.e.kernel);
			boot_cmdline_get(l.s + rest, l.len - rest, "root=", w.e.root,
				sizeof(w.e.root));
		} else if (boot_word_in(word, initrd_words)) {
			copy_word(l.s + rest, l.len - rest, w.e.initrd,
				sizeof(w.e.initrd));
			drop_device(w.e.initrd);
		}
		count_braces(&w, &l, word);
	}
	return result ? result : flush(&w);
}

static bool is_item(const char *want, size_t len, int number, const char *title,
	const char *id)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	return (len == strlen(text) && !memcmp(want, text, len)) ||
		(len == strlen(title) && !memcmp(want, title, len)) ||
		(*id && len == strlen(id) && !memcmp(want, id, len));
}

bool boot_grub_is(const struct boot_entry *e, const char *want)
{
	const char *inner = strchr(want, '>');

	if (!*e->menu)
		return is_item(want, strlen(want), e->number, e->title, e->id);
	if (!is_item(want, inner ? (size_t)(inner - want) : strlen(want), e->menu_number,
		e->menu, e->menu_id))
		return false;
	return inner ? is_item(inner + 1, strlen(inner + 1), e->number, e->title, e->id) :
		!e->number;
}

bool boot_grub_uses_bls(const char *s, size_t len)
{
	size_t at = 0, rest;
	struct boot_line l;
	char word[32];

	while (boot_line_next(s, len, &at, &l)) {
		boot_line_word(&l, word, sizeof(word), &rest);
		if (!strcmp(word, "blscfg"))
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Lines that carry a kernel command line. grub.cfg also sets one in a variable for blscfg. */
static const char *const kernel_words[] = {
	"linux", "linux16", "linuxefi", "kernel", "$linux", "module", "module2", "multiboot",
	"multiboot2", NULL,
};
static const char *const initrd_words[] = {
	"initrd", "initrd16", "initrdefi", "$initrd", NULL,
};

static bool sets_cmdline(const struct line *l)
{
	static const char *const starts[] = { "set kernelopts=", "set default_kernelopts=",
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

int boot_grub_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out)
{
	int changed = 0;
	size_t at = 0;
	struct line l;

	while (boot_line_next(s, len, &at, &l)) {
		char word[32];
		size_t rest;

		boot_line_word(&l, word, sizeof(word), &rest);
		if (sets_cmdline(&l)) {
			rest = 0;
		} else if (!boot_word_in(word, kernel_words)) {
			strbuf_add(out, l.s, l.full);
			continue;
		}
		strbuf_add(out, l.s, rest);
		changed += boot_cmdline_rewrite(l.s + rest, l.full - rest, m, out);
	}
	return changed;
}

#define GRUBENV_SIZE 1024

int boot_grubenv_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out)
{
	static const char key[] = "kernelopts=";
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	int changed = 0;
	size_t at = 0, used;
	struct line l;

	if (len != GRUBENV_SIZE)
		return 0;
	while (boot_line_next(s, len, &at, &l)) {
		if (l.len <= strlen(key) || memcmp(l.s, key, strlen(key))) {
			strbuf_add(&text, l.s, l.full);
			continue;
		}
		strbuf_str(&text, key);
		changed += boot_cmdline_rewrite(l.s + strlen(key), l.full - strlen(key), m, &text);
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

/* GRUB_CMDLINE_LINUX...="...", GRUB_DEVICE=...; GRUB_DISABLE_LINUX_UUID=true would bring device
 * names back at the guest's next update-grub. */
int boot_grub_default_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char disable[] = "GRUB_DISABLE_LINUX_UUID=", cmdline[] = "GRUB_CMDLINE_LINUX";
	int changed = 0;
	size_t at = 0;
	struct line l;

	while (boot_line_next(s, len, &at, &l)) {
		const char *eq = memchr(l.s, '=', l.len);

		if (eq && l.len > strlen(cmdline) && !memcmp(l.s, cmdline, strlen(cmdline))) {
			size_t head = (size_t)(eq - l.s) + 1;

			strbuf_add(out, l.s, head);
			changed += boot_cmdline_rewrite(l.s + head, l.full - head, m, out);
		} else if (eq && l.len >= strlen(disable) && !memcmp(l.s, disable, strlen(disable)) &&
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
	while (i < len && n + 1 < size && (quote ? s[i] != quote : s[i] != ' ' && s[i] != '\t'))
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

static int flush(struct boot_entry *e, boot_entry_fn each, void *ctx)
{
	int result = e->kernel[0] ? each(ctx, e) : 0;

	memset(e, 0, sizeof(*e));
	return result;
}

int boot_grub_entries(const char *s, size_t len, boot_entry_fn each, void *ctx)
{
	struct boot_entry e = { .title = "" };
	size_t at = 0, rest;
	int result = 0;
	struct line l;

	while (!result && boot_line_next(s, len, &at, &l)) {
		char word[32];

		boot_line_word(&l, word, sizeof(word), &rest);
		if (!strcmp(word, "menuentry") || !strcmp(word, "title")) {
			result = flush(&e, each, ctx);
			copy_word(l.s + rest, word[0] == 't' ? l.len - rest : l.len - rest, e.title,
				sizeof(e.title));
		} else if (boot_word_in(word, kernel_words) && strncmp(word, "module", 6)) {
			copy_word(l.s + rest, l.len - rest, e.kernel, sizeof(e.kernel));
			drop_device(e.kernel);
			boot_cmdline_get(l.s + rest, l.len - rest, "root=", e.root, sizeof(e.root));
		} else if (boot_word_in(word, initrd_words)) {
			copy_word(l.s + rest, l.len - rest, e.initrd, sizeof(e.initrd));
			drop_device(e.initrd);
		}
	}
	return result ? result : flush(&e, each, ctx);
}

bool boot_grub_uses_bls(const char *s, size_t len)
{
	size_t at = 0, rest;
	struct line l;
	char word[32];

	while (boot_line_next(s, len, &at, &l)) {
		boot_line_word(&l, word, sizeof(word), &rest);
		if (!strcmp(word, "blscfg"))
			return true;
	}
	return false;
}

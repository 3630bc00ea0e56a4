/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot-internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

int boot_extlinux_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char *const words[] = { "append", NULL };

	return boot_line_rewrite(s, len, words, NULL, m, out);
}

int boot_extlinux_entries(const char *s, size_t len, boot_entry_fn each, void *ctx)
{
	struct boot_entry e = { .title = "" };
	size_t at = 0, rest;
	int result = 0;
	struct boot_line l;

	while (!result && boot_line_next(s, len, &at, &l)) {
		char word[32], *to = NULL;
		size_t n;

		boot_line_word(&l, word, sizeof(word), &rest);
		while (rest < l.len && (l.s[rest] == ' ' || l.s[rest] == '\t'))
			rest++;
		n = l.len - rest;
		if (!strcasecmp(word, "label")) {
			if (e.kernel[0])
				result = each(ctx, &e);
			memset(&e, 0, sizeof(e));
			snprintf(e.title, sizeof(e.title), "%.*s",
				n < 100 ? (int)n : 100, l.s + rest);
		} else if (!strcasecmp(word, "kernel") || !strcasecmp(word, "linux")) {
			to = e.kernel;
		} else if (!strcasecmp(word, "initrd")) {
			to = e.initrd;
		} else if (!strcasecmp(word, "append")) {
			boot_cmdline_get(l.s + rest, n, "root=", e.root, sizeof(e.root));
			if (!e.initrd[0])
				boot_cmdline_get(l.s + rest, n, "initrd=", e.initrd,
					sizeof(e.initrd));
		}
		if (to)
			snprintf(to, sizeof(e.kernel), "%.*s",
				n < 255 ? (int)n : 255, l.s + rest);
	}
	return result || !e.kernel[0] ? result : each(ctx, &e);
}

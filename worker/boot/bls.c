/* SPDX-License-Identifier: Apache-2.0 */
/* Boot Loader Specification, type 1: "key value" lines. */
#include "boot/boot-internal.h"

#include <string.h>

int boot_bls_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char *const words[] = { "options", NULL };

	return boot_line_rewrite(s, len, words, NULL, m, out);
}

static void value(const struct boot_line *l, size_t rest, char *ret, size_t size)
{
	size_t n;

	while (rest < l->len && (l->s[rest] == ' ' || l->s[rest] == '\t'))
		rest++;
	n = l->len - rest < size - 1 ? l->len - rest : size - 1;
	memcpy(ret, l->s + rest, n);
	while (n && (ret[n - 1] == ' ' || ret[n - 1] == '\r'))
		n--;
	ret[n] = '\0';
}

bool boot_bls_entry(const char *s, size_t len, struct boot_entry *ret)
{
	size_t at = 0, rest;
	struct boot_line l;

	memset(ret, 0, sizeof(*ret));
	while (boot_line_next(s, len, &at, &l)) {
		char word[32];

		boot_line_word(&l, word, sizeof(word), &rest);
		if (!strcmp(word, "title"))
			value(&l, rest, ret->title, sizeof(ret->title));
		else if (!strcmp(word, "linux"))
			value(&l, rest, ret->kernel, sizeof(ret->kernel));
		else if (!strcmp(word, "initrd"))
			value(&l, rest, ret->initrd, sizeof(ret->initrd));
		else if (!strcmp(word, "options"))
			boot_cmdline_get(l.s + rest, l.len - rest, "root=", ret->root,
				sizeof(ret->root));
	}
	/* further words: microcode, tuned */
	ret->initrd[strcspn(ret->initrd, " ")] = '\0';
	return ret->kernel[0];
}

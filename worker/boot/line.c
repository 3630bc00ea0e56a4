/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot-internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

bool boot_line_next(const char *text, size_t len, size_t *at, struct boot_line *ret)
{
	const char *nl;

	if (*at >= len)
		return false;
	ret->s = text + *at;
	nl = memchr(ret->s, '\n', len - *at);
	ret->len = nl ? (size_t)(nl - ret->s) : len - *at;
	ret->full = ret->len + (nl ? 1 : 0);
	*at += ret->full;
	return true;
}

void boot_line_word(const struct boot_line *l, char *word, size_t size, size_t *ret_rest)
{
	size_t i = 0, n = 0;

	while (i < l->len && (l->s[i] == ' ' || l->s[i] == '\t'))
		i++;
	while (i < l->len && l->s[i] != ' ' && l->s[i] != '\t') {
		if (n + 1 < size)
			word[n++] = l->s[i];
		i++;
	}
	word[n] = '\0';
	*ret_rest = i;
}

bool boot_word_in(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcasecmp(word, *list))
			return true;
	return false;
}

int boot_line_rewrite(const char *s, size_t len, const char *const *words,
	bool (*whole)(const struct boot_line *l), const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t at = 0;
	struct boot_line l;

	while (boot_line_next(s, len, &at, &l)) {
		char word[32];
		size_t rest;

		boot_line_word(&l, word, sizeof(word), &rest);
		if (whole && whole(&l)) {
			rest = 0;
		} else if (!boot_word_in(word, words)) {
			strbuf_add(out, l.s, l.full);
			continue;
		}
		strbuf_add(out, l.s, rest);
		changed += boot_cmdline_rewrite(l.s + rest, l.full - rest, m, out);
	}
	return changed;
}

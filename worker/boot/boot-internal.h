/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_BOOT_INTERNAL_H
#define BOOT_BOOT_INTERNAL_H

#include "boot/boot.h"

/* line.c: texts line by line. A line is [s, s + len) without its newline. */
struct line {
	const char *s;
	size_t len, full; /* full: with the newline */
};
/* The next line at *at; false at the end. */
bool boot_line_next(const char *text, size_t len, size_t *at, struct line *ret);
/* The first word of a line, "" for none, and where what follows it begins. */
void boot_line_word(const struct line *l, char *word, size_t size, size_t *ret_rest);
bool boot_word_in(const char *word, const char *const *list);
/* Rewrites command lines on lines whose first word is in words (NULL-terminated). */
int boot_line_rewrite(const char *s, size_t len, const char *const *words, const struct boot_map *m,
	struct strbuf *out);

#endif

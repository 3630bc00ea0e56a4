/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_BOOT_INTERNAL_H
#define BOOT_BOOT_INTERNAL_H

#include "boot/boot.h"

/* line.c */
/* The first word of a line, "" for none, and where what follows it begins. */
void boot_line_word(const struct boot_line *l, char *word, size_t size, size_t *ret_rest);
bool boot_word_in(const char *word, const char *const *list);
/* Rewrites command lines behind the first word of lines that begin with one of words
 * (NULL-terminated), and lines that whole (may be NULL) takes. */
int boot_line_rewrite(const char *s, size_t len, const char *const *words,
	bool (*whole)(const struct boot_line *l), const struct boot_map *m,
	struct strbuf *out);

#endif

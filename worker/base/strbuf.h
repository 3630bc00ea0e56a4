/* SPDX-License-Identifier: Apache-2.0 */
/* A growing string. Running out of memory sets `failed`, checked once at the end. */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	char *s; /* NUL-terminated once anything was added, else NULL */
	size_t len;
	size_t cap;
	bool failed;
};

#define STRBUF_INIT { .s = NULL }

void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_str(struct strbuf *b, const char *s);
void strbuf_fmt(struct strbuf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void strbuf_reset(struct strbuf *b); /* empties, keeps the memory */
void strbuf_free(struct strbuf *b);

#define CLEANUP_STRBUF __attribute__((cleanup(strbuf_free)))

#endif

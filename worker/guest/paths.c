/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted list of paths, each once. */
#include "guest/guest-internal.h"

#include <stdlib.h>
#include <string.h>

/* Where it is, or would have to be. */
static size_t find_place(const struct guest_paths *p, const char *path)
{
	size_t from = 0, to = p->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (strcmp(p->v[mid], path) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

bool guest_paths_has(const struct guest_paths *p, const char *path)
{
	size_t at = find_place(p, path);

	return at < p->n && !strcmp(p->v[at], path);
}

int guest_paths_add(struct guest_paths *p, const char *path, struct err *err)
{
	size_t at = find_place(p, path);
	char *copy;

	if (at < p->n && !strcmp(p->v[at], path))
		return 0;
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		char **grown = realloc(p->v, cap * sizeof(*grown));

		if (!grown)
			return err_set(err, ERR_NOMEM, "list of paths: out of memory");
		p->v = grown;
		p->cap = cap;
	}
	copy = strdup(path);
	if (!copy)
		return err_set(err, ERR_NOMEM, "list of paths: out of memory");
	memmove(p->v + at + 1, p->v + at, (p->n - at) * sizeof(*p->v));
	p->v[at] = copy;
	p->n++;
	return 0;
}

void guest_paths_free(struct guest_paths *p)
{
	while (p->n)
		free(p->v[--p->n]);
	free(p->v);
	*p = (struct guest_paths){ .v = NULL };
}

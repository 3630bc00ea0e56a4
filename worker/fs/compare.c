/* SPDX-License-Identifier: Apache-2.0 */
/* Inventories: compared with each other, and with what was saved of an earlier one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fs/inventory-internal.h"

static char *path_of(const struct fs_inventory *inv, uint32_t id)
{
	char buf[2 * FS_PATH_MAX + 256];
	size_t at = sizeof(buf) - 1;

	buf[at] = '\0';
	for (; id != FS_NO_ENTRY; id = inv->entries[id].parent) {
		const char *name = inv->names + inv->entries[id].name;
		size_t len = strlen(name);

		at -= len;
		memcpy(buf + at, name, len);
		buf[--at] = '/';
	}
	return strdup(buf + at);
}

/* A path's hash; the same path has the same hash in both inventories. */
struct key {
	uint64_t path;
	uint32_t id;
};

static int by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

/* coarse: those that were found by their time are left out. */
static struct key *keys_of(const struct fs_inventory *inv, bool coarse, uint32_t *ret_n)
{
	struct key *keys = malloc(((size_t)inv->n + 1) * sizeof(*keys));
	uint32_t n = 0;

	if (!keys)
		return NULL;
	for (uint32_t i = 0; i < inv->n; i++) {
		if (coarse && inv->entries[i].flags & FS_FRESH)
			continue;
		keys[n++] = (struct key){ inv->entries[i].hash, i };
	}
	qsort(keys, n, sizeof(*keys), by_key);
	*ret_n = n;
	return keys;
}

struct change {
	char *path;
	enum fs_change kind;
	unsigned mode;
};
struct changes {
	struct change *list;
	size_t n, cap;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static int note_mode(struct changes *c, const struct fs_inventory *inv, uint32_t id,
	enum fs_change k, unsigned mode)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 256;
		struct change *grown = realloc(c->list, cap * sizeof(*grown));

		if (!grown)
			return -1;
		c->list = grown;
		c->cap = cap;
	}
	c->list[c->n] = (struct change){ path_of(inv, id), k, mode };
	return c->list[c->n++].path ? 0 : -1;
}

static int note(struct changes *c, const struct fs_inventory *inv, uint32_t id,
	enum fs_change k)
{
	return note_mode(c, inv, id, k, inv->entries[id].mode);
}

/* Whether one of the folders around the path is folded in the other inventory. */
static bool is_inside_folded(const struct fs_inventory *inv, uint32_t id,
	const struct fs_inventory *other)
{
	for (id = inv->entries[id].parent; id != FS_NO_ENTRY;
	    id = inv->entries[id].parent)
		if (fs_inventory_is_folded(other, inv->entries[id].hash))
			return true;
	return false;
}

/* How many paths that were made since lie in a folded folder. */
static uint32_t count_born(const struct fs_inventory *inv, uint32_t folder)
{
	uint32_t n = 0;

	for (uint32_t i = folder + 1; i < inv->n && inv->entries[i].parent == folder; i++)
		n += inv->entries[i].flags & FS_BORN ? 1 : 0;
	return n;
}

static int note_changed(struct changes *c, const struct fs_inventory *a, uint32_t x,
	const struct fs_inventory *b, uint32_t y)
{
	const struct fs_entry *before = &a->entries[x], *after = &b->entries[y];
	bool both = before->flags & after->flags & FS_FOLDED;

	if (before->state == after->state && before->below == after->below)
		return 0;
	if (after->flags & FS_FOLDED && (!both || b->coarse || after->below <
		before->below + count_born(b, y) - count_born(a, x)))
		return note_mode(c, b, y, FS_CHANGED, FS_MODE_LOST);
	return note(c, b, y, FS_CHANGED);
}

static int collect(struct changes *c, const struct fs_inventory *a,
	const struct fs_inventory *b, const struct key *ka, uint32_t na,
	const struct key *kb, uint32_t nb)
{
	uint32_t i = 0, j = 0;

	while (i < na || j < nb) {
		int failed = 0;

		if (j == nb || (i < na && ka[i].path < kb[j].path)) {
			if (!is_inside_folded(a, ka[i].id, b))
				failed = note(c, a, ka[i].id, FS_REMOVED);
			i++;
		} else if (i == na || kb[j].path < ka[i].path) {
			unsigned flags = b->entries[kb[j].id].flags;

			failed = note(c, b, kb[j++].id,
				(flags & (FS_FRESH | FS_BORN)) == FS_FRESH ? FS_CHANGED :
				FS_ADDED);
		} else {
			failed = note_changed(c, a, ka[i].id, b, kb[j].id);
			i++;
			j++;
		}
		if (failed)
			return -1;
	}
	return 0;
}

/* Reports and frees the list. */
static int hand_out(struct changes *c, int result,
	int (*each)(void *ctx, enum fs_change c, const char *path, unsigned mode),
	void *ctx)
{
	if (c->n)
		qsort(c->list, c->n, sizeof(*c->list), by_path);
	for (size_t i = 0; i < c->n; i++) {
		if (!result)
			result = each(ctx, c->list[i].kind, c->list[i].path,
				c->list[i].mode);
		free(c->list[i].path);
	}
	free(c->list);
	return result;
}

int fs_inventory_diff(const struct fs_inventory *before, const struct fs_inventory *after,
	int (*each)(void *ctx, enum fs_change c, const char *path, unsigned mode),
	void *ctx, struct err *err)
{
	bool coarse = before->coarse || after->coarse;
	uint32_t na = 0, nb = 0;
	CLEANUP_FREE struct key *ka = keys_of(before, coarse, &na);
	CLEANUP_FREE struct key *kb = keys_of(after, coarse, &nb);
	struct changes c = { .list = NULL };
	int result = 0;

	if (!ka || !kb || collect(&c, before, after, ka, na, kb, nb) < 0)
		result = err_set(err, ERR_NOMEM, "compare lists of files: no memory");
	return hand_out(&c, result, each, ctx);
}

/* The hash of a path, as the walk makes it. */
static uint64_t hash_path(const char *path)
{
	uint64_t hash = 1;

	for (const char *p = path + strspn(path, "/"); *p; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");

		hash = XXH3_64bits_withSeed(p, n, hash);
		p += n;
	}
	return hash;
}

static bool is_below(const struct fs_inventory *inv, uint32_t id, uint64_t hash)
{
	for (; id != FS_NO_ENTRY; id = inv->entries[id].parent)
		if (inv->entries[id].hash == hash)
			return true;
	return false;
}

uint64_t fs_inventory_digest(const struct fs_inventory *inv, const char *but)
{
	uint64_t sum = 0, left_out = hash_path(but);

	for (uint32_t i = 0; i < inv->n; i++) {
		const struct fs_entry *e = &inv->entries[i];

		/* Fresh ones are in the state of the folded folder. */
		if (!(e->flags & FS_FRESH) && !is_below(inv, i, left_out))
			sum += XXH3_64bits_withSeed(&e->state, sizeof(e->state), e->hash);
	}
	return sum; /* in any order of the walk */
}

/* Stands in the list for "this folder is folded". */
static uint64_t fold_mark(uint64_t hash)
{
	return XXH3_64bits_withSeed(&hash, sizeof(hash), 2);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int fs_inventory_save(const struct fs_inventory *inv, const struct fs_root *r,
	const char *path, struct err *err)
{
	size_t n = (size_t)inv->n + inv->n_folded;
	CLEANUP_FREE uint64_t *list = malloc((n + 1) * sizeof(*list));
	size_t at = 0;

	if (!list)
		return err_set(err, ERR_NOMEM, "write %s: no memory", path);
	for (uint32_t i = 0; i < inv->n; i++)
		list[at++] = inv->entries[i].hash;
	for (uint32_t i = 0; i < inv->n_folded; i++)
		list[at++] = fold_mark(inv->folded[i]);
	qsort(list, n, sizeof(*list), by_number);
	for (size_t i = 0; i < n; i++) {
		uint64_t v = list[i];

		bytes_put_le64(&list[i], v);
	}
	return fs_replace(r, path, list, n * sizeof(*list), 0600, err);
}

static bool is_saved(const uint8_t *saved, size_t n, uint64_t v)
{
	size_t from = 0, to = n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		uint64_t got = bytes_le64(saved + mid * 8);

		if (got == v)
			return true;
		if (got < v)
			from = mid + 1;
		else
			to = mid;
	}
	return false;
}

/* Nobody knows whether a path is new that lies in a folder which was folded then. */
static bool is_new(const struct fs_inventory *now, uint32_t id, const uint8_t *saved,
	size_t n)
{
	if (is_saved(saved, n, now->entries[id].hash))
		return false;
	for (uint32_t i = now->entries[id].parent; i != FS_NO_ENTRY;
	    i = now->entries[i].parent)
		if (is_saved(saved, n, fold_mark(now->entries[i].hash)))
			return false;
	return true;
}

int fs_inventory_added(const struct fs_inventory *now, const void *saved, size_t len,
	int (*each)(void *ctx, enum fs_change c, const char *path, unsigned mode),
	void *ctx, struct err *err)
{
	struct changes c = { .list = NULL };
	int result = 0;

	for (uint32_t i = 0; i < now->n && !result; i++)
		if (!(now->entries[i].flags & FS_FRESH) &&
			is_new(now, i, saved, len / 8) && note(&c, now, i, FS_ADDED))
			result = err_set(err, ERR_NOMEM,
				"compare lists of files: no memory");
	return hand_out(&c, result, each, ctx);
}

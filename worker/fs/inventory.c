/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An inventory keeps, for each path, one 64-bit hash of what stat(2) says about it. Names
 * lie in one arena and paths are rebuilt from parents, so that half a million files take
 * about 25 MB.
 */
#include "fs/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define MAX_ENTRIES 4000000u
#define MAX_DEPTH 100 /* descriptors held open at a time */
#define NONE UINT32_MAX

struct entry {
	uint64_t state; /* of mode, owner, size, times, inode */
	uint32_t parent, name;
	uint32_t mode;
};

struct fs_inventory {
	struct entry *entries; /* in the order of the walk: parents before children */
	uint32_t n, cap;
	char *names;
	uint32_t names_len, names_cap;
};

struct walk {
	struct fs_inventory *inv;
	const char *const *skip;
	void (*tick)(void *);
	void *tick_ctx;
	char path[FS_PATH_MAX];
};

void fs_inventory_free(struct fs_inventory *inv)
{
	if (!inv)
		return;
	free(inv->entries);
	free(inv->names);
	free(inv);
}

static uint64_t state_of(const struct stat *st)
{
	uint64_t v[10] = { st->st_mode, st->st_uid, st->st_gid, st->st_ino };

	/* A folder's times and size change with its content,
	 * which has entries of its own. */
	if (!S_ISDIR(st->st_mode)) {
		v[4] = (uint64_t)st->st_size;
		v[5] = (uint64_t)st->st_mtim.tv_sec;
		v[6] = (uint64_t)st->st_mtim.tv_nsec;
		v[7] = (uint64_t)st->st_ctim.tv_sec;
		v[8] = (uint64_t)st->st_ctim.tv_nsec;
		v[9] = (uint64_t)st->st_rdev;
	} else {
		v[3] = 0;
	}
	return XXH3_64bits(v, sizeof(v));
}

static void *grow(void *p, uint32_t *cap, uint64_t need, size_t size, uint64_t limit)
{
	uint64_t want = *cap ? *cap : 4096;
	void *grown;

	if (need <= *cap)
		return p;
	while (want < need)
		want *= 2;
	if (want > limit)
		return NULL;
	grown = realloc(p, (size_t)want * size);
	if (grown)
		*cap = (uint32_t)want;
	return grown;
}

static uint32_t add(struct fs_inventory *inv, uint32_t parent, const char *name,
	const struct stat *st)
{
	size_t len = strlen(name) + 1;
	struct entry *entries;
	char *names;

	entries = grow(inv->entries, &inv->cap, (uint64_t)inv->n + 1, sizeof(*entries),
		MAX_ENTRIES);
	if (!entries)
		return NONE;
	inv->entries = entries;
	names = grow(inv->names, &inv->names_cap, (uint64_t)inv->names_len + len, 1,
		1u << 30);
	if (!names)
		return NONE;
	inv->names = names;
	memcpy(names + inv->names_len, name, len);
	entries[inv->n] = (struct entry){ state_of(st), parent, inv->names_len,
		st->st_mode };
	inv->names_len += (uint32_t)len;
	return inv->n++;
}

static bool skipped(const struct walk *w)
{
	for (int i = 0; w->skip && w->skip[i]; i++)
		if (!strcmp(w->skip[i], w->path))
			return true;
	return false;
}

/* Takes fd over. */
static int walk_dir(struct walk *w, int fd, uint32_t parent, int depth, struct err *err)
{
	size_t base = strlen(w->path);
	struct dirent *de;
	DIR *d = fdopendir(fd);
	int result = 0;

	if (!d) {
		close(fd);
		return err_set(err, ERR_NOMEM, "list %s: out of memory", w->path);
	}
	if (w->tick)
		w->tick(w->tick_ctx);
	while (!result && (de = readdir(d))) {
		struct stat st;
		uint32_t id;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if ((size_t)snprintf(w->path + base, sizeof(w->path) - base, "/%s",
			de->d_name) >= sizeof(w->path) - base || depth > MAX_DEPTH) {
			result = err_set(err, ERR_FS_UNSAFE, "%.200s: nested too deeply",
				w->path);
			break;
		}
		if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			result = err_sys(err, ERR_DISK_IO, "look at %s", w->path);
		} else if (!skipped(w)) {
			id = add(w->inv, parent, de->d_name, &st);
			if (id == NONE)
				result = err_set(err, ERR_NOMEM,
					"list of all files: no memory");
			else if (S_ISDIR(st.st_mode)) {
				int sub = openat(fd, de->d_name,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

				if (sub < 0)
					result = err_sys(err, ERR_DISK_IO, "open %s",
						w->path);
				else
					result = walk_dir(w, sub, id, depth + 1, err);
			}
		}
		w->path[base] = '\0';
	}
	closedir(d);
	return result;
}

int fs_inventory_take(const struct fs_root *r, const char *const *skip,
	void (*tick)(void *), void *tick_ctx, struct fs_inventory **ret, struct err *err)
{
	struct walk w = { .skip = skip, .tick = tick, .tick_ctx = tick_ctx };
	int fd = fs_open(r, "/", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(err, ERR_FS_MOUNT, "open the guest's root");
	w.inv = calloc(1, sizeof(*w.inv));
	if (!w.inv) {
		close(fd);
		return err_set(err, ERR_NOMEM, "list of all files: no memory");
	}
	if (walk_dir(&w, fd, NONE, 0, err) < 0) {
		fs_inventory_free(w.inv);
		return -1;
	}
	*ret = w.inv;
	return 0;
}

static char *path_of(const struct fs_inventory *inv, uint32_t id)
{
	char buf[FS_PATH_MAX + 256];
	size_t at = sizeof(buf) - 1;

	buf[at] = '\0';
	for (; id != NONE; id = inv->entries[id].parent) {
		const char *name = inv->names + inv->entries[id].name;
		size_t len = strlen(name);

		at -= len;
		memcpy(buf + at, name, len);
		buf[--at] = '/';
	}
	return strdup(buf + at);
}

/* A path's hash, from its parent's; the same path has the same
 * hash in both inventories. */
struct key {
	uint64_t path;
	uint32_t id;
};

static int by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

static struct key *keys_of(const struct fs_inventory *inv)
{
	struct key *keys = malloc(((size_t)inv->n + 1) * sizeof(*keys));

	if (!keys)
		return NULL;
	for (uint32_t i = 0; i < inv->n; i++) {
		const struct entry *e = &inv->entries[i];
		const char *name = inv->names + e->name;

		/* parents come first, and the table is still in walk order here */
		keys[i].path = XXH3_64bits_withSeed(name, strlen(name),
			e->parent == NONE ? 1 : keys[e->parent].path);
		keys[i].id = i;
	}
	qsort(keys, inv->n, sizeof(*keys), by_key);
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

static int note(struct changes *c, const struct fs_inventory *inv, uint32_t id,
	enum fs_change k)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 256;
		struct change *grown = realloc(c->list, cap * sizeof(*grown));

		if (!grown)
			return -1;
		c->list = grown;
		c->cap = cap;
	}
	c->list[c->n] = (struct change){ path_of(inv, id), k, inv->entries[id].mode };
	return c->list[c->n++].path ? 0 : -1;
}

static int collect(struct changes *c, const struct fs_inventory *a,
	const struct fs_inventory *b, const struct key *ka, const struct key *kb)
{
	uint32_t i = 0, j = 0;

	while (i < a->n || j < b->n) {
		int failed = 0;

		if (j == b->n || (i < a->n && ka[i].path < kb[j].path)) {
			failed = note(c, a, ka[i++].id, FS_REMOVED);
		} else if (i == a->n || kb[j].path < ka[i].path) {
			failed = note(c, b, kb[j++].id, FS_ADDED);
		} else {
			const struct entry *x = &a->entries[ka[i++].id];
			const struct entry *y = &b->entries[kb[j].id];

			if (x->state != y->state)
				failed = note(c, b, kb[j].id, FS_CHANGED);
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
	CLEANUP_FREE struct key *ka = keys_of(before);
	CLEANUP_FREE struct key *kb = keys_of(after);
	struct changes c = { .list = NULL };
	int result = 0;

	if (!ka || !kb || collect(&c, before, after, ka, kb) < 0)
		result = err_set(err, ERR_NOMEM, "compare lists of files: no memory");
	return hand_out(&c, result, each, ctx);
}

int fs_inventory_save(const struct fs_inventory *inv, const struct fs_root *r,
	const char *path, struct err *err)
{
	CLEANUP_FREE struct key *keys = keys_of(inv);
	CLEANUP_FREE uint8_t *buf = malloc((size_t)inv->n * 8 + 1);

	if (!keys || !buf)
		return err_set(err, ERR_NOMEM, "write %s: no memory", path);
	for (uint32_t i = 0; i < inv->n; i++)
		bytes_put_le64(buf + (size_t)i * 8, keys[i].path);
	return fs_replace(r, path, buf, (size_t)inv->n * 8, 0600, err);
}

int fs_inventory_added(const struct fs_inventory *now, const void *saved, size_t len,
	int (*each)(void *ctx, enum fs_change c, const char *path, unsigned mode),
	void *ctx, struct err *err)
{
	CLEANUP_FREE struct key *keys = keys_of(now);
	struct changes c = { .list = NULL };
	size_t k = 0, n = len / 8;
	int result = 0;

	if (!keys)
		return err_set(err, ERR_NOMEM, "compare lists of files: no memory");
	for (uint32_t i = 0; i < now->n && !result; i++) {
		while (k < n && bytes_le64((const uint8_t *)saved + k * 8) < keys[i].path)
			k++;
		if (k < n && bytes_le64((const uint8_t *)saved + k * 8) == keys[i].path)
			continue;
		if (note(&c, now, keys[i].id, FS_ADDED))
			result = err_set(err, ERR_NOMEM,
				"compare lists of files: no memory");
	}
	return hand_out(&c, result, each, ctx);
}

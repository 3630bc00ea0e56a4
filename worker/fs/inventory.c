/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An inventory keeps, for each path, one 64-bit hash of what stat(2) says about it. Names
 * lie in one arena and paths are rebuilt from parents, so that half a million files take
 * about 35 MB. A server has many more, in a few folders: mail, sessions, images of
 * containers. A folder with more than FOLD_AT paths below it is folded into one entry,
 * whose state is the sum of theirs. What a tool changes in there is found by the time of
 * the change, which no program can set; only what it removes is not known by name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "fs/inventory-internal.h"

#define FOLD_AT 50000u
#define FOLD_SYSTEM_AT 1000000u /* folders whose own folders are of interest */
#define MAX_DEPTH 100 /* descriptors held open at a time */
#define MAX_FRESH 200000u
#define BTRFS_SUBVOL_INODE 256

struct walk {
	struct fs_inventory *inv;
	const struct fs_inventory_rules *rules;
	char path[FS_PATH_MAX];
	uint32_t fold;       /* the folded folder around, FS_NO_ENTRY = none */
	size_t fold_path;    /* length of its path, with the slash */
};

void fs_inventory_free(struct fs_inventory *inv)
{
	if (!inv)
		return;
	free(inv->entries);
	free(inv->names);
	free(inv->folded);
	free(inv);
}

const struct fs_inventory_gaps *fs_inventory_get_gaps(const struct fs_inventory *inv)
{
	return &inv->gaps;
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

static void *grow(void *p, uint32_t *cap, uint64_t need, size_t size)
{
	uint64_t want = *cap ? *cap : 4096;
	void *grown;

	if (need <= *cap)
		return p;
	while (want < need)
		want *= 2;
	if (want >= FS_NO_ENTRY)
		return NULL;
	grown = realloc(p, (size_t)want * size);
	if (grown)
		*cap = (uint32_t)want;
	return grown;
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NOMEM, "list of all files: no memory");
}

/* FS_NO_ENTRY: out of memory. */
static uint32_t add(struct fs_inventory *inv, uint32_t parent, const char *name,
	uint64_t hash, const struct stat *st)
{
	size_t len = strlen(name) + 1;
	struct fs_entry *entries;
	char *names;

	entries = grow(inv->entries, &inv->cap, (uint64_t)inv->n + 1, sizeof(*entries));
	if (!entries)
		return FS_NO_ENTRY;
	inv->entries = entries;
	names = grow(inv->names, &inv->names_cap, (uint64_t)inv->names_len + len, 1);
	if (!names)
		return FS_NO_ENTRY;
	inv->names = names;
	memcpy(names + inv->names_len, name, len);
	entries[inv->n] = (struct fs_entry){ .state = state_of(st), .hash = hash,
		.parent = parent, .name = inv->names_len, .mode = st->st_mode & 0xffff };
	inv->names_len += (uint32_t)len;
	return inv->n++;
}

static bool is_skipped(const struct walk *w, const struct stat *st)
{
	for (int i = 0; i < w->rules->n_skip; i++)
		if (w->rules->skip[i].st_dev == st->st_dev &&
			w->rules->skip[i].st_ino == st->st_ino)
			return true;
	return false;
}

/* A snapshot that lies in the tree has what the tree had, once for each of them. The
 * guest may have one mounted, though: that is a part of it. */
static bool is_snapshot(int fd, const struct stat *st)
{
	struct btrfs_ioctl_get_subvol_info_args info;
	static const uint8_t none[sizeof(info.parent_uuid)];
	struct statfs fs;
	struct statx sx;

	if (st->st_ino != BTRFS_SUBVOL_INODE || fstatfs(fd, &fs) < 0 ||
		fs.f_type != BTRFS_SUPER_MAGIC ||
		statx(fd, "", AT_EMPTY_PATH, 0, &sx) < 0 ||
		!(sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) ||
		sx.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return false;
	memset(&info, 0, sizeof(info));
	return ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) == 0 &&
		memcmp(info.parent_uuid, none, sizeof(none)) != 0;
}

bool fs_inventory_is_folded(const struct fs_inventory *inv, uint64_t hash)
{
	uint32_t from = 0, to = inv->n_folded;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (inv->folded[mid] == hash)
			return true;
		if (inv->folded[mid] < hash)
			from = mid + 1;
		else
			to = mid;
	}
	return false;
}

/* How many paths a folder may have below it. */
static uint32_t fold_limit(const struct walk *w)
{
	static const char *const system[] = { "/usr", "/usr/lib", "/usr/share", "/var",
		"/var/lib", "/lib", "/opt", "/etc", "/boot" };

	if (!*w->path)
		return FS_NO_ENTRY;
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		if (!strcmp(w->path, system[i]))
			return FOLD_SYSTEM_AT;
	return w->rules->fold_at ? w->rules->fold_at : FOLD_AT;
}

/* Where a first inventory has single paths a second one has them too, unless they have
 * become very many. */
static bool is_too_large(const struct walk *w, uint32_t id)
{
	uint64_t limit = fold_limit(w);

	if (w->rules->like)
		limit *= 4;
	return id != FS_NO_ENTRY && w->inv->n - id - 1 > limit;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec >= b->tv_nsec;
}

static bool is_born(int fd, const char *name, const struct timespec *since)
{
	struct statx sx;
	struct timespec born;

	if (statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &sx) < 0 ||
		!(sx.stx_mask & STATX_BTIME))
		return false;
	born.tv_sec = sx.stx_btime.tv_sec;
	born.tv_nsec = sx.stx_btime.tv_nsec;
	return is_later(&born, since);
}

/* One path below a folded folder. Those that changed since are kept by name; what had
 * such a time before anything was changed is only recognised again. */
static int fold_path(struct walk *w, int fd, const char *name, uint64_t hash,
	const struct stat *st, struct err *err)
{
	struct fs_inventory *inv = w->inv;
	struct fs_entry *top = &inv->entries[w->fold];
	uint64_t both[2] = { hash, state_of(st) };
	bool born;
	uint32_t id;

	top->state += XXH3_64bits(both, sizeof(both));
	top->below++;
	if (inv->coarse || !is_later(&st->st_ctim, &inv->since))
		return 0;
	born = is_born(fd, name, &inv->since);
	if (S_ISDIR(st->st_mode) && !born)
		return 0;
	if (inv->n_fresh >= MAX_FRESH) {
		inv->coarse = true;
		return 0;
	}
	id = add(inv, w->fold, w->path + w->fold_path, XXH3_64bits_withSeed(
		w->path + w->fold_path, strlen(w->path + w->fold_path), top->hash), st);
	if (id == FS_NO_ENTRY)
		return no_memory(err);
	inv->entries[id].flags = FS_FRESH | (born ? FS_BORN : 0);
	inv->n_fresh++;
	return 0;
}

static int walk_dir(struct walk *w, int fd, uint32_t id, uint64_t hash, int depth,
	struct err *err);

static int enter_dir(struct walk *w, int fd, const char *name, uint32_t id, uint64_t hash,
	int depth, struct err *err)
{
	struct stat st;
	int sub;

	if (depth >= MAX_DEPTH) {
		w->inv->gaps.deep++;
		return 0;
	}
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0 || fstat(sub, &st) < 0) {
		err_sys(err, ERR_DISK_IO, "open %.300s", w->path);
		if (sub >= 0)
			close(sub);
		return -1;
	}
	if (is_snapshot(sub, &st)) {
		w->inv->gaps.snapshots++;
		close(sub);
		return 0;
	}
	return walk_dir(w, sub, id, hash, depth + 1, err);
}

static int see_path(struct walk *w, int fd, const char *name, uint32_t parent,
	uint64_t hash, int depth, struct err *err)
{
	uint32_t id = FS_NO_ENTRY;
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, ERR_DISK_IO, "look at %.300s", w->path);
	if (S_ISDIR(st.st_mode) && is_skipped(w, &st))
		return 0;
	hash = XXH3_64bits_withSeed(name, strlen(name), hash);
	if (w->fold != FS_NO_ENTRY) {
		if (fold_path(w, fd, name, hash, &st, err) < 0)
			return -1;
	} else {
		id = add(w->inv, parent, name, hash, &st);
		if (id == FS_NO_ENTRY)
			return no_memory(err);
	}
	return S_ISDIR(st.st_mode) ? enter_dir(w, fd, name, id, hash, depth, err) : 0;
}

/* From here on the folder is one entry; what is known of single paths is dropped. */
static void fold_folder(struct walk *w, uint32_t id, size_t path_len)
{
	struct fs_inventory *inv = w->inv;

	for (uint32_t i = id + 1; i < inv->n; i++) {
		inv->n_fresh -= inv->entries[i].flags & FS_FRESH ? 1 : 0;
		inv->gaps.folded -= inv->entries[i].flags & FS_FOLDED ? 1 : 0;
	}
	inv->n = id + 1;
	inv->names_len = inv->entries[id].name +
		(uint32_t)strlen(inv->names + inv->entries[id].name) + 1;
	inv->entries[id].flags |= FS_FOLDED;
	inv->gaps.folded++;
	w->fold = id;
	w->fold_path = path_len + 1;
}

/* Takes fd over. id: the folder's, FS_NO_ENTRY for the root and below a folded one. */
static int walk_dir(struct walk *w, int fd, uint32_t id, uint64_t hash, int depth,
	struct err *err)
{
	const struct fs_inventory_gaps gaps = w->inv->gaps;
	size_t base = strlen(w->path);
	bool folds = id != FS_NO_ENTRY && w->rules->like &&
		fs_inventory_is_folded(w->rules->like, hash);
	struct dirent *de;
	DIR *d = fdopendir(fd);
	int result = 0;

	if (!d) {
		close(fd);
		return no_memory(err);
	}
	if (folds)
		fold_folder(w, id, base);
	if (w->rules->tick)
		w->rules->tick(w->rules->ctx);
	while (!result && (de = readdir(d))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if ((size_t)snprintf(w->path + base, sizeof(w->path) - base, "/%s",
			de->d_name) >= sizeof(w->path) - base)
			w->inv->gaps.deep++;
		else
			result = see_path(w, fd, de->d_name, id, hash, depth, err);
		w->path[base] = '\0';
		if (!result && w->fold == FS_NO_ENTRY && is_too_large(w, id)) {
			folds = true;
			fold_folder(w, id, base);
			w->inv->gaps.deep = gaps.deep;
			w->inv->gaps.snapshots = gaps.snapshots;
			rewinddir(d);
		}
	}
	if (folds)
		w->fold = FS_NO_ENTRY;
	closedir(d);
	return result;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int list_folded(struct fs_inventory *inv, struct err *err)
{
	inv->folded = malloc(((size_t)inv->gaps.folded + 1) * sizeof(*inv->folded));
	if (!inv->folded)
		return no_memory(err);
	for (uint32_t i = 0; i < inv->n; i++)
		if (inv->entries[i].flags & FS_FOLDED)
			inv->folded[inv->n_folded++] = inv->entries[i].hash;
	if (inv->n_folded)
		qsort(inv->folded, inv->n_folded, sizeof(*inv->folded), by_number);
	return 0;
}

int fs_inventory_take(const struct fs_root *r, const struct fs_inventory_rules *rules,
	struct fs_inventory **ret, struct err *err)
{
	struct walk w = { .rules = rules, .fold = FS_NO_ENTRY };
	int fd = fs_open(r, "/", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(err, ERR_FS_MOUNT, "open the guest's root");
	w.inv = calloc(1, sizeof(*w.inv));
	if (!w.inv) {
		close(fd);
		return no_memory(err);
	}
	/* File systems take their times from the same clock. */
	clock_gettime(CLOCK_REALTIME_COARSE, &w.inv->since);
	if (rules->like) {
		w.inv->since = rules->like->since;
		w.inv->coarse = rules->like->coarse;
	}
	if (walk_dir(&w, fd, FS_NO_ENTRY, 1, 0, err) < 0 || list_folded(w.inv, err) < 0) {
		fs_inventory_free(w.inv);
		return -1;
	}
	*ret = w.inv;
	return 0;
}

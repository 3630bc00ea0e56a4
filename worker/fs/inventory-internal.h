/* SPDX-License-Identifier: Apache-2.0 */
/* The types that inventory.c and compare.c share. */
#ifndef FS_INVENTORY_INTERNAL_H
#define FS_INVENTORY_INTERNAL_H

#include "fs/fs.h"

#define FS_NO_ENTRY UINT32_MAX
#ifndef STATX_ATTR_MOUNT_ROOT /* musl has struct statx without it */
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

enum {
	FS_FOLDED = 1, /* a folder that stands for all below it */
	FS_FRESH = 2,  /* found in a folded one by its time; its name has slashes */
	FS_BORN = 4,   /* and it was made then, not only changed */
};
struct fs_entry {
	uint64_t state;      /* of mode, owner, size, times, inode; folded: of all
			      * below, too, in any order */
	uint64_t hash;       /* of the path: from its parent's and its name */
	uint32_t parent, name;
	uint32_t mode : 16, flags : 16;
	uint32_t below;      /* folded: how many paths */
};
struct fs_inventory {
	struct fs_entry *entries; /* in the order of the walk: parents before children */
	uint32_t n, cap;
	char *names;
	uint32_t names_len, names_cap;
	struct timespec since;    /* the clock before the first walk */
	uint32_t n_fresh;
	bool coarse;              /* too many times lie behind since: the clock was set */
	uint64_t *folded;         /* hashes, sorted */
	uint32_t n_folded;
	struct fs_inventory_gaps gaps;
};

/* Whether the folder with this hash is folded. */
bool fs_inventory_is_folded(const struct fs_inventory *inv, uint64_t hash);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Names of devices as a guest's files use them, and the volumes they mean. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Behind a map of multipath, kpartx puts the number of a partition
 * in one of these ways. */
static bool parse_map_part(const char *rest, int *ret_part)
{
	static const char *const before[] = { "-part", "_part", "p", "" };

	*ret_part = 0;
	for (size_t i = 0; *rest && i < sizeof(before) / sizeof(before[0]); i++)
		if (!strncmp(rest, before[i], strlen(before[i])))
			return guest_part_number(rest + strlen(before[i]), ret_part);
	return !*rest;
}

/* A disk that the guest reached over several paths: "mpatha", or its WWID, which begins
 * with the kind of NAA identifier (2 or 3) and has 16 or 32 digits. Returns what follows;
 * NULL: none. */
static const char *map_end(const struct guest *g, const char *spec)
{
	static const char *const starts[] =
		{ "/dev/mapper/", "/dev/disk/by-id/dm-name-" };
	const char *name = NULL;
	int part;
	size_t n;

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]) && !name; i++)
		name = strncmp(spec, starts[i], strlen(starts[i])) ? NULL :
			spec + strlen(starts[i]);
	for (int i = 0; name && i < g->n_vols; i++)
		if (!strcmp(g->vols[i].fs.dev, spec))
			return NULL; /* called so, and no map of multipath */
	if (!name)
		return NULL;
	if (!strncmp(name, "mpath", 5)) {
		n = strspn(name + 5, "abcdefghijklmnopqrstuvwxyz");
		/* the p before a number is no letter of the map */
		if (n > 1 && name[5 + n - 1] == 'p' &&
		    isdigit((unsigned char)name[5 + n]))
			n--;
		name += 5 + n;
		return n && n <= 3 && parse_map_part(name, &part) ? name : NULL;
	}
	n = strspn(name, "0123456789abcdef");
	if (n < 17 || (*name != '2' && *name != '3'))
		return NULL;
	name += n >= 33 ? 33 : 17;
	return parse_map_part(name, &part) ? name : NULL;
}

int guest_link_kind(const struct guest *g, const char *spec, const char **ret_end)
{
	static const char *const dirs[] = { "/dev/disk/by-path/", "/dev/disk/by-id/" };
	static const char *const volumes[] = { "/dm-", "/lvm-", "/md-" };
	const char *part = strstr(spec, "-part");

	*ret_end = map_end(g, spec);
	if (*ret_end)
		return GUEST_MULTIPATH;
	for (size_t i = 0; i < sizeof(volumes) / sizeof(volumes[0]); i++)
		if (strstr(spec, volumes[i]))
			return -1;
	for (int i = GUEST_BY_PATH; i <= GUEST_BY_ID; i++)
		if (!strncmp(spec, dirs[i], strlen(dirs[i]))) {
			*ret_end = part ? part : spec + strlen(spec);
			return i;
		}
	return -1;
}

static int vol_at(const struct guest *g, int disk, int part)
{
	for (int i = 0; i < g->n_vols; i++)
		if (g->vols[i].disk == disk && g->vols[i].part == part)
			return i;
	return -1;
}

/* By the name of a disk: a volume, -1, or GUEST_SEVERAL. A name that says nothing of the
 * disk's place means the only one, unless the guest knows several in that way. */
static int vol_by_disk(const struct guest *g, const char *spec)
{
	struct guest_device d;
	const char *end;
	int disk = 0, part = 0, kind;

	if (guest_parse_device(spec, &d)) {
		disk = guest_disk_of(g, &d);
		return disk < 0 ? disk : vol_at(g, disk, d.part);
	}
	kind = guest_link_kind(g, spec, &end);
	if (kind < 0 || g->n_disks != 1 || !parse_map_part(end, &part))
		return -1;
	return g->seen.links_differ & 1u << kind ? GUEST_SEVERAL :
		vol_at(g, disk, part);
}

/* The members of a btrfs have one UUID and label; a copy of a member has its own, too. */
static bool same_volume(const struct fs_info *a, const struct fs_info *b)
{
	return !strcmp(a->type, "btrfs") && !strcmp(b->type, "btrfs") &&
		!strcmp(a->uuid, b->uuid) && strcmp(a->uuid_sub, b->uuid_sub);
}

/* A name that several volumes have is nobody's: the guest's kernel takes the one that it
 * happens to see first. A snapshot has the names of its origin, which is meant. */
static int take_another(const struct guest *g, int found, int i)
{
	const struct guest_vol *a = &g->vols[found < 0 ? i : found], *b = &g->vols[i];

	if (found < 0 || (a->snapshot && !b->snapshot))
		return i;
	if (same_volume(&a->fs, &b->fs) || (b->snapshot && !a->snapshot))
		return found;
	return GUEST_SEVERAL;
}

enum how { EXACT, ANY_CASE, MAPPER };
struct tag {
	const char *tag;
	size_t off;
	enum how how;
};

static bool has_name(const struct guest_vol *v, const struct tag *t, const char *name)
{
	static const char mapper[] = "/dev/mapper/";
	const char *value = (const char *)&v->fs + t->off;

	if (t->how == MAPPER) {
		if (strncmp(value, mapper, strlen(mapper)))
			return false;
		value += strlen(mapper);
	}
	return *value && !(t->how == ANY_CASE ? strcasecmp(value, name) :
		strcmp(value, name));
}

int guest_find_vol(const struct guest *g, const char *spec)
{
	static const struct tag tags[] = {
		{ "UUID=", offsetof(struct fs_info, uuid), ANY_CASE },
		{ "LABEL=", offsetof(struct fs_info, label), EXACT },
		{ "PARTUUID=", offsetof(struct fs_info, partuuid), ANY_CASE },
		{ "PARTLABEL=", offsetof(struct fs_info, partlabel), EXACT },
		{ "/dev/disk/by-uuid/", offsetof(struct fs_info, uuid), ANY_CASE },
		{ "/dev/disk/by-label/", offsetof(struct fs_info, label), EXACT },
		{ "/dev/disk/by-partuuid/", offsetof(struct fs_info, partuuid),
			ANY_CASE },
		{ "/dev/disk/by-partlabel/", offsetof(struct fs_info, partlabel), EXACT },
		{ "/dev/disk/by-id/dm-name-", offsetof(struct fs_info, dev), MAPPER },
		/* a mapping, by its node */
		{ "", offsetof(struct fs_info, dev), EXACT },
	};
	const struct tag *t = tags;
	struct guest_device d;
	int found = -1;

	if (!*spec)
		return -1;
	while (strncmp(spec, t->tag, strlen(t->tag)) ||
		(*t->tag && !spec[strlen(t->tag)]))
		t++;
	/* Disks are as the guest calls them; here their names may be each other's. */
	if (!*t->tag && (guest_parse_device(spec, &d) || vol_by_disk(g, spec) != -1))
		return vol_by_disk(g, spec);
	for (int i = 0; i < g->n_vols && found != GUEST_SEVERAL; i++)
		if (has_name(&g->vols[i], t, spec + strlen(t->tag)) ||
			(!*t->tag && !strcmp(g->vols[i].alias, spec)))
			found = take_another(g, found, i);
	return found == -1 && t->how == MAPPER ? vol_by_disk(g, spec) : found;
}

int guest_find_given(const struct guest *g, const char *spec)
{
	int vol = guest_find_vol(g, spec);

	for (int i = 0; i < g->n_vols && vol < 0; i++)
		if (!strcmp(g->vols[i].fs.dev, spec))
			vol = i;
	return vol;
}

const char *guest_why_absent(const struct guest *g, const char *spec)
{
	struct guest_device d;

	if (guest_find_vol(g, spec) != GUEST_SEVERAL)
		return "is on none of the copied drives";
	if (guest_parse_device(spec, &d))
		return "may be on several of the copied drives, as the guest's files name disks of more "
			"than one bus and the drives' names on the source do not tell";
	if (vol_by_disk(g, spec) == GUEST_SEVERAL)
		return "may not be on the copied drive, as the guest's files name several disks in this way";
	return "is the name of several volumes";
}

bool guest_first_of_bus(const char *node, char *ret, size_t size)
{
	struct guest_device d;

	if (!guest_parse_device(node, &d) || d.part || d.bus == GUEST_CCISS)
		return false;
	if (d.bus == GUEST_NVME)
		return (size_t)snprintf(ret, size, "/dev/nvme0n1") < size;
	if (d.bus == GUEST_MMC)
		return (size_t)snprintf(ret, size, "/dev/mmcblk0") < size;
	return (size_t)snprintf(ret, size, "%.*sa",
		(int)(strchr(node + 5, 'd') + 1 - node), node) < size;
}

bool guest_is_elsewhere(const struct guest *g, const char *spec)
{
	static const char *const names[] = { "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=",
		"/dev/mapper/", "/dev/disk/" };
	struct guest_device d;
	int vol;

	/* as the guest counts them, not as this machine does */
	if (guest_parse_device(spec, &d))
		return vol_by_disk(g, spec) < 0;
	/* Nobody knows what is in a volume that stayed closed. If several are meant, the
	 * guest will find one. */
	vol = guest_find_vol(g, spec);
	if (vol >= 0 || g->locked.code ||
		(vol == GUEST_SEVERAL && vol_by_disk(g, spec) != GUEST_SEVERAL))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(spec, names[i], strlen(names[i])))
			return true;
	return false;
}

bool guest_stable_path(const struct boot_map *m, const char *spec, char *ret, size_t size)
{
	static const struct {
		const char *tag, *dir;
	} tags[] = { { "UUID=", "/dev/disk/by-uuid/" },
		{ "PARTUUID=", "/dev/disk/by-partuuid/" } };
	char name[256];

	if (!m->device(m->ctx, spec, name, sizeof(name)))
		return false;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (!strncmp(name, tags[i].tag, strlen(tags[i].tag)))
			return (size_t)snprintf(ret, size, "%s%s", tags[i].dir,
				name + strlen(tags[i].tag)) < size;
	return false;
}

/* Whether a name means this volume, and no other. */
static bool means_only(const struct guest *g, int vol, const char *tag, const char *value,
	char *ret, size_t size)
{
	return *value && (size_t)snprintf(ret, size, "%s%s", tag, value) < size &&
		guest_find_vol(g, ret) == vol;
}

bool guest_stable_name(struct guest *g, const char *spec, char *ret, size_t size)
{
	int i = vol_by_disk(g, spec);
	const struct fs_info *fs;
	char name[160];

	if (i < 0)
		return false;
	fs = &g->vols[i].fs;
	if (!(g->by_partition &&
		means_only(g, i, "PARTUUID=", fs->partuuid, name, sizeof(name))) &&
		!means_only(g, i, "UUID=", fs->uuid, name, sizeof(name)) &&
		!means_only(g, i, "PARTUUID=", fs->partuuid, name, sizeof(name)))
		return false;
	return (size_t)snprintf(ret, size, "%s", name) < size;
}

bool guest_has_twin(struct guest *g, const char *spec)
{
	int i = vol_by_disk(g, spec);
	char name[160];

	return i >= 0 && *g->vols[i].fs.uuid &&
		!guest_stable_name(g, spec, name, sizeof(name));
}

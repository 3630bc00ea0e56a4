/* SPDX-License-Identifier: Apache-2.0 */
/* Names of devices as a guest's files use them, and the volumes they mean. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool digits(const char *s, int *ret)
{
	char *end;
	long v;

	if (!isdigit((unsigned char)*s))
		return false;
	v = strtol(s, &end, 10);
	if (*end || v < 1 || v > 255)
		return false;
	*ret = (int)v;
	return true;
}

/* "a" is 0, "z" 25, "aa" 26. Returns what follows the letters, NULL if there are none. */
static const char *letters(const char *s, int *ret)
{
	int v = 0;

	if (!islower((unsigned char)*s))
		return NULL;
	for (; islower((unsigned char)*s) && v < 1000; s++)
		v = v * 26 + (*s - 'a' + 1);
	*ret = v - 1;
	return s;
}

bool guest_parse_device(const char *spec, int *ret_disk, int *ret_part)
{
	static const char *const lettered[] = { "/dev/sd", "/dev/vd", "/dev/hd",
		"/dev/xvd" };
	const char *rest;
	int disk, n = 0;

	*ret_part = 0;
	for (size_t i = 0; i < sizeof(lettered) / sizeof(lettered[0]); i++) {
		if (strncmp(spec, lettered[i], strlen(lettered[i])))
			continue;
		rest = letters(spec + strlen(lettered[i]), ret_disk);
		return rest && (!*rest || digits(rest, ret_part));
	}
	if (sscanf(spec, "/dev/nvme%dn1%n", &disk, &n) == 1 && n) {
		*ret_disk = disk;
	} else if (sscanf(spec, "/dev/cciss/c0d%d%n", &disk, &n) == 1 && n) {
		*ret_disk = disk;
	} else {
		return false;
	}
	return disk >= 0 &&
		(!spec[n] || (spec[n] == 'p' && digits(spec + n + 1, ret_part)));
}

/* Behind a map of multipath, kpartx puts the number of a partition
 * in one of these ways. */
static bool parse_map_part(const char *rest, int *ret_part)
{
	static const char *const before[] = { "-part", "_part", "p", "" };

	*ret_part = 0;
	for (size_t i = 0; *rest && i < sizeof(before) / sizeof(before[0]); i++)
		if (!strncmp(rest, before[i], strlen(before[i])))
			return digits(rest + strlen(before[i]), ret_part);
	return !*rest;
}

/* A disk that the guest reached over several paths: "mpatha", or its WWID, which begins
 * with the kind of NAA identifier (2 or 3) and has 16 or 32 digits. */
static bool parse_map(const struct guest *g, const char *spec, int *ret_part)
{
	static const char *const starts[] =
		{ "/dev/mapper/", "/dev/disk/by-id/dm-name-" };
	const char *name = NULL;
	size_t n;

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]) && !name; i++)
		name = strncmp(spec, starts[i], strlen(starts[i])) ? NULL :
			spec + strlen(starts[i]);
	for (int i = 0; name && i < g->n_vols; i++)
		if (!strcmp(g->vols[i].fs.dev, spec))
			return false; /* called so, and no map of multipath */
	if (!name)
		return false;
	if (!strncmp(name, "mpath", 5)) {
		n = strspn(name + 5, "abcdefghijklmnopqrstuvwxyz");
		/* the p before a number is no letter of the map */
		if (n > 1 && name[5 + n - 1] == 'p' &&
		    isdigit((unsigned char)name[5 + n]))
			n--;
		return n && n <= 3 && parse_map_part(name + 5 + n, ret_part);
	}
	n = strspn(name, "0123456789abcdef");
	if (n < 17 || (*name != '2' && *name != '3'))
		return false;
	n = n >= 33 ? 33 : 17;
	return parse_map_part(name + n, ret_part);
}

/* "...-partN" of /dev/disk/by-path and by-id, when there is one disk they can mean. */
static bool parse_link(const struct guest *g, const char *spec, int *ret_part)
{
	const char *part;

	if (g->n_disks == 1 && parse_map(g, spec, ret_part))
		return true;
	if (strncmp(spec, "/dev/disk/by-path/", 18) &&
	    strncmp(spec, "/dev/disk/by-id/", 16))
		return false;
	if (g->n_disks != 1 || strstr(spec, "/dm-") || strstr(spec, "/lvm-") ||
	    strstr(spec, "/md-"))
		return false;
	part = strstr(spec, "-part");
	*ret_part = 0;
	return !part || digits(part + 5, ret_part);
}

static int source_order(const struct guest *g, int disk)
{
	char name[64];
	int order, part;

	if (!g->opt->sources || !g->opt->sources[disk] ||
	    strlen(g->opt->sources[disk]) > 40)
		return -1;
	snprintf(name, sizeof(name), "/dev/%s", g->opt->sources[disk]);
	return guest_parse_device(name, &order, &part) && !part ? order : -1;
}

/* The guest's nth disk may not be our nth: not all of them need have been copied. */
static int disk_at(const struct guest *g, int order)
{
	bool named = false;

	for (int i = 0; i < g->n_disks; i++) {
		int at = source_order(g, i);

		if (at == order)
			return i;
		named |= at >= 0;
	}
	return named ? -1 : order;
}

static int vol_at(const struct guest *g, int disk, int part)
{
	for (int i = 0; i < g->n_vols; i++)
		if (g->vols[i].disk == disk && g->vols[i].part == part)
			return i;
	return -1;
}

static int by_order(const struct guest *g, const char *spec)
{
	int disk = 0, part;

	if (guest_parse_device(spec, &disk, &part))
		disk = disk_at(g, disk);
	else if (!parse_link(g, spec, &part))
		return -1;
	return disk < 0 ? -1 : vol_at(g, disk, part);
}

int guest_find_vol(const struct guest *g, const char *spec)
{
	static const char mapper[] = "/dev/mapper/";
	enum how { EXACT, ANY_CASE, MAPPER };
	static const struct {
		const char *tag;
		size_t off;
		enum how how;
	} tags[] = {
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
		/* as this machine calls it */
		{ "", offsetof(struct fs_info, dev), EXACT },
	};

	if (!*spec)
		return -1;
	for (size_t t = 0; t < sizeof(tags) / sizeof(tags[0]); t++) {
		size_t n = strlen(tags[t].tag);

		if (strncmp(spec, tags[t].tag, n) || !spec[n])
			continue;
		if (!n && by_order(g, spec) >= 0)
			return by_order(g, spec);
		for (int i = 0; i < g->n_vols; i++) {
			const char *value = (const char *)&g->vols[i].fs + tags[t].off;

			if (!n && !strcmp(g->vols[i].alias, spec))
				return i;
			if (tags[t].how == MAPPER) {
				if (strncmp(value, mapper, strlen(mapper)))
					continue;
				value += strlen(mapper);
			}
			if (*value &&
			    !(tags[t].how == ANY_CASE ? strcasecmp(value, spec + n) :
				strcmp(value, spec + n)))
				return i;
		}
		return tags[t].how == MAPPER ? by_order(g, spec) : -1;
	}
	return -1;
}

bool guest_first_of_bus(const char *node, char *ret, size_t size)
{
	int disk, part;

	if (!guest_parse_device(node, &disk, &part) || part)
		return false;
	if (!strncmp(node, "/dev/nvme", 9))
		return (size_t)snprintf(ret, size, "/dev/nvme0n1") < size;
	return (size_t)snprintf(ret, size, "%.*sa",
		(int)(strchr(node + 5, 'd') + 1 - node), node) < size;
}

bool guest_is_elsewhere(const struct guest *g, const char *spec)
{
	static const char *const names[] = { "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=",
		"/dev/mapper/", "/dev/disk/" };
	int disk, part;

	/* as the guest counts them, not as this machine does */
	if (guest_parse_device(spec, &disk, &part))
		return by_order(g, spec) < 0;
	/* What is in a volume that stayed closed is not known. */
	if (guest_find_vol(g, spec) >= 0 || g->locked.code)
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

bool guest_stable_name(struct guest *g, const char *spec, char *ret, size_t size)
{
	int i = by_order(g, spec), same = 0;
	const struct fs_info *fs;

	if (i < 0)
		return false;
	fs = &g->vols[i].fs;
	for (int k = 0; k < g->n_vols; k++)
		same += *fs->uuid && !strcmp(g->vols[k].fs.uuid, fs->uuid);
	if (g->by_partition && fs->partuuid[0])
		return (size_t)snprintf(ret, size, "PARTUUID=%s", fs->partuuid) < size;
	if (same == 1)
		return (size_t)snprintf(ret, size, "UUID=%s", fs->uuid) < size;
	if (fs->partuuid[0])
		return (size_t)snprintf(ret, size, "PARTUUID=%s", fs->partuuid) < size;
	return false;
}

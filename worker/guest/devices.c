/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that a kernel gives to disks, and the copied disk that one means. A number counts
 * on its own bus only: /dev/sda and /dev/nvme0n1 are two disks. What the source called
 * the drives decides; where that is not known, their order does, as long as the guest's
 * files use names of one bus. Whatever may be two disks is none.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MAX_BOOT_FILES 512
#define NUMBER_MAX 255

/* Returns what follows the digits; NULL: there are none, or the number is too large. */
static const char *take_number(const char *s, int *ret)
{
	int v = 0;

	if (!isdigit((unsigned char)*s))
		return NULL;
	for (; isdigit((unsigned char)*s); s++) {
		v = v * 10 + (*s - '0');
		if (v > NUMBER_MAX)
			return NULL;
	}
	*ret = v;
	return s;
}

/* "a" is 0, "z" 25, "aa" 26. Returns what follows the letters, NULL if there are none. */
static const char *take_letters(const char *s, int *ret)
{
	int v = 0;

	if (!islower((unsigned char)*s))
		return NULL;
	for (; islower((unsigned char)*s) && v < 1000; s++)
		v = v * 26 + (*s - 'a' + 1);
	*ret = v - 1;
	return s;
}

bool guest_part_number(const char *s, int *ret)
{
	const char *end = take_number(s, ret);

	return end && !*end && *ret > 0;
}

/* Two numbers with a letter between, "0n1" or "c0d1" without its c; the second is the
 * disk's on its controller and counts from base. */
static const char *take_pair(const char *s, char between, int base,
	struct guest_device *ret)
{
	int unit = 0, disk = 0;
	const char *p = take_number(s, &unit);

	if (!p || *p != between)
		return NULL;
	p = take_number(p + 1, &disk);
	ret->id = unit << 8 | disk;
	/* NVMe: one namespace to a controller. cciss: several disks to the first one. */
	if (base)
		ret->order = disk == base ? unit : -1;
	else
		ret->order = unit ? -1 : disk;
	return p;
}

bool guest_parse_device(const char *spec, struct guest_device *ret)
{
	static const struct {
		const char *prefix;
		enum guest_bus bus;
	} forms[] = {
		{ "/dev/sd", GUEST_SD }, { "/dev/vd", GUEST_VD }, { "/dev/hd", GUEST_HD },
		{ "/dev/xvd", GUEST_XVD }, { "/dev/nvme", GUEST_NVME },
		{ "/dev/cciss/c", GUEST_CCISS }, { "/dev/mmcblk", GUEST_MMC },
	};
	const char *rest = NULL;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t n = strlen(forms[i].prefix);

		if (strncmp(spec, forms[i].prefix, n))
			continue;
		ret->bus = forms[i].bus;
		switch (ret->bus) {
		case GUEST_NVME:
			rest = take_pair(spec + n, 'n', 1, ret);
			break;
		case GUEST_CCISS:
			rest = take_pair(spec + n, 'd', 0, ret);
			break;
		case GUEST_MMC:
			rest = take_number(spec + n, &ret->id);
			ret->order = ret->id;
			break;
		default:
			rest = take_letters(spec + n, &ret->id);
			ret->order = ret->id;
			return rest && (!*rest || guest_part_number(rest, &ret->part));
		}
		return rest && (!*rest || (*rest == 'p' &&
			guest_part_number(rest + 1, &ret->part)));
	}
	return false;
}

static bool is_source_device(const struct guest *g, int disk, struct guest_device *ret)
{
	char name[64];

	if (!g->opt->sources || !g->opt->sources[disk] ||
	    strlen(g->opt->sources[disk]) > 40)
		return false;
	snprintf(name, sizeof(name), "/dev/%s", g->opt->sources[disk]);
	for (char *bang = name; (bang = strchr(bang, '!')); ) /* as sysfs writes it */
		*bang = '/';
	return guest_parse_device(name, ret) && !ret->part;
}

/* A newer kernel counts the same disks in the same order under one of the other names. */
static bool may_be_renamed(enum guest_bus a, enum guest_bus b)
{
	return a <= GUEST_XVD && b <= GUEST_XVD;
}

/* Whether the guest's files name disks of the other bus, too: then these are others. */
static bool are_apart(const struct guest *g, enum guest_bus given, enum guest_bus other)
{
	unsigned both = 1u << given | 1u << other;

	return g->seen.buses & 1u << other && (g->seen.root_buses & both) != both;
}

/* With names of other buses only: the guest's files are older than its kernel. */
static int renamed_disk(const struct guest *g, const struct guest_device *d)
{
	struct guest_device s;
	int found = -1;

	for (int i = 0; i < g->n_disks; i++) {
		if (!is_source_device(g, i, &s) || !may_be_renamed(s.bus, d->bus) ||
			s.order != d->order || are_apart(g, d->bus, s.bus))
			continue;
		if (found >= 0)
			return GUEST_SEVERAL;
		found = i;
	}
	return found;
}

int guest_disk_of(const struct guest *g, const struct guest_device *d)
{
	bool named = false, bus_named = false;
	struct guest_device s;
	int found = -1;

	for (int i = 0; i < g->n_disks; i++) {
		if (!is_source_device(g, i, &s))
			continue;
		named = true;
		bus_named |= s.bus == d->bus;
		if (s.bus != d->bus || s.id != d->id)
			continue;
		if (found >= 0)
			return GUEST_SEVERAL;
		found = i;
	}
	if (found >= 0 || bus_named)
		return found;
	if (named)
		return renamed_disk(g, d);
	for (int bus = 0; bus < GUEST_BUSES; bus++)
		if (bus != (int)d->bus && are_apart(g, d->bus, (enum guest_bus)bus))
			return GUEST_SEVERAL;
	return d->order < g->n_disks ? d->order : -1;
}

/* Such names are only compared: are all of them names of one disk? */
static void note_link(struct guest *g, const char *spec)
{
	const char *end;
	int kind = guest_link_kind(g, spec, &end);
	char name[256];

	if (kind < 0 || (size_t)(end - spec) >= sizeof(name))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(end - spec), spec);
	if (!*g->seen.link[kind])
		memcpy(g->seen.link[kind], name, sizeof(name));
	else if (strcmp(g->seen.link[kind], name))
		g->seen.links_differ |= 1u << kind;
}

static void note_name(struct guest *g, const char *spec, bool whole)
{
	struct guest_device d;

	if (guest_parse_device(spec, &d) && (d.part || whole))
		g->seen.buses |= 1u << d.bus;
	else
		note_link(g, spec);
}

/* The root by two names, in fstab and at the loader: both are of the same disk. */
static void note_root(struct guest *g, const char *spec)
{
	struct guest_device d;

	if (!guest_parse_device(spec, &d) || d.bus > GUEST_XVD)
		return;
	if (!g->seen.root_buses)
		g->seen.root = d;
	if (d.order == g->seen.root.order && d.part == g->seen.root.part)
		g->seen.root_buses |= 1u << d.bus;
}

/* Drives of media have names of disks, too: /dev/hdc is where the CD was. */
static int note_mount(void *ctx, const struct fstab_entry *e)
{
	bool medium = strstr(e->type, "iso9660") || strstr(e->type, "udf");

	if (!medium)
		note_name(ctx, e->spec, !strcmp(e->type, "swap") ||
			fs_mountable(e->type));
	if (!strcmp(e->point, "/"))
		note_root(ctx, e->spec);
	return 0;
}

/* Names anywhere in a text, but for comments. */
static void note_text(struct guest *g, const char *s, size_t len)
{
	struct boot_line l;
	size_t at = 0;

	while (boot_line_next(s, len, &at, &l)) {
		const char *end = l.s + l.len;

		for (const char *p = l.s; p < end && *p != '#'; p++) {
			char name[256];
			size_t n = 0;

			if (end - p < 5 || memcmp(p, "/dev/", 5))
				continue;
			while (n + 1 < sizeof(name) && p + n < end &&
				(isalnum((unsigned char)p[n]) || strchr("/_-.+", p[n])))
				n++;
			snprintf(name, sizeof(name), "%.*s", (int)n, p);
			note_name(g, name, false);
			if (p - l.s >= 5 && !memcmp(p - 5, "root=", 5))
				note_root(g, name);
			p += n - 1;
		}
	}
}

/* A file that cannot be read is told where it is needed. */
static void note_file(struct guest *g, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT;
	size_t len = 0;

	if (!fs_read(&g->root, path, BOOT_TEXT_MAX, &text, &len, &ignored))
		note_text(g, text, len);
}

void guest_note_names(struct guest *g)
{
	CLEANUP_FREE struct boot_file *files = calloc(MAX_BOOT_FILES, sizeof(*files));
	CLEANUP_FREE char *text = NULL;
	struct err ignored = ERR_INIT;
	struct boot_config b;
	size_t len = 0;
	int n = 0;

	if (!fs_read(&g->root, "/etc/fstab", GUEST_TEXT_MAX, &text, &len, &ignored))
		guest_fstab_entries(text, len, note_mount, g);
	note_file(g, "/etc/crypttab");
	if (files && !boot_detect(&g->root, &b, &ignored))
		n = boot_files(&g->root, &b, files, MAX_BOOT_FILES, &ignored);
	for (int i = 0; i < n; i++)
		note_file(g, files[i].path);
}

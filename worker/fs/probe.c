/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fs.h"

#include <blkid/blkid.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(blkid_probe pr, const char *name, char *ret, size_t size)
{
	const char *value;

	if (!blkid_probe_lookup_value(pr, name, &value, NULL))
		snprintf(ret, size, "%s", value);
}

/* libblkid hands on what stands on the disk as some formats' UUID, as of LUKS1 and LVM,
 * and as labels. A UUID that is none leads nowhere: it would become part of names of
 * devices and of lines of configuration. "0x83" is a type of a partition. */
static void keep_uuid(char *s)
{
	if (s[strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")])
		*s = '\0';
}

/* A label may have blanks and letters of any language, but no lines. */
static void keep_label(char *s)
{
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			*s = '\0';
			return;
		}
}

static void keep_texts(struct fs_info *fs)
{
	keep_uuid(fs->uuid);
	keep_uuid(fs->uuid_sub);
	keep_uuid(fs->partuuid);
	keep_uuid(fs->parttype);
	keep_label(fs->label);
	keep_label(fs->partlabel);
}

static uint64_t take_number(blkid_probe pr, const char *name)
{
	char text[32] = "";

	take(pr, name, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* libblkid says EINVAL of what is neither a device nor a file. */
static int cannot_open(const char *dev, struct err *err)
{
	if (errno == EINVAL)
		return err_set(err, ERR_DISK_NOT_FOUND,
			"%s is neither a block device nor a file", dev);
	return err_sys(err, err_disk_code(errno), "open %s", dev);
}

enum fs_found fs_probe(const char *dev, struct fs_info *ret, struct err *err)
{
	blkid_probe pr;
	int found;

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->dev, sizeof(ret->dev), "%s", dev);
	pr = blkid_new_probe_from_filename(dev);
	if (!pr) {
		cannot_open(dev, err);
		return FS_UNREADABLE;
	}
	ret->size = (uint64_t)blkid_probe_get_size(pr);
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
		BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_ENTRY_DETAILS);
	errno = 0;
	found = blkid_do_safeprobe(pr);
	take(pr, "PART_ENTRY_UUID", ret->partuuid, sizeof(ret->partuuid));
	take(pr, "PART_ENTRY_NAME", ret->partlabel, sizeof(ret->partlabel));
	take(pr, "PART_ENTRY_TYPE", ret->parttype, sizeof(ret->parttype));
	lower(ret->parttype);
	ret->part_number = (unsigned)take_number(pr, "PART_ENTRY_NUMBER");
	ret->part_start = take_number(pr, "PART_ENTRY_OFFSET");
	ret->part_sectors = take_number(pr, "PART_ENTRY_SIZE");
	take(pr, "TYPE", ret->type, sizeof(ret->type));
	take(pr, "USAGE", ret->usage, sizeof(ret->usage));
	take(pr, "UUID", ret->uuid, sizeof(ret->uuid));
	take(pr, "UUID_SUB", ret->uuid_sub, sizeof(ret->uuid_sub));
	take(pr, "LABEL", ret->label, sizeof(ret->label));
	blkid_free_probe(pr);
	keep_texts(ret);
	if (found == -2)
		return FS_AMBIGUOUS;
	if (found < 0) {
		err_sys(err, ERR_DISK_IO, "read %s", dev);
		return FS_UNREADABLE;
	}
	return ret->type[0] ? FS_FOUND : FS_NOTHING;
}

int fs_probe_table(const char *disk, struct fs_table *ret, struct err *err)
{
	blkid_probe pr = blkid_new_probe_from_filename(disk);
	blkid_parttable table = NULL;
	blkid_partlist list;

	memset(ret, 0, sizeof(*ret));
	if (!pr)
		return cannot_open(disk, err);
	blkid_probe_enable_partitions(pr, 1);
	list = blkid_probe_get_partitions(pr);
	if (list)
		table = blkid_partlist_get_table(list);
	if (table)
		snprintf(ret->type, sizeof(ret->type), "%s",
			blkid_parttable_get_type(table));
	for (int i = 0; table && i < blkid_partlist_numof_partitions(list) &&
	    i < FS_MAX_PARTS;
		i++) {
		blkid_partition p = blkid_partlist_get_partition(list, i);

		if (blkid_partition_is_extended(p))
			continue; /* only holds the logical ones */
		ret->parts[ret->n].number = blkid_partition_get_partno(p);
		ret->parts[ret->n].off = (uint64_t)blkid_partition_get_start(p) * 512;
		ret->parts[ret->n++].len = (uint64_t)blkid_partition_get_size(p) * 512;
	}
	blkid_free_probe(pr);
	return 0;
}

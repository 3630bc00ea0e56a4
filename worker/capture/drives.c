/* SPDX-License-Identifier: Apache-2.0 */
/* Drives with their partitions, and what stands on them: LVM, md, LUKS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "block/block.h"
#include "capture/capture-internal.h"

#define MAX_DISKS 256

/* What udev noted about a device: lines "E:KEY=value" of its database. It knows what
 * sysfs of old kernels does not tell, and what is in a device without reading it. */
static void udev(const struct capture_view *v, const char *dir, const char *key,
	char *ret, size_t size)
{
	CLEANUP_FREE char *text = NULL;
	char dev[32], full[64];

	*ret = '\0';
	capture_line(v, dev, sizeof(dev), "%s/dev", dir);
	if (*dev)
		text = capture_file(v, "/run/udev/data/b%s", dev);
	snprintf(full, sizeof(full), "E:%s", key);
	if (text)
		capture_assignment(text, full, ret, size);
}

static void content(const struct capture_view *v, yyjson_mut_val *obj, const char *dir)
{
	static const char *const keys[][2] = { { "content", "ID_FS_TYPE" },
		{ "content_uuid", "ID_FS_UUID" }, { "label", "ID_FS_LABEL" } };
	char text[256];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		udev(v, dir, keys[i][1], text, sizeof(text));
		capture_put(v, obj, keys[i][0], text);
	}
}

static void partitions(const struct capture_view *v, yyjson_mut_val *disk,
	const char *name)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, disk, "partitions"), *part;
	CAPTURE_CLEANUP_NAMES struct capture_names names;
	char dir[512], text[256];

	capture_list(v, &names, "/sys/block/%s", name);
	for (unsigned i = 0; i < names.n; i++) {
		if (!capture_exists(v, "/sys/block/%s/%s/partition", name, names.name[i]))
			continue;
		snprintf(dir, sizeof(dir), "/sys/block/%.100s/%.100s", name,
			names.name[i]);
		part = yyjson_mut_arr_add_obj(v->doc, list);
		capture_put(v, part, "name", names.name[i]);
		capture_line(v, text, sizeof(text), "%s/partition", dir);
		capture_put_number(v, part, "number", text, 1);
		capture_line(v, text, sizeof(text), "%s/start", dir);
		capture_put_number(v, part, "offset", text, 512);
		capture_line(v, text, sizeof(text), "%s/size", dir);
		capture_put_number(v, part, "size", text, 512);
		udev(v, dir, "ID_PART_ENTRY_TYPE", text, sizeof(text));
		capture_put(v, part, "type", text);
		content(v, part, dir);
	}
}

static void drive(const struct capture_view *v, yyjson_mut_val *list,
	struct block_disk *d)
{
	yyjson_mut_val *disk = yyjson_mut_arr_add_obj(v->doc, list);
	char dir[128], text[256];

	snprintf(dir, sizeof(dir), "/sys/block/%s", d->name);
	if (!d->serial[0])
		udev(v, dir, "ID_SERIAL_SHORT", d->serial, sizeof(d->serial));
	if (!d->wwn[0])
		udev(v, dir, "ID_WWN", d->wwn, sizeof(d->wwn));
	capture_put(v, disk, "name", d->name);
	snprintf(text, sizeof(text), "/dev/%s", d->name);
	capture_put(v, disk, "path", text);
	yyjson_mut_obj_add_uint(v->doc, disk, "size", d->size);
	capture_put(v, disk, "model", d->model);
	capture_put(v, disk, "serial", d->serial);
	capture_put(v, disk, "wwn", d->wwn);
	capture_put(v, disk, "bus", d->bus);
	capture_put(v, disk, "by_path", d->by_path);
	yyjson_mut_obj_add_uint(v->doc, disk, "sector", d->sector);
	yyjson_mut_obj_add_uint(v->doc, disk, "physical_sector", d->physical);
	yyjson_mut_obj_add_bool(v->doc, disk, "rotational", d->rotational);
	yyjson_mut_obj_add_bool(v->doc, disk, "removable", d->removable);
	yyjson_mut_obj_add_bool(v->doc, disk, "read_only", d->read_only);
	udev(v, dir, "ID_PART_TABLE_TYPE", text, sizeof(text));
	capture_put(v, disk, "table", text);
	content(v, disk, dir);
	partitions(v, disk, d->name);
}

/* device-mapper writes "VG-LV" with every dash of the names doubled.
 * Both have room for name. */
static void split_lv(const char *name, char *vg, char *lv)
{
	char *to = vg;

	for (; *name; name++) {
		if (name[0] == '-' && name[1] != '-' && to != lv && !*lv) {
			*to = '\0';
			to = lv;
			continue;
		}
		name += name[0] == '-' && name[1] == '-';
		*to++ = *name;
	}
	*to = '\0';
}

static const char *dm_kind(const char *uuid)
{
	static const char *const kinds[][2] = { { "LVM-", "lvm" },
		{ "CRYPT-LUKS", "luks" },
		{ "CRYPT-", "crypt" }, { "mpath-", "multipath" },
		{ "part", "partition" } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(uuid, kinds[i][0], strlen(kinds[i][0])))
			return kinds[i][1];
	return "dm";
}

static void lvm_names(const struct capture_view *v, yyjson_mut_val *layer,
	const char *name)
{
	char vg[256] = "", lv[256] = "";

	split_lv(name, vg, lv);
	capture_put(v, layer, "vg", vg);
	capture_put(v, layer, "lv", lv);
}

static void raid(const struct capture_view *v, yyjson_mut_val *layer, const char *name)
{
	static const char *const keys[][2] = { { "level", "level" },
		{ "metadata", "metadata_version" }, { "state", "array_state" } };
	char text[64];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		capture_line(v, text, sizeof(text), "/sys/block/%s/md/%s", name,
			keys[i][1]);
		capture_put(v, layer, keys[i][0], text);
	}
	capture_line(v, text, sizeof(text), "/sys/block/%s/md/raid_disks", name);
	capture_put_number(v, layer, "members", text, 1);
	capture_line(v, text, sizeof(text), "/sys/block/%s/md/degraded", name);
	capture_put_number(v, layer, "missing", text, 1);
}

/* dm-3 or md127; others have no slaves. */
static void layer_of(const struct capture_view *v, yyjson_mut_val *list, const char *name)
{
	yyjson_mut_val *layer = yyjson_mut_arr_add_obj(v->doc, list), *on;
	CAPTURE_CLEANUP_NAMES struct capture_names slaves;
	char dir[512], text[256], uuid[256], size[32];
	const char *kind;

	snprintf(dir, sizeof(dir), "/sys/block/%.200s", name);
	capture_line(v, text, sizeof(text), "%s/dm/name", dir);
	capture_line(v, uuid, sizeof(uuid), "%s/dm/uuid", dir);
	kind = strncmp(name, "md", 2) ? dm_kind(uuid) : "md";
	capture_put(v, layer, "kind", kind);
	capture_put(v, layer, "device", name);
	capture_put(v, layer, "name", *text ? text : name);
	capture_line(v, size, sizeof(size), "%s/size", dir);
	capture_put_number(v, layer, "size", size, 512);
	on = yyjson_mut_obj_add_arr(v->doc, layer, "on");
	capture_list(v, &slaves, "%s/slaves", dir);
	for (unsigned i = 0; i < slaves.n; i++)
		yyjson_mut_arr_add_val(on, capture_text(v, slaves.name[i]));
	if (!strcmp(kind, "lvm"))
		lvm_names(v, layer, text);
	if (!strcmp(kind, "md"))
		raid(v, layer, name);
	content(v, layer, dir);
}

static void layers(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "layers");
	CAPTURE_CLEANUP_NAMES struct capture_names names;

	capture_list(v, &names, "/sys/block");
	for (unsigned i = 0; i < names.n; i++)
		if (capture_exists(v, "/sys/block/%s/dm/name", names.name[i]) ||
			capture_exists(v, "/sys/block/%s/md/level", names.name[i]))
			layer_of(v, list, names.name[i]);
}

void capture_drives(const struct capture_view *v, yyjson_mut_val *obj)
{
	struct block_disk *disks = calloc(MAX_DISKS, sizeof(*disks));
	struct err ignored = ERR_INIT; /* a machine without /sys/block has no drives */
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "drives");
	char sys[600];
	int n = 0;

	if (disks && capture_path(v, sys, sizeof(sys), "/sys"))
		n = block_disks(sys, "/dev", disks, MAX_DISKS, &ignored);
	for (int i = 0; i < n && i < MAX_DISKS; i++)
		drive(v, list, &disks[i]);
	free(disks);
	layers(v, obj);
}

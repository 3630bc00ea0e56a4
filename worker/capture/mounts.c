/* SPDX-License-Identifier: Apache-2.0 */
/* Mounted file systems that hold data, and swap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "capture/capture-internal.h"

#define MAX_SEEN 1024

static bool is_network(const char *type)
{
	static const char *const types[] = { "nfs", "nfs4", "cifs", "smb3", "smbfs",
		"ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p", "afs",
		"lustre",
		"ocfs2", "gfs2" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

/* A server that does not answer would keep us:
 * only file systems of this machine are asked. */
static void usage(const struct capture_view *v, yyjson_mut_val *fs, const char *path,
	bool ask)
{
	static const char *const keys[] = { "size", "used", "available" };
	struct statvfs s;
	uint64_t n[3];

	if (!ask || !v->live || statvfs(path, &s) < 0) {
		for (unsigned i = 0; i < 3; i++)
			yyjson_mut_obj_add_null(v->doc, fs, keys[i]);
		return;
	}
	n[0] = s.f_blocks * s.f_frsize;
	n[1] = (s.f_blocks - s.f_bfree) * s.f_frsize;
	n[2] = s.f_bavail * s.f_frsize;
	for (unsigned i = 0; i < 3; i++)
		yyjson_mut_obj_add_uint(v->doc, fs, keys[i], n[i]);
}

struct line {
	char *device, *root, *path, *options, *type, *source, *super;
};

/* proc(5) mountinfo: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/x rw". */
static bool parse(char *text, struct line *ret)
{
	char *save, *field[6], *word;

	for (int i = 0; i < 6; i++)
		if (!(field[i] = strtok_r(i ? NULL : text, " \n", &save)))
			return false;
	do
		word = strtok_r(NULL, " \n", &save);
	while (word && strcmp(word, "-"));
	if (!word || !(ret->type = strtok_r(NULL, " \n", &save)) ||
		!(ret->source = strtok_r(NULL, " \n", &save)))
		return false;
	ret->super = strtok_r(NULL, " \n", &save);
	ret->device = field[2];
	ret->root = field[3];
	ret->path = field[4];
	ret->options = field[5];
	capture_unescape(ret->root);
	capture_unescape(ret->path);
	capture_unescape(ret->source);
	return true;
}

/* Each once, at the place where its own root is seen, if there is one:
 * others are bind mounts. */
static void mounted(const struct capture_view *v, yyjson_mut_val *list,
	const struct line *m, bool network)
{
	yyjson_mut_val *fs = yyjson_mut_arr_add_obj(v->doc, list);

	capture_put(v, fs, "path", m->path);
	capture_put(v, fs, "type", m->type);
	capture_put(v, fs, "source", m->source);
	capture_put(v, fs, "device", network ? "" : m->device);
	yyjson_mut_obj_add_bool(v->doc, fs, "read_only", !strncmp(m->options, "ro", 2));
	yyjson_mut_obj_add_bool(v->doc, fs, "network", network);
	usage(v, fs, m->path, !network);
}

static bool first(char seen[][32], unsigned *n, const char *device)
{
	for (unsigned i = 0; i < *n; i++)
		if (!strcmp(seen[i], device))
			return false;
	if (*n < MAX_SEEN)
		snprintf(seen[(*n)++], 32, "%.31s", device);
	return true;
}

static void file_systems(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "filesystems");
	CLEANUP_FREE char (*seen)[32] = calloc(MAX_SEEN, sizeof(*seen));
	CLEANUP_FREE char *text = capture_file(v, "/proc/self/mountinfo");
	char *p, *next = text;
	unsigned n = 0;
	struct line m;

	while (seen && next && *next) {
		bool network;

		p = next;
		next = strchr(p, '\n');
		if (next)
			*next++ = '\0';
		if (!parse(p, &m))
			continue;
		network = is_network(m.type);
		/* The number of a disk, or one of those (btrfs,
		 * ZFS) that number themselves. */
		if (!network && !strncmp(m.device, "0:", 2) && strcmp(m.type, "zfs") &&
			strncmp(m.source, "/dev/", 5))
			continue;
		if (!strcmp(m.type, "devtmpfs") || !strcmp(m.type, "squashfs") ||
			!first(seen, &n, m.device))
			continue;
		mounted(v, list, &m, network);
	}
}

static void swap(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "swap"), *area;
	CLEANUP_FREE char *text = capture_file(v, "/proc/swaps");
	char path[512], kind[32], size[32];
	const char *p = text ? strchr(text, '\n') : NULL; /* behind the heading */

	for (; p && *p; p = strchr(p + 1, '\n')) {
		if (sscanf(p, " %511s %31s %31s", path, kind, size) != 3)
			continue;
		area = yyjson_mut_arr_add_obj(v->doc, list);
		capture_unescape(path);
		capture_put(v, area, "path", path);
		capture_put(v, area, "kind", kind);
		capture_put_number(v, area, "size", size, 1024);
	}
}

void capture_mounts(const struct capture_view *v, yyjson_mut_val *obj)
{
	file_systems(v, obj);
	swap(v, obj);
}

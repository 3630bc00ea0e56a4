/* SPDX-License-Identifier: Apache-2.0 */
/* The contents of a cell, looked up in the worker: device nodes of the guest's own
 * volumes, and which files of this machine are hidden. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/contain-internal.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

static void add_node(struct contain_cell *c, const char *path, mode_t mode, dev_t dev)
{
	struct contain_node *n = &c->nodes[c->n_nodes];

	if (c->n_nodes == CONTAIN_MAX_NODES)
		return;
	if ((size_t)snprintf(n->path, sizeof(n->path), "%s", path) >= sizeof(n->path) ||
		strchr(strncmp(path, "/dev/mapper/", 12) ? path + 5 : path + 12, '/'))
		return;
	n->mode = mode;
	n->dev = dev;
	n->by_number[0] = n->by_uuid[0] = '\0';
	if (S_ISBLK(mode) && strncmp(path, "/dev/mapper/", 12))
		snprintf(n->by_number, sizeof(n->by_number), "/dev/block/%u:%u",
			major(dev), minor(dev));
	c->n_nodes++;
}

static void add_block(struct contain_cell *c, const char *path)
{
	char real[FS_PATH_MAX], name[32];
	struct stat st;

	if (!realpath(path, real) || stat(real, &st) || !S_ISBLK(st.st_mode) ||
		strncmp(real, "/dev/", 5))
		return;
	add_node(c, real, S_IFBLK | 0600, st.st_rdev);
	/* Of device-mapper: by the name of mountinfo and by that of sysfs. */
	if (strncmp(path, "/dev/mapper/", 12))
		return;
	if (strcmp(path, real))
		add_node(c, path, S_IFBLK | 0600, st.st_rdev);
	snprintf(name, sizeof(name), "/dev/dm-%u", minor(st.st_rdev));
	add_node(c, name, S_IFBLK | 0600, st.st_rdev);
}

/* Members of arrays and groups have the UUID of the whole. */
static void name_by_uuid(struct contain_cell *c, const struct guest_vol *v)
{
	const char *uuid = v->fs.uuid;

	if (v->found != FS_FOUND || v->snapshot || !*uuid || strlen(uuid) > 64 ||
		uuid[strspn(uuid, "0123456789abcdefABCDEF-")] ||
		strstr(v->fs.type, "_member"))
		return;
	for (int i = 0; i < c->n_nodes; i++)
		if (!strcmp(c->nodes[i].path, v->fs.dev))
			snprintf(c->nodes[i].by_uuid, sizeof(c->nodes[i].by_uuid),
				"/dev/disk/by-uuid/%s", uuid);
}

/* Registers of a PCI device: root may read them without any capability, and many change
 * by being read. */
static bool is_register(const char *name)
{
	return !strcmp(name, "rom") ||
		(!strncmp(name, "resource", 8) && name[8] >= '0' && name[8] <= '9');
}

static void list_registers(const char *device, struct strbuf *list)
{
	char path[FS_PATH_MAX];
	struct dirent *de;
	DIR *d;

	if ((size_t)snprintf(path, sizeof(path), PCI_DEVICES "/%s", device) >=
		sizeof(path))
		return;
	d = opendir(path);
	while (d && (de = readdir(d))) {
		if (!is_register(de->d_name))
			continue;
		strbuf_str(list, path);
		strbuf_str(list, "/");
		strbuf_add(list, de->d_name, strlen(de->d_name) + 1);
	}
	if (d)
		closedir(d);
}

static int find_registers(struct contain_cell *c)
{
	struct strbuf list = STRBUF_INIT;
	DIR *d = opendir(PCI_DEVICES);
	struct dirent *de;

	while (d && (de = readdir(d)))
		if (de->d_name[0] != '.')
			list_registers(de->d_name, &list);
	if (d)
		closedir(d);
	strbuf_add(&list, "", 1);
	c->registers = list.s;
	return list.failed ? -1 : 0;
}

int guest_contain_fill(struct contain_cell *c, struct guest *g,
	const struct guest_run *run)
{
	static const struct {
		const char *path;
		unsigned minor;
	} chars[] = {
		{ "/dev/null", 3 }, { "/dev/zero", 5 }, { "/dev/full", 7 },
		{ "/dev/random", 8 },
		{ "/dev/urandom", 9 },
	};

	c->g = g;
	c->run = run;
	c->at = g->root.at;
	for (size_t i = 0; i < sizeof(chars) / sizeof(chars[0]); i++)
		add_node(c, chars[i].path, S_IFCHR | 0666, makedev(1, chars[i].minor));
	for (int i = 0; i < g->n_disks; i++)
		add_block(c, g->disks[i].node);
	for (int i = 0; i < g->n_vols; i++) {
		add_block(c, g->vols[i].fs.dev);
		name_by_uuid(c, &g->vols[i]);
	}
	c->hide_firmware = strcmp(g->facts.firmware, "uefi");
	c->is_32bit = !strcmp(g->facts.arch, "i386");
	c->n_filter = guest_contain_filter(c->filter);
	return find_registers(c);
}

void guest_contain_free(struct contain_cell *c)
{
	free(c->registers);
	free(c);
}

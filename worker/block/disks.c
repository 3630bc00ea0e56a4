/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of this machine with everything that they can be named by,
 * read from sysfs. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "block/block.h"

static bool is_virtual(const char *name)
{
	static const char *const prefixes[] = { "loop", "ram", "zram", "dm-", "md", "fd",
		"nbd" };
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* Text of an attribute without blanks at its ends and control characters; "" when it is
 * not there, for most disks lack some. */
static void attribute(const char *dir, const char *name, char *ret, size_t size)
{
	char path[512], raw[256];
	size_t n = 0, i = 0;
	ssize_t got;
	CLEANUP_CLOSE int fd = -1;

	*ret = '\0';
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	got = read(fd, raw, sizeof(raw) - 1);
	if (got <= 0)
		return;
	while (i < (size_t)got && isspace((unsigned char)raw[i]))
		i++;
	for (; i < (size_t)got && n + 1 < size && raw[i] && raw[i] != '\n'; i++)
		ret[n++] = isprint((unsigned char)raw[i]) ? raw[i] : '?';
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = '\0';
}

/* Unit serial number: VPD page 0x80 is a header of 4 bytes, the length in its bytes 2 and
 * 3 (SPC-4, 7.8.13), then the text. */
static void vpd_serial(const char *dir, char *ret, size_t size)
{
	unsigned char raw[260];
	char path[512];
	size_t len, n = 0, i = 4;
	ssize_t got;
	CLEANUP_CLOSE int fd = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/device/vpd_pg80",
		dir) >= sizeof(path))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	got = read(fd, raw, sizeof(raw));
	if (got < 4)
		return;
	len = (size_t)raw[2] << 8 | raw[3];
	if (len > (size_t)got - 4)
		len = (size_t)got - 4;
	while (i < len + 4 && raw[i] == ' ')
		i++;
	for (; i < len + 4 && n + 1 < size && isprint(raw[i]); i++)
		ret[n++] = (char)raw[i];
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = '\0';
}

static bool is_pci(const char *s, size_t n)
{
	/* 0000:00:05.0 */
	return n == 12 && s[4] == ':' && s[7] == ':' && s[10] == '.';
}

/* The number of an ATA port on its controller, from .../ataN/ata_port/ataN/port_no. */
static void ata_port(const char *sys_root, const char *path, size_t upto,
	const char *name, char *ret, size_t size)
{
	char dir[700];

	snprintf(dir, sizeof(dir), "%s/devices/%.*s/ata_port/%s", sys_root, (int)upto,
		path, name);
	attribute(dir, "port_no", ret, size);
}

/* The name that udev gives below /dev/disk/by-path,
 * for the buses that virtual machines have. */
static void by_path(const char *sys_root, struct block_disk *d)
{
	char pci[16] = "", scsi[24] = "", ata[16] = "", part[64], port[16];
	const char *p = d->sys_path;
	unsigned ns, c, t, l;

	while (*p) {
		size_t n = strcspn(p, "/"), end = (size_t)(p - d->sys_path) + n;

		snprintf(part, sizeof(part), "%.*s", (int)n, p);
		if (is_pci(p, n))
			snprintf(pci, sizeof(pci), "%.12s", part);
		else if (!strncmp(part, "ata", 3) && isdigit((unsigned char)part[3])) {
			ata_port(sys_root, d->sys_path, end, part, port, sizeof(port));
			if (*port)
				snprintf(ata, sizeof(ata), "-ata-%.8s", port);
		} else if (sscanf(part, "%*u:%u:%u:%u", &c, &t, &l) == 3) {
			snprintf(scsi, sizeof(scsi), "-scsi-0:%u:%u:%u", c & 0xff,
				t & 0xffff, l & 0xffff);
		}
		p += n + (p[n] == '/');
	}
	if (!*pci)
		return;
	if (sscanf(d->name, "nvme%*un%u", &ns) == 1)
		snprintf(scsi, sizeof(scsi), "-nvme-%u", ns);
	snprintf(d->by_path, sizeof(d->by_path), "pci-%s%s", pci, *ata ? ata : scsi);
}

static void bus_of(struct block_disk *d)
{
	snprintf(d->bus, sizeof(d->bus), "%s",
		!strncmp(d->name, "vd", 2)       ? "virtio"
		: !strncmp(d->name, "nvme", 4)   ? "nvme"
		: !strncmp(d->name, "xvd", 3)    ? "xen"
		: strstr(d->sys_path, "/usb")        ? "usb"
		: strstr(d->sys_path, "/ata")        ? "ata"
		: strstr(d->sys_path, "/vmbus")      ? "hyperv"
						 : "scsi");
}

/* mountinfo (proc(5)): the third field is MAJOR:MINOR. btrfs shows an anonymous device
 * there; its disk's node is the field behind the separator. */
static bool in_mountinfo(const char *mounts, const char *dev, const char *node)
{
	char majmin[32], source[80];

	snprintf(majmin, sizeof(majmin), " %.24s ", dev);
	snprintf(source, sizeof(source), " %.70s ", node);
	return strstr(mounts, majmin) || strstr(mounts, source);
}

struct scan {
	const char *sys_root, *dev_root;
	char *mounts; /* "" when it cannot be read */
};

static bool used_by_mount(const struct scan *s, const char *dir, const char *name,
	unsigned depth);

/* Whatever stands on it: entries of its holders folder, e.g. dm-0 or md127. */
static bool holders_mounted(const struct scan *s, const char *dir, unsigned depth,
	bool *ret_any)
{
	char path[512], above[300];
	struct dirent *e;
	bool used = false;
	DIR *d;

	snprintf(path, sizeof(path), "%.400s/holders", dir);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		*ret_any = true;
		snprintf(above, sizeof(above), "%.200s/block/%.64s", s->sys_root,
			e->d_name);
		used = used || (depth && used_by_mount(s, above, e->d_name, depth - 1));
	}
	if (d)
		closedir(d);
	return used;
}

static bool used_by_mount(const struct scan *s, const char *dir, const char *name,
	unsigned depth)
{
	char dev[32], node[128];
	bool any = false;

	attribute(dir, "dev", dev, sizeof(dev));
	snprintf(node, sizeof(node), "%.40s/%.64s", s->dev_root, name);
	return (*dev && in_mountinfo(s->mounts, dev, node)) ||
		holders_mounted(s, dir, depth, &any);
}

/* The disk itself and its partitions: folders in it that have an
 * attribute "partition". */
static void find_users(const struct scan *s, const char *dir, struct block_disk *d)
{
	char path[512], text[16];
	struct dirent *e;
	DIR *list = opendir(dir);

	d->mounted = used_by_mount(s, dir, d->name, 8);
	holders_mounted(s, dir, 0, &d->has_holders);
	while (list && (e = readdir(list))) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%.250s/%.64s", dir, e->d_name);
		attribute(path, "partition", text, sizeof(text));
		if (!*text)
			continue;
		d->mounted = d->mounted || used_by_mount(s, path, e->d_name, 8);
		holders_mounted(s, path, 0, &d->has_holders);
	}
	if (list)
		closedir(list);
}

static uint64_t number(const char *dir, const char *name)
{
	char text[32];

	attribute(dir, name, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static int fill(const struct scan *s, const char *name, struct block_disk *d)
{
	char dir[300], link[400];
	const char *below;
	ssize_t n;

	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%.31s", name);
	snprintf(d->node, sizeof(d->node), "%.30s/%.31s", s->dev_root, name);
	snprintf(dir, sizeof(dir), "%.200s/block/%.64s", s->sys_root, name);
	d->size = number(dir, "size") * 512;
	if (!d->size)
		return -1; /* no medium */
	d->sector = (uint32_t)number(dir, "queue/logical_block_size");
	d->physical = (uint32_t)number(dir, "queue/physical_block_size");
	d->rotational = number(dir, "queue/rotational");
	d->read_only = number(dir, "ro");
	d->removable = number(dir, "removable");
	n = readlink(dir, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	below = strstr(link, "devices/");
	snprintf(d->sys_path, sizeof(d->sys_path), "%.255s", below ? below + 8 : "");
	attribute(dir, "serial", d->serial, sizeof(d->serial));
	if (!*d->serial)
		attribute(dir, "device/serial", d->serial, sizeof(d->serial));
	if (!*d->serial)
		vpd_serial(dir, d->serial, sizeof(d->serial));
	attribute(dir, "wwid", d->wwn, sizeof(d->wwn));
	if (!*d->wwn)
		attribute(dir, "device/wwid", d->wwn, sizeof(d->wwn));
	attribute(dir, "device/model", d->model, sizeof(d->model));
	bus_of(d);
	by_path(s->sys_root, d);
	find_users(s, dir, d);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct block_disk *)a)->name,
		((const struct block_disk *)b)->name);
}

int block_disks(const char *sys_root, const char *dev_root, struct block_disk *ret,
	int max, struct err *err)
{
	struct scan s = { .sys_root = sys_root, .dev_root = dev_root };
	CLEANUP_FREE char *mounts = NULL;
	struct block_disk spare;
	struct dirent *e;
	char path[256];
	size_t len;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%.200s/block", sys_root);
	dir = opendir(path);
	if (!dir)
		return err_sys(err, ERR_DISK_NOT_FOUND, "open %s", path);
	if (fdio_read_file("/proc/self/mountinfo", 4 << 20, &mounts, &len, err) < 0) {
		closedir(dir);
		return -1;
	}
	s.mounts = mounts;
	while ((e = readdir(dir)))
		if (*e->d_name != '.' && !is_virtual(e->d_name) &&
			fill(&s, e->d_name, n < max ? &ret[n] : &spare) == 0)
			n++;
	closedir(dir);
	qsort(ret, (size_t)(n < max ? n : max), sizeof(*ret), by_name);
	return n;
}

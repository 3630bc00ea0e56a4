/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of this machine with everything that a job can name them by, read from sysfs. */
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
#include "job/job-internal.h"

static bool is_virtual(const char *name)
{
	static const char *const prefixes[] = { "loop", "ram", "zram", "dm-", "md", "fd", "nbd" };
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* Text of an attribute without blanks at its ends and control characters; "" when it is not
 * there, for most disks lack some. */
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

/* Unit serial number: VPD page 0x80 is a header of 4 bytes, the length in its bytes 2 and 3
 * (SPC-4, 7.8.13), then the text. */
static void vpd_serial(const char *dir, char *ret, size_t size)
{
	unsigned char raw[260];
	char path[512];
	size_t len, n = 0, i = 4;
	ssize_t got;
	CLEANUP_CLOSE int fd = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/device/vpd_pg80", dir) >= sizeof(path))
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
static void ata_port(const char *sys_root, const char *path, size_t upto, const char *name,
	char *ret, size_t size)
{
	char dir[700];

	snprintf(dir, sizeof(dir), "%s/devices/%.*s/ata_port/%s", sys_root, (int)upto, path, name);
	attribute(dir, "port_no", ret, size);
}

/* The name that udev gives below /dev/disk/by-path, for the buses that virtual machines have. */
static void by_path(const char *sys_root, struct job_disk *d)
{
	char pci[16] = "", scsi[24] = "", ata[16] = "", part[64], port[16];
	const char *p = d->path;
	unsigned ns, c, t, l;

	while (*p) {
		size_t n = strcspn(p, "/"), end = (size_t)(p - d->path) + n;

		snprintf(part, sizeof(part), "%.*s", (int)n, p);
		if (is_pci(p, n))
			snprintf(pci, sizeof(pci), "%.12s", part);
		else if (!strncmp(part, "ata", 3) && isdigit((unsigned char)part[3])) {
			ata_port(sys_root, d->path, end, part, port, sizeof(port));
			if (*port)
				snprintf(ata, sizeof(ata), "-ata-%.8s", port);
		} else if (sscanf(part, "%*u:%u:%u:%u", &c, &t, &l) == 3) {
			snprintf(scsi, sizeof(scsi), "-scsi-0:%u:%u:%u", c & 0xff, t & 0xffff,
				l & 0xffff);
		}
		p += n + (p[n] == '/');
	}
	if (!*pci)
		return;
	if (sscanf(d->name, "nvme%*un%u", &ns) == 1)
		snprintf(scsi, sizeof(scsi), "-nvme-%u", ns);
	snprintf(d->by_path, sizeof(d->by_path), "pci-%s%s", pci, *ata ? ata : scsi);
}

static void bus_of(struct job_disk *d)
{
	snprintf(d->bus, sizeof(d->bus), "%s",
		!strncmp(d->name, "vd", 2)       ? "virtio"
		: !strncmp(d->name, "nvme", 4)   ? "nvme"
		: !strncmp(d->name, "xvd", 3)    ? "xen"
		: strstr(d->path, "/usb")        ? "usb"
		: strstr(d->path, "/ata")        ? "ata"
		: strstr(d->path, "/vmbus")      ? "hyperv"
						 : "scsi");
}

/* What lies on it and whether somebody uses it. A medium that cannot be read (an empty CD drive)
 * is simply not ours. */
static void look_inside(struct job_disk *d)
{
	struct job_medium medium;
	CLEANUP_CLOSE int fd = open(d->node, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd < 0 && errno == EBUSY) {
		d->busy = true;
		fd = open(d->node, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return;
	d->boot_medium = job_medium_probe(fd, d->size, &medium) != 0;
	d->config_volume = !d->boot_medium && job_volume_probe(fd, d->size);
}

static int fill(const char *sys_root, const char *dev_root, const char *name, struct job_disk *d)
{
	char dir[300], text[64], link[400];
	const char *below;
	ssize_t n;

	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%.31s", name);
	snprintf(d->node, sizeof(d->node), "%.24s/%.31s", dev_root, name);
	snprintf(dir, sizeof(dir), "%.200s/block/%.31s", sys_root, name);
	attribute(dir, "size", text, sizeof(text));
	d->size = strtoull(text, NULL, 10) * 512;
	if (!d->size)
		return -1; /* no medium */
	attribute(dir, "ro", text, sizeof(text));
	d->read_only = *text == '1';
	attribute(dir, "removable", text, sizeof(text));
	d->removable = *text == '1';
	n = readlink(dir, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	below = strstr(link, "devices/");
	snprintf(d->path, sizeof(d->path), "%.255s", below ? below + 8 : "");
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
	by_path(sys_root, d);
	look_inside(d);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct job_disk *)a)->name, ((const struct job_disk *)b)->name);
}

int job_disks(const char *sys_root, const char *dev_root, struct job_disk *ret, int max,
	struct err *err)
{
	char path[256];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%.200s/block", sys_root);
	dir = opendir(path);
	if (!dir)
		return err_sys(err, ERR_DISK_NOT_FOUND, "open %s", path);
	while (n < max && (e = readdir(dir)))
		if (*e->d_name != '.' && !is_virtual(e->d_name) &&
			fill(sys_root, dev_root, e->d_name, &ret[n]) == 0)
			n++;
	closedir(dir);
	qsort(ret, (size_t)n, sizeof(*ret), by_name);
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which volume this machine was started from, told by those who started it and never by
 * the content of a disk alone: a source decides what stands on the targets.
 *
 * - The loader's word. set-job leaves a random key on the volume and its SHA-256 in the
 *   configuration of the BIOS loader, which puts it on the kernel command line as
 *   tw.volume=. A source knows neither; a guest's program that reads the command line
 *   does not come to the key.
 * - The firmware's word. UEFI names the entry it has started in BootCurrent and the
 *   entry's device path in Boot####: SCSI, SATA, NVMe and PCI numbers of the disk (UEFI
 *   2.10, sections 3.3 and 10.3).
 *
 * Where neither speaks, and the start was from some volume, there is only one worker
 * volume of this very image that may be meant: see look.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/sha256.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "job/job-internal.h"

#define EFI "/sys/firmware/efi"
#define GLOBAL "8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define VARIABLE_MAX 4096
#define IMAGE_ID "/etc/image-id"

/* nodes of a device path: type and sub-type in one number */
enum {
	NODE_PCI = 0x0101,
	NODE_ACPI = 0x0201,
	NODE_ATAPI = 0x0301,
	NODE_SCSI = 0x0302,
	NODE_MAC = 0x030b,
	NODE_IPV4 = 0x030c,
	NODE_IPV6 = 0x030d,
	NODE_SATA = 0x0312,
	NODE_NVME = 0x0317,
	NODE_URI = 0x0318,
	NODE_END = 0x7f,
};

static void take_node(unsigned kind, const unsigned char *p, size_t len,
	struct job_devpath *ret)
{
	if (kind == NODE_ACPI && len >= 12 && !ret->n_pci) {
		ret->root = bytes_le32(p + 8);
	} else if (kind == NODE_PCI && len >= 6) {
		if (ret->n_pci < JOB_MAX_PCI)
			ret->pci[ret->n_pci] = (unsigned short)(p[5] << 3 | p[4]);
		ret->n_pci++;
	} else if (kind == NODE_SCSI && len >= 8) {
		ret->unit = JOB_UNIT_SCSI;
		ret->a = bytes_le16(p + 4);
		ret->b = bytes_le16(p + 6);
	} else if (kind == NODE_SATA && len >= 10) {
		ret->unit = JOB_UNIT_ATA;
		ret->a = bytes_le16(p + 4) + 1u;
		ret->b = 0;
	} else if (kind == NODE_ATAPI && len >= 8) {
		ret->unit = JOB_UNIT_ATA;
		ret->a = p[4] + 1u;
		ret->b = p[5];
	} else if (kind == NODE_NVME && len >= 16) {
		ret->unit = JOB_UNIT_NVME;
		ret->a = bytes_le32(p + 4);
	} else if (kind == NODE_MAC || kind == NODE_IPV4 || kind == NODE_IPV6 ||
		kind == NODE_URI) {
		ret->network = true;
	}
}

int job_devpath_parse(const void *path, size_t len, struct job_devpath *ret)
{
	const unsigned char *p = path;
	size_t at = 0;

	memset(ret, 0, sizeof(*ret));
	while (len - at >= 4) {
		size_t n = bytes_le16(p + at + 2);

		if (p[at] == NODE_END)
			return ret->n_pci > JOB_MAX_PCI ? -1 : 0;
		if (n < 4 || n > len - at)
			return -1;
		take_node((unsigned)p[at] << 8 | p[at + 1], p + at, n, ret);
		at += n;
	}
	return -1;
}

/* Functions on the way to the disk, as in its path below /sys/devices. */
static bool pci_matches(const struct job_devpath *w, const char *sys_path)
{
	unsigned domain, bus, dev, fn, root_bus = 0;
	const char *p = sys_path;
	int n = 0, used;

	if (sscanf(p, "pci%4x:%2x", &domain, &root_bus) != 2)
		return false;
	/* The first root bridge is bus 0; how firmware numbers others is its business. */
	if (!w->root != !root_bus)
		return false;
	for (p = strchr(p, '/'); p; p = strchr(p, '/')) {
		p++;
		if (sscanf(p, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &used) != 4 ||
			(p[used] && p[used] != '/'))
			continue;
		if (n == w->n_pci || w->pci[n] != (dev << 3 | fn))
			return false;
		n++;
	}
	return n == w->n_pci;
}

/* The last HOST:CHANNEL:TARGET:LUN of the path. */
static bool scsi_address(const char *sys_path, unsigned *target, unsigned *lun)
{
	const char *p = sys_path;
	bool found = false;
	unsigned t, l;

	for (; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (sscanf(p, "%*u:%*u:%u:%u", &t, &l) != 2)
			continue;
		*target = t;
		*lun = l;
		found = true;
	}
	return found;
}

static bool unit_matches(const struct job_devpath *w, const struct block_disk *d)
{
	unsigned target, lun, n;
	const char *ata;

	switch (w->unit) {
	case JOB_UNIT_SCSI:
		return scsi_address(d->sys_path, &target, &lun) && target == w->a &&
			lun == w->b;
	case JOB_UNIT_ATA:
		ata = strstr(d->by_path, "-ata-");
		return ata && sscanf(ata, "-ata-%u", &n) == 1 && n == w->a &&
			scsi_address(d->sys_path, &target, &lun) && target == w->b;
	case JOB_UNIT_NVME:
		return sscanf(d->name, "nvme%*un%u", &n) == 1 && n == w->a;
	case JOB_UNIT_NONE:
		break;
	}
	return true; /* virtio-blk, USB: the function is all there is */
}

bool job_devpath_matches(const struct job_devpath *w, const struct block_disk *d)
{
	return w->n_pci && pci_matches(w, d->sys_path) && unit_matches(w, d);
}

/* A variable without its 4 bytes of attributes. */
static int read_variable(const char *root, const char *name, char **ret,
	const unsigned char **ret_data, size_t *ret_len)
{
	struct err none = ERR_INIT;
	char path[300];
	size_t len;

	snprintf(path, sizeof(path), "%s" EFI "/efivars/%s-" GLOBAL, root, name);
	if (fdio_read_file(path, VARIABLE_MAX, ret, &len, &none) < 0)
		return -1;
	if (len < 4)
		return -1;
	*ret_data = (unsigned char *)*ret + 4;
	*ret_len = len - 4;
	return 0;
}

/* Boot####: attributes u32, length of the path u16, a description in UTF-16 with its
 * NUL, the path. */
int job_boot_option_parse(const void *data, size_t len, struct job_devpath *ret)
{
	const unsigned char *p = data;
	size_t at = 6, path_len;

	if (len < at)
		return -1;
	path_len = bytes_le16(p + 4);
	while (at + 2 <= len && (p[at] || p[at + 1]))
		at += 2;
	at += 2;
	if (at > len || path_len > len - at)
		return -1;
	return job_devpath_parse(p + at, path_len, ret);
}

static enum job_origin_kind ask_firmware(const char *root, struct job_devpath *ret)
{
	CLEANUP_FREE char *current = NULL;
	CLEANUP_FREE char *option = NULL;
	const unsigned char *data;
	char name[16];
	size_t len;

	/* A kernel that was handed to the firmware is no entry of its list. */
	if (read_variable(root, "BootCurrent", &current, &data, &len) < 0 || len < 2)
		return JOB_ORIGIN_NONE;
	snprintf(name, sizeof(name), "Boot%04X", bytes_le16(data));
	if (read_variable(root, name, &option, &data, &len) < 0 ||
		job_boot_option_parse(data, len, ret) < 0)
		return JOB_ORIGIN_UNKNOWN;
	if (ret->network)
		return JOB_ORIGIN_NONE;
	return ret->n_pci ? JOB_ORIGIN_FIRMWARE : JOB_ORIGIN_UNKNOWN;
}

static bool is_set(const char *hex)
{
	return hex[strspn(hex, "0")] != '\0';
}

void job_origin_find(const char *root, const struct job_cmdline *c,
	struct job_origin *ret)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *id = NULL;
	char path[300];
	size_t len;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "%s" IMAGE_ID, root);
	if (fdio_read_file(path, 4096, &id, &len, &none) == 0)
		snprintf(ret->image, sizeof(ret->image), "%.*s", (int)strcspn(id, "\n"),
			id);
	snprintf(path, sizeof(path), "%s" EFI, root);
	if (is_set(c->volume)) {
		ret->kind = JOB_ORIGIN_KEY;
		memcpy(ret->volume, c->volume, sizeof(ret->volume));
	} else if (access(path, F_OK) == 0) {
		ret->kind = ask_firmware(root, &ret->path);
	} else {
		/* Our own loader says that it was there, and has no key to name. */
		ret->kind = *c->volume ? JOB_ORIGIN_UNKNOWN : JOB_ORIGIN_NONE;
	}
}

bool job_origin_key_fits(const struct job_origin *o, const char key[65])
{
	unsigned char sum[32];
	char hex[65];

	if (o->kind != JOB_ORIGIN_KEY || !is_set(key) ||
		mbedtls_sha256((const unsigned char *)key, strlen(key), sum, 0))
		return false;
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	return !strcmp(hex, o->volume);
}

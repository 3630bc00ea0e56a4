/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kind of virtio a kernel drives. Before Linux 4.0, and what Red Hat put into 3.10,
 * kernels know the legacy interface only (virtio 1.2, 1.3.1 and 4.1.2): a VM whose virtio
 * devices are of version 1 and no more, which is what QEMU makes of them behind the PCIe
 * ports of its machine type q35, has no disk for them. Transitional devices, those of the
 * machine type pc, serve both.
 */
#include "guest/guest-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "initrd/initrd.h"

#define MODULE_MAX (8u << 20)
/* The functions that find devices, of version 1 and all: in the table of symbols,
 * or in no table. */
#define PROBE_1 "virtio_pci_modern_probe"
#define PROBE "virtio_pci_probe"
#define VENDOR 0x1af4
/* device numbers of version 1; below: transitional */
#define FIRST_MODERN 0x1040

static ssize_t read_module(void *ctx, void *buf, size_t len)
{
	ssize_t n;

	do {
		n = read(*(const int *)ctx, buf, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

static enum guest_virtio look_into(const struct guest *g, const char *path)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	CLEANUP_CLOSE int fd = fs_open(&g->root, path, O_RDONLY | O_NONBLOCK, 0);
	struct initrd_reader r = { .read = read_module, .ctx = &fd };
	enum initrd_status status;

	if (fd < 0)
		return GUEST_VIRTIO_UNKNOWN;
	status = initrd_expand(&r, MODULE_MAX, &text);
	if (status) {
		log_warn("%s: %s: what virtio it drives is not known", path,
			initrd_status_text(status));
		return GUEST_VIRTIO_UNKNOWN;
	}
	if (!text.len)
		return GUEST_VIRTIO_UNKNOWN;
	if (memmem(text.s, text.len, PROBE_1, strlen(PROBE_1)))
		return GUEST_VIRTIO_1;
	return memmem(text.s, text.len, PROBE, strlen(PROBE)) ? GUEST_VIRTIO_LEGACY :
		GUEST_VIRTIO_UNKNOWN;
}

enum guest_virtio guest_kernel_virtio(const struct guest *g, const struct guest_kernel *k)
{
	static const char *const ends[] = { "", ".xz", ".gz", ".zst" };
	enum guest_virtio found = GUEST_VIRTIO_UNKNOWN;
	char path[FS_PATH_MAX];

	if (!((k->modules | k->builtin) & DRIVER_BIT(DRIVER_VIRTIO_PCI)))
		return GUEST_VIRTIO_UNKNOWN;
	if (atoi(k->version) >= 4)
		return GUEST_VIRTIO_1;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && !found; i++) {
		snprintf(path, sizeof(path),
			"/lib/modules/%s/kernel/drivers/virtio/virtio_pci.ko%s",
			k->version, ends[i]);
		found = look_into(g, path);
	}
	if (found)
		return found;
	snprintf(path, sizeof(path), "/boot/System.map-%s", k->version);
	return look_into(g, path);
}

/* "0x1af4\n"; -1 = not there. */
static long read_number(int dir, const char *name, const char *file)
{
	char path[300], text[32];
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", name, file);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return strtol(text, NULL, 16);
}

/* Whether a virtio device of this machine is not transitional. */
static bool has_version_1(const char *pci)
{
	DIR *d = opendir(pci);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = *e->d_name != '.' &&
			read_number(dirfd(d), e->d_name, "vendor") == VENDOR &&
			read_number(dirfd(d), e->d_name, "device") >= FIRST_MODERN;
	if (d)
		closedir(d);
	return found;
}

static const struct guest_kernel *legacy_kernel(const struct guest *g)
{
	for (int i = 0; i < g->facts.n_kernels; i++)
		if (g->facts.kernels[i].bootable &&
		    g->facts.kernels[i].virtio == GUEST_VIRTIO_LEGACY)
			return &g->facts.kernels[i];
	return NULL;
}

const char *guest_machine_type(const struct guest *g)
{
	if (strcmp(g->facts.arch, "x86_64") && strcmp(g->facts.arch, "i386"))
		return "";
	return legacy_kernel(g) ? "pc" : "q35";
}

void guest_check_virtio(struct guest *g, const char *pci)
{
	const struct guest_kernel *k = legacy_kernel(g);

	if (k && has_version_1(pci))
		guest_report_warn(g, "the kernel %s drives legacy and transitional virtio devices only, and this VM "
			"has ones of virtio 1: give the VM the machine type pc, or virtio-transitional devices, "
			"before the guest starts", k->version);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware that a guest starts from. A loader on the ESP that its fstab mounts is
 * what UEFI starts. BIOS needs more than what an earlier installation may have left:
 * GRUB's modules for it, and on a GPT a partition that holds GRUB's core. Boot code in
 * sector 0 is no witness, as it is masked while the guest is prepared. A guest with both
 * starts from either.
 */
#include "guest/guest-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"

static bool is_empty(const char *node)
{
	CLEANUP_CLOSE int fd = open(node, O_RDONLY | O_CLOEXEC);
	uint8_t sector[512], any = 0;

	if (fd < 0 || fdio_pread(fd, sector, sizeof(sector), 0) < 0)
		return true;
	for (size_t i = 0; i < sizeof(sector); i++)
		any |= sector[i];
	return !any;
}

/* A disk with an MBR has room for GRUB's core behind it. */
static bool has_core(const struct guest *g)
{
	for (int i = 0; i < g->n_disks; i++)
		if (!strcmp(g->disks[i].table, "dos"))
			return true;
	for (int i = 0; i < g->n_vols; i++)
		if (!strcmp(g->vols[i].fs.parttype, FS_BIOS_BOOT_GUID) &&
			!is_empty(g->vols[i].fs.dev))
			return true;
	return false;
}

static bool starts_by_bios(const struct guest *g)
{
	const struct boot_config *b = &g->facts.boot;
	size_t esp = strlen(b->esp);

	if (b->kind == BOOT_SYSTEMD_BOOT || b->kind == BOOT_UNIFIED)
		return false;
	/* A loader from before GRUB 2 is the edition for UEFI if it lies on the ESP. */
	if (b->kind == BOOT_GRUB1 || b->kind == BOOT_EXTLINUX)
		return strncmp(b->path, b->esp, esp) || b->path[esp] != '/' || !esp;
	return (fs_is_dir(&g->root, "/boot/grub/i386-pc") ||
		fs_is_dir(&g->root, "/boot/grub2/i386-pc")) && has_core(g);
}

static bool has_uefi_loader(const struct guest *g)
{
	struct err ignored = ERR_INIT; /* then it holds none */
	struct boot_copy copies[8];
	char loader[256];

	return boot_efi_fallback(&g->root, g->facts.boot.esp, copies, 8, loader,
		sizeof(loader), &ignored) >= 0;
}

/* With both, what the VM has. That an ESP holds no loader is told by the plan. */
void guest_find_firmware(struct guest *g)
{
	bool vm_has_bios = g->opt->firmware && !strcmp(g->opt->firmware, "bios");
	bool uefi = *g->facts.boot.esp != '\0';

	if (uefi && starts_by_bios(g))
		uefi = !vm_has_bios && has_uefi_loader(g);
	snprintf(g->facts.firmware, sizeof(g->facts.firmware), "%s",
		uefi ? "uefi" : "bios");
}

/* Firmware counts in the disk's logical sectors, the volume in 512 bytes. */
static int fill_part(const struct fs_info *fs, struct boot_efi_part *ret, struct err *err)
{
	struct block_dev dev;
	uint32_t unit;

	if (block_open(fs->dev, 0, &dev, err) < 0)
		return -1;
	unit = dev.sector / 512;
	block_close(&dev);
	ret->number = fs->part_number;
	ret->start = fs->part_start / unit;
	ret->sectors = fs->part_sectors / unit;
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", fs->partuuid);
	return 0;
}

int guest_esp_part(const struct guest *g, struct boot_efi_part *ret, struct err *err)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < g->n_mounts; i++)
		if (!strcmp(g->mounts[i].point, g->facts.boot.esp))
			return fill_part(&g->vols[g->mounts[i].vol].fs, ret, err);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "initrd/initrd.h"

const char *const guest_driver_names[N_DRIVERS] = {
	[DRIVER_VIRTIO_PCI] = "virtio_pci",
	[DRIVER_VIRTIO_BLK] = "virtio_blk",
	[DRIVER_VIRTIO_SCSI] = "virtio_scsi",
	[DRIVER_VIRTIO_NET] = "virtio_net",
	[DRIVER_SD_MOD] = "sd_mod",
	[DRIVER_NVME] = "nvme",
	[DRIVER_AHCI] = "ahci",
	[DRIVER_DM_CRYPT] = "dm_crypt",
	[DRIVER_XTS] = "xts",
	[DRIVER_ECB] = "ecb",
	[DRIVER_CBC] = "cbc",
	[DRIVER_ESSIV] = "essiv",
	[DRIVER_SHA256] = "sha256_generic",
	[DRIVER_AES] = "aes_generic",
	[DRIVER_SERPENT] = "serpent_generic",
	[DRIVER_TWOFISH] = "twofish_generic",
	[DRIVER_CAMELLIA] = "camellia_generic",
	[DRIVER_RAID0] = "raid0",
	[DRIVER_RAID1] = "raid1",
	[DRIVER_RAID10] = "raid10",
	[DRIVER_RAID456] = "raid456",
};

unsigned guest_driver_bit(const char *path)
{
	char name[64];

	if (!initrd_module_name(path, name, sizeof(name)))
		return 0;
	for (int i = 0; i < N_DRIVERS; i++)
		if (!strcmp(name, guest_driver_names[i]))
			return 1u << i;
	return 0;
}

unsigned guest_config_drivers(const char *text, size_t len)
{
	static const struct {
		const char *line;
		enum guest_driver driver;
	} lines[] = {
		{ "CONFIG_VIRTIO_PCI=y", DRIVER_VIRTIO_PCI }, { "CONFIG_VIRTIO_BLK=y", DRIVER_VIRTIO_BLK },
		{ "CONFIG_SCSI_VIRTIO=y", DRIVER_VIRTIO_SCSI }, { "CONFIG_VIRTIO_NET=y", DRIVER_VIRTIO_NET },
		{ "CONFIG_BLK_DEV_SD=y", DRIVER_SD_MOD }, { "CONFIG_BLK_DEV_NVME=y", DRIVER_NVME },
		{ "CONFIG_SATA_AHCI=y", DRIVER_AHCI },
	};
	unsigned mask = 0;
	size_t at = 0;
	struct boot_line l;

	while (boot_line_next(text, len, &at, &l))
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			if (l.len == strlen(lines[i].line) && !memcmp(l.s, lines[i].line, l.len))
				mask |= 1u << lines[i].driver;
	return mask;
}

void guest_driver_list(unsigned mask, const char *sep, char *ret, size_t size)
{
	size_t used = 0;

	*ret = '\0';
	for (int i = 0; i < N_DRIVERS && used < size; i++)
		if (mask & 1u << i)
			used += (size_t)snprintf(ret + used, size - used, "%s%s",
				guest_driver_names[i], sep);
}

/* "LUKS, aes-cbc-essiv:sha256": whether one of the words is the module's name, up to "_generic". */
static bool cipher_names(const char *detail, const char *module)
{
	size_t len = strcspn(module, "_");

	for (const char *word = detail; *word; word += strcspn(word, " ,-:")) {
		word += strspn(word, " ,-:");
		if (strcspn(word, " ,-:") == len && !strncmp(word, module, len))
			return true;
	}
	return false;
}

/* "raid1, 2 members" */
static unsigned raid_driver(const char *detail)
{
	static const struct {
		const char *level;
		enum guest_driver driver;
	} levels[] = {
		{ "raid0", DRIVER_RAID0 }, { "raid1", DRIVER_RAID1 }, { "raid10", DRIVER_RAID10 },
		{ "raid4", DRIVER_RAID456 }, { "raid5", DRIVER_RAID456 }, { "raid6", DRIVER_RAID456 },
	};
	size_t len = strcspn(detail, ",");

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strlen(levels[i].level) == len && !strncmp(detail, levels[i].level, len))
			return 1u << levels[i].driver;
	return 0;
}

unsigned guest_stack_drivers(const struct guest *g)
{
	unsigned mask = 0;

	for (int i = 0; i < g->stack.n; i++) {
		const struct fs_layer *l = &g->stack.layers[i];

		if (l->kind == FS_LAYER_MD)
			mask |= raid_driver(l->detail);
		if (l->kind != FS_LAYER_LUKS)
			continue;
		mask |= 1u << DRIVER_DM_CRYPT;
		for (int k = DRIVER_XTS; k <= DRIVER_CAMELLIA; k++)
			if (cipher_names(l->detail, guest_driver_names[k]))
				mask |= 1u << k;
	}
	/* xts stands on ecb, and not every kernel's tables of modules say so. */
	return mask & 1u << DRIVER_XTS ? mask | 1u << DRIVER_ECB : mask;
}

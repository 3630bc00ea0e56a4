/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "initrd/initrd.h"

_Static_assert(N_DRIVERS <= 64, "a mask of drivers has 64 bits");

const char *const guest_driver_names[N_DRIVERS] = {
	[DRIVER_VIRTIO_PCI] = "virtio_pci",
	[DRIVER_VIRTIO_BLK] = "virtio_blk",
	[DRIVER_VIRTIO_SCSI] = "virtio_scsi",
	[DRIVER_VIRTIO_NET] = "virtio_net",
	[DRIVER_SD_MOD] = "sd_mod",
	[DRIVER_NVME] = "nvme",
	[DRIVER_AHCI] = "ahci",
	[DRIVER_XTS] = "xts",
	[DRIVER_ECB] = "ecb",
	[DRIVER_CBC] = "cbc",
	[DRIVER_ESSIV] = "essiv",
	[DRIVER_SHA256] = "sha256_generic",
	[DRIVER_AES] = "aes_generic",
	[DRIVER_SERPENT] = "serpent_generic",
	[DRIVER_TWOFISH] = "twofish_generic",
	[DRIVER_CAMELLIA] = "camellia_generic",
	[DRIVER_DM_CRYPT] = "dm_crypt",
	[DRIVER_RAID0] = "raid0",
	[DRIVER_RAID1] = "raid1",
	[DRIVER_RAID10] = "raid10",
	[DRIVER_RAID456] = "raid456",
	[DRIVER_MD_MOD] = "md_mod",
	[DRIVER_MD_CLUSTER] = "md_cluster",
	[DRIVER_LINEAR] = "linear",
	[DRIVER_MD_LINEAR] = "md_linear",
	[DRIVER_MD_MULTIPATH] = "multipath",
	[DRIVER_DM_MOD] = "dm_mod",
	[DRIVER_DM_RAID] = "dm_raid",
	[DRIVER_DM_RAID45] = "dm_raid45",
	[DRIVER_DM_MIRROR] = "dm_mirror",
	[DRIVER_DM_LOG_USERSPACE] = "dm_log_userspace",
	[DRIVER_DM_SNAPSHOT] = "dm_snapshot",
	[DRIVER_DM_THIN_POOL] = "dm_thin_pool",
	[DRIVER_DM_CACHE] = "dm_cache",
	[DRIVER_DM_CACHE_SMQ] = "dm_cache_smq",
	[DRIVER_DM_CACHE_MQ] = "dm_cache_mq",
	[DRIVER_DM_CACHE_CLEANER] = "dm_cache_cleaner",
	[DRIVER_DM_WRITECACHE] = "dm_writecache",
	[DRIVER_DM_PCACHE] = "dm_pcache",
	[DRIVER_DM_INTEGRITY] = "dm_integrity",
	[DRIVER_DM_VERITY] = "dm_verity",
	[DRIVER_DM_VDO] = "dm_vdo",
	[DRIVER_KVDO] = "kvdo",
	[DRIVER_DM_MULTIPATH] = "dm_multipath",
	[DRIVER_DM_ROUND_ROBIN] = "dm_round_robin",
	[DRIVER_DM_QUEUE_LENGTH] = "dm_queue_length",
	[DRIVER_DM_SERVICE_TIME] = "dm_service_time",
	[DRIVER_DM_HISTORICAL_SERVICE_TIME] = "dm_historical_service_time",
	[DRIVER_DM_IO_AFFINITY] = "dm_io_affinity",
	[DRIVER_DM_SWITCH] = "dm_switch",
	[DRIVER_DM_ZERO] = "dm_zero",
	[DRIVER_DM_CLONE] = "dm_clone",
	[DRIVER_DM_EBS] = "dm_ebs",
	[DRIVER_DM_ERA] = "dm_era",
	[DRIVER_DM_UNSTRIPE] = "dm_unstripe",
	[DRIVER_DM_ZONED] = "dm_zoned",
	[DRIVER_BCACHE] = "bcache",
};

uint64_t guest_driver_bit(const char *path)
{
	char name[64];

	if (!initrd_module_name(path, name, sizeof(name)))
		return 0;
	for (int i = 0; i < N_DRIVERS; i++)
		if (!strcmp(name, guest_driver_names[i]))
			return DRIVER_BIT(i);
	return 0;
}

uint64_t guest_config_drivers(const char *text, size_t len)
{
	static const struct {
		const char *line;
		enum guest_driver driver;
	} lines[] = {
		{ "CONFIG_VIRTIO_PCI=y", DRIVER_VIRTIO_PCI },
		{ "CONFIG_VIRTIO_BLK=y", DRIVER_VIRTIO_BLK },
		{ "CONFIG_SCSI_VIRTIO=y", DRIVER_VIRTIO_SCSI },
		{ "CONFIG_VIRTIO_NET=y", DRIVER_VIRTIO_NET },
		{ "CONFIG_BLK_DEV_SD=y", DRIVER_SD_MOD },
		{ "CONFIG_BLK_DEV_NVME=y", DRIVER_NVME },
		{ "CONFIG_SATA_AHCI=y", DRIVER_AHCI },
	};
	uint64_t mask = 0;
	size_t at = 0;
	struct boot_line l;

	while (boot_line_next(text, len, &at, &l))
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			if (l.len == strlen(lines[i].line) &&
			    !memcmp(l.s, lines[i].line, l.len))
				mask |= DRIVER_BIT(lines[i].driver);
	return mask;
}

void guest_driver_list(uint64_t mask, const char *sep, char *ret, size_t size)
{
	size_t used = 0;

	*ret = '\0';
	for (int i = 0; i < N_DRIVERS && used < size; i++)
		if (mask & DRIVER_BIT(i))
			used += (size_t)snprintf(ret + used, size - used, "%s%s",
				guest_driver_names[i], sep);
}

/* "LUKS, aes-cbc-essiv:sha256": whether one of the words is the module's name,
 * up to "_generic". */
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
static uint64_t raid_driver(const char *detail)
{
	static const struct {
		const char *level;
		enum guest_driver driver;
	} levels[] = {
		{ "raid0", DRIVER_RAID0 }, { "raid1", DRIVER_RAID1 },
		{ "raid10", DRIVER_RAID10 },
		{ "raid4", DRIVER_RAID456 }, { "raid5", DRIVER_RAID456 },
		{ "raid6", DRIVER_RAID456 },
	};
	size_t len = strcspn(detail, ",");

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strlen(levels[i].level) == len &&
		    !strncmp(detail, levels[i].level, len))
			return DRIVER_BIT(levels[i].driver);
	return 0;
}

uint64_t guest_stack_drivers(const struct guest *g)
{
	uint64_t mask = 0;

	for (int i = 0; i < g->stack.n; i++) {
		const struct fs_layer *l = &g->stack.layers[i];

		if (l->kind == FS_LAYER_MD)
			mask |= raid_driver(l->detail);
		if (l->kind != FS_LAYER_LUKS)
			continue;
		mask |= DRIVER_BIT(DRIVER_DM_CRYPT);
		for (int k = DRIVER_XTS; k <= DRIVER_CAMELLIA; k++)
			if (cipher_names(l->detail, guest_driver_names[k]))
				mask |= DRIVER_BIT(k);
	}
	/* xts stands on ecb, and not every kernel's tables of modules say so. */
	return mask & DRIVER_BIT(DRIVER_XTS) ? mask | DRIVER_BIT(DRIVER_ECB) : mask;
}

uint64_t guest_kept_drivers(const struct guest *g, const struct guest_kernel *k)
{
	return (guest_stack_drivers(g) | (k->packed & DRIVERS_MD)) & ~k->builtin;
}

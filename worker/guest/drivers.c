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

void guest_driver_list(unsigned mask, const char *sep, char *ret, size_t size)
{
	size_t used = 0;

	*ret = '\0';
	for (int i = 0; i < N_DRIVERS && used < size; i++)
		if (mask & 1u << i)
			used += (size_t)snprintf(ret + used, size - used, "%s%s",
				guest_driver_names[i], sep);
}

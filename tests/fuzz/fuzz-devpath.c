/* SPDX-License-Identifier: Apache-2.0 */
/* Boot#### as the firmware's variables hold it. */
#include <stdint.h>
#include <stdlib.h>

#include "job/job-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct block_disk disk = { .name = "sda", .by_path = "pci-0000:00:1f.2-ata-1",
		.sys_path = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda" };
	struct job_devpath w;

	if (job_boot_option_parse(data, size, &w) < 0)
		return 0;
	if (w.n_pci > JOB_MAX_PCI)
		abort();
	/* Whoever names no function names no disk. */
	if (job_devpath_matches(&w, &disk) && !w.n_pci)
		abort();
	return 0;
}

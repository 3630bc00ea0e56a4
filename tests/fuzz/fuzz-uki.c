/* SPDX-License-Identifier: Apache-2.0 */
/* A file on a hostile guest's EFI partition: each section lies within the file,
 * or is not told. */
#include <stdlib.h>

#include "boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t file_size = size * 3;
	struct boot_uki u;

	if (!boot_uki_parse(data, size, file_size, &u))
		return 0;
	if (!u.part[BOOT_UKI_LINUX].len)
		abort();
	for (int i = 0; i < BOOT_UKI_SECTIONS; i++)
		if (u.part[i].off > file_size ||
		    u.part[i].len > file_size - u.part[i].off)
			abort();
	return 0;
}

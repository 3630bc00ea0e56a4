/* SPDX-License-Identifier: Apache-2.0 */
/* The SMBIOS table as the firmware hands it over. */
#include <stdint.h>
#include <stdlib.h>

#include "job/job-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct job_smbios s;

	if (job_smbios_parse(data, size, &s, &err) < 0) {
		if (err.code == ERR_NONE || s.job)
			abort();
		return 0;
	}
	/* Base64 shrinks, JSON is copied: nothing is invented. */
	if (s.job && s.job_len > size)
		abort();
	job_smbios_free(&s);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The job document: whatever is accepted must have strings that
 * end and counts in range. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	char uri[JOB_URI_MAX];
	struct job *j = NULL;

	if (job_parse((const char *)data, size, &j, &err) < 0) {
		if (err.code == ERR_NONE || !*err.text || j)
			abort();
		j = job_parse_contact((const char *)data, size);
		if (j && (!*j->migration || !j->controller.present || j->n_drives ||
				 j->n_nets > JOB_MAX_NETS))
			abort();
		job_free(j);
		return 0;
	}
	if (!*j->migration || j->n_drives < 1 || j->n_drives > JOB_MAX_DRIVES ||
		j->n_nets > JOB_MAX_NETS || j->prepare.n_keys > JOB_MAX_KEYS)
		abort();
	for (int i = 0; i < j->n_drives && j->mode != JOB_PREPARE; i++)
		if (job_drive_uri(j, &j->drives[i], uri) < 0 ||
		    strlen(uri) >= sizeof(uri))
			abort();
	job_free(j);
	return 0;
}

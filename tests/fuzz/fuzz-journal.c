/* SPDX-License-Identifier: Apache-2.0 */
/* The leaves of a local journal: whatever is accepted names units
 * of the drive, each once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "copy/copy-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct copy_job job;
static struct copy_leaves leaves;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct copy_options opt = { .journal = "journal" };
	bool durable;

	if (size < 1)
		return 0;
	job.opt = &opt;
	job.mode = COPY_MODE_COPY;
	job.n_units = data[0] % 32 + 1u;
	job.size = job.n_units * COPY_UNIT - 12345;
	job.durable_units = (uint8_t[4]){ 0 };
	if (copy_journal_leaves(&job, data + 1, size - 1, &leaves) < 0) {
		if (leaves.n)
			abort();
		return 0;
	}
	if (leaves.n > COPY_UNFINISHED || leaves.n > job.n_units)
		abort();
	job.leaves_done = job.leaves_durable = leaves;
	for (uint64_t off = 0, run; off < job.size; off += run) {
		run = copy_durable_run(&job, off, &durable);
		if (!run || run % SOURCE_LEAF || off % COPY_UNIT + run > COPY_UNIT)
			abort();
		copy_leaves_done(&job, off, off + run < job.size ? run : job.size - off);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

int job_disks(const char *sys_root, const char *dev_root, struct job_disk *ret, int max,
	struct err *err)
{
	struct block_disk *all = calloc((size_t)max, sizeof(*all));
	int i, n;

	if (!all)
		return err_set(err, ERR_NOMEM, "no memory for the list of disks");
	n = block_disks(sys_root, dev_root, all, max, err);
	if (n > max) {
		free(all);
		return err_set(err, ERR_DISK_AMBIGUOUS,
			"this machine has %d disks, and %d can be told apart", n, max);
	}
	for (i = 0; i < n; i++)
		ret[i] = (struct job_disk){ .b = all[i] };
	free(all);
	return n;
}

void job_disks_mark(struct job_disk *disks, int n, const struct job_found *found)
{
	struct job_alike a;
	int i;

	for (i = 0; i < n; i++) {
		struct job_disk *d = &disks[i];

		d->boot_medium = found->has_medium &&
			!strcmp(d->b.node, found->medium.node);
		d->config_volume = *found->volume && !strcmp(d->b.node, found->volume);
		d->maybe_medium = !found->has_medium &&
			found->origin.kind == JOB_ORIGIN_UNKNOWN &&
			job_look_alike(d, &a) == 1;
	}
}

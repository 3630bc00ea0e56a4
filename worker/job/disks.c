/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "job/job-internal.h"

/* What lies on it. A medium that cannot be read (an empty CD
 * drive) is simply not ours. */
static void look_inside(struct job_disk *d)
{
	struct job_medium medium;
	CLEANUP_CLOSE int fd = open(d->b.node, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	d->boot_medium = job_medium_probe(fd, d->b.size, &medium) != 0;
	d->config_volume = !d->boot_medium && job_volume_probe(fd, d->b.size);
}

int job_disks(const char *sys_root, const char *dev_root, struct job_disk *ret, int max,
	struct err *err)
{
	struct block_disk *all = calloc((size_t)max, sizeof(*all));
	int i, n;

	if (!all)
		return err_set(err, ERR_NOMEM, "no memory for the list of disks");
	n = block_disks(sys_root, dev_root, all, max, err);
	if (n > max)
		n = max;
	for (i = 0; i < n; i++) {
		ret[i] = (struct job_disk){ .b = all[i] };
		look_inside(&ret[i]);
	}
	free(all);
	return n;
}

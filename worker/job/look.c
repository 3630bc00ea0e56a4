/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker volumes among the disks, and the one this machine was started from. A source
 * can make any disk that it is copied to look like one of ours, down to the id of a
 * public image. So content makes a candidate; who is chosen, the loader or the firmware
 * says (origin.c). Where they say no more than "from a volume", the true one is among the
 * candidates: a CD is it, as nobody copies to a CD, else the only candidate that is no
 * target of a job which came another way.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "job/job-internal.h"

static bool is_cd(const struct job_disk *d)
{
	return !strncmp(d->b.name, "sr", 2);
}

int job_look_alike(const struct job_disk *d, struct job_alike *ret)
{
	CLEANUP_CLOSE int fd = open(d->b.node, O_RDONLY | O_CLOEXEC);
	int rc;

	/* A medium that cannot be read (an empty CD drive) is simply not ours. */
	if (fd < 0)
		return 0;
	memset(ret, 0, sizeof(*ret));
	rc = job_medium_probe(fd, d->b.size, &ret->m);
	if (rc == 0)
		return 0;
	ret->disk = d;
	ret->damaged = rc < 0;
	snprintf(ret->m.node, sizeof(ret->m.node), "%s", d->b.node);
	ret->m.read_only = d->b.read_only || is_cd(d);
	return 1;
}

static bool may_be_meant(const struct job_origin *o, const struct job_alike *a,
	const struct job *j)
{
	switch (o->kind) {
	case JOB_ORIGIN_KEY:
		return job_origin_key_fits(o, a->m.key);
	case JOB_ORIGIN_FIRMWARE:
		return job_devpath_matches(&o->path, &a->disk->b);
	case JOB_ORIGIN_UNKNOWN:
		return (a->damaged || !*o->image || !strcmp(o->image, a->m.image)) &&
			!(j && job_names_disk(j, a->disk));
	case JOB_ORIGIN_NONE:
		break;
	}
	return false;
}

int job_look_choose(const struct job_origin *o, const struct job_alike *a, int n,
	const struct job *j, int *ret_other)
{
	int i, chosen = -1;

	*ret_other = -1;
	for (i = 0; i < n; i++) {
		if (!may_be_meant(o, &a[i], j))
			continue;
		if (chosen >= 0 && is_cd(a[chosen].disk) && !is_cd(a[i].disk))
			continue;
		if (chosen >= 0 && is_cd(a[chosen].disk) == is_cd(a[i].disk))
			*ret_other = i;
		else
			*ret_other = -1; /* a CD comes before the disks */
		if (*ret_other < 0)
			chosen = i;
	}
	return chosen;
}

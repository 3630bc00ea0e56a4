/* SPDX-License-Identifier: Apache-2.0 */
/* Free space as the kernel itself tells it, so that no format has to be known here. */
#include <errno.h>
#include <linux/fsmap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "capture/capture.h"

#define RECORDS 1024
#ifndef FMH_OF_DEV_T /* its meaning of fmr_device came with the call */
#define FMH_OF_DEV_T 1
#endif

/* The records that say "free" on the block device itself: XFS may have a log and a
 * real-time part on others. */
static void take(const struct fsmap_head *h, uint32_t dev,
	void (*range)(void *ctx, uint64_t off, uint64_t len), void *ctx)
{
	for (uint32_t i = 0; i < h->fmh_entries; i++) {
		const struct fsmap *r = &h->fmh_recs[i];

		if (r->fmr_device == dev && r->fmr_flags & FMR_OF_SPECIAL_OWNER &&
			r->fmr_owner == FMR_OWN_FREE && r->fmr_length)
			range(ctx, r->fmr_physical, r->fmr_length);
	}
}

int capture_unused(int mount_fd, dev_t device,
	void (*range)(void *ctx, uint64_t off, uint64_t len), void *ctx, struct err *err)
{
	CLEANUP_FREE struct fsmap_head *h = calloc(1, fsmap_sizeof(RECORDS));
	/* new_encode_dev of the kernel */
	uint32_t dev = (minor(device) & 0xff) | major(device) << 8 |
		(minor(device) & ~0xffu) << 12;
	bool told = false;

	if (!h)
		return err_set(err, ERR_NOMEM, "free space: out of memory");
	h->fmh_count = RECORDS;
	h->fmh_keys[1] = (struct fsmap){ .fmr_device = UINT32_MAX,
		.fmr_flags = UINT32_MAX,
		.fmr_physical = UINT64_MAX, .fmr_owner = UINT64_MAX,
		.fmr_offset = UINT64_MAX };
	for (;;) {
		if (ioctl(mount_fd, FS_IOC_GETFSMAP, h) < 0) {
			if (!told && (errno == ENOTTY || errno == EOPNOTSUPP ||
				errno == EINVAL))
				return 0;
			return err_sys(err, ERR_SRC_READ, "ask for free space");
		}
		if (!h->fmh_entries)
			return 1;
		if (h->fmh_entries > RECORDS)
			return err_set(err, ERR_SRC_READ,
				"ask for free space: too many answers");
		told = true;
		if (h->fmh_oflags & FMH_OF_DEV_T)
			take(h, dev, range, ctx);
		if (h->fmh_recs[h->fmh_entries - 1].fmr_flags & FMR_OF_LAST)
			return 1;
		fsmap_advance(h);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* From a block device down to the disks it lies on,
 * by sysfs and device-mapper's own tables. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "capture/capture.h"

#define MAX_DEPTH 8
#define TABLE_SIZE (64u << 10)

struct walk {
	struct capture_segment *segments;
	unsigned n;
	uint64_t off; /* of the device asked about: where the next segment goes */
	struct err *err;
};

static bool read_text(dev_t dev, const char *name, char *ret, size_t size)
{
	char path[128];
	CLEANUP_FCLOSE FILE *f = NULL;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev),
		name);
	f = fopen(path, "re");
	return f && fgets(ret, (int)size, f);
}

static bool read_sectors(dev_t dev, const char *name, uint64_t *ret)
{
	char text[32];

	if (!read_text(dev, name, text, sizeof(text)))
		return false;
	*ret = strtoull(text, NULL, 10);
	return *ret <= INT64_MAX / 512;
}

static bool read_device(dev_t dev, const char *name, dev_t *ret)
{
	unsigned ma, mi;
	char text[32];

	if (!read_text(dev, name, text, sizeof(text)) ||
	    sscanf(text, "%u:%u", &ma, &mi) != 2)
		return false;
	*ret = makedev(ma, mi);
	return true;
}

/* Of "linear" the parameters are "8:2 2048": device and sector. "snapshot-origin" would
 * be as simple, but its snapshot reads from it what is no longer used by the file system
 * of today. */
bool capture_dm_target(const char *type, const char *parameters, dev_t *ret_device,
	uint64_t *ret_sector)
{
	unsigned ma, mi;
	char rest;

	if (strcmp(type, "linear") ||
		sscanf(parameters, "%u:%u %" SCNu64 " %c", &ma, &mi, ret_sector,
			&rest) != 3 ||
		*ret_sector > INT64_MAX / 512)
		return false;
	*ret_device = makedev(ma, mi);
	return true;
}

static int piece(struct walk *w, dev_t dev, uint64_t off, uint64_t len, unsigned depth);

/* The part [off, off + len) of a device-mapper device, target by target. */
static int targets(struct walk *w, const struct dm_ioctl *dm, uint64_t off, uint64_t len,
	unsigned depth)
{
	const char *base = (const char *)dm;
	uint32_t at = dm->data_start;

	for (uint32_t i = 0; i < dm->target_count && len; i++) {
		const struct dm_target_spec *t = (const void *)(base + at);
		uint64_t start, end, here, sector;
		dev_t below;

		if (!bytes_in_range(at, sizeof(*t) + 1, TABLE_SIZE) ||
			t->sector_start > INT64_MAX / 1024 ||
			t->length > INT64_MAX / 1024)
			return err_set(w->err, ERR_INTERNAL,
				"device-mapper: table not understood");
		start = t->sector_start * 512;
		end = start + t->length * 512;
		if (off >= start && off < end) {
			here = end - off < len ? end - off : len;
			if (!capture_dm_target(t->target_type, (const char *)(t + 1),
				&below, &sector))
				w->off += here;
			else if (piece(w, below, sector * 512 + (off - start), here,
				depth) < 0)
				return -1;
			off += here;
			len -= here;
		}
		at = dm->data_start + t->next; /* counted from the first */
	}
	w->off += len;
	return 0;
}

static int mapped(struct walk *w, dev_t dev, uint64_t off, uint64_t len, unsigned depth)
{
	CLEANUP_CLOSE int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	CLEANUP_FREE struct dm_ioctl *dm = calloc(1, TABLE_SIZE);

	if (!dm)
		return err_set(w->err, ERR_NOMEM, "device-mapper: out of memory");
	dm->version[0] = DM_VERSION_MAJOR;
	dm->data_size = TABLE_SIZE - 1; /* the last byte ends any text */
	dm->data_start = sizeof(*dm);
	dm->flags = DM_STATUS_TABLE_FLAG | DM_READONLY_FLAG;
	/* new_encode_dev of the kernel */
	dm->dev = (minor(dev) & 0xff) | major(dev) << 8 |
		(uint64_t)(minor(dev) & ~0xffu) << 12;
	if (fd < 0 || ioctl(fd, DM_TABLE_STATUS, dm) < 0)
		return err_sys(w->err, ERR_INTERNAL, "device-mapper: table of %u:%u",
			major(dev), minor(dev));
	if (dm->flags & DM_BUFFER_FULL_FLAG)
		return err_set(w->err, ERR_INTERNAL,
			"device-mapper: table of %u:%u is too long", major(dev),
			minor(dev));
	return targets(w, dm, off, len, depth);
}

static int add(struct walk *w, dev_t dev, uint64_t off, uint64_t len)
{
	struct capture_segment *last = w->n ? &w->segments[w->n - 1] : NULL;

	if (last && last->disk == dev && last->off + last->len == w->off &&
		last->disk_off + last->len == off) {
		last->len += len;
	} else {
		if (w->n == CAPTURE_MAX_SEGMENTS)
			return err_set(w->err, ERR_INTERNAL,
				"%u:%u: in more than %u pieces", major(dev), minor(dev),
				CAPTURE_MAX_SEGMENTS);
		w->segments[w->n++] = (struct capture_segment){ .off = w->off, .len = len,
			.disk = dev, .disk_off = off };
	}
	w->off += len;
	return 0;
}

static int piece(struct walk *w, dev_t dev, uint64_t off, uint64_t len, unsigned depth)
{
	uint64_t start, size;
	char text[32];
	dev_t disk;

	if (!read_sectors(dev, "size", &size) || !bytes_in_range(off, len, size * 512))
		return err_set(w->err, ERR_INTERNAL,
			"%u:%u: not a device with these bytes", major(dev), minor(dev));
	if (read_text(dev, "partition", text, sizeof(text))) {
		if (!depth || !read_sectors(dev, "start", &start) ||
			!read_device(dev, "../dev", &disk))
			return err_set(w->err, ERR_INTERNAL,
				"%u:%u: a partition of what?", major(dev), minor(dev));
		return piece(w, disk, start * 512 + off, len, depth - 1);
	}
	if (read_text(dev, "dm/name", text, sizeof(text))) {
		if (!depth)
			return err_set(w->err, ERR_INTERNAL,
				"device-mapper: too many layers");
		return mapped(w, dev, off, len, depth - 1);
	}
	if (read_text(dev, "md/level", text, sizeof(text))) {
		w->off += len;
		return 0;
	}
	return add(w, dev, off, len);
}

int capture_below(dev_t device, struct capture_segment ret[CAPTURE_MAX_SEGMENTS],
	unsigned *ret_n, struct err *err)
{
	struct walk w = { .segments = ret, .err = err };
	uint64_t sectors;

	if (!read_sectors(device, "size", &sectors))
		return err_set(err, ERR_INTERNAL, "%u:%u: no block device", major(device),
			minor(device));
	if (piece(&w, device, 0, sectors * 512, MAX_DEPTH) < 0)
		return -1;
	*ret_n = w.n;
	return 0;
}

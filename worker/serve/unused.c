/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Free space of frozen file systems: served as zeroes, so that extents, content and
 * hashes tell the same, and not read. Only leaves that are free as a whole count.
 * Partition tables, boot areas, gaps between partitions and the metadata of LVM and RAID
 * lie outside of file systems: kept.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "capture/capture.h"
#include "serve/serve-internal.h"

static uint64_t leaves(const struct serve_drive *d)
{
	return (d->dev.size + PROTO_LEAF - 1) / PROTO_LEAF;
}

static bool is_unused(const struct serve_drive *d, uint64_t leaf)
{
	return atomic_load_explicit(&d->unused[leaf / 64],
		memory_order_relaxed) >> leaf % 64 & 1;
}

int serve_unused_new(struct serve_drive *d, struct err *err)
{
	if (!d->dev.device)
		return 0; /* an image file knows its holes */
	d->unused = calloc(leaves(d) / 64 + 1, sizeof(*d->unused));
	return d->unused ? 0 :
		err_set(err, ERR_NOMEM, "drive %s: out of memory", d->name);
}

void serve_unused_begin(struct serve_drive *drives, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (uint64_t k = 0; drives[i].unused && k <= leaves(&drives[i]) / 64;
		    k++)
			atomic_store_explicit(&drives[i].unused[k], 0,
				memory_order_relaxed);
}

static void mark(struct serve_drive *d, uint64_t off, uint64_t len)
{
	uint64_t leaf = (off + PROTO_LEAF - 1) / PROTO_LEAF,
		end = (off + len) / PROTO_LEAF;

	for (; leaf < end && leaf < leaves(d); leaf++)
		atomic_fetch_or_explicit(&d->unused[leaf / 64], 1ull << leaf % 64,
			memory_order_relaxed);
}

struct fill {
	struct serve_drive *drives;
	unsigned n;
	struct capture_segment segments[CAPTURE_MAX_SEGMENTS];
	unsigned n_segments;
};

/* A range of the file system's device, wherever it lies. */
static void fill_range(void *ctx, uint64_t off, uint64_t len)
{
	struct fill *f = ctx;

	for (unsigned i = 0; i < f->n_segments; i++) {
		const struct capture_segment *s = &f->segments[i];
		uint64_t from = off > s->off ? off : s->off;
		uint64_t to = off + len < s->off + s->len ? off + len : s->off + s->len;

		for (unsigned k = 0; from < to && k < f->n; k++)
			if (f->drives[k].unused && f->drives[k].device == s->disk)
				mark(&f->drives[k], s->disk_off + (from - s->off),
					to - from);
	}
}

/* A drive may be a partition that is served by itself: then it is not below,
 * but the device. */
static int where(struct fill *f, dev_t device, struct err *err)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (!f->drives[i].unused || f->drives[i].device != device)
			continue;
		f->segments[0] = (struct capture_segment){ .len = f->drives[i].dev.size,
			.disk = device };
		f->n_segments = 1;
		return 0;
	}
	return capture_below(device, f->segments, &f->n_segments, err);
}

void serve_unused_add(struct serve_drive *drives, unsigned n, const struct serve_mount *m)
{
	struct fill f = { .drives = drives, .n = n };
	struct err err = ERR_INIT;
	bool any = false;
	int r;

	for (unsigned i = 0; i < n; i++)
		any = any || drives[i].unused;
	if (!any)
		return;
	r = where(&f, m->device, &err);
	if (!r)
		r = capture_unused(m->fd, m->device, fill_range, &f, &err);
	if (r < 0)
		log_info("%s: its free space is read, too: %s", m->path, err.text);
	else if (!r)
		log_info("%s: its free space is read, too: the kernel cannot tell where it is", m->path);
}

void serve_unused_report(const struct serve_drive *drives, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct serve_drive *d = &drives[i];
		uint64_t free_leaves = 0;

		if (!d->unused)
			continue;
		for (uint64_t k = 0; k < leaves(d); k++)
			free_leaves += is_unused(d, k);
		log_info("drive %s: %llu of %llu MiB are not used by its file systems and not read",
			d->name, (unsigned long long)(free_leaves * PROTO_LEAF >> 20),
			(unsigned long long)(d->dev.size >> 20));
	}
}

int serve_unused_read(struct serve_drive *d, void *buf, uint64_t off, uint32_t len,
	uint8_t **ret_data)
{
	uint64_t from = off, to = off + len, base = off - off % d->dev.align;
	uint8_t *start = buf, *got;

	/* What is unused at both ends is not read; what is between is,
	 * and becomes zero. */
	while (from < to && is_unused(d, from / PROTO_LEAF))
		from = (from / PROTO_LEAF + 1) * PROTO_LEAF;
	while (to > from && is_unused(d, (to - 1) / PROTO_LEAF))
		to = (to - 1) / PROTO_LEAF * PROTO_LEAF;
	*ret_data = start + (off - base);
	if (from >= to || to <= off) {
		memset(*ret_data, 0, len);
		return 0;
	}
	/* A leaf begins at a multiple of the alignment,
	 * and so does its place in the buffer. */
	start += from == off ? 0 : from - base;
	if (serve_drive_read(d, start, from, (uint32_t)(to - from), &got) < 0)
		return -1;
	memset(*ret_data, 0, from - off);
	memset(*ret_data + (to - off), 0, off + len - to);
	for (uint64_t at = from; at < to; at = (at / PROTO_LEAF + 1) * PROTO_LEAF) {
		uint64_t end = (at / PROTO_LEAF + 1) * PROTO_LEAF;

		if (is_unused(d, at / PROTO_LEAF))
			memset(*ret_data + (at - off), 0, (end < to ? end : to) - at);
	}
	return 0;
}

void serve_unused_extents(const struct serve_drive *d, uint64_t off, uint64_t len,
	struct proto_extent *ret, size_t max, size_t *ret_n)
{
	uint64_t at = off, end = off + len;
	size_t n = 0;

	while (at < end && n < max) {
		bool zero = is_unused(d, at / PROTO_LEAF);
		uint64_t to = at;

		while (to < end && is_unused(d, to / PROTO_LEAF) == zero)
			to = (to / PROTO_LEAF + 1) * PROTO_LEAF;
		if (to > end)
			to = end;
		ret[n++] = (struct proto_extent){ .len = to - at, .kind = zero };
		at = to;
	}
	*ret_n = n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file:PATH - a disk image or a local block device. Reads happen in reap, in order. An
 * image is known by its inode, size and times: whatever was read while these were others
 * does not belong to what is read now. A device has nothing like that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "block/block.h"
#include "source/source-internal.h"

#define DEPTH 2 /* more would only hold memory: there is no latency to hide */

struct file {
	struct block_dev dev;
	bool live; /* it may change while it is read */
};

struct file_chan {
	struct source_req *head, *tail;
	unsigned n;
	_Atomic bool cancelled;
};

/* Names the content of an image; "" for devices. */
static int name_content(const struct source *s, char ret[40], struct err *err)
{
	const struct block_dev *d = &((struct file *)s->priv)->dev;
	struct source_hash h;
	struct stat st;
	char text[160];
	int n;

	ret[0] = '\0';
	if (d->device)
		return 0;
	if (fstat(d->fd, &st) < 0)
		return err_sys(err, ERR_SRC_READ, "%s: look at it", s->name);
	n = snprintf(text, sizeof(text), "%ju %ju %ju %jd.%09ld %jd.%09ld",
		(uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (uintmax_t)st.st_size,
		(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		(intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	source_hash_leaf(s, text, (size_t)n, &h);
	for (unsigned i = 0; i < sizeof(h.b); i++)
		snprintf(ret + 2 * i, 3, "%02x", h.b[i]);
	return 0;
}

/* Whether it is what it was when it was opened, or begun anew. */
static int check_content(const struct source *s, struct err *err)
{
	char now[40];

	if (((const struct file *)s->priv)->live)
		return 0;
	if (name_content(s, now, err) < 0)
		return -1;
	return !strcmp(now, s->info.generation) ? 0 : err_set(err, ERR_SRC_CHANGED,
		"%s: somebody writes to it", s->name);
}

static int file_begin_anew(struct source *s, struct err *err)
{
	return name_content(s, s->info.generation, err);
}

static int file_live(struct source *s, bool live, struct err *err)
{
	((struct file *)s->priv)->live = live;
	return file_begin_anew(s, err);
}

static int file_open(struct source *s, const struct source_uri *uri, struct err *err)
{
	struct file *f = calloc(1, sizeof(*f));
	struct block_dev *d;

	if (!f)
		return err_set(err, ERR_NOMEM, "open %s: out of memory", uri->path);
	d = &f->dev;
	if (block_open(uri->path, 0, d, err) < 0) {
		free(f);
		err->code = ERR_SRC_NO_DRIVE;
		return -1;
	}
	s->priv = f;
	snprintf(s->name, sizeof(s->name), "file:%.140s", uri->path);
	s->info.size = d->size;
	s->info.sector = d->sector;
	s->info.max_channels = 4;
	s->info.extents = !d->device;
	block_identity(d->fd, s->info.identity);
	return name_content(s, s->info.generation, err);
}

static void file_close(struct source *s)
{
	struct file *f = s->priv;

	if (f)
		block_close(&f->dev);
	free(f);
}

static int file_chan_open(struct source_chan *c, struct err *err)
{
	c->priv = calloc(1, sizeof(struct file_chan));
	return c->priv ? check_content(c->src, err) : err_set(err, ERR_NOMEM, "%s: out of memory", c->src->name);
}

static void file_chan_close(struct source_chan *c)
{
	free(c->priv);
}

static void file_chan_cancel(struct source_chan *c)
{
	((struct file_chan *)c->priv)->cancelled = true;
}

static unsigned file_room(const struct source_chan *c, uint32_t len)
{
	(void)len;
	return DEPTH - ((struct file_chan *)c->priv)->n;
}

static int file_submit(struct source_chan *c, struct source_req *r, struct err *err)
{
	struct file_chan *f = c->priv;

	(void)err;
	if (f->tail)
		f->tail->next = r;
	else
		f->head = r;
	f->tail = r;
	f->n++;
	return 0;
}

static int file_reap(struct source_chan *c, unsigned timeout_ms, struct source_req **ret,
	struct err *err)
{
	struct file_chan *f = c->priv;
	const struct block_dev *d = &((struct file *)c->src->priv)->dev;
	struct source_req *r = f->head;

	(void)timeout_ms;
	if (f->cancelled)
		return err_set(err, ERR_CANCELLED, "%s: cancelled", c->src->name);
	*ret = r;
	if (!r)
		return 0;
	f->head = r->next;
	if (!f->head)
		f->tail = NULL;
	f->n--;
	r->next = NULL;
	if (fdio_pread(d->fd, r->buf, r->len, r->off) < 0)
		r->status = err_sys(&r->err, ERR_SRC_READ,
			"%s: read %" PRIu32 " bytes at %" PRIu64, c->src->name, r->len,
			r->off);
	else
		r->status = check_content(c->src, &r->err);
	if (!r->status)
		source_count_in(c->src, r->len);
	return 0;
}

static int file_extents(struct source_chan *c, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
	struct err *err)
{
	const struct block_dev *d = &((struct file *)c->src->priv)->dev;
	uint64_t at = off, end = off + len;
	size_t n = 0;

	while (at < end && n < max) {
		off_t data = lseek(d->fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno != ENXIO)
			goto fail;
		if (data < 0 || (uint64_t)data > at) {
			uint64_t stop = data < 0 ? end : (uint64_t)data;

			ret[n++] = (struct source_extent){ at, stop - at, SOURCE_ZERO };
			at = stop;
			continue;
		}
		hole = lseek(d->fd, (off_t)at, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole <= at)
			goto fail;
		ret[n++] = (struct source_extent){ at, (uint64_t)hole - at, SOURCE_DATA };
		at = (uint64_t)hole;
	}
	*ret_n = n;
	return 0;
fail:
	*degrade = true;
	return err_sys(err, ERR_SRC_READ, "%s: look for holes at %" PRIu64, c->src->name,
		at);
}

static const char *const schemes[] = { "file", NULL };

const struct source_ops source_file_ops = {
	.name = "file",
	.schemes = schemes,
	.open = file_open,
	.close = file_close,
	.chan_open = file_chan_open,
	.chan_close = file_chan_close,
	.chan_cancel = file_chan_cancel,
	.room = file_room,
	.submit = file_submit,
	.reap = file_reap,
	.extents = file_extents,
	.begin_anew = file_begin_anew,
	.live = file_live,
};

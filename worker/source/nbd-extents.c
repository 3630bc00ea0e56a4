/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NBD block status. Only ZERO counts as zeroes: a HOLE without it is undefined content
 * and is read. A dirty bitmap narrows: clean is unchanged, dirty and zero is zero, dirty
 * is data.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "source/nbd-internal.h"

#define STATE_ZERO 2
#define STATE_DIRTY 1
#define WAIT_MS 1000
#define ANSWER_MS 120000
#define MAX_STATUS ((4ull << 30) - (1u << 20)) /* fits 32 bits and any block size */

static int which_context(const struct nbd_conn *c, uint32_t id)
{
	for (int i = 0; i < 2; i++)
		if (c->has_context[i] && c->context[i] == id)
			return i;
	return -1;
}

static int take_ranges(struct nbd_conn *c, int list, uint32_t count, bool extended,
	struct err *err)
{
	uint8_t buf[512 * 16];
	uint32_t size = extended ? 16 : 8;
	struct nbd_status *st = &c->status;

	while (count) {
		uint32_t n = count < 512 ? count : 512;

		if (source_nbd_read(c, buf, (size_t)n * size, err) < 0)
			return -1;
		for (uint32_t i = 0; i < n && list >= 0; i++) {
			const uint8_t *p = buf + i * size;
			struct nbd_range r = { extended ? bytes_be64(p) : bytes_be32(p),
				extended ? bytes_be64(p + 8) : bytes_be32(p + 4) };

			if (!r.len)
				return source_nbd_broken(c, err,
					"an extent without length");
			if (st->n[list] < NBD_RANGES)
				st->lists[list][st->n[list]++] = r;
		}
		count -= n;
	}
	return 0;
}

int source_nbd_take_status(struct nbd_conn *c, uint32_t len, bool extended,
	struct err *err)
{
	uint32_t head = extended ? 8 : 4, size = extended ? 16 : 8, count;
	uint8_t buf[8];
	int list;

	if (len < head + size || (len - head) % size ||
	    (len - head) / size > NBD_MAX_EXTENTS)
		return source_nbd_broken(c, err, "block status of %" PRIu32 " bytes",
			len);
	if (source_nbd_read(c, buf, head, err) < 0)
		return -1;
	count = (len - head) / size;
	if (extended && bytes_be32(buf + 4) != count)
		return source_nbd_broken(c, err,
			"block status of %" PRIu32 " extents in %" PRIu32
			" bytes", bytes_be32(buf + 4), len);
	list = which_context(c, bytes_be32(buf));
	if (list >= 0 && c->status.seen[list])
		return source_nbd_broken(c, err, "a context twice in one block status");
	if (list >= 0)
		c->status.seen[list] = true;
	return take_ranges(c, list, count, extended, err);
}

static enum source_extent_kind kind_of(uint64_t allocation, bool dirty_asked,
	uint64_t dirty)
{
	if (dirty_asked && !(dirty & STATE_DIRTY))
		return SOURCE_UNCHANGED;
	return allocation & STATE_ZERO ? SOURCE_ZERO : SOURCE_DATA;
}

size_t source_nbd_merge_status(const struct nbd_status *st, bool dirty, uint64_t off,
	uint64_t end, struct source_extent *ret, size_t max)
{
	/* Without allocation everything counts as data. */
	struct nbd_range whole = { end - off, 0 };
	const struct nbd_range *list[2] =
		{ st->n[0] ? st->lists[0] : &whole, st->lists[1] };
	unsigned n[2] = { st->n[0] ? st->n[0] : 1, st->n[1] }, i[2] = { 0, 0 };
	uint64_t left[2] =
		{ list[0][0].len, dirty && n[1] ? list[1][0].len : UINT64_MAX };
	size_t out = 0;

	while (off < end && i[0] < n[0] && (!dirty || i[1] < n[1])) {
		enum source_extent_kind kind = kind_of(list[0][i[0]].flags, dirty,
			dirty ? list[1][i[1]].flags : 0);
		uint64_t len = left[0] < left[1] ? left[0] : left[1];

		if (len > end - off)
			len = end - off;
		if (out && ret[out - 1].kind == kind) {
			ret[out - 1].len += len;
		} else {
			if (out == max)
				break;
			ret[out++] = (struct source_extent){ off, len, kind };
		}
		off += len;
		for (int k = 0; k < (dirty ? 2 : 1); k++) {
			left[k] -= len;
			if (!left[k] && ++i[k] < n[k])
				left[k] = list[k][i[k]].len;
		}
	}
	return out;
}

/* Sends the question and takes replies, of reads too, until it is answered. */
static int ask(struct nbd_conn *c, uint64_t off, uint64_t len, struct err *err)
{
	struct nbd_status *st = &c->status;
	uint64_t deadline = clock_now_ms() + ANSWER_MS;

	for (int i = 0; i < 2; i++) {
		if (!st->lists[i])
			st->lists[i] = calloc(NBD_RANGES, sizeof(*st->lists[i]));
		if (!st->lists[i])
			return err_set(err, ERR_NOMEM, "%s: out of memory", c->name);
		st->n[i] = 0;
		st->seen[i] = false;
	}
	st->error = 0;
	st->complete = false;
	st->active = true;
	st->cookie = c->next_cookie++;
	source_nbd_queue_request(c, NBD_CMD_BLOCK_STATUS, st->cookie, off, len);
	if (source_nbd_send_queued(c, err) < 0)
		return -1;
	while (!st->complete) {
		int r = net_wait_readable(c->s, WAIT_MS, err);

		if (r < 0)
			return -1;
		if (!r && clock_now_ms() > deadline)
			return err_set(err, ERR_SRC_SLOW, "%s: no block status for %d s",
				c->name, ANSWER_MS / 1000);
		if (r && source_nbd_take_reply(c, err) < 0)
			return -1;
	}
	st->active = false;
	return 0;
}

int source_nbd_extents(struct source_chan *ch, uint64_t off, uint64_t len,
	struct source_extent *ret, size_t max, size_t *ret_n, bool *degrade,
	struct err *err)
{
	struct nbd_conn *c = ch->priv;
	struct nbd_status *st = &c->status;
	bool dirty = c->has_context[1];

	if (len > MAX_STATUS)
		len = MAX_STATUS;
	if (!c->has_context[0] && !dirty) {
		ret[0] = (struct source_extent){ off, len, SOURCE_DATA };
		*ret_n = 1;
		return 0;
	}
	if (ask(c, off, len, err) < 0)
		return -1;
	if (st->error || (c->has_context[0] && !st->n[0]) || (dirty && !st->n[1])) {
		*degrade = true;
		errno = st->error ? st->error : EINVAL;
		return err_sys(err, ERR_SRC_READ, "%s: block status at %" PRIu64,
			c->name, off);
	}
	*ret_n = source_nbd_merge_status(st, dirty, off, off + len, ret, max);
	return 0;
}

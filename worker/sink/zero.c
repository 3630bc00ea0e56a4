/* SPDX-License-Identifier: Apache-2.0 */
/* The ladder of ways to zero a range, with the result checked by samples. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "sink/sink-internal.h"

#define SAMPLE 4096
#define ZERO_CHUNK (256u << 10)

/* nbdkit up to 1.44 cut long zero requests silently, and SCSI UNMAP may do nothing: what
 * a way claims is checked at the start, in the middle and at the end. 1 zero, 0 not, -1
 * error. */
static int sampled(struct sink *k, uint64_t off, uint64_t len, struct err *err)
{
	uint64_t at[3] = { off, off + len / 2 / SAMPLE * SAMPLE, off + len - SAMPLE };
	uint8_t *buf;
	int r = 1;

	if (len < SAMPLE)
		return 1;
	buf = aligned_alloc(SAMPLE, SAMPLE);
	if (!buf)
		return err_set(err, ERR_NOMEM, "%s: out of memory", k->name);
	for (int i = 0; i < 3 && r == 1; i++) {
		if (k->ops->read(k, buf, SAMPLE, at[i], err) < 0)
			r = -1;
		else
			r = bytes_are_zero(buf, SAMPLE);
	}
	free(buf);
	return r;
}

static int write_zeroes(struct sink *k, uint64_t off, uint64_t len, struct err *err)
{
	static const uint8_t zeroes[ZERO_CHUNK] __attribute__((aligned(4096)));

	while (len) {
		size_t n = len < ZERO_CHUNK ? len : ZERO_CHUNK;

		if (k->ops->write(k, zeroes, n, off, err) < 0)
			return -1;
		off += n;
		len -= n;
	}
	return 0;
}

/* 1 done, 0 no way works, -1 error. */
static int cheaply(struct sink *k, struct sink_zeroer *z, uint64_t off, uint64_t len,
	struct err *err)
{
	for (unsigned i = 0; z->ways[i].zero; i++) {
		int r;

		if (z->refused & 1u << i)
			continue;
		if (!z->ways[i].zero(z->fd, off, len)) {
			r = sampled(k, off, len, err);
			if (r)
				return r;
			log_warn("%s: %s left other content than zeroes; not used again",
				k->name, z->ways[i].name);
		} else if (errno == EIO || errno == ENOSPC) {
			return err_sys(err, err_disk_code(errno), "%s: %s", k->name,
				z->ways[i].name);
		} else {
			log_debug("%s: %s: %s", k->name, z->ways[i].name,
				err_text(errno));
		}
		z->refused |= 1u << i;
	}
	return 0;
}

int sink_zero_range(struct sink *k, struct sink_zeroer *z, uint64_t off, uint64_t len,
	struct err *err)
{
	uint64_t begin = (off + z->granule - 1) / z->granule * z->granule;
	uint64_t end = (off + len) / z->granule * z->granule;
	int r = 0;

	if (begin < end)
		r = cheaply(k, z, begin, end - begin, err);
	if (r < 0)
		return -1;
	if (!r)
		return write_zeroes(k, off, len, err);
	if (write_zeroes(k, off, begin - off, err) < 0)
		return -1;
	return write_zeroes(k, end, off + len - end, err);
}

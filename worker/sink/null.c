/* SPDX-License-Identifier: Apache-2.0 */
/* null: - takes everything, keeps nothing; reads as zeroes. For measuring sources. */
#include <string.h>

#include "sink/sink-internal.h"

static int null_open(struct sink *k, const char *target, uint64_t size, struct err *err)
{
	(void)target;
	(void)err;
	k->info = (struct sink_info){ .size = size, .align = 512, .reads_zero = true };
	return 0;
}

static void null_close(struct sink *k)
{
	(void)k;
}

static int null_write(struct sink *k, const void *buf, size_t len, uint64_t off,
	struct err *err)
{
	(void)k;
	(void)buf;
	(void)len;
	(void)off;
	(void)err;
	return 0;
}

static int null_read(struct sink *k, void *buf, size_t len, uint64_t off, struct err *err)
{
	(void)k;
	(void)off;
	(void)err;
	memset(buf, 0, len);
	return 0;
}

static int null_zero(struct sink *k, uint64_t off, uint64_t len, struct err *err)
{
	(void)k;
	(void)off;
	(void)len;
	(void)err;
	return 0;
}

static int null_flush(struct sink *k, struct err *err)
{
	(void)k;
	(void)err;
	return 0;
}

const struct sink_ops sink_null_ops = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.write = null_write,
	.read = null_read,
	.zero = null_zero,
	.flush = null_flush,
};

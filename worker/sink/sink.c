/* SPDX-License-Identifier: Apache-2.0 */
/* The front of all sinks: chooses the kind, checks ranges, counts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "sink/sink-internal.h"

static const struct sink_ops *choose(const char *target)
{
	struct stat st;

	if (!strcmp(target, "null:"))
		return &sink_null_ops;
	if (!strncmp(target, "record:", 7))
		return &sink_recorder_ops;
	if (!stat(target, &st) && S_ISBLK(st.st_mode))
		return &sink_blockdev_ops;
	return &sink_file_ops;
}

int sink_open_kind(const struct sink_ops *ops, const char *target, uint64_t size,
	struct sink **ret, struct err *err)
{
	struct sink *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(err, ERR_NOMEM, "open %s: out of memory", target);
	k->ops = ops;
	snprintf(k->name, sizeof(k->name), "%s", target);
	if (ops->open(k, target, size, err) < 0) {
		sink_close(k);
		return -1;
	}
	if (k->info.size < size) {
		err_set(err, ERR_DISK_SMALL,
			"%s has %" PRIu64 " bytes, the source %" PRIu64, k->name,
			k->info.size, size);
		sink_close(k);
		return -1;
	}
	*ret = k;
	return 0;
}

int sink_open(const char *target, uint64_t size, struct sink **ret, struct err *err)
{
	return sink_open_kind(choose(target), target, size, ret, err);
}

void sink_close(struct sink *k)
{
	if (!k)
		return;
	k->ops->close(k);
	free(k);
}

const struct sink_info *sink_get_info(const struct sink *k)
{
	return &k->info;
}

const char *sink_name(const struct sink *k)
{
	return k->name;
}

void sink_get_counters(const struct sink *k, struct sink_counters *ret)
{
	ret->written = k->written;
	ret->zeroed = k->zeroed;
}

static int check(const struct sink *k, const char *what, uint64_t off, uint64_t len,
	struct err *err)
{
	if (bytes_in_range(off, len, k->info.size))
		return 0;
	return err_set(err, ERR_INTERNAL, "%s: %s of %" PRIu64 " bytes at %" PRIu64
		" is outside of it", k->name, what, len, off);
}

int sink_write(struct sink *k, const void *buf, size_t len, uint64_t off, struct err *err)
{
	if (check(k, "write", off, len, err) < 0)
		return -1;
	if (!len)
		return 0;
	if (k->ops->write(k, buf, len, off, err) < 0)
		return -1;
	atomic_fetch_add_explicit(&k->written, len, memory_order_relaxed);
	return 0;
}

int sink_read(struct sink *k, void *buf, size_t len, uint64_t off, struct err *err)
{
	if (check(k, "read", off, len, err) < 0)
		return -1;
	return len ? k->ops->read(k, buf, len, off, err) : 0;
}

uint64_t sink_next_data(struct sink *k, uint64_t off, uint64_t end)
{
	uint64_t at = k->ops->next_data ? k->ops->next_data(k, off) : off;

	return at < off ? off : at < end ? at : end;
}

int sink_zero(struct sink *k, uint64_t off, uint64_t len, struct err *err)
{
	if (check(k, "zero", off, len, err) < 0)
		return -1;
	if (!len)
		return 0;
	if (k->ops->zero(k, off, len, err) < 0)
		return -1;
	atomic_fetch_add_explicit(&k->zeroed, len, memory_order_relaxed);
	return 0;
}

int sink_flush(struct sink *k, struct err *err)
{
	return k->ops->flush(k, err);
}

void sink_forget(struct sink *k)
{
	if (k->ops->forget)
		k->ops->forget(k);
}

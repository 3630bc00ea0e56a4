/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where bytes go: a block device, a file, nothing, or a recorder for tests. All calls may
 * come from several threads at once.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sink_info {
	uint64_t size;      /* bytes it can hold; files grow to what sink_open was told */
	uint32_t align;     /* best alignment of buffers, offsets and
			     * lengths: 512 or 4096 */
	uint32_t sector;    /* logical sector of a device; a file has none: 0 */
	bool reads_zero;    /* everything not yet written reads as zeroes
			     * (new or one hole) */
	char identity[48];  /* block_identity, "" = not known */
};

struct sink_counters {
	uint64_t written;   /* bytes handed to write */
	uint64_t zeroed;    /* bytes made zero without writing them */
};

struct sink;

/* target: path of a block device or file, or "null:". size: bytes the source has; a
 * device that is smaller is DISK_SMALL, a file is made that long. Refuses mounted devices
 * (DISK_BUSY). */
int sink_open(const char *target, uint64_t size, struct sink **ret, struct err *err);
void sink_close(struct sink *k);
const struct sink_info *sink_get_info(const struct sink *k);
const char *sink_name(const struct sink *k);
void sink_get_counters(const struct sink *k, struct sink_counters *ret);

int sink_write(struct sink *k, const void *buf, size_t len, uint64_t off,
	struct err *err);
int sink_read(struct sink *k, void *buf, size_t len, uint64_t off, struct err *err);
/* Where, from off on, something else than zeroes may be: end when there is nothing before
 * it. What lies between is known without reading; a sink that cannot tell says off. */
uint64_t sink_next_data(struct sink *k, uint64_t off, uint64_t end);
/* Afterwards the range reads as zeroes; tries the cheap ways first,
 * remembers refusals. */
int sink_zero(struct sink *k, uint64_t off, uint64_t len, struct err *err);
/* Everything written before is durable. */
int sink_flush(struct sink *k, struct err *err);
/* After a flush: what is read from here on comes from the medium and not from this
 * machine's memory, as far as that can be had. */
void sink_forget(struct sink *k);

#endif

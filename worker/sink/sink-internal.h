/* SPDX-License-Identifier: Apache-2.0 */
/* What one kind of sink (blockdev.c, file.c, null.c, recorder.c) fills in. */
#ifndef SINK_SINK_INTERNAL_H
#define SINK_SINK_INTERNAL_H

#include <stdatomic.h>

#include "sink/sink.h"

struct sink {
	const struct sink_ops *ops;
	struct sink_info info; /* ops->open fills it */
	char name[256];
	_Atomic uint64_t written, zeroed;
	void *priv;
};

/* All ranges were checked by sink.c and are not empty.
 * Calls come from several threads. */
struct sink_ops {
	const char *name;
	int (*open)(struct sink *k, const char *target, uint64_t size, struct err *err);
	/* Also after a failed open; k->priv may be NULL. */
	void (*close)(struct sink *k);
	int (*write)(struct sink *k, const void *buf, size_t len, uint64_t off,
		struct err *err);
	int (*read)(struct sink *k, void *buf, size_t len, uint64_t off, struct err *err);
	/* Makes [off, off + len) read as zeroes. */
	int (*zero)(struct sink *k, uint64_t off, uint64_t len, struct err *err);
	int (*flush)(struct sink *k, struct err *err);
	void (*forget)(struct sink *k); /* NULL: nothing is kept */
	/* As sink_next_data, but may say more than end. NULL: cannot tell. */
	uint64_t (*next_data)(struct sink *k, uint64_t off);
};

extern const struct sink_ops sink_blockdev_ops, sink_file_ops, sink_null_ops,
	sink_recorder_ops;

/* sink.c: opens without choosing the kind anew; used by sink_open and the recorder. */
int sink_open_kind(const struct sink_ops *ops, const char *target, uint64_t size,
	struct sink **ret, struct err *err);

/* zero.c: ways to zero, cheapest first. A way that a target refuses, or that leaves
 * something else than zeroes (seen by a sampled read), is not tried again. */
struct sink_zero_way {
	const char *name;
	int (*zero)(int fd, uint64_t off, uint64_t len); /* -1 with errno */
};
#define SINK_ZERO_MAX 4
struct sink_zeroer {
	const struct sink_zero_way *ways; /* ends with .zero = NULL; then
					   * zeroes are written */
	_Atomic unsigned refused;         /* bit i: ways[i] */
	uint32_t granule;                 /* ranges are rounded inwards to it
					   * for ways[] */
	int fd;
};
/* Goes through k->ops->read and write for the sampling and for the edges. */
int sink_zero_range(struct sink *k, struct sink_zeroer *z, uint64_t off, uint64_t len,
	struct err *err);

#endif

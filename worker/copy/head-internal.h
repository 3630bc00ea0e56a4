/* SPDX-License-Identifier: Apache-2.0 */
/* What head.c and commit.c share. */
#ifndef COPY_HEAD_INTERNAL_H
#define COPY_HEAD_INTERNAL_H

#include "copy/copy-internal.h"

/* Reads of a few ranges, one after the other,
 * over a connection of its own or one taken over. */
struct copy_fetcher {
	struct source *src;
	struct source_chan *chan; /* NULL = none yet; closed by copy_fetcher_end */
	uint32_t step;            /* largest read; 0 = COPY_MIN_REQUEST */
	void *buf;                /* SOURCE_MAX_REQUEST, aligned to 4096;
				   * NULL = makes one */
	bool own;                 /* made that one */
	const struct copy_control *ctl; /* ends the wait when cancelled; NULL = never */
};
int copy_fetch(struct copy_fetcher *f, void *out, size_t len, uint64_t off,
	struct err *err);
void copy_fetcher_end(struct copy_fetcher *f);

bool copy_same_bytes(const void *a, const void *b, size_t len);
/* A new copy of this target begins: what was masked before is of no use. */
void copy_forget_masked(const struct sink *dst);

#endif

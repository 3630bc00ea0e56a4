/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One hash for a whole drive, in memory that does not grow with what is in flight: leaves
 * of 64 KiB are hashed into units of 64 MiB, units into the root. Leaves come in any
 * order.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxh_x86dispatch.h>

#include "copy/copy-internal.h"

struct unit {
	struct source_hash *leaves; /* while some are missing */
	uint32_t missing;
	struct source_hash hash;
};

struct copy_root {
	pthread_mutex_t lock;
	uint64_t size;
	size_t n;
	_Atomic bool broken; /* a leaf came in parts, or no memory */
	struct source_hash zero;
	struct unit units[];
};

void copy_leaf_hash(const void *buf, size_t len, struct source_hash *ret)
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits(buf, len));
	memcpy(ret->b, c.digest, sizeof(ret->b));
}

struct copy_root *copy_root_new(uint64_t size)
{
	static const uint8_t zeroes[SOURCE_LEAF];
	size_t n = (size_t)((size + COPY_UNIT - 1) / COPY_UNIT);
	struct copy_root *r = calloc(1, sizeof(*r) + n * sizeof(r->units[0]));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->size = size;
	r->n = n;
	copy_leaf_hash(zeroes, sizeof(zeroes), &r->zero);
	for (size_t u = 0; u < n; u++) {
		uint64_t left = size - (uint64_t)u * COPY_UNIT;

		left = left < COPY_UNIT ? left : COPY_UNIT;
		r->units[u].missing = (uint32_t)((left + SOURCE_LEAF - 1) / SOURCE_LEAF);
	}
	return r;
}

void copy_root_free(struct copy_root *r)
{
	if (!r)
		return;
	for (size_t u = 0; u < r->n; u++)
		free(r->units[u].leaves);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static uint32_t leaves_of(const struct copy_root *r, size_t u)
{
	uint64_t left = r->size - (uint64_t)u * COPY_UNIT;

	left = left < COPY_UNIT ? left : COPY_UNIT;
	return (uint32_t)((left + SOURCE_LEAF - 1) / SOURCE_LEAF);
}

static void add(struct copy_root *r, uint64_t off, const struct source_hash *h)
{
	size_t u = (size_t)(off / COPY_UNIT);
	struct unit *unit = &r->units[u];

	if (!unit->leaves && unit->missing)
		unit->leaves = calloc(COPY_UNIT_LEAVES, sizeof(*unit->leaves));
	if (!unit->leaves || off % SOURCE_LEAF) {
		r->broken = true;
		return;
	}
	unit->leaves[off % COPY_UNIT / SOURCE_LEAF] = *h;
	if (--unit->missing)
		return;
	copy_leaf_hash(unit->leaves, leaves_of(r, u) * sizeof(*h), &unit->hash);
	free(unit->leaves);
	unit->leaves = NULL;
}

void copy_root_leaves(struct copy_root *r, uint64_t off, uint32_t len,
	const struct source_hash *h)
{
	if (!r)
		return;
	if (off % SOURCE_LEAF || (len % SOURCE_LEAF && off + len != r->size)) {
		r->broken = true;
		return;
	}
	pthread_mutex_lock(&r->lock);
	for (uint32_t at = 0; at < len; at += SOURCE_LEAF)
		add(r, off + at, h++);
	pthread_mutex_unlock(&r->lock);
}

void copy_root_data(struct copy_root *r, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *b = buf;

	for (size_t at = 0; r && at < len; at += SOURCE_LEAF) {
		uint32_t n = len - at < SOURCE_LEAF ? (uint32_t)(len - at) : SOURCE_LEAF;
		struct source_hash h;

		copy_leaf_hash(b + at, n, &h);
		copy_root_leaves(r, off + at, n, &h);
	}
}

void copy_root_zero_hash(const struct copy_root *r, uint32_t len, struct source_hash *ret)
{
	static const uint8_t zeroes[SOURCE_LEAF];

	if (r && len == SOURCE_LEAF)
		*ret = r->zero;
	else
		copy_leaf_hash(zeroes, len, ret);
}

void copy_root_zero(struct copy_root *r, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[SOURCE_LEAF];
	struct source_hash last;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	for (uint64_t at = off; at < off + len; at += SOURCE_LEAF) {
		uint64_t n = off + len - at;

		if (n >= SOURCE_LEAF) {
			add(r, at, &r->zero);
		} else if (at + n == r->size) {
			copy_leaf_hash(zeroes, (size_t)n, &last);
			add(r, at, &last);
		} else {
			r->broken = true;
		}
	}
	pthread_mutex_unlock(&r->lock);
}

void copy_root_break(struct copy_root *r)
{
	if (r)
		r->broken = true;
}

bool copy_root_lacks_head(struct copy_root *r, uint64_t len)
{
	uint64_t head = (len + SOURCE_LEAF - 1) / SOURCE_LEAF;
	bool only = r && !r->broken && r->n;

	for (size_t u = 0; only && u < r->n; u++)
		only = r->units[u].missing == (u ? 0 : head);
	return only;
}

enum copy_seen copy_root_look(struct copy_root *r, uint64_t off,
	const struct source_hash *h)
{
	static const struct source_hash none;
	enum copy_seen seen = COPY_SEEN_NOT;
	const struct source_hash *mine;
	struct unit *unit;

	if (!r)
		return COPY_SEEN_NOT;
	pthread_mutex_lock(&r->lock);
	unit = &r->units[off / COPY_UNIT];
	if (!unit->missing) {
		seen = COPY_SEEN_UNIT;
	} else if (unit->leaves && h) {
		mine = &unit->leaves[off % COPY_UNIT / SOURCE_LEAF];
		if (memcmp(mine, &none, sizeof(none)))
			seen = memcmp(mine, h, sizeof(*h)) ? COPY_SEEN_OTHER :
				COPY_SEEN_SAME;
	}
	pthread_mutex_unlock(&r->lock);
	return seen;
}

bool copy_root_is_unit(struct copy_root *r, size_t unit, const struct source_hash *leaves)
{
	struct source_hash h;

	copy_leaf_hash(leaves, leaves_of(r, unit) * sizeof(*leaves), &h);
	return !memcmp(&h, &r->units[unit].hash, sizeof(h));
}

void copy_root_hex(struct copy_root *r, char ret[33])
{
	struct source_hash root;
	struct source_hash *all;

	ret[0] = '\0';
	if (!r || r->broken)
		return;
	all = malloc((r->n + 1) * sizeof(*all));
	for (size_t u = 0; all && u < r->n; u++) {
		if (r->units[u].missing) {
			free(all);
			return;
		}
		all[u] = r->units[u].hash;
	}
	if (!all)
		return;
	copy_leaf_hash(all, r->n * sizeof(*all), &root);
	free(all);
	for (int i = 0; i < 16; i++)
		snprintf(ret + 2 * i, 3, "%02x", root.b[i]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of HELLO, WELCOME and DISK_LIST: u16 number (bit 15: must be understood), u16
 * length, value. Numbers are never used again. */
#include "proto/proto.h"

#include <string.h>

#include "base/bytes.h"

#define MUST 0x8000u

enum {
	F_VERSIONS = 1, F_SESSION = 2, F_SEED = 3, F_FEATURES = 4, F_CREDIT = 5,
	F_JOB = 6, F_BUILD = 7, F_VERSION = 8, F_MAX_READ = 9, F_MAX_CONNECTIONS = 10,
	F_DISK = 32, F_ID = 33, F_SIZE = 34, F_SECTORS = 35, F_DISK_FLAGS = 36,
	F_NAME = 37, F_SERIAL = 38, F_MODEL = 39, F_GENERATION = 40, F_CONSISTENCY = 41,
	F_STATE = 42, F_STILL = 43,
};
enum { DISK_ROTATIONAL = 1, DISK_EXTENTS = 2 };

struct writer {
	uint8_t *p;
	size_t left, used;
	bool full;
};

static void put(struct writer *w, unsigned field, const void *value, size_t len)
{
	if (w->full || len > 0xffff || w->left < len + 4) {
		w->full = true;
		return;
	}
	bytes_put_le16(w->p, (uint16_t)field);
	bytes_put_le16(w->p + 2, (uint16_t)len);
	memcpy(w->p + 4, value, len);
	w->p += len + 4;
	w->left -= len + 4;
	w->used += len + 4;
}

static void put_u16(struct writer *w, unsigned field, uint16_t v)
{
	uint8_t b[2];

	bytes_put_le16(b, v);
	put(w, field, b, 2);
}

static void put_u32(struct writer *w, unsigned field, uint32_t v)
{
	uint8_t b[4];

	bytes_put_le32(b, v);
	put(w, field, b, 4);
}

static void put_u64(struct writer *w, unsigned field, uint64_t v)
{
	uint8_t b[8];

	bytes_put_le64(b, v);
	put(w, field, b, 8);
}

static void put_str(struct writer *w, unsigned field, const char *s)
{
	if (s[0])
		put(w, field, s, strlen(s));
}

struct field {
	unsigned number; /* without MUST */
	bool must;
	const uint8_t *value;
	size_t len;
};

/* Each field of a list once; those of later versions are not looked at. */
static int note_field(uint64_t *seen, const struct field *f, struct err *err)
{
	uint64_t bit = f->number < 64 ? 1ull << f->number : 0;

	if (*seen & bit)
		return err_set(err, ERR_SRC_PROTO, "negotiation: field %u twice",
			f->number);
	*seen |= bit;
	return 0;
}

/* 1 got one, 0 at the end, -1 damaged. */
static int next(const uint8_t **in, size_t *left, struct field *ret, struct err *err)
{
	if (!*left)
		return 0;
	if (*left < 4 || *left - 4 < bytes_le16(*in + 2))
		return err_set(err, ERR_SRC_PROTO, "negotiation: a field ends too early");
	ret->number = bytes_le16(*in) & ~MUST;
	ret->must = bytes_le16(*in) & MUST;
	ret->len = bytes_le16(*in + 2);
	ret->value = *in + 4;
	*in += ret->len + 4;
	*left -= ret->len + 4;
	return 1;
}

static int unknown(const struct field *f, struct err *err)
{
	if (!f->must)
		return 0;
	return err_set(err, ERR_SRC_VERSION,
		"the other end needs feature %u, unknown here", f->number);
}

static int want_len(const struct field *f, size_t len, struct err *err)
{
	if (f->len == len)
		return 0;
	return err_set(err, ERR_SRC_PROTO, "negotiation: field %u of %zu bytes",
		f->number, f->len);
}

/* Text of a peer: cut to fit, control characters replaced. */
static int get_str(const struct field *f, char *ret, size_t size)
{
	size_t n = f->len < size - 1 ? f->len : size - 1;

	for (size_t i = 0; i < n; i++)
		ret[i] = f->value[i] < 0x20 || f->value[i] > 0x7e ? '?' :
			(char)f->value[i];
	ret[n] = '\0';
	return 0;
}

size_t proto_put_hello(uint8_t *out, size_t size, const struct proto_hello *h)
{
	struct writer w = { .p = out, .left = size };
	uint8_t versions[4];

	bytes_put_le16(versions, h->min_version);
	bytes_put_le16(versions + 2, h->max_version);
	put(&w, F_VERSIONS | MUST, versions, 4);
	put(&w, F_SESSION | MUST, h->session, sizeof(h->session));
	put_u64(&w, F_SEED | MUST, h->seed);
	put_u32(&w, F_FEATURES, h->features);
	put_u32(&w, F_CREDIT, h->credit);
	put_str(&w, F_JOB, h->job);
	put_str(&w, F_BUILD, h->build);
	return w.full ? 0 : w.used;
}

static int hello_field(const struct field *f, struct proto_hello *h, struct err *err)
{
	switch (f->number) {
	case F_VERSIONS:
		if (want_len(f, 4, err) < 0)
			return -1;
		h->min_version = bytes_le16(f->value);
		h->max_version = bytes_le16(f->value + 2);
		return 0;
	case F_SESSION:
		if (want_len(f, sizeof(h->session), err) < 0)
			return -1;
		memcpy(h->session, f->value, sizeof(h->session));
		return 0;
	case F_SEED:
		if (want_len(f, 8, err) < 0)
			return -1;
		h->seed = bytes_le64(f->value);
		return 0;
	case F_FEATURES:
	case F_CREDIT:
		if (want_len(f, 4, err) < 0)
			return -1;
		*(f->number == F_CREDIT ? &h->credit : &h->features) =
			bytes_le32(f->value);
		return 0;
	case F_JOB:
		return get_str(f, h->job, sizeof(h->job));
	case F_BUILD:
		return get_str(f, h->build, sizeof(h->build));
	default:
		return unknown(f, err);
	}
}

int proto_get_hello(const uint8_t *in, size_t len, struct proto_hello *ret,
	struct err *err)
{
	struct proto_hello h = { .credit = PROTO_CREDIT };
	const uint64_t needed = 1ull << F_VERSIONS | 1ull << F_SESSION | 1ull << F_SEED;
	uint64_t seen = 0;
	struct field f;
	int r;

	while ((r = next(&in, &len, &f, err)) > 0)
		if (note_field(&seen, &f, err) < 0 || hello_field(&f, &h, err) < 0)
			return -1;
	if (r < 0)
		return -1;
	if ((seen & needed) != needed)
		return err_set(err, ERR_SRC_PROTO,
			"hello without versions, session or seed");
	if (!h.max_version || h.min_version > h.max_version)
		return err_set(err, ERR_SRC_PROTO, "hello with versions %u to %u",
			h.min_version, h.max_version);
	*ret = h;
	return 0;
}

size_t proto_put_welcome(uint8_t *out, size_t size, const struct proto_welcome *v)
{
	struct writer w = { .p = out, .left = size };

	put_u16(&w, F_VERSION | MUST, v->version);
	put_u32(&w, F_FEATURES | MUST, v->features);
	put_u32(&w, F_CREDIT, v->credit);
	put_u32(&w, F_MAX_READ, v->max_read);
	put_u16(&w, F_MAX_CONNECTIONS, v->max_connections);
	put_str(&w, F_BUILD, v->build);
	return w.full ? 0 : w.used;
}

static int welcome_field(const struct field *f, struct proto_welcome *v, struct err *err)
{
	switch (f->number) {
	case F_VERSION:
	case F_MAX_CONNECTIONS:
		if (want_len(f, 2, err) < 0)
			return -1;
		*(f->number == F_VERSION ? &v->version : &v->max_connections) =
			bytes_le16(f->value);
		return 0;
	case F_FEATURES:
	case F_CREDIT:
	case F_MAX_READ:
		if (want_len(f, 4, err) < 0)
			return -1;
		*(f->number == F_FEATURES ? &v->features
			: f->number == F_CREDIT   ? &v->credit
						  : &v->max_read) = bytes_le32(f->value);
		return 0;
	case F_BUILD:
		return get_str(f, v->build, sizeof(v->build));
	default:
		return unknown(f, err);
	}
}

int proto_get_welcome(const uint8_t *in, size_t len, struct proto_welcome *ret,
	struct err *err)
{
	struct proto_welcome v = { .credit = PROTO_CREDIT, .max_read = PROTO_MAX_READ,
		.max_connections = 1 };
	uint64_t seen = 0;
	struct field f;
	int r;

	while ((r = next(&in, &len, &f, err)) > 0)
		if (note_field(&seen, &f, err) < 0 || welcome_field(&f, &v, err) < 0)
			return -1;
	if (r < 0)
		return -1;
	if (v.version != PROTO_VERSION)
		return err_set(err, ERR_SRC_VERSION,
			"the source chose protocol version %u", v.version);
	if (!(v.features & PROTO_FEATURE_XXH3))
		return err_set(err, ERR_SRC_VERSION,
			"the source does not offer XXH3 leaf hashes");
	if (v.credit < PROTO_LEAF || v.max_read < PROTO_LEAF ||
		v.max_read > PROTO_MAX_READ || !v.max_connections)
		return err_set(err, ERR_SRC_PROTO, "the source offers impossible limits");
	*ret = v;
	return 0;
}

size_t proto_put_disk(uint8_t *out, size_t size, const struct proto_disk *d)
{
	struct writer w =
		{ .p = out + 4, .left = size < 4 ? 0 : size - 4, .full = size < 4 };
	uint8_t sectors[8];

	put_u16(&w, F_ID | MUST, d->id);
	put_u64(&w, F_SIZE | MUST, d->size);
	bytes_put_le32(sectors, d->sector);
	bytes_put_le32(sectors + 4, d->physical);
	put(&w, F_SECTORS, sectors, 8);
	put_u32(&w, F_DISK_FLAGS,
		(d->rotational ? DISK_ROTATIONAL : 0u) |
		(d->extents ? DISK_EXTENTS : 0u));
	put_str(&w, F_NAME | MUST, d->name);
	put_str(&w, F_SERIAL, d->serial);
	put_str(&w, F_MODEL, d->model);
	put_str(&w, F_GENERATION, d->generation);
	put_str(&w, F_CONSISTENCY, d->consistency);
	put(&w, F_STATE | MUST, d->state, strlen(d->state));
	if (d->still)
		put_u64(&w, F_STILL, d->still);
	if (w.full)
		return 0;
	bytes_put_le16(out, F_DISK);
	bytes_put_le16(out + 2, (uint16_t)w.used);
	return w.used + 4;
}

static int disk_field(const struct field *f, struct proto_disk *d, struct err *err)
{
	switch (f->number) {
	case F_ID:
		if (want_len(f, 2, err) < 0)
			return -1;
		d->id = bytes_le16(f->value);
		return 0;
	case F_SIZE:
	case F_STILL:
		if (want_len(f, 8, err) < 0)
			return -1;
		*(f->number == F_SIZE ? &d->size : &d->still) = bytes_le64(f->value);
		return 0;
	case F_SECTORS:
		if (want_len(f, 8, err) < 0)
			return -1;
		d->sector = bytes_le32(f->value);
		d->physical = bytes_le32(f->value + 4);
		return 0;
	case F_DISK_FLAGS:
		if (want_len(f, 4, err) < 0)
			return -1;
		d->rotational = bytes_le32(f->value) & DISK_ROTATIONAL;
		d->extents = bytes_le32(f->value) & DISK_EXTENTS;
		return 0;
	case F_NAME:
		return get_str(f, d->name, sizeof(d->name));
	case F_SERIAL:
		return get_str(f, d->serial, sizeof(d->serial));
	case F_MODEL:
		return get_str(f, d->model, sizeof(d->model));
	case F_GENERATION:
		return get_str(f, d->generation, sizeof(d->generation));
	case F_CONSISTENCY:
		return get_str(f, d->consistency, sizeof(d->consistency));
	case F_STATE:
		return get_str(f, d->state, sizeof(d->state));
	default:
		return unknown(f, err);
	}
}

int proto_next_disk(const uint8_t **in, size_t *len, struct proto_disk *ret,
	struct err *err)
{
	struct proto_disk d = { .sector = 512, .physical = 512 };
	const uint64_t needed = 1ull << F_ID | 1ull << F_SIZE | 1ull << F_NAME |
		1ull << F_STATE;
	uint64_t seen = 0;
	struct field outer, f;
	int r = next(in, len, &outer, err);

	if (r <= 0)
		return r;
	if (outer.number != F_DISK)
		return err_set(err, ERR_SRC_PROTO, "list of drives: field %u",
			outer.number);
	while ((r = next(&outer.value, &outer.len, &f, err)) > 0) {
		if (note_field(&seen, &f, err) < 0 || disk_field(&f, &d, err) < 0)
			return -1;
	}
	if (r < 0)
		return -1;
	if ((seen & needed) != needed)
		return err_set(err, ERR_SRC_PROTO,
			"drive \"%s\" without number, size, name or "
			"state", d.name);
	if (d.size > INT64_MAX || !d.name[0])
		return err_set(err, ERR_SRC_SIZE, "drive \"%s\" of %llu bytes", d.name,
			(unsigned long long)d.size);
	*ret = d;
	return 1;
}

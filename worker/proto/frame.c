/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <string.h>

#include "base/bytes.h"

#define MAGIC 0x31505754u /* "TWP1" */
#define CRC32C_POLY 0x82f63b78u /* Castagnoli, reflected (RFC 3720, appendix B.4) */

uint32_t proto_crc32c(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	/* Headers only, 28 bytes each: a table would not pay. */
	while (len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLY : 0);
	}
	return ~crc;
}

void proto_put_header(uint8_t out[PROTO_HEADER], const struct proto_frame *f)
{
	bytes_put_le32(out, MAGIC);
	out[4] = f->type;
	out[5] = f->flags;
	bytes_put_le16(out + 6, f->disk);
	bytes_put_le32(out + 8, f->id);
	bytes_put_le32(out + 12, f->len);
	bytes_put_le64(out + 16, f->off);
	bytes_put_le32(out + 24, f->raw);
	bytes_put_le32(out + 28, proto_crc32c(out, 28));
}

int proto_check_start(const uint8_t in[PROTO_START], struct err *err)
{
	if (bytes_le32(in) == MAGIC)
		return 0;
	if (!memcmp(in, "NBDMAGIC", 8))
		return err_set(err, ERR_SRC_IS_NBD, "an NBD server answered");
	if (!memcmp(in, "HTTP/", 5) || in[0] == '<')
		return err_set(err, ERR_SRC_IS_HTTP, "an HTTP server answered");
	return err_set(err, ERR_SRC_PROTO, "frame without the protocol's mark");
}

int proto_get_header(const uint8_t in[PROTO_HEADER], struct proto_frame *ret,
	struct err *err)
{
	struct proto_frame f = {
		.type = in[4],
		.flags = in[5],
		.disk = bytes_le16(in + 6),
		.id = bytes_le32(in + 8),
		.len = bytes_le32(in + 12),
		.off = bytes_le64(in + 16),
		.raw = bytes_le32(in + 24),
	};

	if (proto_check_start(in, err) < 0)
		return -1;
	if (bytes_le32(in + 28) != proto_crc32c(in, 28))
		return err_set(err, ERR_SRC_PROTO, "frame header damaged (CRC-32C)");
	if (f.len > PROTO_MAX_PAYLOAD)
		return err_set(err, ERR_SRC_PROTO,
			"frame of type %u with %u bytes of payload", f.type, f.len);
	/* Later versions say what flags mean on their types. */
	if (f.type < PROTO_PROGRESS &&
	    f.flags & ~(f.type == PROTO_DATA ? PROTO_LZ4 : 0))
		return err_set(err, ERR_SRC_PROTO, "frame of type %u with flags %#x",
			f.type, f.flags);
	*ret = f;
	return 0;
}

size_t proto_put_extents(uint8_t *out, size_t size, const struct proto_extent *e,
	size_t n)
{
	if (n > size / 16)
		return 0;
	for (size_t i = 0; i < n; i++, out += 16) {
		bytes_put_le64(out, e[i].len);
		bytes_put_le32(out + 8, e[i].kind);
		bytes_put_le32(out + 12, 0);
	}
	return n * 16;
}

int proto_get_extents(const uint8_t *in, size_t len, uint64_t limit,
	struct proto_extent *ret, size_t max, size_t *ret_n, struct err *err)
{
	uint64_t sum = 0;
	size_t n = len / 16;

	if (len % 16 || !n || n > max || n > PROTO_MAX_EXTENTS)
		return err_set(err, ERR_SRC_PROTO, "list of extents with %zu bytes", len);
	for (size_t i = 0; i < n; i++, in += 16) {
		ret[i].len = bytes_le64(in);
		ret[i].kind = bytes_le32(in + 8);
		if (bytes_le32(in + 12))
			return err_set(err, ERR_SRC_PROTO, "extent %zu with %#x behind it",
				i, bytes_le32(in + 12));
		if (!ret[i].len || ret[i].len > limit - sum)
			return err_set(err, ERR_SRC_PROTO,
				"extent %zu of %llu bytes does not fit the drive", i,
				(unsigned long long)ret[i].len);
		sum += ret[i].len;
	}
	*ret_n = n;
	return 0;
}

int proto_get_data(const struct proto_frame *f, const uint8_t *payload,
	uint32_t request_len, struct proto_data *ret, struct err *err)
{
	unsigned leaves = proto_leaves(request_len);
	uint32_t all = leaves >= 32 ? ~0u : (1u << leaves) - 1;
	struct proto_data d = { .raw = 0 };

	if (!request_len || request_len > PROTO_MAX_READ || f->len < 8)
		return err_set(err, ERR_SRC_PROTO, "data frame of %u bytes", f->len);
	d.same = bytes_le32(payload);
	d.zero = bytes_le32(payload + 4);
	if ((d.same | d.zero) & ~all || d.same & d.zero)
		return err_set(err, ERR_SRC_PROTO, "data frame with impossible leaves");
	for (unsigned i = 0; i < leaves; i++) {
		if ((d.same | d.zero) & 1u << i)
			continue;
		d.n_hashes++;
		d.raw += proto_leaf_len(request_len, i);
	}
	if (f->raw != d.raw || f->len < PROTO_DATA_PREFIX(d.n_hashes))
		return err_set(err, ERR_SRC_PROTO, "data frame with %u of %u bytes",
			f->raw, d.raw);
	d.hashes = payload + 8;
	d.bytes = payload + PROTO_DATA_PREFIX(d.n_hashes);
	d.len = f->len - PROTO_DATA_PREFIX(d.n_hashes);
	if (f->flags & PROTO_LZ4 ? !d.len || d.len >= d.raw : d.len != d.raw)
		return err_set(err, ERR_SRC_PROTO, "data frame: %u bytes for %u", d.len,
			d.raw);
	*ret = d;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and lists: what one end writes the other reads,
 * and what nobody writes is refused. */
#include "proto/proto.h"

#include "base/bytes.h"

#include "../test.h"

TEST(crc_vectors)
{
	static const uint8_t zeroes[32];
	uint8_t up[32];

	for (unsigned i = 0; i < 32; i++)
		up[i] = (uint8_t)i;
	/* RFC 3720, appendix B.4 */
	CHECK_U64(proto_crc32c(zeroes, 32), 0x8a9136aau);
	CHECK_U64(proto_crc32c(up, 32), 0x46dd794eu);
	CHECK_U64(proto_crc32c("123456789", 9), 0xe3069283u);
}

TEST(header)
{
	struct proto_frame f = { .type = PROTO_READ, .flags = 0, .disk = 7,
		.id = 0x01020304,
		.len = 0, .off = 0x1122334455667788u, .raw = 0x90abcdef }, g;
	struct err err = ERR_INIT;
	uint8_t b[PROTO_HEADER];

	proto_put_header(b, &f);
	CHECK(!memcmp(b, "TWP1", 4));
	REQUIRE(!proto_get_header(b, &g, &err));
	CHECK_U64(g.off, f.off);
	CHECK_U64(g.id, f.id);
	CHECK_U64(g.raw, f.raw);
	CHECK_U64(g.disk, 7);
	for (unsigned bit = 0; bit < PROTO_HEADER * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(proto_get_header(b, &g, &err) < 0 && err.code == ERR_SRC_PROTO);
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	f.len = PROTO_MAX_PAYLOAD + 1;
	proto_put_header(b, &f);
	CHECK(proto_get_header(b, &g, &err) < 0);
	memcpy(b, "NBDMAGIC", 8);
	CHECK(proto_get_header(b, &g, &err) < 0 && err.code == ERR_SRC_IS_NBD);
	memcpy(b, "HTTP/1.1", 8);
	CHECK(proto_get_header(b, &g, &err) < 0 && err.code == ERR_SRC_IS_HTTP);
}

TEST(hello)
{
	struct proto_hello h = { .min_version = 1, .max_version = 3, .seed = 99,
		.features = 3,
		.credit = 1 << 20, .job = "m-2041", .build = "b" }, g;
	struct err err = ERR_INIT;
	uint8_t b[512];
	size_t n;

	memset(h.session, 0xa5, sizeof(h.session));
	n = proto_put_hello(b, sizeof(b), &h);
	REQUIRE(n);
	REQUIRE(!proto_get_hello(b, n, &g, &err));
	CHECK_U64(g.max_version, 3);
	CHECK_U64(g.seed, 99);
	CHECK_STR(g.job, "m-2041");
	CHECK(!memcmp(g.session, h.session, 16));
	for (size_t i = 0; i < n; i++) /* cut anywhere: refused, or a field less */
		if (!proto_get_hello(b, i, &g, &err))
			CHECK(g.max_version == 3);
	for (size_t i = 0; i < n; i++)
		CHECK(!proto_put_hello(b, i, &h));
}

TEST(unknown_fields)
{
	struct proto_hello h = { .min_version = 1, .max_version = 1 }, g;
	struct err err = ERR_INIT;
	uint8_t b[512];
	size_t n = proto_put_hello(b, sizeof(b), &h);

	REQUIRE(n);
	bytes_put_le16(b + n, 1000); /* optional */
	bytes_put_le16(b + n + 2, 3);
	memcpy(b + n + 4, "abc", 3);
	CHECK(!proto_get_hello(b, n + 7, &g, &err));
	bytes_put_le16(b + n, 1000 | 0x8000); /* must be understood */
	CHECK(proto_get_hello(b, n + 7, &g, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_VERSION);
	bytes_put_le16(b + n + 2, 4); /* longer than what is there */
	CHECK(proto_get_hello(b, n + 7, &g, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_PROTO);
}

TEST(welcome)
{
	struct proto_welcome w = { .version = 1, .features = 3, .credit = 1 << 20,
		.max_read = 1 << 20, .max_connections = 4, .build = "s" }, g;
	struct err err = ERR_INIT;
	uint8_t b[256];
	size_t n = proto_put_welcome(b, sizeof(b), &w);

	REQUIRE(n && !proto_get_welcome(b, n, &g, &err));
	CHECK_U64(g.max_connections, 4);
	w.version = 2;
	n = proto_put_welcome(b, sizeof(b), &w);
	CHECK(proto_get_welcome(b, n, &g, &err) < 0 && err.code == ERR_SRC_VERSION);
	w.version = 1;
	w.max_read = PROTO_MAX_READ + 1;
	n = proto_put_welcome(b, sizeof(b), &w);
	CHECK(proto_get_welcome(b, n, &g, &err) < 0 && err.code == ERR_SRC_PROTO);
}

TEST(disk_list)
{
	struct proto_disk d = { .id = 0, .size = 1025, .sector = 512, .physical = 4096,
		.extents = true, .name = "sda", .serial = "S\x01Z", .generation = "g",
		.state = "now" }, g;
	struct err err = ERR_INIT;
	uint8_t b[1024];
	const uint8_t *p = b;
	size_t n = proto_put_disk(b, sizeof(b), &d), left;

	REQUIRE(n);
	d.id = 1;
	memcpy(d.name, "sdb", 4);
	left = n + proto_put_disk(b + n, sizeof(b) - n, &d);
	CHECK_U64(proto_next_disk(&p, &left, &g, &err), 1);
	CHECK_STR(g.name, "sda");
	CHECK_STR(g.serial, "S?Z");
	CHECK_STR(g.state, "now");
	CHECK_U64(g.physical, 4096);
	CHECK(g.extents && !g.rotational);
	CHECK_U64(proto_next_disk(&p, &left, &g, &err), 1);
	CHECK_STR(g.name, "sdb");
	CHECK_U64(proto_next_disk(&p, &left, &g, &err), 0);
	d.size = (uint64_t)INT64_MAX + 1; /* seen as negative elsewhere (CVE-2023-5215) */
	left = proto_put_disk(b, sizeof(b), &d);
	p = b;
	CHECK(proto_next_disk(&p, &left, &g, &err) < 0 && err.code == ERR_SRC_SIZE);
}

TEST(extents)
{
	struct proto_extent e[3] = { { 1u << 20, 0 }, { 5ull << 32, 1 }, { 1, 0 } }, g[3];
	struct err err = ERR_INIT;
	uint64_t sum = (1u << 20) + (5ull << 32) + 1;
	uint8_t b[64];
	size_t n;

	CHECK_U64(proto_put_extents(b, sizeof(b), e, 3), 48);
	REQUIRE(!proto_get_extents(b, 48, sum, g, 3, &n, &err));
	CHECK_U64(n, 3);
	CHECK_U64(g[1].len, 5ull << 32);
	CHECK(proto_get_extents(b, 48, sum - 1, g, 3, &n, &err) < 0); /* behind the end */
	/* more than there is room */
	CHECK(proto_get_extents(b, 48, sum, g, 2, &n, &err) < 0);
	CHECK(proto_get_extents(b, 47, sum, g, 3, &n, &err) < 0);
	CHECK(proto_get_extents(b, 0, sum, g, 3, &n, &err) < 0);
	bytes_put_le64(b + 16, UINT64_MAX); /* the sum would overflow */
	CHECK(proto_get_extents(b, 48, UINT64_MAX, g, 3, &n, &err) < 0);
	bytes_put_le64(b + 16, 0); /* an extent of nothing */
	CHECK(proto_get_extents(b, 48, sum, g, 3, &n, &err) < 0);
}

/* A DATA frame of 3 leaves, the last of 100 bytes. */
static void data_frame(struct proto_frame *f, uint8_t *p, uint32_t same, uint32_t zero,
	uint32_t raw, uint32_t len, bool lz4)
{
	bytes_put_le32(p, same);
	bytes_put_le32(p + 4, zero);
	*f = (struct proto_frame){ .type = PROTO_DATA, .flags = lz4, .len = len,
		.raw = raw };
}

TEST(data)
{
	static uint8_t p[PROTO_MAX_PAYLOAD];
	const uint32_t len = 2 * PROTO_LEAF + 100;
	struct proto_data d;
	struct proto_frame f;
	struct err err = ERR_INIT;

	data_frame(&f, p, 0, 0, len, 8 + 3 * 16 + len, false);
	REQUIRE(!proto_get_data(&f, p, len, &d, &err));
	CHECK_U64(d.n_hashes, 3);
	CHECK_U64(d.len, len);
	data_frame(&f, p, 1, 2, 100, 8 + 16 + 100, false);
	REQUIRE(!proto_get_data(&f, p, len, &d, &err));
	CHECK_U64(d.raw, 100);
	data_frame(&f, p, 1, 6, 0, 8, false);
	REQUIRE(!proto_get_data(&f, p, len, &d, &err));
	CHECK_U64(d.len, 0);
	data_frame(&f, p, 0, 6, PROTO_LEAF, 8 + 16 + 500, true);
	REQUIRE(!proto_get_data(&f, p, len, &d, &err));
	CHECK_U64(d.len, 500);
}

TEST(data_refused)
{
	static uint8_t p[PROTO_MAX_PAYLOAD];
	const uint32_t len = 2 * PROTO_LEAF + 100;
	static const struct {
		const char *what;
		uint32_t same, zero, raw, len;
		bool lz4;
	} bad[] = {
		{ "no bitmaps", 0, 7, 0, 7, false },
		{ "a leaf too many", 8, 7, 0, 8, false },
		{ "in both", 1, 7, 0, 8, false },
		{ "raw does not fit", 0, 3, 101, 8 + 16 + 101, false },
		{ "short", 0, 3, 100, 8 + 16 + 99, false },
		{ "long", 0, 3, 100, 8 + 16 + 101, false },
		{ "hash cut", 0, 3, 100, 8 + 15, false },
		{ "LZ4 of nothing", 0, 3, 100, 8 + 16, true },
		{ "LZ4 that grew", 0, 3, 100, 8 + 16 + 100, true },
		{ "LZ4 for no leaves", 0, 7, 0, 8 + 1, true },
	};
	struct proto_data d;
	struct proto_frame f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;

		data_frame(&f, p, bad[i].same, bad[i].zero, bad[i].raw, bad[i].len,
			bad[i].lz4);
		if (!CHECK(proto_get_data(&f, p, len, &d, &err) < 0))
			printf("  %s\n", bad[i].what);
		CHECK_U64(err.code, ERR_SRC_PROTO);
	}
}

static const struct test tests[] = {
	TEST_ENTRY(crc_vectors, "CRC-32C of RFC 3720"),
	TEST_ENTRY(header, "header round trip; every flipped bit is noticed"),
	TEST_ENTRY(hello, "greeting round trip, cut anywhere"),
	TEST_ENTRY(unknown_fields, "optional fields are skipped, required ones refused"),
	TEST_ENTRY(welcome, "limits and version of the answer"),
	TEST_ENTRY(disk_list, "list of drives, impossible size"),
	TEST_ENTRY(extents, "extents: overflow, zero length, behind the end"),
	TEST_ENTRY(data, "data frames: whole, partly unchanged, compressed"),
	TEST_ENTRY(data_refused, "data frames whose parts do not fit"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* NBD block status lists become extents; the gate in front of the transports. */
#include <errno.h>

#include "source/nbd-internal.h"
#include "tests/unit/test.h"

static struct nbd_range alloc[8], dirty[8];
static struct nbd_status st = { .lists = { alloc, dirty } };
static struct source_extent e[8];

TEST(allocation)
{
	alloc[0] = (struct nbd_range){ 4096, 0 };
	alloc[1] = (struct nbd_range){ 4096, 1 }; /* a hole that is not zero: read */
	alloc[2] = (struct nbd_range){ 4096, 3 };
	alloc[3] = (struct nbd_range){ 1ull << 40, 2 };
	alloc[4] = (struct nbd_range){ 1, ~0ull ^ 2 }; /* flags of the future */
	st.n[0] = 5;
	st.n[1] = 0;
	CHECK_U64(source_nbd_merge_status(&st, false, 512,
		(1ull << 40) + 512 + 3 * 4096 + 1, e, 8), 3);
	CHECK(e[0].off == 512 && e[0].len == 8192 && e[0].kind == SOURCE_DATA);
	CHECK(e[1].off == 8704 && e[1].len == 4096 + (1ull << 40) &&
		e[1].kind == SOURCE_ZERO);
	CHECK(e[2].len == 1 && e[2].kind == SOURCE_DATA);
	/* cut at the end that was asked for */
	CHECK_U64(source_nbd_merge_status(&st, false, 0, 5000, e, 8), 1);
	CHECK_U64(e[0].len, 5000);
}

TEST(bitmap)
{
	alloc[0] = (struct nbd_range){ 100, 0 };
	alloc[1] = (struct nbd_range){ 100, 3 };
	dirty[0] = (struct nbd_range){ 50, 0 };
	dirty[1] = (struct nbd_range){ 100, 1 };
	dirty[2] = (struct nbd_range){ 1000, 0 };
	st.n[0] = 2;
	st.n[1] = 3;
	/* clean 50, dirty data 50, dirty zero 50, clean 50;
	 * then allocation says nothing more */
	CHECK_U64(source_nbd_merge_status(&st, true, 0, 1150, e, 8), 4);
	CHECK(e[0].kind == SOURCE_UNCHANGED && e[0].len == 50);
	CHECK(e[1].kind == SOURCE_DATA && e[1].off == 50 && e[1].len == 50);
	CHECK(e[2].kind == SOURCE_ZERO && e[2].off == 100 && e[2].len == 50);
	CHECK(e[3].kind == SOURCE_UNCHANGED && e[3].off == 150 && e[3].len == 50);
	st.n[0] = 0; /* no allocation context */
	CHECK_U64(source_nbd_merge_status(&st, true, 0, 1150, e, 8), 3);
	CHECK(e[1].kind == SOURCE_DATA && e[1].len == 100);
}

TEST(room)
{
	alloc[0] = (struct nbd_range){ 10, 0 };
	alloc[1] = (struct nbd_range){ 10, 2 };
	alloc[2] = (struct nbd_range){ 10, 0 };
	st.n[0] = 3;
	CHECK_U64(source_nbd_merge_status(&st, false, 0, 30, e, 2), 2);
	CHECK_U64(e[1].off + e[1].len, 20);
}

TEST(errnos)
{
	CHECK(source_nbd_errno(5) == EIO);
	CHECK(source_nbd_errno(12) == ENOMEM);
	CHECK(source_nbd_errno(75) == EOVERFLOW);
	CHECK(source_nbd_errno(108) == ESHUTDOWN);
	CHECK(source_nbd_errno(4711) == EINVAL);
}

TEST(gate)
{
	static uint8_t buf[4096] __attribute__((aligned(4096)));
	struct source_req r = { .verb = SOURCE_READ, .buf = buf, .len = 4096,
		.off = 1u << 20 };
	struct err err = ERR_INIT;
	struct source *s = NULL;
	struct source_chan *c = NULL;
	size_t n;
	uint64_t end;

	REQUIRE(source_open("pattern:1048577?zero=2", NULL, &s, &err) == 0);
	REQUIRE(source_chan_open(s, &c, &err) == 0);
	CHECK(source_submit(c, &r, &err) < 0 && err.code == ERR_INTERNAL);
	r.len = 0;
	CHECK(source_submit(c, &r, &err) < 0);
	r.len = 1;
	CHECK(source_submit(c, &r, &err) == 0);
	CHECK(source_extents(c, 1, UINT64_MAX, e, 8, &n, &end, &err) < 0);
	CHECK(source_extents(c, 1, 1048576, e, 8, &n, &end, &err) == 0);
	CHECK(n == 2 && e[0].off == 1 && e[0].kind == SOURCE_ZERO && end == 1048577);
	source_chan_close(c);
	source_close(s);
	CHECK(source_open("pattern:9223372036854775808", NULL, &s, &err) < 0);
	CHECK(err.code == ERR_SRC_SIZE);
}

TEST(diff)
{
	static uint8_t buf[3 * SOURCE_LEAF] __attribute__((aligned(4096)));
	struct source_req r = { .verb = SOURCE_READ, .buf = buf,
		.len = 2 * SOURCE_LEAF + 77 };
	struct source_req *done;
	struct err err = ERR_INIT;
	struct source *s = NULL;
	struct source_chan *c = NULL;
	struct source_hash all[3];

	REQUIRE(source_open("pattern:1000000", NULL, &s, &err) == 0);
	REQUIRE(source_chan_open(s, &c, &err) == 0);
	REQUIRE(source_hashes(c, 0, r.len, all, &err) == 0);
	memcpy(r.have, all, sizeof(all));
	r.have[1].b[15] ^= 1;
	r.verb = SOURCE_READ_IF_DIFF;
	REQUIRE(source_submit(c, &r, &err) == 0);
	REQUIRE(source_reap(c, 1000, &done, &err) == 0 && done == &r);
	CHECK_U64(r.same, 5); /* leaves 0 and 2, the short one too */
	source_chan_close(c);
	source_close(s);
}

static const struct test tests[] = {
	TEST_ENTRY(allocation, "only ZERO is zero"),
	TEST_ENTRY(bitmap, "clean is unchanged, dirty and zero is zero"),
	TEST_ENTRY(room, "a full list ends early, without a gap"),
	TEST_ENTRY(errnos, "error numbers of the protocol"),
	TEST_ENTRY(gate, "ranges are checked in front of the transports"),
	TEST_ENTRY(diff, "READ_IF_DIFF for transports that cannot"),
};
TEST_MAIN(tests)

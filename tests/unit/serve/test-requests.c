/* SPDX-License-Identifier: Apache-2.0 */
/* A real server and clients that misbehave: frames by hand. */
#include "proto/proto.h"

#include "rig.h"

static struct stream *hand_connect(struct rig *r)
{
	struct stream *s = NULL;
	struct err err = ERR_INIT;

	if (!net_connect("127.0.0.1", serve_port(r->s), 60000, &s, &err))
		net_set_timeout(s, 60000);
	return s;
}

static int hand_send(struct stream *s, struct proto_frame *f, const void *payload)
{
	struct err err = ERR_INIT;
	uint8_t head[PROTO_HEADER];

	proto_put_header(head, f);
	return net_write(s, head, sizeof(head), &err) < 0 ? -1
		: f->len ? net_write(s, payload, f->len, &err) : 0;
}

/* The type of the next frame; 0 when the server closed the connection. */
static unsigned hand_receive(struct stream *s, struct proto_frame *f)
{
	static uint8_t payload[PROTO_MAX_PAYLOAD];
	struct err err = ERR_INIT;
	uint8_t head[PROTO_HEADER];

	if (net_read(s, head, sizeof(head), &err) < 0 ||
		proto_get_header(head, f, &err) < 0 ||
		(f->len && net_read(s, payload, f->len, &err) < 0))
		return 0;
	return f->type;
}

static struct stream *hand_hello(struct rig *r)
{
	struct stream *s = hand_connect(r);
	struct proto_hello h = { .min_version = 1, .max_version = 1, .features = 3 };
	struct proto_frame f = { .type = PROTO_HELLO, .id = 5 };
	uint8_t b[256];

	getrandom(h.session, sizeof(h.session), 0);
	f.len = (uint32_t)proto_put_hello(b, sizeof(b), &h);
	CHECK(s && !hand_send(s, &f, b) && hand_receive(s, &f) == PROTO_WELCOME &&
		f.id == 5);
	return s;
}

TEST(impossible_requests)
{
	static const struct proto_frame bad[] = {
		{ .type = PROTO_READ, .off = 0, .raw = 0 },
		{ .type = PROTO_READ, .off = 0, .raw = PROTO_MAX_READ + 1 },
		{ .type = PROTO_READ, .off = SIZE, .raw = 1 },
		{ .type = PROTO_READ, .off = SIZE - 1, .raw = 2 },
		{ .type = PROTO_READ, .off = UINT64_MAX, .raw = 2 },
		{ .type = PROTO_READ, .off = UINT64_MAX - 511, .raw = 512 },
		{ .type = PROTO_HASH, .off = 0, .raw = UINT32_MAX },
		{ .type = PROTO_EXTENTS, .off = SIZE, .raw = 0 },
		{ .type = PROTO_EXTENTS, .off = UINT64_MAX, .raw = UINT32_MAX },
		{ .type = PROTO_READ, .disk = 1, .raw = 512 },
		{ .type = PROTO_READ, .disk = UINT16_MAX, .raw = 512 },
		{ .type = PROTO_READ_IF_DIFF, .raw = 512 }, /* without hashes */
		{ .type = PROTO_SNAPSHOT },
	};
	struct rig r;
	struct proto_frame f;
	struct stream *s;

	REQUIRE(rig_up(&r, true, 0, false));
	s = hand_hello(&r);
	REQUIRE(s);
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f = bad[i];
		f.id = 100 + i;
		CHECK(!hand_send(s, &f, NULL));
		CHECK_U64(hand_receive(s, &f), PROTO_ERROR);
		CHECK_U64(f.id, 100 + i);
	}
	/* the connection goes on */
	f = (struct proto_frame){ .type = PROTO_READ, .raw = 512 };
	CHECK(!hand_send(s, &f, NULL));
	CHECK_U64(hand_receive(s, &f), PROTO_DATA);
	net_close(s);
	rig_down(&r);
}

TEST(broken_rules)
{
	static const uint8_t noise[64] = { 0xff };
	struct proto_frame f;
	struct rig r;
	struct stream *s;
	struct err err = ERR_INIT;
	uint8_t head[PROTO_HEADER];

	REQUIRE(rig_up(&r, true, 0, false));
	s = hand_connect(&r); /* content before the greeting */
	f = (struct proto_frame){ .type = PROTO_READ, .raw = 512 };
	CHECK(!hand_send(s, &f, NULL) && !hand_receive(s, &f));
	net_close(s);
	s = hand_connect(&r);
	CHECK(!net_write(s, noise, sizeof(noise), &err) && !hand_receive(s, &f));
	net_close(s);
	for (unsigned i = 0; i < 4; i++) {
		s = hand_hello(&r);
		REQUIRE(s);
		f = (struct proto_frame){ .type = PROTO_READ, .raw = 512 };
		if (i == 1)
			f.type = 77; /* unknown, and must be known */
		if (i == 2)
			f.len = UINT32_MAX;
		if (i == 3)
			f.type = PROTO_HELLO; /* twice */
		proto_put_header(head, &f);
		if (!i)
			head[20] ^= 1; /* checksum */
		CHECK(!net_write(s, head, sizeof(head), &err));
		CHECK_U64(hand_receive(s, &f), 0);
		net_close(s);
	}
	s = hand_hello(&r); /* unknown, and may be skipped */
	f = (struct proto_frame){ .type = 0xee, .len = sizeof(noise) };
	CHECK(!hand_send(s, &f, noise));
	f = (struct proto_frame){ .type = PROTO_PING, .id = 9 };
	CHECK(!hand_send(s, &f, NULL) && hand_receive(s, &f) == PROTO_PONG && f.id == 9);
	net_close(s);
	rig_down(&r);
}

TEST(cancel)
{
	struct rig r;
	struct proto_frame f;
	struct stream *s;
	unsigned n[256] = { 0 };

	REQUIRE(rig_up(&r, true, 1 << 20, false)); /* slow, so that requests wait */
	s = hand_hello(&r);
	REQUIRE(s);
	for (uint32_t i = 0; i < 20; i++) {
		f = (struct proto_frame){ .type = PROTO_READ, .id = i, .raw = 1 << 20 };
		CHECK(!hand_send(s, &f, NULL));
	}
	f = (struct proto_frame){ .type = PROTO_CANCEL };
	CHECK(!hand_send(s, &f, NULL));
	for (unsigned i = 0; i < 20; i++)
		n[hand_receive(s, &f)]++;
	CHECK(n[PROTO_ERROR] >= 15);
	CHECK_U64(n[PROTO_ERROR] + n[PROTO_DATA], 20);
	net_close(s);
	rig_down(&r);
}

static const struct test tests[] = {
	TEST_ENTRY(impossible_requests, "ranges and drives that are not there"),
	TEST_ENTRY(broken_rules, "who breaks the framing is cut off"),
	TEST_ENTRY(cancel, "waiting requests are cancelled"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* A real server and clients that misbehave: frames by hand. */
#include "serve/serve-internal.h"

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
	struct proto_hello h = { .min_version = 1, .max_version = 1, .features = 3,
		.credit = 3 << 20 };
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
		{ .type = PROTO_READ, .off = SIZE, .raw = 1 },
		{ .type = PROTO_READ, .off = SIZE - 1, .raw = 2 },
		{ .type = PROTO_READ, .off = UINT64_MAX, .raw = 2 },
		{ .type = PROTO_READ, .off = UINT64_MAX - 511, .raw = 512 },
		{ .type = PROTO_HASH, .off = 0, .raw = PROTO_MAX_HASH },
		{ .type = PROTO_EXTENTS, .off = SIZE, .raw = 0 },
		{ .type = PROTO_EXTENTS, .off = UINT64_MAX, .raw = UINT32_MAX },
		{ .type = PROTO_READ, .disk = 1, .raw = 512 },
		{ .type = PROTO_READ, .disk = UINT16_MAX, .raw = 512 },
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

/* Each is sent on a connection of its own; FILL reads are open before it. */
static const struct {
	struct proto_frame f;
	const char *what;
	unsigned fill;
} broken[] = {
	{ { .type = PROTO_READ, .id = 9, .raw = 0 }, "READ of nothing", 0 },
	{ { .type = PROTO_READ, .id = 9, .raw = PROTO_MAX_READ + 1 }, "READ too long", 0 },
	{ { .type = PROTO_HASH, .id = 9, .raw = UINT32_MAX }, "HASH too long", 0 },
	{ { .type = PROTO_HASH, .id = 9 }, "HASH of nothing", 0 },
	{ { .type = PROTO_READ_IF_DIFF, .id = 9, .raw = 512 }, "no hashes", 0 },
	{ { .type = PROTO_READ_IF_DIFF, .id = 9, .raw = 512, .len = 32 }, "two hashes", 0 },
	{ { .type = PROTO_READ, .id = 9, .raw = 512, .flags = 1 }, "LZ4 on READ", 0 },
	{ { .type = PROTO_PING, .id = 9, .flags = 0x80 }, "unknown flags", 0 },
	{ { .type = PROTO_BYE, .id = 9, .flags = 2, .raw = 1 }, "unknown flags on BYE", 0 },
	{ { .type = PROTO_READ, .id = 9, .raw = 512, .len = 1 }, "READ with payload", 0 },
	{ { .type = PROTO_PING, .id = 9, .len = 8 }, "PING with payload", 0 },
	{ { .type = PROTO_DISKS, .id = 9, .disk = 1 }, "DISKS of a drive", 0 },
	{ { .type = PROTO_DISKS, .id = 9, .raw = 2 }, "DISKS 2", 0 },
	{ { .type = PROTO_WELCOME, .id = 9 }, "a server's frame", 0 },
	{ { .type = PROTO_DATA, .id = 9, .flags = 1 }, "DATA", 0 },
	{ { .type = 0, .id = 9 }, "type 0", 0 },
	{ { .type = 26, .id = 9 }, "type 26", 0 },
	{ { .type = PROTO_READ, .id = 2, .raw = 512 }, "an id twice", 2 },
	{ { .type = PROTO_HASH, .id = 2, .raw = 512 }, "an id twice, other type", 2 },
	{ { .type = PROTO_BYE, .id = 2, .raw = 1 }, "an id twice, BYE", 2 },
	{ { .type = PROTO_READ, .id = 9, .raw = 512 }, "more than its credit", 4 },
};

/* The server is slow, so that all of them are open at once. */
static bool closes(struct rig *r, size_t i)
{
	static const uint8_t payload[64];
	struct stream *s = hand_hello(r);
	struct proto_frame f, got = { .type = 0 };
	unsigned type = 0;
	bool sent = s;

	for (uint32_t k = 1; sent && k <= broken[i].fill; k++) {
		f = (struct proto_frame){ .type = PROTO_READ, .id = k, .raw = 1 << 20 };
		sent = !hand_send(s, &f, NULL);
	}
	f = broken[i].f;
	sent = sent && !hand_send(s, &f, payload);
	f = (struct proto_frame){ .type = PROTO_CANCEL };
	if (sent)
		hand_send(s, &f, NULL);
	/* What was under way before may still be answered. */
	while (sent && (type = hand_receive(s, &got)) && got.id != broken[i].f.id)
		continue;
	net_close(s);
	return sent && !type;
}

TEST(closed)
{
	struct rig r;

	REQUIRE(rig_up(&r, true, 1 << 20, false));
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		if (!CHECK(closes(&r, i)))
			printf("served: %s\n", broken[i].what);
	rig_down(&r);
}

/* Of the fields of HELLO, each left out and each twice. */
TEST(hello_fields)
{
	struct proto_hello h = { .min_version = 1, .max_version = 1, .features = 3,
		.job = "j" };
	struct rig r;

	REQUIRE(rig_up(&r, true, 0, false));
	memset(h.session, 7, sizeof(h.session));
	for (unsigned left_out = 0; left_out < 2; left_out++)
		for (unsigned number = 1; number <= 3; number++) {
			struct proto_frame f = { .type = PROTO_HELLO };
			struct stream *s = hand_connect(&r);
			uint8_t b[512], *p = b, *end;

			REQUIRE(s);
			end = b + proto_put_hello(b, sizeof(b) / 2, &h);
			while ((p[0] & 0x7fu) != number)
				p += 4 + p[2];
			if (left_out) {
				memmove(p, p + 4 + p[2], (size_t)(end - p) - 4 - p[2]);
				end -= 4 + p[2];
			} else {
				memcpy(end, p, 4u + p[2]);
				end += 4 + p[2];
			}
			f.len = (uint32_t)(end - b);
			CHECK(!hand_send(s, &f, b));
			CHECK_U64(hand_receive(s, &f), 0);
			net_close(s);
		}
	rig_down(&r);
}

/* The server's only connection, once it has as many buffers as `want`. */
static bool has_buffers(struct rig *r, bool want)
{
	for (unsigned i = 0; i < 6000; i++) {
		const struct serve_conn *c;
		bool is = false;

		pthread_mutex_lock(&r->s->lock);
		c = r->s->conns;
		if (c)
			is = want ? c->known : true;
		pthread_mutex_unlock(&r->s->lock);
		if (is)
			return c->in && c->out && c->buf ? want :
				!want && !c->in && !c->out && !c->buf;
		usleep(10000);
	}
	return false;
}

TEST(buffers)
{
	struct rig r;
	struct stream *s;

	REQUIRE(rig_up(&r, true, 0, false));
	s = hand_connect(&r);
	REQUIRE(s);
	CHECK(has_buffers(&r, false));
	net_close(s);
	rig_down(&r);
	REQUIRE(rig_up(&r, true, 0, false));
	s = hand_hello(&r); /* with its answer they are there */
	CHECK(has_buffers(&r, true));
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

	REQUIRE(rig_up(&r, true, 1 << 17, false)); /* slow, so that requests wait */
	s = hand_hello(&r);
	REQUIRE(s);
	for (uint32_t i = 0; i < 20; i++) {
		f = (struct proto_frame){ .type = PROTO_READ, .id = i, .raw = 128 << 10 };
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
	TEST_ENTRY(buffers, "who has not greeted has no buffers for content"),
	TEST_ENTRY(closed, "who breaks a rule of the frames is cut off"),
	TEST_ENTRY(hello_fields, "HELLO without a field that it needs, or with one twice"),
	TEST_ENTRY(broken_rules, "who breaks the framing is cut off"),
	TEST_ENTRY(cancel, "waiting requests are cancelled"),
};
TEST_MAIN(tests)

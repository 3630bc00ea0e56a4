/* SPDX-License-Identifier: Apache-2.0 */
/* The client end (source/drive.c) against a server that lies. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include <lz4.h>

#include "base/bytes.h"
#include "base/log.h"
#include "net/net.h"
#include "proto/proto.h"
#include "source/source.h"

#include "../test.h"

#define SIZE (8u << 20)

/* Answers HELLO and DISKS as it should, anything else as `lie` says. */
struct liar {
	struct listener *l;
	pthread_t thread;
	uint64_t size;            /* of the drive it claims to have */
	uint64_t seed;
	void (*lie)(struct liar *v, struct stream *s, const struct proto_frame *f);
	unsigned connections;
	uint8_t in[PROTO_MAX_PAYLOAD], out[PROTO_MAX_PAYLOAD];
};

static void put(struct stream *s, struct proto_frame *f, const void *payload)
{
	struct err err = ERR_INIT;
	uint8_t head[PROTO_HEADER];

	proto_put_header(head, f);
	if (!net_write(s, head, sizeof(head), &err) && f->len)
		net_write(s, payload, f->len, &err);
}

static void answer(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .id = f->id };
	struct proto_welcome w = { .version = 1, .features = 3, .credit = PROTO_CREDIT,
		.max_read = PROTO_MAX_READ, .max_connections = 2 };
	struct proto_disk d = { .size = v->size, .sector = 512, .physical = 512,
		.extents = true,
		.name = "sda" };
	struct proto_hello h;
	struct err err = ERR_INIT;

	if (f->type == PROTO_HELLO) {
		if (!proto_get_hello(v->in, f->len, &h, &err))
			v->seed = h.seed;
		r.type = PROTO_WELCOME;
		r.len = (uint32_t)proto_put_welcome(v->out, sizeof(v->out), &w);
		put(s, &r, v->out);
	} else if (f->type == PROTO_DISKS) {
		r.type = PROTO_DISK_LIST;
		r.len = (uint32_t)proto_put_disk(v->out, sizeof(v->out), &d);
		put(s, &r, v->out);
	} else {
		v->lie(v, s, f);
	}
}

static void *run(void *arg)
{
	struct liar *v = arg;
	struct err err = ERR_INIT;
	struct stream *s;

	while (!net_accept(v->l, &s, &err)) {
		uint8_t head[PROTO_HEADER];
		struct proto_frame f;

		v->connections++;
		net_set_timeout(s, 60000);
		while (!net_read(s, head, sizeof(head), &err) &&
			!proto_get_header(head, &f, &err) &&
			(!f.len || !net_read(s, v->in, f.len, &err)))
			answer(v, s, &f);
		err_clear(&err);
		net_close(s);
	}
	return NULL;
}

static struct liar liar;

static int begin(void (*lie)(struct liar *, struct stream *, const struct proto_frame *),
	uint64_t size, struct source **ret, struct err *err)
{
	struct source_options opt = { .allow_plain = true, .compress = true };
	char uri[64];

	log_set_level(LOG_LEVEL_ERROR);
	liar.lie = lie;
	liar.size = size;
	if (net_listen("127.0.0.1", 0, &liar.l, err) < 0 ||
		pthread_create(&liar.thread, NULL, run, &liar))
		return -1;
	snprintf(uri, sizeof(uri), "tw://127.0.0.1:%u/sda", net_listen_port(liar.l));
	return source_open(uri, &opt, ret, err);
}

static void end(struct source *s)
{
	source_close(s);
	net_listen_stop(liar.l);
	pthread_join(liar.thread, NULL);
	net_listen_close(liar.l);
}

/* One read of two leaves; its own error, or that of the connection, in err. */
static void read_once(void (*lie)(struct liar *, struct stream *,
	const struct proto_frame *), enum source_verb verb, struct err *err, bool *broken)
{
	struct source *s;
	struct source_chan *c;
	struct source_req r = { .verb = verb, .off = 1 << 20, .len = 2 * SOURCE_LEAF },
		*done;

	*broken = false;
	r.buf = aligned_alloc(4096, r.len);
	if (CHECK(!begin(lie, SIZE, &s, err))) {
		CHECK(!source_chan_open(s, &c, err));
		if (source_submit(c, &r, err) < 0 || source_reap(c, 5000, &done, err) < 0)
			*broken = true;
		else if (CHECK(done == &r) && r.status < 0)
			*err = r.err;
		source_chan_close(c);
		end(s);
	}
	free(r.buf);
}

/* A DATA frame for two leaves of text, raw; the hashes are the caller's. */
static struct proto_frame good(struct liar *v, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_DATA, .id = f->id, .off = f->off,
		.raw = 2 * PROTO_LEAF, .len = PROTO_DATA_PREFIX(2) + 2 * PROTO_LEAF };

	memset(v->out, 0, 8);
	memset(v->out + PROTO_DATA_PREFIX(2), 'x', 2 * PROTO_LEAF);
	return r;
}

static void wrong_hash(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = good(v, f);

	memset(v->out + 8, 0x5a, 32);
	put(s, &r, v->out);
}

static void wrong_offset(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = good(v, f);

	r.off++;
	put(s, &r, v->out);
}

static void wrong_id(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = good(v, f);

	r.id += 1000;
	put(s, &r, v->out);
}

static void same_unasked(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_DATA, .id = f->id, .off = f->off,
		.len = 8 };

	bytes_put_le32(v->out, 3);
	bytes_put_le32(v->out + 4, 0);
	put(s, &r, v->out);
}

static void bad_lz4(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = good(v, f);

	r.flags = PROTO_LZ4;
	r.len = PROTO_DATA_PREFIX(2) + 100;
	memset(v->out + PROTO_DATA_PREFIX(2), 0xff, 100);
	put(s, &r, v->out);
}

static void cut_lz4(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = good(v, f);
	static char text[2 * PROTO_LEAF];
	int n = LZ4_compress_default(text, (char *)v->out + PROTO_DATA_PREFIX(2),
		sizeof(text), sizeof(v->out) - PROTO_DATA_PREFIX(2));

	r.flags = PROTO_LZ4;
	r.len = PROTO_DATA_PREFIX(2) + (uint32_t)n - 2;
	put(s, &r, v->out);
}

static void reads_not(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_ERROR, .id = f->id, .raw = EIO, .len = 7 };

	memcpy(v->out, "sector\x1b", 7);
	put(s, &r, v->out);
}

static void hangs_up(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	(void)v;
	(void)f;
	net_shutdown(s);
}

static void goes_away(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_BYE, .len = 4 };

	(void)f;
	memcpy(v->out, "stop", 4);
	put(s, &r, v->out);
}

static void unknown_type(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = 99, .id = f->id };

	(void)v;
	put(s, &r, NULL);
}

TEST(replies)
{
	static const struct {
		const char *what;
		void (*lie)(struct liar *, struct stream *, const struct proto_frame *);
		enum err_code code;
		bool broken;
	} lies[] = {
		{ "wrong hash", wrong_hash, ERR_VERIFY_HASH, false },
		{ "wrong offset", wrong_offset, ERR_SRC_PROTO, true },
		{ "wrong id", wrong_id, ERR_SRC_PROTO, true },
		{ "unchanged in reply to READ", same_unasked, ERR_SRC_PROTO, true },
		{ "LZ4 of noise", bad_lz4, ERR_VERIFY_HASH, false },
		{ "LZ4 cut", cut_lz4, ERR_VERIFY_HASH, false },
		{ "read error", reads_not, ERR_SRC_READ, false },
		{ "hangs up", hangs_up, ERR_SRC_EOF, true },
		{ "goes away", goes_away, ERR_SRC_EOF, true },
		{ "unknown type", unknown_type, ERR_SRC_PROTO, true },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct err err = ERR_INIT;
		bool broken;

		read_once(lies[i].lie, SOURCE_READ, &err, &broken);
		if (!CHECK(err.code == lies[i].code) || !CHECK(broken == lies[i].broken))
			printf("  %s: %s %s\n", lies[i].what, err_name(err.code),
				err.text);
		CHECK(!strchr(err.text, '\x1b'));
		if (lies[i].lie == reads_not)
			CHECK_U64(err.sys, EIO);
	}
}

TEST(sizes)
{
	struct source *s;
	struct err err = ERR_INIT;

	CHECK(begin(wrong_hash, UINT64_MAX, &s, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_SIZE);
	end(NULL);
}

static uint64_t extent_lens[3];

static void extents(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_EXTENT_LIST, .id = f->id, .len = 48 };

	memset(v->out, 0, 48);
	for (unsigned i = 0; i < 3; i++)
		bytes_put_le64(v->out + 16 * i, extent_lens[i]);
	put(s, &r, v->out);
}

TEST(extent_lies)
{
	static const uint64_t lies[][3] = { { 1, 2, SIZE }, { 4096, 0, 4096 },
		{ UINT64_MAX, 1, 1 }, { 1ull << 32, 1ull << 32, 1 }, { SIZE, 1, 1 } };
	struct source_extent e[8];
	struct source *s;
	struct source_chan *c;
	uint64_t stop;
	size_t n;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct err err = ERR_INIT;

		memcpy(extent_lens, lies[i], sizeof(extent_lens));
		REQUIRE(!begin(extents, SIZE, &s, &err) &&
			!source_chan_open(s, &c, &err));
		CHECK(source_extents(c, 0, SIZE, e, 8, &n, &stop, &err) < 0);
		CHECK_U64(err.code, ERR_SRC_PROTO);
		source_chan_close(c);
		end(s);
	}
}

static void few_hashes(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_HASH_LIST, .id = f->id, .len = 16 };

	put(s, &r, v->out);
}

TEST(hash_lies)
{
	static struct source_hash h[SIZE / SOURCE_LEAF];
	struct source *s;
	struct source_chan *c;
	struct err err = ERR_INIT;

	REQUIRE(!begin(few_hashes, SIZE, &s, &err) && !source_chan_open(s, &c, &err));
	CHECK(source_hashes(c, 0, SIZE, h, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_PROTO);
	source_chan_close(c);
	end(s);
}

static void long_journal(struct liar *v, struct stream *s, const struct proto_frame *f)
{
	struct proto_frame r = { .type = PROTO_JOURNAL, .id = f->id, .len = 100 };

	memset(v->out, 0xff, 100);
	put(s, &r, v->out);
}

TEST(journal_lies)
{
	struct source *s;
	struct source_chan *c;
	struct err err = ERR_INIT;
	uint8_t units[1] = { 0 };
	size_t n = 9;

	REQUIRE(!begin(long_journal, SIZE, &s, &err) && !source_chan_open(s, &c, &err));
	CHECK(!source_resume(c, units, 1, &n, &err)); /* not of this drive: none */
	CHECK_U64(n, 0);
	CHECK_U64(units[0], 0);
	source_chan_close(c);
	end(s);
}

static const struct test tests[] = {
	TEST_ENTRY(replies, "replies to a read that cannot be true"),
	TEST_ENTRY(sizes, "a drive of 2^64 - 1 bytes"),
	TEST_ENTRY(extent_lies, "extents behind the end, of nothing, overflowing"),
	TEST_ENTRY(hash_lies, "too few hashes"),
	TEST_ENTRY(journal_lies, "a journal of another length"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* A real server on the loopback address, read through source/, and by clients that misbehave. */
#include "serve/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/proto.h"
#include "source/source.h"

#include "../test.h"

#define KEY "00112233445566778899aabbccddeeff"
#define SIZE ((4u << 20) + 12345)

struct rig {
	struct serve_config c;
	struct serve_drive_spec drive;
	struct net_psk key;
	const struct net_psk *keys[2];
	struct serve *s;
	pthread_t thread;
	char path[64], dir[64];
	uint8_t *content;
};

static void *run(void *arg)
{
	struct err err = ERR_INIT;

	serve_run(arg, &err);
	return NULL;
}

/* The first MiB is random, then zeroes that are a hole, then text, random to the odd end. */
static bool rig_up(struct rig *r, bool plain, uint64_t bandwidth, bool state)
{
	struct err err = ERR_INIT;
	int fd;

	log_set_level(LOG_LEVEL_ERROR);
	memset(r, 0, sizeof(*r));
	strcpy(r->path, "/tmp/tw-serve.XXXXXX");
	strcpy(r->dir, "/tmp/tw-state.XXXXXX");
	fd = mkstemp(r->path);
	r->content = calloc(1, SIZE);
	if (fd < 0 || !mkdtemp(r->dir) || !r->content || ftruncate(fd, SIZE) ||
		getrandom(r->content, 1 << 20, 0) < 0)
		return false;
	for (size_t i = 2 << 20; i < 3 << 20; i++)
		r->content[i] = "the same again, "[i % 16];
	if (getrandom(r->content + SIZE - 50000, 50000, 0) < 0 ||
		pwrite(fd, r->content, 1 << 20, 0) < 0 ||
		pwrite(fd, r->content + (2 << 20), 1 << 20, 2 << 20) < 0 ||
		pwrite(fd, r->content + SIZE - 50000, 50000, SIZE - 50000) < 0)
		return false;
	close(fd);
	r->drive = (struct serve_drive_spec){ "sda", r->path };
	r->keys[0] = &r->key;
	r->c = (struct serve_config){ .drives = &r->drive, .n_drives = 1, .host = "127.0.0.1",
		.psks = r->keys, .allow_plain = plain, .bandwidth = bandwidth,
		.state_dir = state ? r->dir : NULL, .freeze_s = 60, .grace_s = 1 };
	return !net_psk_parse("tester:" KEY, &r->key, &err) && !serve_start(&r->c, &r->s, &err) &&
		!pthread_create(&r->thread, NULL, run, r->s);
}

static void rig_stop(struct rig *r)
{
	serve_stop(r->s);
	pthread_join(r->thread, NULL);
	serve_free(r->s);
}

static void rig_down(struct rig *r)
{
	char cmd[128];

	rig_stop(r);
	unlink(r->path);
	snprintf(cmd, sizeof(cmd), "rm -r %s", r->dir);
	CHECK(!system(cmd));
	free(r->content);
}

static int rig_open(struct rig *r, const char *psk, struct source **ret, struct err *err)
{
	struct source_options opt = { .psk = psk, .compress = true, .job_id = "job",
		.allow_plain = !psk };
	char uri[64];

	snprintf(uri, sizeof(uri), "%s://127.0.0.1:%u/sda", psk ? "tws" : "tw",
		serve_port(r->s));
	return source_open(uri, &opt, ret, err);
}

/* Reads the whole drive with several requests at once. */
static void read_all(struct rig *r, struct source *src, struct source_chan *c, enum source_verb verb, uint32_t *same)
{
	struct source_req req[5] = { { 0 } };
	struct source_req *done = NULL;
	struct err err = ERR_INIT;
	unsigned left = 0;

	for (unsigned i = 0; i < 5; i++) {
		req[i].verb = verb;
		req[i].off = (uint64_t)i << 20;
		req[i].len = i < 4 ? 1 << 20 : SIZE - (4 << 20);
		req[i].buf = aligned_alloc(4096, 1 << 20);
		for (uint32_t k = 0; k * SOURCE_LEAF < req[i].len; k++) {
			uint32_t at = k * SOURCE_LEAF, n = req[i].len - at;

			source_hash_leaf(src, r->content + req[i].off + at,
				n < SOURCE_LEAF ? n : SOURCE_LEAF, &req[i].have[k]);
		}
		CHECK(!source_submit(c, &req[i], &err));
		left++;
	}
	while (left) {
		if (!CHECK(!source_reap(c, 10000, &done, &err) && done))
			break;
		for (; done; done = done->next, left--) {
			CHECK(!done->status);
			for (uint32_t k = 0; k * SOURCE_LEAF < done->len; k++) {
				uint8_t *p = (uint8_t *)done->buf + k * SOURCE_LEAF;
				uint32_t n = done->len - k * SOURCE_LEAF;

				n = n < SOURCE_LEAF ? n : SOURCE_LEAF;
				if (done->same & 1u << k)
					continue;
				if (done->zero & 1u << k)
					memset(p, 0, n);
				CHECK(!memcmp(p, r->content + done->off + k * SOURCE_LEAF, n));
			}
			same[done->off >> 20] = done->same;
		}
	}
	for (unsigned i = 0; i < 5; i++)
		free(req[i].buf);
}

TEST(reads)
{
	struct rig r;
	struct source *s;
	struct source_chan *c;
	struct err err = ERR_INIT;
	uint32_t same[5];
	struct source_hash h[65], mine;
	struct source_counters n;

	REQUIRE(rig_up(&r, false, 0, false));
	REQUIRE(!rig_open(&r, "tester:" KEY, &s, &err));
	CHECK_U64(source_get_info(s)->size, SIZE);
	CHECK(source_get_info(s)->extents);
	REQUIRE(!source_chan_open(s, &c, &err));
	read_all(&r, s, c, SOURCE_READ, same);
	CHECK_U64(same[0] | same[1] | same[2] | same[3] | same[4], 0);
	source_get_counters(s, &n);
	CHECK(n.wire_in > 1 << 20 && n.wire_in < (1 << 20) + 200000); /* holes and text shrink */
	read_all(&r, s, c, SOURCE_READ_IF_DIFF, same);
	CHECK_U64(same[0] & same[1] & same[2] & same[3], 0xffff);
	CHECK_U64(same[4], 1);
	r.content[70000] ^= 1; /* what this side has is different now */
	r.content[SIZE - 1] ^= 1;
	REQUIRE(!source_hashes(c, 0, SIZE, h, &err));
	for (unsigned i = 0; i < 65; i++) {
		source_hash_leaf(s, r.content + i * 65536, i < 64 ? 65536 : SIZE - 64 * 65536,
			&mine);
		CHECK(!memcmp(&mine, &h[i], 16) == (i != 1 && i != 64));
	}
	source_chan_close(c);
	source_close(s);
	rig_down(&r);
}

TEST(extents)
{
	struct rig r;
	struct source *s;
	struct source_chan *c;
	struct source_extent e[16];
	struct err err = ERR_INIT;
	uint64_t end = 0, zero = 0;
	size_t n;

	REQUIRE(rig_up(&r, true, 0, false));
	REQUIRE(!rig_open(&r, NULL, &s, &err) && !source_chan_open(s, &c, &err));
	REQUIRE(!source_extents(c, 0, SIZE, e, 16, &n, &end, &err));
	CHECK_U64(end, SIZE);
	for (size_t i = 0; i < n; i++)
		if (e[i].kind == SOURCE_ZERO) {
			zero += e[i].len;
			CHECK(bytes_are_zero(r.content + e[i].off, e[i].len));
		}
	CHECK(zero >= 1 << 20); /* at least the hole in the middle */
	source_chan_close(c);
	source_close(s);
	rig_down(&r);
}

TEST(refused)
{
	struct rig r;
	struct source *s;
	struct err err = ERR_INIT;

	REQUIRE(rig_up(&r, false, 0, false));
	CHECK(rig_open(&r, "tester:ff112233445566778899aabbccddeeff", &s, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_AUTH);
	CHECK(rig_open(&r, "nobody:" KEY, &s, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_AUTH);
	CHECK(rig_open(&r, NULL, &s, &err) < 0);
	CHECK_U64(err.code, ERR_SRC_TLS);
	rig_down(&r);
}

static bool restart(struct rig *r)
{
	struct err err = ERR_INIT;

	r->c.port = serve_port(r->s);
	rig_stop(r);
	return !serve_start(&r->c, &r->s, &err) && !pthread_create(&r->thread, NULL, run, r->s);
}

static unsigned files_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	for (struct dirent *e; dir && (e = readdir(dir));)
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

TEST(journal)
{
	struct rig r;
	struct source *s;
	struct source_chan *c;
	struct err err = ERR_INIT;
	uint8_t units[1] = { 1 }, got[1] = { 0 };
	size_t n = 9;

	REQUIRE(rig_up(&r, true, 0, true));
	REQUIRE(!rig_open(&r, NULL, &s, &err) && !source_chan_open(s, &c, &err));
	CHECK(!source_resume(c, got, 1, &n, &err));
	CHECK_U64(n, 0);
	CHECK(!source_commit(c, units, 1, &err));
	source_chan_close(c);
	source_close(s);
	rig_stop(&r);
	/* A new process finds it in the folder. */
	REQUIRE(!serve_start(&r.c, &r.s, &err) && !pthread_create(&r.thread, NULL, run, r.s));
	REQUIRE(!rig_open(&r, NULL, &s, &err) && !source_chan_open(s, &c, &err));
	CHECK(!source_resume(c, got, 1, &n, &err));
	CHECK(n == 1 && got[0] == 1);
	CHECK(!utimensat(AT_FDCWD, r.path, NULL, 0)); /* another generation: not for a new session */
	CHECK(!source_commit(c, units, 1, &err));
	source_chan_close(c);
	source_close(s);
	REQUIRE(!rig_open(&r, NULL, &s, &err) && !source_chan_open(s, &c, &err));
	CHECK(!source_resume(c, got, 1, &n, &err));
	CHECK_U64(n, 0);
	CHECK(!source_commit(c, units, 1, &err));
	CHECK_U64(files_in(r.dir), 2);
	REQUIRE(restart(&r)); /* forgets in memory what is in the folder */
	source_chan_close(c);
	REQUIRE(!source_chan_open(s, &c, &err));
	CHECK(!source_finish(s, &err)); /* everything was read: nothing to resume */
	CHECK(!source_resume(c, got, 1, &n, &err));
	CHECK_U64(n, 0);
	CHECK_U64(files_in(r.dir), 0);
	source_chan_close(c);
	source_close(s);
	rig_down(&r);
}

static bool opens(struct source *src, struct err *err)
{
	struct source_chan *c;

	if (source_chan_open(src, &c, err) < 0)
		return false;
	source_chan_close(c);
	return true;
}

TEST(state)
{
	struct err err = ERR_INIT;
	struct source *src;
	struct rig r;
	int fd;

	REQUIRE(rig_up(&r, true, 0, false));
	REQUIRE(!rig_open(&r, NULL, &src, &err));
	CHECK(opens(src, &err));
	REQUIRE(restart(&r));
	CHECK(opens(src, &err)); /* nothing happened to the drive */
	fd = open(r.path, O_WRONLY);
	usleep(20000); /* times of files have the kernel's tick */
	CHECK(pwrite(fd, "x", 1, 5) == 1);
	close(fd);
	CHECK(opens(src, &err)); /* in one process a drive that is not held may change */
	REQUIRE(restart(&r));
	CHECK(!opens(src, &err));
	CHECK_U64(err.code, ERR_SRC_CHANGED);
	err_clear(&err);
	CHECK(!opens(src, &err)); /* and it stays so */
	err_clear(&err);
	CHECK(!source_begin_anew(src, &err));
	CHECK(opens(src, &err));
	source_close(src);
	rig_down(&r);
}

TEST(bandwidth)
{
	struct rig r;
	struct source *s;
	struct source_chan *c;
	struct err err = ERR_INIT;
	uint32_t same[5];
	uint64_t start;

	REQUIRE(rig_up(&r, true, 2 << 20, false));
	REQUIRE(!rig_open(&r, NULL, &s, &err) && !source_chan_open(s, &c, &err));
	start = clock_now_ms();
	read_all(&r, s, c, SOURCE_READ, same);
	/* About 1.1 MiB on the wire; what comes after the first chunk has to wait for it. */
	CHECK(clock_now_ms() - start >= 400);
	source_chan_close(c);
	source_close(s);
	rig_down(&r);
}

/* A client by hand. */

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

	if (net_read(s, head, sizeof(head), &err) < 0 || proto_get_header(head, f, &err) < 0 ||
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
	CHECK(s && !hand_send(s, &f, b) && hand_receive(s, &f) == PROTO_WELCOME && f.id == 5);
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
	f = (struct proto_frame){ .type = PROTO_READ, .raw = 512 }; /* the connection goes on */
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
	TEST_ENTRY(reads, "READ, READ_IF_DIFF and HASH over TLS give the drive's content"),
	TEST_ENTRY(extents, "holes are told and are zeroes"),
	TEST_ENTRY(refused, "wrong key, unknown user, no TLS"),
	TEST_ENTRY(journal, "commit, resume after a restart, other generation, finish"),
	TEST_ENTRY(state, "a restarted server whose drive changed is noticed"),
	TEST_ENTRY(bandwidth, "the server keeps to its rate"),
	TEST_ENTRY(impossible_requests, "ranges and drives that are not there"),
	TEST_ENTRY(broken_rules, "who breaks the framing is cut off"),
	TEST_ENTRY(cancel, "waiting requests are cancelled"),
};
TEST_MAIN(tests)

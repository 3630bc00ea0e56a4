/* SPDX-License-Identifier: Apache-2.0 */
/* A real server, read through source/. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "source/source.h"

#include "rig.h"

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
static void read_all(struct rig *r, struct source *src, struct source_chan *c,
	enum source_verb verb, uint32_t *same)
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
				CHECK(!memcmp(p, r->content + done->off + k * SOURCE_LEAF,
					n));
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
	/* holes and text shrink */
	CHECK(n.wire_in > 1 << 20 && n.wire_in < (1 << 20) + 200000);
	read_all(&r, s, c, SOURCE_READ_IF_DIFF, same);
	CHECK_U64(same[0] & same[1] & same[2] & same[3], 0xffff);
	CHECK_U64(same[4], 1);
	r.content[70000] ^= 1; /* what this side has is different now */
	r.content[SIZE - 1] ^= 1;
	REQUIRE(!source_hashes(c, 0, SIZE, h, &err));
	for (unsigned i = 0; i < 65; i++) {
		source_hash_leaf(s, r.content + i * 65536,
			i < 64 ? 65536 : SIZE - 64 * 65536, &mine);
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
	return !serve_start(&r->c, &r->s, &err) &&
		!pthread_create(&r->thread, NULL, run, r->s);
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
	REQUIRE(!serve_start(&r.c, &r.s, &err) &&
		!pthread_create(&r.thread, NULL, run, r.s));
	REQUIRE(!rig_open(&r, NULL, &s, &err) && !source_chan_open(s, &c, &err));
	CHECK(!source_resume(c, got, 1, &n, &err));
	CHECK(n == 1 && got[0] == 1);
	/* another generation: not for a new session */
	CHECK(!utimensat(AT_FDCWD, r.path, NULL, 0));
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
	/* About 1.1 MiB on the wire; what comes after the first
	 * chunk has to wait for it. */
	CHECK(clock_now_ms() - start >= 400);
	source_chan_close(c);
	source_close(s);
	rig_down(&r);
}

static const struct test tests[] = {
	TEST_ENTRY(reads,
		"READ, READ_IF_DIFF and HASH over TLS give the drive's content"),
	TEST_ENTRY(extents, "holes are told and are zeroes"),
	TEST_ENTRY(refused, "wrong key, unknown user, no TLS"),
	TEST_ENTRY(journal, "commit, resume after a restart, other generation, finish"),
	TEST_ENTRY(state, "a restarted server whose drive changed is noticed"),
	TEST_ENTRY(bandwidth, "the server keeps to its rate"),
};
TEST_MAIN(tests)

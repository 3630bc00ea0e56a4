/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over generated sources and files, and the head: masked, committed. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/log.h"
#include "block/block-internal.h"
#include "copy/copy-internal.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/tw-copy-XXXXXX";
static struct copy_result result;
static struct err err;

static const char *in_dir(const char *name)
{
	static char path[4][64];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static int run(const char *uri, const char *target, const struct copy_options *opt)
{
	struct copy_control ctl = { .cancel = false };
	struct source *src = NULL;
	struct sink *dst = NULL;
	int r = -1;

	log_set_level(LOG_LEVEL_ERROR);
	err_clear(&err);
	if (source_open(uri, NULL, &src, &err) == 0 &&
		sink_open(target, source_get_info(src)->size, &dst, &err) == 0)
		r = copy_run(src, dst, opt, &ctl, &result, &err);
	sink_close(dst);
	source_close(src);
	return r;
}

static uint8_t expected(uint64_t at, unsigned zero_every)
{
	if (zero_every && !((at >> 20) % zero_every))
		return 0;
	return (uint8_t)((at & ~7ull) >> (56 - at % 8 * 8));
}

static void check_pattern_from(const char *path, uint64_t at, uint64_t size,
	unsigned zero_every)
{
	FILE *f = fopen(path, "re");
	int c;

	REQUIRE(f && !fseek(f, (long)at, SEEK_SET));
	while ((c = getc(f)) != EOF) {
		if (at < size && c != expected(at, zero_every)) {
			test_failures++;
			printf("byte %llu is %d\n", (unsigned long long)at, c);
			break;
		}
		at++;
	}
	fclose(f);
	CHECK_U64(at, size);
}

static void check_pattern(const char *path, uint64_t size, unsigned zero_every)
{
	check_pattern_from(path, 0, size, zero_every);
}

TEST(retries)
{
	struct copy_options opt = { .verify = COPY_VERIFY_FULL };

	unlink(in_dir("a"));
	REQUIRE(run("pattern:9000001?zero=3&fail=7&break=11", in_dir("a"), &opt) == 0);
	check_pattern(in_dir("a"), 9000001, 3);
	CHECK(result.retries > 2);
	CHECK_U64(result.bytes_total, 9000001);
	CHECK_U64(result.bytes_data + result.bytes_zero + result.bytes_equal, 9000001);
}

TEST(delta)
{
	struct copy_options opt = { .delta = true };
	FILE *f;

	unlink(in_dir("b"));
	REQUIRE(run("pattern:8000000?zero=2", in_dir("b"),
		&(struct copy_options){ .verify = 0 }) == 0);
	f = fopen(in_dir("b"), "r+e");
	REQUIRE(f && !fseek(f, 3700000, SEEK_SET) && putc('x', f) == 'x' &&
		!fseek(f, 2 << 20, SEEK_SET) && putc('y', f) == 'y' && !fclose(f));
	REQUIRE(run("pattern:8000000?zero=2", in_dir("b"), &opt) == 0);
	check_pattern(in_dir("b"), 8000000, 2);
	/* the leaf that differed and the first MiB; the other byte lay in zeroes */
	CHECK_U64(result.bytes_written, SOURCE_LEAF + COPY_HEAD + 4096 /* the mark */);
}

static void poke(const char *path, long at, int c)
{
	FILE *f = fopen(path, "r+e");

	CHECK(f && !fseek(f, at, SEEK_SET) && putc(c, f) == c);
	if (f)
		fclose(f);
}

#define PROBED "pattern:73400320"

/* 70 MiB, of which 60 are gone again when told to.
 * The head with the mark is kept back. */
static int resume_probed(bool damage)
{
	char journal[64];
	struct copy_options opt = { .journal = journal, .keep_head_back = true };
	int fd;

	snprintf(journal, sizeof(journal), "%s", in_dir("j"));
	unlink(in_dir("p"));
	if (run(PROBED, in_dir("p"), &opt) < 0)
		return -1;
	fd = open(in_dir("p"), O_RDWR);
	if (fd < 0 || (damage && ftruncate(fd, 10 << 20)))
		return -1;
	close(fd);
	opt.resume = true;
	return run(PROBED, in_dir("p"), &opt);
}

TEST(probe)
{
	struct copy_options opt = { .delta = true };

	/* At most one leaf of each MiB. */
	REQUIRE(resume_probed(false) == 0);
	CHECK(result.bytes_wire > 0 && result.bytes_wire <= 70 * SOURCE_LEAF);
	REQUIRE(resume_probed(true) == 0);
	CHECK_U64(result.bytes_data, 60 << 20);
	REQUIRE(run(PROBED, in_dir("p"), &opt) == 0);
	CHECK_U64(result.bytes_data, COPY_HEAD);
}

/* What a killed run may leave: unit 0 durable but for its last MiB, unit 1 only in its
 * first MiB, and a target that holds everything, so that each byte that comes again was
 * asked for. */
static void write_journal(const char *path, bool before, bool damaged)
{
	static struct copy_job job;
	struct copy_options opt = { .journal = path };
	struct source *src;
	struct sink *dst;
	uint8_t *units;

	REQUIRE(source_open(PROBED, NULL, &src, &err) == 0);
	REQUIRE(sink_open(in_dir("p"), 73400320, &dst, &err) == 0);
	memset(&job, 0, sizeof(job));
	job.src = src;
	job.dst = dst;
	job.opt = &(struct copy_options){ .resume = true };
	job.size = 73400320;
	job.head = COPY_HEAD;
	REQUIRE(copy_account_init(&job, &err) == 0 && copy_mark_read(&job, &err) == 0);
	CHECK(job.mark_found);
	job.opt = &opt;
	units = calloc(1, copy_journal_bytes(&job));
	REQUIRE(units);
	job.leaves_durable.n = before ? 0 : 2;
	job.leaves_durable.list[0].unit = 1;
	job.leaves_durable.list[0].bits[0] = 0xffff;
	job.leaves_durable.list[1].unit = damaged ? 2 : 0;
	memset(job.leaves_durable.list[1].bits, 0xff, 1008 / 8);
	if (before)
		units[0] = 1;
	memcpy(units + job.bitmap_bytes, job.mark, COPY_MARK);
	CHECK(copy_journal_save(&job, units, &err) == 0);
	if (before)
		poke(path, 6, '2');
	free(units);
	copy_account_free(&job);
	sink_close(dst);
	source_close(src);
}

/* Bytes that came when the target was complete and the journal said so much. */
static uint64_t resume_from(bool before, bool damaged)
{
	char journal[64];
	struct copy_options opt = { .journal = journal, .keep_head_back = true };

	snprintf(journal, sizeof(journal), "%s", in_dir("j"));
	unlink(in_dir("p"));
	if (run(PROBED, in_dir("p"), &opt) < 0)
		return 0;
	write_journal(journal, before, damaged);
	opt.resume = true;
	CHECK(run(PROBED, in_dir("p"), &opt) == 0);
	check_pattern_from(in_dir("p"), COPY_HEAD, 73400320, 0);
	return result.bytes_wire;
}

TEST(unfinished)
{
	uint64_t all = 69 << 20, probes = 70 * SOURCE_LEAF;
	uint64_t n = resume_from(false, false);

	/* 1 MiB of unit 0, 5 of unit 1, and probes. */
	CHECK(n >= 6 << 20 && n <= (6 << 20) + probes);
	n = resume_from(true, false);
	CHECK(n >= 6 << 20 && n <= (6 << 20) + probes);
	/* A unit that the drive does not have: nothing of it is believed. The head comes
	 * for the hash of the drive, of which nothing else is missing then. */
	CHECK_U64(resume_from(false, true), all + COPY_HEAD);
}

TEST(head_kept)
{
	struct copy_options opt = { .keep_head_back = true };
	uint8_t head[4096];
	FILE *f;

	unlink(in_dir("c"));
	REQUIRE(run("pattern:3000000", in_dir("c"), &opt) == 0);
	f = fopen(in_dir("c"), "re");
	REQUIRE(f && fread(head, 1, sizeof(head), f) == sizeof(head));
	CHECK(bytes_are_zero(head, sizeof(head)));
	fclose(f);
}

/* What follows the copy's last barrier. */
TEST(first_block)
{
	struct copy_options opt = { .verify = 0 };
	char target[160], line[80], text[4][80] = { "", "", "", "" };
	unsigned n = 0;
	FILE *f;

	unlink(in_dir("e"));
	snprintf(target, sizeof(target), "record:%s?log=%s", in_dir("e"), in_dir("ops"));
	REQUIRE(run("pattern:3000000", target, &opt) == 0);
	f = fopen(in_dir("ops"), "re");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "read", 4))
			snprintf(text[n++ % 4], sizeof(text[0]), "%s", line);
	fclose(f);
	CHECK_STR(text[n % 4], "write 4096 1044480\n");
	CHECK(!strncmp(text[(n + 1) % 4], "flush", 5));
	CHECK_STR(text[(n + 2) % 4], "write 0 4096\n");
	CHECK(!strncmp(text[(n + 3) % 4], "flush", 5));
}

TEST(too_small)
{
	struct copy_options opt = { .verify = 0 };
	struct copy_control ctl = { .cancel = false };
	struct source *src;
	struct sink *dst;

	err_clear(&err);
	unlink(in_dir("d"));
	REQUIRE(source_open("pattern:3000000", NULL, &src, &err) == 0);
	REQUIRE(sink_open(in_dir("d"), 2999999, &dst, &err) == 0);
	CHECK(copy_run(src, dst, &opt, &ctl, &result, &err) < 0 &&
		err.code == ERR_DISK_SMALL);
	sink_close(dst);
	source_close(src);
}

TEST(root)
{
	static uint8_t buf[3 * SOURCE_LEAF + 5];
	struct copy_root *r;
	char a[33], b[33];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i / SOURCE_LEAF == 1 ? 0 : (uint8_t)(i * 7);
	r = copy_root_new(sizeof(buf));
	copy_root_data(r, 0, buf, sizeof(buf));
	copy_root_hex(r, a);
	copy_root_free(r);
	/* in another order, zeroes told as zeroes */
	r = copy_root_new(sizeof(buf));
	copy_root_data(r, 2 * SOURCE_LEAF, buf + 2 * SOURCE_LEAF, SOURCE_LEAF + 5);
	copy_root_hex(r, b);
	CHECK_STR(b, "");
	copy_root_zero(r, SOURCE_LEAF, SOURCE_LEAF);
	copy_root_data(r, 0, buf, SOURCE_LEAF);
	copy_root_hex(r, b);
	copy_root_free(r);
	CHECK_STR(a, b);
	CHECK_U64(strlen(a), 32);
}

/* A drive of 3 MiB with an MBR whose first partition is an ESP. */
static void make_drive(const char *path)
{
	uint8_t *d = calloc(3, 1 << 20);
	FILE *f = fopen(path, "we");

	REQUIRE(d && f);
	memset(d, 0x90, 440);
	d[446] = 0x80;
	d[446 + 4] = 0xef;
	bytes_put_le32(d + 446 + 8, 2048);
	bytes_put_le32(d + 446 + 12, 1024);
	d[510] = 0x55;
	d[511] = 0xaa;
	memset(d + 512, 0x11, (1 << 20) - 512);
	CHECK(fwrite(d, 1, 3 << 20, f) == 3 << 20);
	fclose(f);
	free(d);
}

static int peek(const char *path, long at)
{
	FILE *f = fopen(path, "re");
	int c = f && !fseek(f, at, SEEK_SET) ? getc(f) : -1;

	if (f)
		fclose(f);
	return c;
}

TEST(commit)
{
	struct copy_options opt = { .keep_head_back = true };
	struct source *src;
	struct sink *dst;
	char uri[100];

	make_drive(in_dir("s"));
	unlink(in_dir("t"));
	snprintf(uri, sizeof(uri), "file:%s", in_dir("s"));
	REQUIRE(run(uri, in_dir("t"), &opt) == 0);
	REQUIRE(source_open(uri, NULL, &src, &err) == 0);
	REQUIRE(sink_open(in_dir("t"), 3 << 20, &dst, &err) == 0);
	CHECK(copy_release_masked(src, dst, false, &err) == 0);
	CHECK(peek(in_dir("t"), 0) != 0x90);
	CHECK_U64((unsigned)peek(in_dir("t"), 446 + 4), 0);
	CHECK_U64((unsigned)peek(in_dir("t"), 1000), 0x11);
	poke(in_dir("t"), 5000, 0x77); /* the guest's preparation wrote behind sector 0 */
	CHECK(copy_commit(src, dst, &err) == 0);
	CHECK_U64((unsigned)peek(in_dir("t"), 0), 0x90);
	CHECK_U64((unsigned)peek(in_dir("t"), 446 + 4), 0xef);
	CHECK_U64((unsigned)peek(in_dir("t"), 5000), 0x77);
	CHECK(copy_commit(src, dst, &err) == 0); /* again changes nothing */
	poke(in_dir("t"), 446 + 4, 0x42);
	CHECK(copy_commit(src, dst, &err) < 0 && err.code == ERR_DISK_TABLE);
	sink_close(dst);
	source_close(src);
}

static const struct test tests[] = {
	TEST_ENTRY(retries, "errors and breaks are mended, the account is complete"),
	TEST_ENTRY(delta, "only what differs is written, zeroes too"),
	TEST_ENTRY(probe,
		"a journal is believed after a few leaves, and not when they differ"),
	TEST_ENTRY(unfinished,
		"leaves of unfinished units are not read again; older journals count"),
	TEST_ENTRY(head_kept, "the first MiB stays zero until it is released"),
	TEST_ENTRY(first_block,
		"and of it, the first block stays zero until the rest is durable"),
	TEST_ENTRY(too_small, "a target that is too small is refused"),
	TEST_ENTRY(root, "the root hash does not depend on the order of leaves"),
	TEST_ENTRY(commit, "masked, then exact; what the preparation wrote stays"),
};

int main(int argc, char **argv)
{
	char command[100];
	int r;

	if (!mkdtemp(dir))
		return 1;
	r = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) || r;
}

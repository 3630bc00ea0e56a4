/* SPDX-License-Identifier: Apache-2.0 */
/* Orders and rates of the engine: progress behind a flush, sector 0 last, bounds of the
 * ETA, attempts and pauses. End states do not show them. */
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "copy/copy-internal.h"
#include "tests/unit/test.h"

#define LINES 64

static char dir[] = "/tmp/tw-order-XXXXXX";
static struct copy_result result;
static struct copy_progress last;
static struct err err;

static const char *in_dir(const char *name)
{
	static char path[4][64];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void keep_progress(void *ctx, const struct copy_progress *p)
{
	(void)ctx;
	last = *p;
}

static int run_copy(const char *uri, const char *target, struct copy_options *opt)
{
	struct copy_control ctl = { .cancel = false };
	struct source *src = NULL;
	struct sink *dst = NULL;
	int r = -1;

	log_set_level(LOG_LEVEL_ERROR);
	err_clear(&err);
	last = (struct copy_progress){ .total = 0 };
	opt->progress = keep_progress;
	if (source_open(uri, NULL, &src, &err) == 0 &&
		sink_open(target, source_get_info(src)->size, &dst, &err) == 0)
		r = copy_run(src, dst, opt, &ctl, &result, &err);
	sink_close(dst);
	source_close(src);
	return r;
}

/* Whichever flush fails, nothing counts that was written before it. */
TEST(progress_is_flushed)
{
	char target[160];
	int failed = 0;

	for (int n = 1; n < 8; n++) {
		struct copy_options opt = { .keep_head_back = true };

		unlink(in_dir("a"));
		snprintf(target, sizeof(target), "record:%s?flush-eio=%d", in_dir("a"),
			n);
		if (run_copy("pattern:9000000", target, &opt) == 0) {
			CHECK_U64(last.flushed, 9000000 - COPY_HEAD);
			break;
		}
		failed++;
		CHECK(err.code == ERR_DISK_IO);
		CHECK_U64(last.flushed, 0);
	}
	/* one when the head is cleared, and the last one at least */
	CHECK(failed >= 2);
}

/* What was recorded, without reads; the number of lines. */
static int read_log(char lines[LINES][80])
{
	FILE *f = fopen(in_dir("ops"), "re");
	int n = 0;

	while (f && n < LINES && fgets(lines[n], sizeof(lines[0]), f))
		n++;
	if (f)
		fclose(f);
	return n;
}

static void put_entry(uint8_t *e, uint8_t type, uint32_t start, uint32_t count)
{
	e[4] = type;
	bytes_put_le32(e + 8, start);
	bytes_put_le32(e + 12, count);
}

/* An ESP, and a FAT volume in a logical partition: a sector other than the first one is
 * masked, too. */
static void make_drive(const char *path)
{
	uint8_t *d = calloc(8, 1 << 20), *ebr = d + 12000 * 512;
	FILE *f = fopen(path, "we");

	REQUIRE(d && f);
	memset(d, 0x90, 440);
	put_entry(d + 446, 0xef, 4096, 4096);
	put_entry(d + 462, 0x05, 12000, 4000);
	put_entry(ebr + 446, 0x0c, 288, 1000);
	d[510] = ebr[510] = 0x55;
	d[511] = ebr[511] = 0xaa;
	memcpy(d + 12288 * 512, "\xeb\x3c\x90mkfs.fat\0\2\4\1\0\2\0\2\0\2\xf8", 22);
	CHECK(fwrite(d, 1, 8 << 20, f) == 8 << 20);
	fclose(f);
	free(d);
}

TEST(commit_order)
{
	struct copy_options opt = { .keep_head_back = true };
	static char lines[LINES][80];
	char uri[100], target[200];
	struct source *src;
	struct sink *dst;
	int n, zero = -1;

	make_drive(in_dir("s"));
	unlink(in_dir("t"));
	snprintf(uri, sizeof(uri), "file:%s", in_dir("s"));
	REQUIRE(run_copy(uri, in_dir("t"), &opt) == 0);
	REQUIRE(source_open(uri, NULL, &src, &err) == 0);
	REQUIRE(sink_open(in_dir("t"), 8 << 20, &dst, &err) == 0);
	CHECK(copy_release_masked(src, dst, false, &err) == 0);
	sink_close(dst);
	snprintf(target, sizeof(target), "record:%s?log=%s", in_dir("t"), in_dir("ops"));
	REQUIRE(sink_open(target, 8 << 20, &dst, &err) == 0);
	CHECK(copy_commit(src, dst, &err) == 0);
	sink_close(dst);
	source_close(src);
	n = read_log(lines);
	REQUIRE(n >= 4);
	for (int i = 0; i < n; i++)
		if (!strncmp(lines[i], "write 0 ", 8))
			zero = i;
	/* ... others, flush, sector 0, flush */
	CHECK_U64((unsigned)zero, (unsigned)n - 2);
	CHECK(!strncmp(lines[n - 1], "flush", 5) && !strncmp(lines[n - 3], "flush", 5));
	CHECK(!strncmp(lines[0], "write ", 6) && strncmp(lines[0], "write 0 ", 8));
}

/* A drive of 10 MB of which 4 are flushed, after 20 s at 100000 bytes/s and a last second
 * at the same rate; the thirds of the window differ. */
TEST(pace)
{
	static struct copy_job job;
	struct copy_options opt = { .progress = keep_progress };
	struct copy_pace pace = { .rate = 100000, .n_recent = 30 };
	struct source *src;
	uint64_t now;

	REQUIRE(source_open("pattern:10000000", NULL, &src, &err) == 0);
	job.src = src;
	job.opt = &opt;
	job.size = 10000000;
	job.done = 5000000;
	job.flushed = 4000000;
	pthread_mutex_init(&job.lock, NULL);
	for (int i = 0; i < 30; i++)
		pace.recent[i] = i < 10 ? 50000 : i < 20 ? 100000 : 200000;
	now = clock_now_ms();
	pace.begin_ms = now - 20000;
	pace.last_ms = now - 1000;
	pace.last_flushed = 3900000;
	last = (struct copy_progress){ .total = 0 };
	copy_pace_tell(&job, &pace, true);
	pthread_mutex_destroy(&job.lock);
	source_close(src);
	CHECK_U64(last.total, 10000000);
	CHECK_U64(last.done, 5000000);
	CHECK_U64(last.flushed, 4000000);
	/* The last second may be a little longer than that. */
	CHECK(last.rate > 60000 && last.rate <= 100000);
	/* 6 MB are left: at best at 200000, at worst at about 55000 (of the first third
	 * one second was replaced). */
	CHECK(last.eta_s >= 60 && last.eta_s < 100);
	CHECK(last.eta_lo_s >= 30 && last.eta_lo_s < 34);
	CHECK(last.eta_hi_s > 100 && last.eta_hi_s <= 120);
}

/* A source whose every answer breaks the connection is asked again, but not in a loop. */
TEST(backs_off)
{
	struct copy_options opt = { .stall_s = 4, .keep_head_back = true };

	unlink(in_dir("b"));
	CHECK(run_copy("pattern:9000000?break=1", in_dir("b"), &opt) < 0);
	CHECK(err.code == ERR_SRC_SLOW);
	CHECK(result.retries >= 4 && result.retries < 60);
}

/* A block that cannot be read is asked for three times, and then listed. */
TEST(attempts)
{
	struct copy_options opt = { .keep_head_back = true, .connections = 1 };
	char list[64];
	unsigned long off = 0, len = 0;
	FILE *f;

	snprintf(list, sizeof(list), "%s", in_dir("bad"));
	opt.bad_ranges = list;
	unlink(in_dir("c"));
	CHECK(run_copy("pattern:1052672?fail=1", in_dir("c"), &opt) == 0);
	CHECK_U64(result.retries, 3);
	/* The first MiB, which is looked at behind it, cannot be read either. */
	CHECK_U64(result.bad_bytes, COPY_HEAD + 4096);
	CHECK(result.n_bad == 1 && result.bad[0].off == 0);
	CHECK_U64(result.bad[0].len, COPY_HEAD + 4096);
	f = fopen(list, "re");
	REQUIRE(f);
	CHECK(fscanf(f, "%lu %lu", &off, &len) == 2);
	fclose(f);
	CHECK_U64(off, 1 << 20);
	CHECK_U64(len, 4096);
}

/* What a server leaves out of its extents would never be copied. */
TEST(gap)
{
	struct copy_options opt = { .keep_head_back = true };

	unlink(in_dir("d"));
	CHECK(run_copy("pattern:9000000?zero=3&gap=2", in_dir("d"), &opt) < 0);
	CHECK(err.code == ERR_SRC_PROTO);
	CHECK(run_copy("pattern:9000000?zero=3", in_dir("d"), &opt) == 0);
}

static const struct test tests[] = {
	TEST_ENTRY(progress_is_flushed, "bytes count when a flush behind them returned"),
	TEST_ENTRY(commit_order, "the commit writes sector 0 last, behind a flush"),
	TEST_ENTRY(pace, "rate, ETA and its bounds are those of the flushed bytes"),
	TEST_ENTRY(backs_off, "a source that always breaks off is not asked in a loop"),
	TEST_ENTRY(attempts, "a block is given up after three more attempts"),
	TEST_ENTRY(gap, "extents with a gap are a fault of the server"),
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

/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying a source in use against what it had sent; the list of what cannot be read. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "copy/copy-internal.h"
#include "tests/unit/test.h"

#define UNITS 2
#define SIZE (COPY_UNIT + 2 * (uint64_t)SOURCE_LEAF)
#define LEAF(i) ((uint64_t)(i) * SOURCE_LEAF)

static char path[] = "/tmp/tw-received-XXXXXX";
static struct copy_job *job;
static struct err err;

static void hash_of(int c, struct source_hash *ret)
{
	static uint8_t leaf[SOURCE_LEAF];

	memset(leaf, c, sizeof(leaf));
	copy_leaf_hash(leaf, sizeof(leaf), ret);
}

/* A leaf arrives, and the target gets another one when told to. */
static void receive(uint64_t off, int sent, int written)
{
	static uint8_t leaf[SOURCE_LEAF];
	struct source_hash h;

	hash_of(sent, &h);
	copy_root_leaves(job->root, off, SOURCE_LEAF, &h);
	memset(leaf, written, sizeof(leaf));
	CHECK(sink_write(job->dst, leaf, sizeof(leaf), off, &err) == 0);
}

/* A drive of a whole unit, and of one whose second leaf did not come in this run. */
static void begin(bool in_use)
{
	log_set_level(LOG_LEVEL_ERROR);
	err_clear(&err);
	job = calloc(1, sizeof(*job));
	job->size = SIZE;
	job->n_units = UNITS;
	job->bitmap_bytes = 1;
	job->in_use = in_use;
	job->slots[0].scratch = aligned_alloc(4096, COPY_SCRATCH);
	CHECK(source_open("pattern:67239936", NULL, &job->src, &err) == 0);
	CHECK(sink_open(path, SIZE, &job->dst, &err) == 0);
	job->root = copy_root_new(SIZE);
	for (unsigned i = 0; i < COPY_UNIT_LEAVES; i++)
		receive(LEAF(i), 1, 1);
	receive(COPY_UNIT, 2, 2);
	CHECK(copy_received_begin(job, &err) == 0);
}

static void end(void)
{
	copy_root_free(job->root);
	copy_bad_free(job);
	sink_close(job->dst);
	source_close(job->src);
	free(job->slots[0].scratch);
	free(job->look_units);
	free(job);
}

/* The source has another leaf there now; the target's is of c. */
static void differs(uint64_t off, int c)
{
	struct source_hash h;

	hash_of(c, &h);
	job->differences++;
	copy_received_differs(job, off, &h);
}

TEST(as_sent)
{
	begin(true);
	differs(LEAF(7), 1);
	differs(LEAF(900), 1);
	differs(COPY_UNIT, 2);
	CHECK(copy_received_judge(job, &err) == 0);
	CHECK_U64(job->changed, 3 * SOURCE_LEAF);
	CHECK_U64(job->not_received, 0);
	end();
	/* One that an earlier run had copied: nobody can tell. */
	begin(true);
	differs(COPY_UNIT + SOURCE_LEAF, 9);
	CHECK(copy_received_judge(job, &err) == 0);
	CHECK_U64(job->not_received, 1);
	end();
}

TEST(lost_write)
{
	begin(true);
	receive(LEAF(900), 1, 3); /* the sum of the unit was known before */
	differs(LEAF(900), 3);
	CHECK(copy_received_judge(job, &err) < 0 && err.code == ERR_VERIFY_HASH);
	CHECK_U64(job->first_not_as_sent, 0);
	end();
	begin(true);
	differs(COPY_UNIT, 4);
	CHECK(copy_received_judge(job, &err) < 0 && err.code == ERR_VERIFY_HASH);
	CHECK_U64(job->first_not_as_sent, COPY_UNIT);
	end();
}

TEST(held_still)
{
	begin(false);
	differs(LEAF(7), 1);
	CHECK(copy_received_judge(job, &err) < 0 && err.code == ERR_VERIFY_HASH);
	CHECK(strstr(err.text, "which has changed since") != NULL);
	end();
	begin(false);
	differs(COPY_UNIT, 4);
	CHECK(copy_received_judge(job, &err) < 0 && err.code == ERR_VERIFY_HASH);
	CHECK(strstr(err.text, "which has changed since") == NULL);
	end();
}

static void bad(uint64_t off, uint64_t len)
{
	CHECK(copy_bad_add(job, off, len, &err) == 0);
	job->bad += len;
}

TEST(bad_list)
{
	struct copy_result r = { .n_bad = 0 };
	bool is;

	begin(true);
	job->bad_max = 100 * 4096;
	bad(81920, 4096);
	bad(8192, 4096);
	bad(90112, 4096);
	bad(86016, 4096); /* closes the gap */
	bad(4096, 4096);
	copy_bad_tell(job, &r);
	CHECK(r.n_bad == 2 && r.n_bad_left_out == 0);
	CHECK(r.bad[0].off == 4096 && r.bad[0].len == 8192);
	CHECK(r.bad[1].off == 81920 && r.bad[1].len == 12288);
	CHECK_U64(r.bad_bytes, 5 * 4096);
	CHECK_U64(copy_bad_run(job, 0, 1 << 20, &is), 2 * SOURCE_LEAF - SOURCE_LEAF);
	CHECK(is);
	CHECK_U64(copy_bad_run(job, LEAF(1) + 4096, 1 << 20, &is), SOURCE_LEAF - 4096);
	CHECK(is);
	CHECK_U64(copy_bad_run(job, LEAF(2), 1 << 20, &is), 1 << 20);
	CHECK(!is);
	for (unsigned i = 0; i < 95; i++)
		bad(LEAF(10 + i), 4096);
	copy_bad_tell(job, &r);
	CHECK(r.n_bad == COPY_BAD_TOLD && r.n_bad_left_out == 97 - COPY_BAD_TOLD);
	CHECK(copy_bad_add(job, LEAF(200), 4096, &err) < 0);
	CHECK(copy_bad_forget(job, &err) == 0);
	copy_bad_tell(job, &r);
	CHECK(r.n_bad == 0 && r.n_bad_left_out == 0);
	end();
}

static const struct test tests[] = {
	TEST_ENTRY(as_sent, "a source in use has changed: the target is as it was sent"),
	TEST_ENTRY(lost_write, "a target that is not as it was sent is found all the same"),
	TEST_ENTRY(held_still, "a source that is held still must not change"),
	TEST_ENTRY(bad_list, "ranges in any order are joined, limited and left out of it"),
};

int main(int argc, char **argv)
{
	int fd = mkstemp(path), r;

	if (fd < 0)
		return 1;
	close(fd);
	r = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	unlink(path);
	return r;
}

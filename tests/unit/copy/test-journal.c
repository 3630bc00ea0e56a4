/* SPDX-License-Identifier: Apache-2.0 */
/* The local journal: never more than what a flush has made durable,
 * and never of another target. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "copy/copy-internal.h"
#include "tests/unit/test.h"

#define SIZE (1u << 30)
#define LEAVES (SIZE / SOURCE_LEAF)

static char dir[] = "/tmp/tw-journal-XXXXXX";
static char journal[64], target[64], ops[64], recorder[200];
static struct err err;
static struct copy_control ctl;

/* Once something is in the journal: a cancel, and the last flush fails. */
static void on_progress(void *ctx, const struct copy_progress *p)
{
	(void)ctx;
	(void)p;
	if (!access(journal, F_OK))
		ctl.cancel = true;
}

static int run(const char *sink, const struct copy_options *opt)
{
	struct copy_result result;
	struct source *src = NULL;
	struct sink *dst = NULL;
	int r = -1;

	log_set_level(LOG_LEVEL_ERROR);
	err_clear(&err);
	if (source_open("pattern:1073741824", NULL, &src, &err) == 0 &&
		sink_open(sink, SIZE, &dst, &err) == 0)
		r = copy_run(src, dst, opt, &ctl, &result, &err);
	sink_close(dst);
	source_close(src);
	return r;
}

/* What the journal calls durable of the target, a byte a leaf; how many there are. */
static unsigned durable_leaves(struct copy_job *job, uint8_t *ret)
{
	struct copy_options opt = { .resume = true, .journal = journal };
	struct copy_leaves *leaves = calloc(1, sizeof(*leaves));
	uint8_t units[64] = { 0 };
	size_t bytes = 0;
	unsigned n = 0;
	bool durable;

	job->opt = &opt;
	job->size = SIZE;
	job->head = COPY_HEAD;
	if (source_open("pattern:1073741824", NULL, &job->src, &err) < 0 ||
		sink_open(target, SIZE, &job->dst, &err) < 0 ||
		copy_account_init(job, &err) < 0 || copy_mark_read(job, &err) < 0 ||
		copy_journal_load(job, units, leaves, &bytes, &err) < 0)
		printf("%s\n", err.text);
	else if (bytes && copy_journal_fits(job, units))
		copy_set_durable(job, units, leaves);
	for (uint64_t i = 0; i < LEAVES; i++) {
		copy_durable_run(job, i * SOURCE_LEAF, &durable);
		ret[i] = durable;
		n += durable;
	}
	free(leaves);
	return n;
}

static void release(struct copy_job *job)
{
	copy_account_free(job);
	sink_close(job->dst);
	source_close(job->src);
	memset(job, 0, sizeof(*job));
}

/* Leaves written before the nth flush began; *ret_after: writes behind it. */
static void written_before(unsigned nth, uint8_t *ret, unsigned *ret_after)
{
	FILE *f = fopen(ops, "re");
	unsigned long long off, len;
	unsigned flushes = 0;
	char what[16];

	REQUIRE(f);
	while (fscanf(f, "%15s %llu %llu", what, &off, &len) == 3) {
		flushes += !strcmp(what, "flush");
		if (strcmp(what, "write"))
			continue;
		*ret_after += flushes >= nth;
		for (uint64_t at = off; flushes < nth && at + SOURCE_LEAF <= off + len;
		    at += SOURCE_LEAF)
			ret[at / SOURCE_LEAF] = 1;
	}
	fclose(f);
}

TEST(order)
{
	struct copy_options opt = { .journal = journal, .progress = on_progress,
		.bandwidth = 16 << 20 };
	uint8_t *durable = calloc(2, LEAVES), *written = durable + LEAVES;
	static struct copy_job job;
	unsigned n, after = 0, wrong = 0;

	REQUIRE(durable);
	/* The first flush is of the cleared head, the second one the first barrier. It
	 * takes half a second, in which the copy goes on. */
	snprintf(recorder, sizeof(recorder), "record:%s?log=%s&slow=500&flush-eio=3",
		target, ops);
	ctl = (struct copy_control){ .cancel = false };
	CHECK(run(recorder, &opt) < 0);
	n = durable_leaves(&job, durable);
	written_before(2, written, &after);
	for (unsigned i = 0; i < LEAVES; i++)
		wrong += durable[i] && !written[i];
	CHECK_U64(wrong, 0);
	CHECK(n > 16 && after > 0);
	release(&job);
	free(durable);
}

TEST(other_target)
{
	static struct copy_job job;
	uint8_t *durable = calloc(1, LEAVES);
	FILE *f;

	REQUIRE(durable);
	/* Another mark: a new disk in the old one's place. */
	f = fopen(target, "r+e");
	REQUIRE(f && !fseek(f, 4096 + 32, SEEK_SET) &&
		fputs("0123456789abcdef", f) >= 0 && !fclose(f));
	CHECK_U64(durable_leaves(&job, durable), 0);
	release(&job);
	free(durable);
}

static const struct test tests[] = {
	TEST_ENTRY(order,
		"the journal has no leaf that was written after its flush had begun"),
	TEST_ENTRY(other_target, "the journal of another target says nothing"),
};

int main(int argc, char **argv)
{
	char command[100];
	int r;

	if (!mkdtemp(dir))
		return 1;
	snprintf(journal, sizeof(journal), "%s/journal", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	snprintf(ops, sizeof(ops), "%s/ops", dir);
	r = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) || r;
}

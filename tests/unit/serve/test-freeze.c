/* SPDX-License-Identifier: Apache-2.0 */
/* The freezer of a server on whose drives nothing is mounted:
 * all of it but the freezing itself. */
#include "serve/freeze-internal.h"

#include <poll.h>

#include "../test.h"

struct holder {
	struct serve_freezer z;
	struct freeze_shared shared;
	_Atomic bool held;
	bool failed;
};

static int go_on(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	return 0;
}

static void *hold(void *arg)
{
	struct holder *h = arg;
	const struct serve_wait wait = { .tick = go_on };
	struct err err = ERR_INIT;
	uint64_t epoch;

	h->failed = serve_freezer_hold(&h->z, &wait, &epoch, &err) < 0;
	h->held = true;
	return NULL;
}

static void set_up(struct holder *h)
{
	memset(h, 0, sizeof(*h));
	h->z = (struct serve_freezer){ .channel = -1, .limit_s = 60,
		.shared = &h->shared };
	pthread_mutex_init(&h->z.lock, NULL);
}

TEST(writes)
{
	static struct holder h;
	pthread_t thread;

	set_up(&h);
	REQUIRE(serve_freezer_begin_write(&h.z));
	REQUIRE(!pthread_create(&thread, NULL, hold, &h));
	poll(NULL, 0, 100); /* the thread can only be too late to show a fault */
	CHECK(!h.held);
	serve_freezer_end_write(&h.z);
	pthread_join(thread, NULL);
	CHECK(h.held && !h.failed);
	CHECK(!serve_freezer_begin_write(&h.z));
	serve_freezer_release(&h.z, false);
	serve_freezer_tick(&h.z); /* nobody is left: thaws */
	REQUIRE(serve_freezer_begin_write(&h.z));
	serve_freezer_end_write(&h.z);
	serve_watchdog_stop(&h.z);
}

TEST(no_freezer)
{
	CHECK(serve_freezer_begin_write(NULL));
	serve_freezer_end_write(NULL);
}

static const struct test tests[] = {
	TEST_ENTRY(writes,
		"a freeze waits for a write that has begun; none begins while it lasts"),
	TEST_ENTRY(no_freezer, "with nothing to freeze, writing is allowed"),
};
TEST_MAIN(tests)

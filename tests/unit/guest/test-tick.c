/* SPDX-License-Identifier: Apache-2.0 */
/* The caller hears of progress while a tool of the guest runs, also of one that says
 * nothing: else a watchdog would end a slow dracut. */
#include "guest/guest.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../test.h"

#define NAP "918273" /* seconds; no other process of this machine sleeps for so long */
#define MAKE \
	"t=/tmp/tick/tree; mkdir -p /tmp/tick/work && tests/data/phony-debian $t && " \
	"mkdir -p $t/etc/initramfs-tools/hooks && " \
	"echo 'sleep " NAP "; true' >$t/etc/initramfs-tools/hooks/slow && " \
	"tests/data/phony-disk $t /tmp/tick/disk >/dev/null"

static unsigned heard;

static void on_tick(void *ctx)
{
	(void)ctx;
	if (system("pgrep -fx '[s]leep " NAP "' >/dev/null") || ++heard < 3)
		return;
	heard = system("pkill -fx '[s]leep " NAP "'") ? heard : 3;
}

TEST(silent_tool)
{
	const char *disks[] = { "/tmp/tick/disk", NULL };
	struct guest_nic nic = { .mac = "52:54:00:12:34:56" };
	struct guest_options opt = { .action = GUEST_APPLY, .disks = disks,
		.nics = &nic, .n_nics = 1, .work_dir = "/tmp/tick/work",
		.tool_timeout_s = 30, .tick = on_tick };
	struct strbuf report = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (geteuid()) {
		puts("(not root: left out)");
		return;
	}
	REQUIRE(!unshare(CLONE_NEWNS) &&
		!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		!mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777,size=200m"));
	REQUIRE(!system(MAKE));
	CHECK(!guest_run(&opt, &report, &err));
	CHECK_STR(err.text, "");
	CHECK(heard >= 3);
	strbuf_free(&report);
}

static const struct test tests[] = {
	TEST_ENTRY(silent_tool, "a tool that says nothing counts as alive"),
};
TEST_MAIN(tests)

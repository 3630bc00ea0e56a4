/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of PID 1 that need no machine: messages, options, mount table,
 * crash texts. */
#include "tests/unit/test.h"

#include "initramfs/init-crash.c"
#include "initramfs/init-message.c"
#include "initramfs/init-mount.c"
#include "initramfs/init-options.c"

/* mount_base is not called here. */
void panic(const char *what)
{
	printf("panic: %s\n", what);
	abort();
}

static bool parse(struct message *m, const char *text)
{
	return message_parse(m, text, strlen(text));
}

TEST(messages)
{
	struct message m;

	CHECK(parse(&m, "tick") && m.kind == MESSAGE_TICK);
	CHECK(parse(&m, "tick\n") && m.kind == MESSAGE_TICK);
	CHECK(parse(&m, "allow 90") && m.kind == MESSAGE_ALLOW && m.seconds == 90);
	CHECK(parse(&m, "allow 999999") && m.seconds == ALLOW_MAX);
	CHECK(parse(&m, "settle") && m.kind == MESSAGE_SETTLE);
	CHECK(parse(&m, "unwatched") && m.kind == MESSAGE_UNWATCHED);
	CHECK(parse(&m, "finish hold") && m.kind == MESSAGE_FINISH &&
		m.verb == VERB_HOLD);
	CHECK(parse(&m, "written /dev/vda") && m.kind == MESSAGE_WRITTEN);
	CHECK_STR(m.text, "/dev/vda");
	CHECK(parse(&m, "status copying \033[2J") && m.kind == MESSAGE_STATUS);
	CHECK_STR(m.text, "copying ?[2J");
}

TEST(bad_messages)
{
	static const char *const bad[] = { "", "tic", "ticks", "tick tock", "allow",
		"allow 0",
		"allow -1", "allow 1x", "allow 9999999", "finish", "finish shell",
		"finish none",
		"finish now", "settle x", "settled", "written vda", "written /dev/",
		"written /dev/../etc/passwd", "written /proc/self/mem", "STATUS x" };
	char longest[2000];
	struct message m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(!parse(&m, bad[i])))
			printf("accepted: %s\n", bad[i]);
	CHECK(!message_parse(&m, "tick\0tick", 9));
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "status ", 7);
	CHECK(!message_parse(&m, longest, sizeof(longest)));
	/* A text that fits the packet but not the field is cut,
	 * a device name is refused. */
	CHECK(message_parse(&m, longest, 1000));
	CHECK_U64(strlen(m.text), sizeof(m.text) - 1);
	memcpy(longest, "written /dev/", 13);
	CHECK(!message_parse(&m, longest, 1000));
}

TEST(options)
{
	struct options o;

	options_parse(&o, "console=tty0 quiet\n");
	CHECK(o.on_error == VERB_POWEROFF && o.grace == 10 && !o.debug);
	options_parse(&o, "tw.on_error=reboot tw.grace=30 tw.job=https://x/");
	CHECK(o.on_error == VERB_REBOOT && o.grace == 30);
	options_parse(&o, "tw.on_error=explode tw.grace=9999 tw.grace=-1 tw.grace=");
	CHECK(o.on_error == VERB_POWEROFF && o.grace == 10);
	/* Not a lab build: no word of the command line opens a shell or an exit port. */
	options_parse(&o, "tw.debug=1 tw.on_error=shell tw.debug_exit=0xf4");
	CHECK(o.on_error == VERB_POWEROFF && !o.debug && o.debug_exit == 0);
}

TEST(mount_table)
{
	struct mount_entry e;

	REQUIRE(mount_entry_parse(&e,
		"36 25 254:1 / /mnt/a\\040b\\134c rw,relatime - ext4 x rw\n"));
	CHECK_STR(e.point, "/mnt/a b\\c");
	CHECK(!e.base);
	CHECK(mount_entry_parse(&e, "20 1 0:4 / /proc rw - proc proc rw") && e.base);
	CHECK(mount_entry_parse(&e, "1 1 0:2 / / rw - rootfs rootfs rw") && e.base);
	CHECK(!mount_entry_parse(&e, "36 25 254:1 /"));
	CHECK(!mount_entry_parse(&e, "36 25 254:1 / /mnt"));
	CHECK(!mount_entry_parse(&e, "36 25 254:1 / /mnt\\04 rw"));
	CHECK(!mount_entry_parse(&e, "36 25 254:1 / relative rw"));
}

TEST(mount_way)
{
	char dir[] = "/tmp/tw-way-XXXXXX", path[64];

	REQUIRE(mkdtemp(dir));
	CHECK(!mount_check_way(dir));
	snprintf(path, sizeof(path), "%s/up", dir);
	CHECK(!symlink("/", path));
	CHECK_U64(mount_check_way(path), ELOOP);
	snprintf(path, sizeof(path), "%s/up/proc", dir);
	CHECK_U64(mount_check_way(path), ELOOP);
	snprintf(path, sizeof(path), "%s/none", dir);
	CHECK_U64(mount_check_way(path), ENOENT);
	snprintf(path, sizeof(path), "%s/up", dir);
	CHECK(!unlink(path) && !rmdir(dir));
}

TEST(crashes)
{
	struct crash c = { .status = 11, .maxrss_kb = 8123, .ran_s = 12,
		.last_line = "x\ny" };
	char text[200], small[20];

	crash_describe(text, sizeof(text), &c);
	CHECK_STR(text,
		"signal 11 (Segmentation fault); ran 12 s; maxrss 8123 kB; last: x?y");
	c = (struct crash){ .status = 3 << 8 };
	crash_describe(text, sizeof(text), &c);
	CHECK_STR(text, "exit status 3; ran 0 s; maxrss 0 kB");
	c = (struct crash){ .status = 0 };
	crash_describe(text, sizeof(text), &c);
	CHECK_STR(text, "exit without a verdict; ran 0 s; maxrss 0 kB");
	c = (struct crash){ .status = 9, .oom = true };
	crash_describe(text, sizeof(text), &c);
	CHECK_STR(text, "killed: out of memory; ran 0 s; maxrss 0 kB");
	c = (struct crash){ .status = 9, .stalled = true };
	crash_describe(small, sizeof(small), &c);
	CHECK_STR(small, "stalled: no progres");
}

TEST(crash_budget)
{
	struct crashes c = { .all = 0 };

	CHECK(crash_count(&c, 0) && crash_count(&c, 1799) && crash_count(&c, 5));
	CHECK(!crash_count(&c, 5));
	/* After half an hour the row begins anew, but not for ever. */
	c = (struct crashes){ .all = 0 };
	for (unsigned i = 0; i < 12; i++)
		CHECK(crash_count(&c, 1800));
	CHECK(c.in_row == 1);
	CHECK(!crash_count(&c, 1000000));
	CHECK_U64(c.all, 13);
}

static const struct test tests[] = {
	TEST_ENTRY(messages, "what the worker may say"),
	TEST_ENTRY(bad_messages, "everything else is refused"),
	TEST_ENTRY(options, "words of the kernel command line"),
	TEST_ENTRY(mount_table, "lines of mountinfo"),
	TEST_ENTRY(mount_way, "a mount's name that leads through a link is none"),
	TEST_ENTRY(crashes, "how a child ended, in words"),
	TEST_ENTRY(crash_budget, "how often a worker is started again"),
};

TEST_MAIN(tests)

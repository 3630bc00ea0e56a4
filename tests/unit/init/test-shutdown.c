/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the machine down ends, however many steps of it hang. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Nothing of the machine that runs the test is touched. */
static int kill_child(int pid, int sig)
{
	if (!CHECK(pid > 0))
		return -1;
	return kill(pid, sig);
}
static int refuse(void)
{
	errno = EPERM;
	return -1;
}
static void do_not_sleep(const struct timespec *t)
{
	(void)t;
}
#define kill(pid, sig) kill_child(pid, sig)
#define umount2(path, flags) refuse()
#define mount(a, b, c, d, e) refuse()
#define sync() ((void)0)
#define nanosleep(t, left) do_not_sleep(t)
#include "initramfs/init-shutdown.c"
#undef kill
#undef umount2
#undef mount
#undef sync
#undef nanosleep

/* A clock of its own: the test does not depend on how busy this machine is. */
double now_s(void)
{
	static double now = 1;

	return now += 0.1;
}

static unsigned stays;

void say(const char *fmt, ...)
{
	stays += strstr(fmt, "power-off: %s") != NULL;
}

void watchdog_feed(double now)
{
	(void)now;
}

void console_flush(void)
{
}

void console_status(const char *text)
{
	(void)text;
}

void console_drain(unsigned ms)
{
	(void)ms;
}

bool mount_entry_parse(struct mount_entry *ret, const char *line)
{
	(void)ret;
	(void)line;
	return false;
}

int mount_check_way(const char *path)
{
	(void)path;
	return 0;
}

unsigned stack_round(bool last)
{
	(void)last;
	return 0;
}

void off_machine(enum verb verb, const struct options *opt, unsigned exit_code)
{
	(void)verb;
	(void)opt;
	(void)exit_code;
	abort();
}

/* Disks that never answer: a FIFO that nobody opens for writing. */
TEST(disks_hang)
{
	char dir[] = "/tmp/tw-shutdown-XXXXXX", path[64];
	double start;

	REQUIRE(mkdtemp(dir));
	for (unsigned i = 0; i < DISKS; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		CHECK(mkfifo(path, 0600) == 0);
		shutdown_written(path);
	}
	start = now_s();
	shutdown_settle(-1);
	/* The sync behind them may have been too slow for this clock, too. */
	CHECK(stays == DISKS || stays == DISKS + 1);
	/* 64 of them at 60 s would be more than an hour. */
	CHECK(now_s() - start < ALL_SECONDS + FLUSH_SECONDS + DISKS * 2);
	for (unsigned i = 0; i < DISKS; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		unlink(path);
	}
	rmdir(dir);
}

static const struct test tests[] = {
	TEST_ENTRY(disks_hang, "disks that never answer do not hold the machine"),
};

TEST_MAIN(tests)

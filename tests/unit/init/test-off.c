/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the last step, on a machine where nothing of it works. */
#include "tests/unit/test.h"

#include <setjmp.h>

/* The kernel is asked by PID 1's children only. */
static void must_not_be_called(const char *what)
{
	test_failures++;
	printf("called by PID 1 itself: %s\n", what);
}
#include <sys/reboot.h>
#define reboot(how) (must_not_be_called(#how), 0)
#include "initramfs/init-off.c"
#undef reboot

static char did[512];
static double clock_s;
static jmp_buf over;
static bool sysrq_works;

static void note(const char *what)
{
	if (strlen(did) + strlen(what) + 2 < sizeof(did))
		strcat(strcat(did, what), " ");
}

double now_s(void)
{
	return clock_s += 5;
}

void console_refresh(double now)
{
	/* Told, and nothing left to try. */
	if (strstr(did, "tell") && now > 10000)
		longjmp(over, 1);
	clock_s += strstr(did, "tell") ? 1000 : 0;
}

int file_write(const char *path, const char *text)
{
	CHECK_STR(path, "/proc/sysrq-trigger");
	note(text);
	return sysrq_works ? 0 : -1;
}

int bounded(unsigned seconds, int (*fn)(const char *), const char *arg)
{
	(void)arg;
	CHECK(seconds <= 30);
	note(fn == call_restart ? "restart" : fn == call_power_off ? "off" : "?");
	return -1;
}

void say(const char *fmt, ...)
{
	if (strstr(fmt, "switch it off"))
		note("tell");
}

void watchdog_arm(bool restart)
{
	note(restart ? "arm-restart" : "arm");
}

void watchdog_close(void)
{
	note("close");
}

void console_safe(void)
{
}

void console_flush(void)
{
}

void console_status(const char *text)
{
	CHECK(strstr(text, "switch this machine off") != NULL);
}

void console_problem(const char *text)
{
	CHECK(strstr(text, "by software; switch it off") != NULL);
}

void console_drain(unsigned ms)
{
	CHECK(ms <= 1000);
}

static const char *end_of(enum verb verb, bool sysrq)
{
	struct options opt = { .grace = 0 };

	did[0] = '\0';
	clock_s = 0;
	sysrq_works = sysrq;
	if (!setjmp(over))
		off_machine(verb, &opt, 0);
	return did;
}

/* The watchdog runs while the kernel may hang, and not when the machine stays on; the
 * call that may halt all processors comes when the screen has told all. */
TEST(order)
{
	CHECK_STR(end_of(VERB_POWEROFF, true), "arm o close tell off ");
	CHECK_STR(end_of(VERB_POWEROFF, false), "arm o close tell off ");
	CHECK_STR(end_of(VERB_REBOOT, true), "arm-restart restart b close tell ");
}

static const struct test tests[] = {
	TEST_ENTRY(order, "each way in turn, then what to do"),
};

TEST_MAIN(tests)

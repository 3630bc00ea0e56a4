/* SPDX-License-Identifier: Apache-2.0 */
/* What bounds a freeze, read from made-up trees. */
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/capture-internal.h"

#include "../test.h"

static char root[] = "/tmp/tw-limits.XXXXXX";

/* Writes a file and the folders above it. */
static void put(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(full, 0755);
	}
	f = fopen(full, "we");
	if (CHECK(f)) {
		CHECK(fputs(text, f) >= 0);
		fclose(f);
	}
}

static struct capture_limit found(void)
{
	struct capture_limit l;

	capture_limit(root, &l);
	return l;
}

TEST(seconds)
{
	CHECK(capture_seconds("30") == 30 && capture_seconds("30s") == 30);
	CHECK(capture_seconds("3min") == 180 && capture_seconds("1min 30s") == 90);
	CHECK(capture_seconds("500ms") == 0.5 && capture_seconds("2h") == 7200);
	CHECK(!capture_seconds("infinity") && !capture_seconds("") &&
		!capture_seconds("-1") && !capture_seconds("3parsecs"));
}

/* Each adds one that is shorter than those before. */
TEST(shortest)
{
	REQUIRE(mkdtemp(root));
	CHECK_U64(found().seconds, 0);
	put("/proc/sys/kernel/hung_task_timeout_secs", "120\n");
	put("/proc/sys/kernel/hung_task_panic", "0\n");
	CHECK_U64(found().seconds, 0);
	put("/proc/sys/kernel/hung_task_panic", "1\n");
	CHECK_U64(found().seconds, 120);
	CHECK(strstr(found().why, "hung_task_panic"));
	put("/proc/sys/kernel/hung_task_timeout_secs", "0\n"); /* it never looks */
	CHECK_U64(found().seconds, 0);

	put("/usr/lib/systemd/system/db.service", "[Service]\nWatchdogSec=100\n");
	put("/usr/lib/systemd/system/systemd-x.service", "[Service]\nWatchdogSec=10\n");
	put("/sys/fs/cgroup/system.slice/systemd-x.service/cgroup.procs", "1\n");
	CHECK_U64(found().seconds, 0); /* the one does not run, the other is systemd's */
	put("/sys/fs/cgroup/system.slice/db.service/cgroup.procs", "1\n");
	CHECK_U64(found().seconds, 100);
	CHECK(strstr(found().why, "db.service"));

	put("/etc/systemd/system.conf", "[Manager]\n#RuntimeWatchdogSec=1\n"
		"RuntimeWatchdogSec=1min 20s\n");
	CHECK_U64(found().seconds, 80);
	put("/sys/class/watchdog/watchdog0/timeout", "60\n");
	put("/sys/class/watchdog/watchdog0/state", "inactive\n");
	CHECK_U64(found().seconds, 80);
	put("/sys/class/watchdog/watchdog0/state", "active\n");
	CHECK_U64(found().seconds, 60);
	CHECK(strstr(found().why, "watchdog0"));

	put("/proc/77/comm", "pacemakerd\n");
	CHECK_U64(found().seconds, 20);
	put("/var/lib/pacemaker/cib/cib.xml", "<op id=\"a\" name=\"start\" timeout=\"3\"/>"
		"<op id=\"b\" timeout=\"15s\" name=\"monitor\"/>");
	CHECK_U64(found().seconds, 15);
	put("/etc/sysconfig/sbd", "SBD_WATCHDOG_TIMEOUT=\"9\"\n");
	CHECK_U64(found().seconds, 15);
	put("/proc/78/comm", "sbd\n");
	CHECK_U64(found().seconds, 9);
}

static const struct test tests[] = {
	TEST_ENTRY(seconds, "times as systemd writes them"),
	TEST_ENTRY(shortest, "the shortest limit of what is at work bounds a freeze"),
};
TEST_MAIN(tests)

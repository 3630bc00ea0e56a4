/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of others: whatever they do, they end, and the caller gets to know. */
#include "base/cgroup.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"

static bool is_root(void)
{
	if (!geteuid())
		return true;
	puts("(not root: left out)");
	return false;
}

static unsigned ticks;

static void count_tick(void *ctx)
{
	(void)ctx;
	ticks++;
}

TEST(ticks_while_silent)
{
	const char *argv[] = { "/bin/sleep", "4", NULL };
	struct spawn sp = { .argv = argv, .tick = count_tick, .timeout_s = 60 };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	ticks = 0;
	REQUIRE(!spawn_run(&sp, &ret, &err));
	CHECK(ticks >= 2 && ticks <= ret.seconds + 1);
}

static int fail_quietly(void *ctx)
{
	(void)ctx;
	return -1;
}

TEST(statuses)
{
	const char *argv[] = { "/bin/sh", "-c", "exit 126", NULL };
	int flags[] = { 0, CLONE_NEWPID };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	for (int i = 0; i < (is_root() ? 2 : 1); i++) {
		struct spawn sp = { .argv = argv, .clone_flags = flags[i] };

		argv[2] = "exit 126"; /* a program may say that, too */
		REQUIRE(!spawn_run(&sp, &ret, &err));
		CHECK(ret.status == 126 && !ret.not_started);
		argv[2] = "kill -11 $$";
		REQUIRE(!spawn_run(&sp, &ret, &err));
		CHECK(ret.status == 128 + 11 && !ret.not_started);
		sp.prepare = fail_quietly;
		REQUIRE(!spawn_run(&sp, &ret, &err));
		CHECK(ret.not_started);
		sp.prepare = NULL;
		sp.confine = fail_quietly;
		REQUIRE(!spawn_run(&sp, &ret, &err));
		CHECK(ret.not_started);
	}
}

/* As the program itself may: the group of its first child is joined. */
static int leave_group(void *ctx)
{
	pid_t pid = fork();

	(void)ctx;
	if (!pid) {
		setpgid(0, 0);
		alarm(60); /* without a namespace nobody ends it */
		for (;;)
			pause();
	}
	return pid < 0 || (setpgid(pid, pid) < 0 && errno != EACCES) ||
		setpgid(0, pid) < 0;
}

/* An argument that no other program of this machine has, nor another run of this one. */
static const char *own_mark(void)
{
	static char mark[64];

	snprintf(mark, sizeof(mark), "mark of test-spawn %d.", (int)getpid());
	return mark;
}

/* Whether any process of this machine has the mark among its arguments. */
static bool mark_lives(void)
{
	char command[128];

	snprintf(command, sizeof(command), "pgrep -f '[m]%s' >/dev/null", own_mark() + 1);
	return !system(command);
}

TEST(leaves_its_group)
{
	const char *argv[] = { "/bin/sh", "-c", "trap '' TERM INT HUP; sleep 1000; :",
		own_mark(), NULL };
	struct spawn sp = { .argv = argv, .timeout_s = 2, .confine = leave_group };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	CHECK(spawn_run(&sp, &ret, &err) == -1);
	CHECK_U64(err.code, ERR_PREP_TIMEOUT);
	CHECK(!mark_lives());
}

TEST(cancelled)
{
	const char *argv[] = { "/bin/sh", "-c", "trap '' TERM; sleep 1000; :", own_mark(),
		NULL };
	_Atomic bool cancel = true;
	struct spawn sp = { .argv = argv, .timeout_s = 100, .cancel = &cancel };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	CHECK(spawn_run(&sp, &ret, &err) == -1);
	CHECK_U64(err.code, ERR_CANCELLED);
	CHECK(!ret.timed_out && !mark_lives());
}

/* A process 1 in another's group is one that the kernel never finishes: it waits for the
 * last number of its namespace, which the group holds. The program must not be it, and as
 * the leader of a session it cannot join a group. */
TEST(stays_in_its_session)
{
	const char *argv[] = { "/bin/true", NULL };
	struct spawn sp = { .argv = argv, .clone_flags = CLONE_NEWPID, .kill_s = 2,
		.timeout_s = 5, .confine = leave_group };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	if (!is_root())
		return;
	CHECK(!spawn_run(&sp, &ret, &err));
	CHECK(ret.not_started);
}

/* In a PID namespace: sessions, orphans of orphans, a stopped program. */
TEST(nobody_is_left)
{
	static const char *const texts[] = {
		"setsid sh -c 'sleep 1000; :' \"$0\" & sleep 0.5",
		"(setsid sh -c '(sleep 1000; :) & sleep 1000; :' \"$0\" &) ; sleep 0.5",
		"sh -c 'kill -STOP $$' \"$0\" & sleep 0.5; kill -STOP $$",
		"kill -9 1; kill -15 1; kill -19 1; sh -c 'sleep 1000; :' \"$0\"",
	};
	struct spawn_result ret;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && is_root(); i++) {
		const char *argv[] = { "/bin/sh", "-c", texts[i], own_mark(), NULL };
		struct spawn sp = { .argv = argv, .timeout_s = 3,
			.clone_flags = CLONE_NEWPID };
		int rc = spawn_run(&sp, &ret, &err);

		CHECK(rc == (i < 2 ? 0 : -1));
		CHECK_U64(err.code, i < 2 ? ERR_NONE : ERR_PREP_TIMEOUT);
		CHECK(!mark_lives());
		err_clear(&err);
	}
}

static int drop_all(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return -1;
	return (int)syscall(SYS_capset, &head, none);
}

/* Process 1 has this program's memory, and its descriptors. It must not need its
 * capabilities to keep them: here it has no more of them than the program. */
static int mount_proc(void *ctx)
{
	(void)ctx;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", 0, NULL) < 0 || drop_all() < 0;
}

TEST(first_process_is_closed)
{
	const char *argv[] = { "/bin/sh", "-c",
		"cat /proc/1/environ /proc/1/maps; head -c 1 /proc/1/mem; ls /proc/1/fd /proc/1/root/; "
		"cat /proc/1/comm; echo session $(cut -d' ' -f6 /proc/self/stat)", NULL };
	struct strbuf out = STRBUF_INIT;
	struct spawn sp = { .argv = argv, .clone_flags = CLONE_NEWPID | CLONE_NEWNS,
		.prepare = mount_proc, .output = &out };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	if (!is_root())
		return;
	setenv("TW_TEST_SECRET", "to be found nowhere", 1);
	REQUIRE(!spawn_run(&sp, &ret, &err));
	for (size_t i = 0; i < out.len; i++)
		out.s[i] = out.s[i] ? out.s[i] : ' ';
	CHECK(!strstr(out.s, "to be found nowhere") && !strstr(out.s, "heap"));
	CHECK(strstr(out.s, "/proc/1/environ") != NULL);
	CHECK(strstr(out.s, "/proc/1/mem") != NULL);
	CHECK(strstr(out.s, "/proc/1/fd") != NULL && strstr(out.s, "/proc/1/root/") != NULL);
	CHECK(strstr(out.s, "tool-init\n") != NULL);
	CHECK(strstr(out.s, "session 2\n") != NULL);
	strbuf_free(&out);
}

TEST(closes_descriptors)
{
	const char *argv[] = { "/bin/ls", "/proc/self/fd", NULL };
	struct strbuf out = STRBUF_INIT;
	struct spawn sp = { .argv = argv, .output = &out };
	struct spawn_result ret;
	struct err err = ERR_INIT;
	int fd = open("/dev/null", O_RDONLY); /* as a library may leave it */

	REQUIRE(fd >= 0 && fcntl(fd, F_DUPFD, 200) == 200);
	REQUIRE(!spawn_run(&sp, &ret, &err));
	CHECK_STR(out.s, "0\n1\n2\n3\n"); /* the fourth is the folder itself */
	strbuf_free(&out);
	close(200);
	close(fd);
}

/* A file system that is frozen: who writes to it sleeps where no signal reaches him. */
TEST(cannot_be_ended)
{
	const char *argv[] = { "/bin/sh", "-c",
		"echo begins; echo text >/tmp/tw-frozen/file", own_mark(), NULL };
	struct spawn sp = { .argv = argv, .timeout_s = 3, .kill_s = 2,
		.clone_flags = CLONE_NEWPID, .tick = count_tick };
	struct spawn_result ret;
	struct err err = ERR_INIT;
	unsigned before;
	pid_t helper;
	int fd;

	if (!is_root())
		return;
	REQUIRE(!unshare(CLONE_NEWNS) &&
		!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	REQUIRE(!mount("tmpfs", "/tmp", "tmpfs", 0, "size=32m"));
	REQUIRE(!system("mkdir /tmp/tw-frozen && truncate -s 16M /tmp/image && "
		"mke2fs -q -F -t ext4 /tmp/image && mount -o loop /tmp/image /tmp/tw-frozen"));
	fd = open("/tmp/tw-frozen", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	helper = fork();
	if (!helper) {
		sleep(20); /* whoever waits for ever does not do so here */
		ioctl(fd, FITHAW, 0);
		_exit(0);
	}
	REQUIRE(!ioctl(fd, FIFREEZE, 0));
	ticks = 0;
	CHECK(spawn_run(&sp, &ret, &err) == -1);
	CHECK_U64(err.code, ERR_PREP_STUCK);
	CHECK(strstr(err.text, "begins"));
	CHECK(mark_lives());
	before = ticks;
	CHECK(before >= 1 && before <= 3); /* within the limit, and not once behind it */
	kill(helper, SIGKILL);
	waitpid(helper, NULL, 0);
	ioctl(fd, FITHAW, 0);
	CHECK(waitpid(-1, NULL, 0) > 0); /* now it goes */
	close(fd);
	CHECK(!umount2("/tmp/tw-frozen", 0) && !umount2("/tmp", MNT_DETACH));
}

TEST(group)
{
	const char *argv[] = { "/bin/sh", "-c", "cat /proc/self/cgroup; (sleep 1000 &)",
		NULL };
	struct strbuf out = STRBUF_INIT;
	struct cgroup group;
	struct spawn sp = { .argv = argv, .output = &out, .group = &group,
		.clone_flags = CLONE_NEWPID };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	if (!is_root())
		return;
	if (!cgroup_make(&group, 100, 1u << 30)) {
		puts("(no control groups here: left out)");
		return;
	}
	CHECK(!access(group.path, F_OK));
	REQUIRE(!spawn_run(&sp, &ret, &err));
	CHECK(strstr(out.s, strrchr(group.path, '/')) != NULL);
	CHECK(!cgroup_ran_out(&group) && !cgroup_was_full(&group));
	cgroup_remove(&group);
	CHECK(access(group.path, F_OK) < 0);
	strbuf_free(&out);
}

/* Those that go along are not all below the program. */
TEST(group_is_killed)
{
	struct cgroup group;
	int status;
	pid_t pid;

	if (!is_root() || !cgroup_make(&group, 100, 1u << 30))
		return;
	if (faccessat(group.fd, "cgroup.kill", W_OK, 0) < 0) {
		puts("(a kernel before 5.14: left out)");
		cgroup_remove(&group);
		return;
	}
	pid = fork();
	if (!pid) {
		if (cgroup_enter(&group) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	for (char text[32] = ""; !*text;) {
		int fd = openat(group.fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);

		REQUIRE(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
		close(fd);
	}
	cgroup_kill(&group);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	cgroup_remove(&group);
}

static const struct test tests[] = {
	TEST_ENTRY(ticks_while_silent, "a program without output counts as alive"),
	TEST_ENTRY(statuses, "a status of the program is none of ours"),
	TEST_ENTRY(leaves_its_group, "the limit reaches a program that left its group"),
	TEST_ENTRY(cancelled, "a cancel ends a program that is deaf"),
	TEST_ENTRY(stays_in_its_session,
		"a program in a namespace has a session and cannot leave its group"),
	TEST_ENTRY(nobody_is_left,
		"sessions, orphans, stopped programs and signals to process 1"),
	TEST_ENTRY(first_process_is_closed, "process 1 shows nothing of the worker"),
	TEST_ENTRY(closes_descriptors, "a program gets three descriptors"),
	TEST_ENTRY(cannot_be_ended,
		"a program that the kernel holds is told, and not waited for"),
	TEST_ENTRY(group, "a program runs in its control group, which goes with it"),
	TEST_ENTRY(group_is_killed, "a control group is killed at once"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/strbuf.h"
#include "base/words.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "../test.h"

TEST(err_names)
{
	for (unsigned i = 1; i < ERR_COUNT; i++) {
		CHECK_U64(err_from_name(err_name((enum err_code)i)), i);
		CHECK(err_hint((enum err_code)i)[0]);
		CHECK(err_exit_status((enum err_code)i) >= 2);
	}
	CHECK_U64(err_from_name("NO_SUCH_CODE"), ERR_NONE);
	CHECK_STR(err_name((enum err_code)9999), "INTERNAL");
}

TEST(err_sentence)
{
	struct err err = ERR_INIT;
	char longtext[1000];

	errno = EIO;
	CHECK(err_sys(&err, ERR_DISK_IO, "read %s at %d", "/dev/sda", 4096) == -1);
	CHECK_STR(err.text, "read /dev/sda at 4096: Input/output error");
	CHECK(err_wrap(&err, "copy %s", "sda") == -1);
	CHECK_STR(err.text, "copy sda: read /dev/sda at 4096: Input/output error");
	CHECK_U64(err.code, ERR_DISK_IO);
	CHECK_U64(err.sys, EIO);
	memset(longtext, 'x', sizeof(longtext) - 1);
	longtext[sizeof(longtext) - 1] = '\0';
	err_wrap(&err, "%s", longtext);
	CHECK(strlen(err.text) < sizeof(err.text));
}

/* With glibc this holds by itself; prepare-bad-disks runs with musl, too. */
TEST(errno_texts)
{
	CHECK_STR(err_text(EUCLEAN), "Structure needs cleaning");
	CHECK_STR(err_text(EBUSY), "Device or resource busy");
	CHECK_STR(err_text(ENOENT), "No such file or directory");
	for (int sys = 1; sys <= EHWPOISON; sys++) /* 41 and 58 are no errors */
		CHECK(sys == 41 || sys == 58 || !strstr(err_text(sys), "nknown error"));
}

TEST(range)
{
	CHECK(bytes_in_range(0, 0, 0));
	CHECK(bytes_in_range(10, 0, 10));
	CHECK(!bytes_in_range(10, 1, 10));
	CHECK(!bytes_in_range(UINT64_MAX, 2, 10));
	CHECK(!bytes_in_range(2, UINT64_MAX, 10));
}

TEST(zeroes)
{
	static uint8_t buf[10000];

	for (size_t len = 0; len < sizeof(buf); len = len < 200 ? len + 1 : len + 977) {
		memset(buf, 0, sizeof(buf));
		buf[len] = 1; /* just behind */
		CHECK(bytes_are_zero(buf, len));
		if (!len)
			continue;
		buf[len - 1] = 1; /* the last byte counts */
		CHECK(!bytes_are_zero(buf, len));
		buf[len - 1] = 0;
		buf[0] = 0x80;
		CHECK(!bytes_are_zero(buf, len));
	}
}

TEST(endian)
{
	uint8_t b[8];

	bytes_put_be64(b, 0x0102030405060708u);
	CHECK_U64(b[0], 1);
	CHECK_U64(b[7], 8);
	CHECK_U64(bytes_be64(b), 0x0102030405060708u);
	CHECK_U64(bytes_le64(b), 0x0807060504030201u);
	CHECK_U64(bytes_be16(b), 0x0102);
	CHECK_U64(bytes_le32(b), 0x04030201);
}

TEST(log_ring)
{
	static char text[70000];
	size_t n;
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	REQUIRE(saved >= 0 && null >= 0);
	dup2(null, STDERR_FILENO);
	for (int i = 0; i < 3000; i++)
		log_info("line %d with a control \n character", i);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	n = log_recent(text, sizeof(text));
	CHECK(n > 60000 && n < 65537);
	CHECK(strstr(text, "line 2999 with a control ? character\n"));
	CHECK(!strstr(text, "line 0 with"));
	n = log_recent(text, 100);
	CHECK(n < 100);
	CHECK(strstr(text, "line 2999"));
}

TEST(spawn_runs)
{
	const char *argv[] = { "/bin/sh", "-c", "echo one; echo two >&2; exit 3", NULL };
	struct strbuf out = STRBUF_INIT;
	struct spawn sp = { .argv = argv, .output = &out };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	REQUIRE(!spawn_run(&sp, &ret, &err));
	CHECK_U64(ret.status, 3);
	CHECK_STR(out.s, "one\ntwo\n");
	CHECK_STR(ret.last_line, "two");
	strbuf_free(&out);
	argv[0] = "/no/such/program";
	REQUIRE(!spawn_run(&sp, &ret, &err));
	CHECK_U64(ret.status, 127);
	strbuf_free(&out);
}

TEST(spawn_limit)
{
	const char *argv[] = { "/bin/sh", "-c", "echo begin; sleep 100 & sleep 100",
		NULL };
	struct spawn sp = { .argv = argv, .timeout_s = 5 };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	CHECK(spawn_run(&sp, &ret, &err) == -1);
	CHECK(ret.timed_out);
	CHECK_U64(err.code, ERR_PREP_TIMEOUT);
	CHECK(strstr(err.text, "begin"));
	CHECK(ret.seconds < 90);
}

/* As proc_pid_stat(5) has it behind the name in brackets; 0: there is no such process. */
static char process_state(int pid)
{
	char path[40], text[256] = "", *name_end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && !fgets(text, sizeof(text), f))
		*text = '\0';
	if (f)
		fclose(f);
	name_end = strrchr(text, ')');
	return name_end && name_end[1] ? name_end[2] : 0;
}

/* Its last line is printed only if it ends by itself. */
TEST(spawn_never_kills)
{
	const char *argv[] = { "/bin/sh", "-c",
		"sleep 60 >/dev/null & trap 'echo signal' TERM INT; sleep 2; echo end $!",
		NULL };
	_Atomic bool cancel = true;
	struct spawn sp = { .argv = argv, .timeout_s = 1, .cancel = &cancel,
		.never_kill = true };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	REQUIRE(!spawn_run(&sp, &ret, &err));
	CHECK(!ret.status && !ret.timed_out);
	REQUIRE(!strncmp(ret.last_line, "end ", 4));
	/* What it left behind stays: a signal would have made a zombie of it by now. */
	usleep(300000);
	CHECK_U64((unsigned char)process_state(atoi(ret.last_line + 4)), 'S');
	kill(atoi(ret.last_line + 4), SIGKILL);
}

/* The machine has more threads than either limit: only those of the program count. */
TEST(spawn_tasks)
{
	const char *argv[] = { "/bin/sh", "-c",
		"sleep 1 & sleep 1 & wait; echo few; for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait", NULL };
	struct spawn sp = { .argv = argv, .clone_flags = CLONE_NEWPID, .max_tasks = 6 };
	struct spawn_result ret;
	struct err err = ERR_INIT;

	if (geteuid()) {
		puts("(not root: left out)");
		return;
	}
	CHECK(spawn_run(&sp, &ret, &err) == -1);
	CHECK(!ret.timed_out);
	CHECK_U64(err.code, ERR_PREP_TASKS);
	CHECK_STR(ret.last_line, "few");
}

TEST(replace_file)
{
	char dir[] = "/tmp/tw-test-XXXXXX", path[64], *text;
	struct err err = ERR_INIT;
	size_t len;

	REQUIRE(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	CHECK(fdio_read_file(path, 10, &text, &len, &err) == -1);
	CHECK(!fdio_replace_file(path, "hello", 5, 0600, &err));
	REQUIRE(!fdio_read_file(path, 10, &text, &len, &err));
	CHECK_U64(len, 5);
	CHECK_STR(text, "hello");
	free(text);
	CHECK(fdio_read_file(path, 4, &text, &len, &err) == -1);
	CHECK_U64(err.code, ERR_CFG_INVALID);
	unlink(path);
	rmdir(dir);
}

TEST(words)
{
	CHECK(words_has("rw", "rw"));
	CHECK(words_has("defaults,nofail", "nofail"));
	CHECK(words_has("nofail,defaults", "nofail"));
	CHECK(!words_has("nofailure,unofail", "nofail"));
	CHECK(!words_has("x-nofail=nofail", "nofail"));
	CHECK(!words_has("", "ro"));
}

static const struct test tests[] = {
	TEST_ENTRY(err_names, "every code has a name, a hint and an exit status"),
	TEST_ENTRY(err_sentence,
		"records carry object, cause and context, and never overflow"),
	TEST_ENTRY(errno_texts, "each errno has a text, the same with every C library"),
	TEST_ENTRY(range, "range checks do not overflow"),
	TEST_ENTRY(zeroes, "zero detection sees the first and the last byte"),
	TEST_ENTRY(endian, "byte orders"),
	TEST_ENTRY(words, "a word of a list is found whole, in every place"),
	TEST_ENTRY(log_ring,
		"the log keeps the newest whole lines and masks control characters"),
	TEST_ENTRY(spawn_runs, "output, status and a missing program"),
	TEST_ENTRY(spawn_limit, "a program past its limit is ended with its children"),
	TEST_ENTRY(spawn_never_kills,
		"a program that must not be ended outlives its limit and a cancel"),
	TEST_ENTRY(spawn_tasks,
		"more processes than allowed are ended, and others are not counted"),
	TEST_ENTRY(replace_file, "files are replaced whole and read within a limit"),
};
TEST_MAIN(tests)

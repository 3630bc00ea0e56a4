/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls, in processes of its own:
 * what a taken-over server would want fails. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/serve-internal.h"

#include "../test.h"

static char dir[] = "/tmp/tw-filter.XXXXXX";
static char file[64], other[64];

static bool refused(long r)
{
	return r == -1 && errno == EPERM;
}

static bool wants_write(int flags)
{
	int fd = open(file, flags, 0600);

	if (fd >= 0)
		close(fd);
	return refused(fd);
}

/* Refused whatever the server does. Some need no right that a test may not have. */
static int always_refused(void)
{
	const char *const argv[] = { "true", NULL };

	if (!refused(socket(AF_INET, SOCK_STREAM, 0)) ||
	    !refused(socket(AF_UNIX, SOCK_STREAM, 0)))
		return 1;
	if (!refused(syscall(SYS_execve, "/bin/true", argv, argv)))
		return 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
			MAP_FAILED || errno != EPERM)
		return 3;
	if (!refused(link(file, other)) || !refused(mkdir(other, 0700)) ||
		!refused(chmod(file, 0777)) || !refused(truncate(file, 0)))
		return 4;
	if (!refused(syscall(SYS_bpf, 0, NULL, 0)) || !refused(syscall(SYS_unshare, 0)))
		return 5;
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int always_allowed(void)
{
	char byte;
	int fd = open(file, O_RDONLY);
	pthread_t thread;

	if (fd < 0 || pread(fd, &byte, 1, 0) != 1 || byte != 'x')
		return 11;
	close(fd);
	if (pthread_create(&thread, NULL, nothing, &byte) || pthread_join(thread, NULL))
		return 12;
	return 0;
}

/* Freezing is an ioctl, as this is. */
static int ask_block_size(void)
{
	int size, fd = open(file, O_RDONLY);
	int r = ioctl(fd, FIGETBSZ, &size);

	close(fd);
	return r;
}

static int plain(void)
{
	if (!wants_write(O_WRONLY) || !wants_write(O_RDWR) ||
		!wants_write(O_RDONLY | O_CREAT) || !wants_write(O_RDONLY | O_TRUNC))
		return 21;
	if (!refused(rename(file, other)) || !refused(unlink(file)))
		return 22;
	return !refused(syscall(SYS_mlockall, MCL_CURRENT)) ||
		!refused(ask_block_size()) ? 23 : 0;
}

static int keeps_journals(void)
{
	return wants_write(O_WRONLY | O_CREAT) || rename(file, other) ||
		rename(other, file) || !refused(syscall(SYS_mlockall, MCL_CURRENT)) ? 31 :
		0;
}

static int freezes(void)
{
	if (wants_write(O_RDWR) || !wants_write(O_RDWR | O_CREAT) ||
	    !refused(unlink(file)))
		return 41;
	return ask_block_size() < 0 ? 42 : 0;
}

static int in_child(bool state, bool freezer, int (*check)(void))
{
	struct err err = ERR_INIT;
	int status;
	pid_t pid = fork();

	if (!pid) {
		int r = serve_filter(state, freezer, &err) < 0 ? 99 : always_refused();

		if (!r)
			r = always_allowed();
		_exit(r ? r : check());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static bool ready(void)
{
	int fd;

	if (!mkdtemp(dir))
		return false;
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	return fd >= 0 && write(fd, "x", 1) == 1 && !close(fd);
}

TEST(filters)
{
	REQUIRE(ready());
	CHECK_U64(in_child(false, false, plain), 0);
	CHECK_U64(in_child(true, false, keeps_journals), 0);
	CHECK_U64(in_child(false, true, freezes), 0);
	CHECK(!unlink(file) && !rmdir(dir));
}

static const struct test tests[] = {
	TEST_ENTRY(filters, "only what serving needs is allowed, and that is"),
};
TEST_MAIN(tests)

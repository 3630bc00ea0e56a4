/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill-at STEP LOG COMMAND...: runs a command and kills it, with SIGKILL, right before
 * the STEP-th of its system calls that change something; children are not counted. With
 * step 0 it runs to its end. LOG gets a line "NUMBER CALL PATH" for each. Exit status: 0 when it
 * was killed, else the command's, and 99 when it cannot be told.
 *
 * A seccomp filter stops the command at these calls only: it loses little time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the descriptor and the path are among the arguments; -1 = none. */
static const struct call {
	long number;
	const char *name;
	int fd, path;
} calls[] = {
	{ SYS_openat, "openat", 0, 1 }, { SYS_openat2, "openat2", 0, 1 },
	{ SYS_write, "write", 0, -1 }, { SYS_pwrite64, "pwrite64", 0, -1 },
	{ SYS_writev, "writev", 0, -1 }, { SYS_ftruncate, "ftruncate", 0, -1 },
	{ SYS_copy_file_range, "copy_file_range", 2, -1 },
	{ SYS_mkdirat, "mkdirat", 0, 1 }, { SYS_unlinkat, "unlinkat", 0, 1 },
	{ SYS_renameat, "renameat", 2, 3 }, { SYS_renameat2, "renameat2", 2, 3 },
	{ SYS_linkat, "linkat", 2, 3 }, { SYS_symlinkat, "symlinkat", 1, 2 },
	{ SYS_fchmod, "fchmod", 0, -1 }, { SYS_fchmodat, "fchmodat", 0, 1 },
	{ SYS_fchown, "fchown", 0, -1 }, { SYS_fchownat, "fchownat", 0, 1 },
	{ SYS_utimensat, "utimensat", 0, 1 }, { SYS_fsetxattr, "fsetxattr", 0, -1 },
	{ SYS_setxattr, "setxattr", -1, 0 }, { SYS_removexattr, "removexattr", -1, 0 },
	{ SYS_ioctl, "setflags", 0, -1 }, { SYS_fsync, "fsync", 0, -1 },
	{ SYS_fdatasync, "fdatasync", 0, -1 }, { SYS_syncfs, "syncfs", 0, -1 },
#ifdef SYS_rename
	{ SYS_rename, "rename", -1, 1 }, { SYS_mkdir, "mkdir", -1, 0 },
	{ SYS_unlink, "unlink", -1, 0 }, { SYS_rmdir, "rmdir", -1, 0 },
	{ SYS_chmod, "chmod", -1, 0 }, { SYS_chown, "chown", -1, 0 },
#endif
};
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))
#define SETFLAGS 0x40086602 /* FS_IOC_SETFLAGS */
#define FSSETXATTR 0x401c5820

static void die(const char *what)
{
	fprintf(stderr, "kill-at: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void run_command(char **argv, int ready)
{
	struct sock_filter filter[N_CALLS + 3];
	struct sock_fprog prog = { .filter = filter };
	unsigned short n = 0;
	char byte;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < N_CALLS; i++)
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(unsigned)calls[i].number, (unsigned char)(N_CALLS - i), 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	prog.len = n;
	/* Until it is traced: calls to be traced would fail without. */
	if (read(ready, &byte, 1) != 1)
		_exit(99);
	close(ready);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(99);
	execvp(argv[0], argv);
	_exit(99);
}

static void read_memory(pid_t pid, uint64_t at, void *buf, size_t size)
{
	struct iovec to = { buf, size };
	struct iovec from = { (void *)(uintptr_t)at, size };

	memset(buf, 0, size);
	while (to.iov_len && process_vm_readv(pid, &to, 1, &from, 1, 0) < 0)
		from.iov_len = to.iov_len = to.iov_len / 2; /* the end of a mapping */
}

static void name_fd(pid_t pid, int fd, char *ret, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(link, ret, size - 1);
	ret[n < 0 ? 0 : n] = '\0';
}

/* Calls that only read, and writes to what is no file, do not count. */
static int changes_something(pid_t pid, const struct call *c, const uint64_t *args)
{
	uint64_t flags = args[2];
	char link[64];
	struct stat st;

	if (c->number == SYS_openat2)
		read_memory(pid, args[2], &flags, sizeof(flags));
	if (c->number == SYS_openat || c->number == SYS_openat2)
		return (flags & (O_CREAT | O_TRUNC)) != 0;
	if (c->number == SYS_ioctl)
		return args[1] == SETFLAGS || args[1] == FSSETXATTR;
	if (c->path >= 0 || c->fd < 0)
		return 1;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, (int)args[c->fd]);
	return (int)args[c->fd] > 2 && !stat(link, &st) &&
		(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

static void log_step(FILE *log, long step, pid_t pid, const struct call *c,
	const uint64_t *args)
{
	char dir[4096] = "", path[4096] = "";

	if (c->fd >= 0 && (int)args[c->fd] >= 0)
		name_fd(pid, (int)args[c->fd], dir, sizeof(dir));
	if (c->path >= 0 && args[c->path])
		read_memory(pid, args[c->path], path, sizeof(path) - 1);
	/* a path of a link in /proc is a descriptor's */
	if (!strncmp(path, "/proc/self/fd/", 14)) {
		name_fd(pid, atoi(path + 14), dir, sizeof(dir));
		*path = '\0';
	}
	fprintf(log, "%ld %s %s%s%s\n", step, c->name, dir, *path ? "/" : "", path);
}

static int trace(pid_t child, long wanted, FILE *log)
{
	long step = 0;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		struct __ptrace_syscall_info info;
		int sig = 0, event;

		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid != child)
				continue;
			return WIFEXITED(status) ? WEXITSTATUS(status) :
				128 + WTERMSIG(status);
		}
		event = status >> 16;
		if (!event)
			sig = WSTOPSIG(status);
		if (pid == child && event == PTRACE_EVENT_SECCOMP &&
			ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0)
			for (size_t i = 0; i < N_CALLS; i++) {
				if (calls[i].number != (long)info.seccomp.nr ||
					!changes_something(pid, &calls[i],
						(const uint64_t *)info.seccomp.args))
					continue;
				log_step(log, ++step, pid, &calls[i],
					(const uint64_t *)info.seccomp.args);
				if (step == wanted) {
					kill(child, SIGKILL);
					waitpid(child, &status, __WALL);
					return 0; /* PTRACE_O_EXITKILL ends the rest */
				}
			}
		ptrace(PTRACE_CONT, pid, 0, sig);
	}
	return 99;
}

int main(int argc, char **argv)
{
	int ready[2], status;
	pid_t child;
	FILE *log;

	if (argc < 4)
		return 99;
	log = fopen(argv[2], "w");
	if (!log || pipe(ready) < 0)
		die(argv[2]);
	child = fork();
	if (!child)
		run_command(argv + 3, ready[0]);
	if (child < 0 || ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESECCOMP |
		PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
		PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
		die("trace");
	if (write(ready[1], "", 1) != 1)
		die("pipe");
	close(ready[1]);
	status = trace(child, atol(argv[1]), log);
	fclose(log);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile VERB [ARGUMENT...]: a program of a guest that means harm. It finds out whether
 * it could, and goes no further: without any containment nothing of the machine changes.
 * Each line that begins with BAD is a way out. Static, so that any tree can hold it.
 *   calls            system calls, kinds of sockets, other interfaces of the kernel
 *   nodes FOLDER...  makes device nodes there and opens them
 *   sockets          connects to every UNIX socket it can see
 *   search FILE      reads every file of /proc and /sys, and process 1's memory, for the
 *                    texts in there, whose letters are one too high
 *   daemons NAP      leaves processes of that name behind, each in another way
 *   stay HOW NAP     does not end: group, stop, deaf, child
 *   flood MIB        prints lines without end
 *   hog              takes all memory, in many processes (for machines of its own only)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_MAX (1 << 20) /* of one file */

/* result of a call: -1 and the errno that is expected */
static void want(const char *what, long result, int expected)
{
	int sys = errno;

	if (result >= 0 || sys != expected)
		printf("BAD %s: %ld, %s\n", what, result, result < 0 ? strerror(sys) : "done");
}

static void want_done(const char *what, long result)
{
	if (result < 0)
		printf("BAD %s is refused: %s\n", what, strerror(errno));
}

/* Whether this is a PID namespace of its own: a machine gives the first 300 numbers away
 * once, when it starts. */
static int is_alone(void)
{
	return getpid() < 100;
}

/* The interface of 32-bit programs, from this one. */
static long call_i386(long nr, long a, void *b)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static void try_i386(void)
{
	/* static: has an address of 32 bits in a program that is not PIE */
	static unsigned long words[3];

	if (call_i386(20, 0, NULL) != getpid()) {
		puts("no interface of 32-bit programs");
		return;
	}
	words[0] = AF_VSOCK | (unsigned long)SOCK_STREAM << 32;
	want("i386 socketcall", call_i386(102, 1, words), EAFNOSUPPORT);
	want("i386 socket", call_i386(359, AF_VSOCK, (void *)SOCK_STREAM), EAFNOSUPPORT);
	want("i386 unshare", call_i386(310, CLONE_NEWUSER, NULL), EPERM);
	want("i386 ptrace", call_i386(26, PTRACE_TRACEME, NULL), EPERM);
	puts("32-bit programs are held, too");
}

static void try_calls(void)
{
	long zeros[16] = { 0 };
	int fd;

	want("vsock", socket(AF_VSOCK, SOCK_STREAM, 0), EAFNOSUPPORT);
	want("packet", socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT);
	want("alg", socket(AF_ALG, SOCK_SEQPACKET, 0), EAFNOSUPPORT);
	want("audit", socket(AF_NETLINK, SOCK_RAW, 9), EPROTONOSUPPORT);
	want("uevent", socket(AF_NETLINK, SOCK_RAW, 15), EPROTONOSUPPORT);
	want("raw", socket(AF_INET, SOCK_RAW, 1), EPERM);
	want_done("route", socket(AF_NETLINK, SOCK_RAW, 0));
	want_done("unix", socket(AF_UNIX, SOCK_STREAM, 0));
	want_done("inet", socket(AF_INET, SOCK_STREAM, 0));
	want("unshare user", unshare(CLONE_NEWUSER), EPERM);
	want("unshare mount", unshare(CLONE_NEWNS), EPERM);
	want_done("unshare files", unshare(CLONE_FILES));
	want("clone user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
	want("clone3", syscall(435, zeros, sizeof(zeros)), ENOSYS);
	want("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
	if (is_alone())
		want("ptrace of process 1", ptrace(PTRACE_ATTACH, 1, NULL, NULL), EPERM);
	want("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0), EPERM);
	want("bpf", syscall(SYS_bpf, 0, zeros, sizeof(zeros)), ENOSYS);
	want("io_uring", syscall(425, 1, zeros), ENOSYS);
	want("userfaultfd", syscall(SYS_userfaultfd, 0), ENOSYS);
	want("keyctl", syscall(SYS_keyctl, 0, -3, 1), ENOSYS);
	want("perf", syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0), EPERM);
	want("kernel log", syscall(SYS_syslog, 10, NULL, 0), EPERM);
	want("handles", syscall(SYS_open_by_handle_at, -1, zeros, 0), EPERM);
	want("x32", syscall(0x40000000 | 39), ENOSYS);
	want("ioperm", syscall(SYS_ioperm, 0x510, 2, 1), EPERM);
	want("nice", setpriority(PRIO_PROCESS, 0, -20), EACCES);
	fd = open("/proc/self/oom_score_adj", O_WRONLY);
	want("oom_score_adj", fd, EROFS);
	if (!access("/sys/kernel/rcu_normal", F_OK))
		want("sysfs", open("/sys/kernel/rcu_normal", O_WRONLY), EROFS);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	want("TIOCSTI", ioctl(fd, TIOCSTI, "x"), EPERM);
	try_i386();
}

static void open_node(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		printf("BAD node %s\n", path);
	close(fd);
}

/* No watchdog: to open it is to start it. */
static void try_nodes(char **folders)
{
	static const struct {
		mode_t mode;
		unsigned major, minor;
		const char *name;
	} nodes[] = {
		{ S_IFCHR, 1, 1, "mem" }, { S_IFCHR, 1, 2, "kmem" },
		{ S_IFCHR, 1, 4, "port" }, { S_IFCHR, 1, 11, "kmsg" },
		{ S_IFCHR, 5, 1, "console" }, { S_IFCHR, 4, 64, "ttyS0" },
		{ S_IFCHR, 10, 229, "fuse" },
		{ S_IFCHR, 10, 237, "loop-control" }, { S_IFCHR, 10, 236, "dm" },
		{ S_IFCHR, 10, 241, "vhost-vsock" }, { S_IFCHR, 10, 232, "kvm" },
		{ S_IFBLK, 7, 0, "loop0" }, { S_IFBLK, 8, 0, "sda" },
		{ S_IFBLK, 254, 0, "vda" }, { S_IFBLK, 253, 0, "dm-0" },
		{ S_IFBLK, 252, 0, "vdb" }, { S_IFBLK, 259, 0, "nvme0n1" },
	};
	char path[256];

	for (; *folders; folders++)
		for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
			snprintf(path, sizeof(path), "%s/hostile-%s", *folders, nodes[i].name);
			if (mknod(path, nodes[i].mode | 0666,
				makedev(nodes[i].major, nodes[i].minor)) < 0)
				continue;
			open_node(path);
			unlink(path);
		}
}

static int on_socket(const char *path, const struct stat *st, int type, struct FTW *w)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	(void)type, (void)w;
	if (!S_ISSOCK(st->st_mode) || strlen(path) >= sizeof(sa.sun_path))
		return 0;
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		printf("BAD socket %s\n", path);
	close(fd);
	return 0;
}

static void try_sockets(void)
{
	FILE *f = fopen("/proc/net/unix", "r");
	char line[512];

	nftw("/", on_socket, 16, FTW_PHYS);
	/* Behind the title those of this network alone, and it has made none. */
	for (int n = 0; f && fgets(line, sizeof(line), f); n++)
		if (n)
			printf("BAD socket %s", line);
}

static char **texts;
static unsigned n_read;

static void find_texts(const char *path, const char *buf, size_t len)
{
	for (char **t = texts; *t; t++)
		if (memmem(buf, len, *t, strlen(*t)))
			printf("BAD text in %s\n", path);
}

static void on_alarm(int sig) { (void)sig; }

static void read_file(const char *path)
{
	static char buf[READ_MAX];
	size_t len = 0;
	ssize_t n = 0;
	int fd;

	alarm(2); /* files that wait for events */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	while (fd >= 0 && len < sizeof(buf) &&
		(n = read(fd, buf + len, sizeof(buf) - len)) > 0)
		len += (size_t)n;
	alarm(0);
	if (fd >= 0)
		close(fd);
	n_read += len > 0;
	find_texts(path, buf, len);
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *w)
{
	const char *name = path + w->base;

	(void)type;
	if (!S_ISREG(st->st_mode))
		return 0;
	/* Registers of devices: seen is enough. */
	if (strstr(path, "/pci") && (!strcmp(name, "rom") ||
		(!strncmp(name, "resource", 8) && name[8] >= '0' && name[8] <= '9')))
		printf("BAD registers %s\n", path);
	else if (strncmp(path, "/proc/self/", 11) && strncmp(path, "/proc/thread-self/", 18))
		read_file(path);
	return 0;
}

static const char *const hidden[] = { "/proc/kmsg", "/proc/kcore", "/proc/kallsyms",
	"/proc/keys", "/proc/vmcore", "/proc/bootconfig", "/sys/kernel/vmcoreinfo" };
static const char *const empty[] = { "/sys/firmware/dmi", "/sys/firmware/qemu_fw_cfg",
	"/sys/kernel/boot_params", "/proc/1/fd" };

static void try_hidden(void)
{
	char text[64];
	struct stat st;
	ssize_t n;

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (!stat(hidden[i], &st) && !S_ISCHR(st.st_mode))
			printf("BAD file %s\n", hidden[i]);
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		DIR *d = opendir(empty[i]);
		int entries = 0;

		while (d && readdir(d))
			entries++;
		if (d)
			closedir(d);
		if (entries > 2)
			printf("BAD folder %s\n", empty[i]);
	}
	int fd = open("/proc/cmdline", O_RDONLY);

	n = read(fd, text, sizeof(text));
	if (n != 1 || *text != '\n')
		puts("BAD /proc/cmdline");
	close(fd);
}

/* The texts come from a file, so that no list of arguments and no environment holds
 * them. */
static void search(const char *path)
{
	static char text[4096], *list[16];
	struct sigaction sa = { .sa_handler = on_alarm };
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0, k = 0;

	if (!n)
		puts("BAD nothing to search for");
	/* One too high there, as the cache of that file may be read, too. */
	for (size_t i = 0; i < n; i++)
		if (text[i] != '\n')
			text[i]--;
	for (char *p = strtok(text, "\n"); p && k < 15; p = strtok(NULL, "\n"))
		list[k++] = p;
	texts = list;
	sigaction(SIGALRM, &sa, NULL);
	nftw("/proc", on_file, 16, FTW_PHYS);
	nftw("/sys", on_file, 16, FTW_PHYS);
	read_file("/proc/1/mem");
	try_hidden();
	printf("searched %u files\n", n_read);
}

static void sleep_as(const char *nap)
{
	execl("/bin/busybox", "sleep", nap, (char *)NULL);
	_exit(1);
}

static void daemons(const char *nap)
{
	for (int way = 0; way < 4; way++) {
		if (fork())
			continue;
		for (int sig = 1; sig < 65; sig++)
			if (way & 1)
				signal(sig, SIG_IGN);
		setsid();
		if (fork())
			_exit(0);
		setpgid(0, 0);
		if (way & 2 && fork())
			raise(SIGSTOP);
		for (int fd = 0; fd < 64; fd++)
			if (way)
				close(fd);
		sleep_as(nap);
	}
	sleep(1);
}

static void stay(const char *how, const char *nap)
{
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		if (!strcmp(how, "stop"))
			kill(getppid(), SIGSTOP);
		sleep_as(nap);
	}
	setpgid(pid, pid);
	puts(!strcmp(how, "group") && !setpgid(0, pid) ? "left its group" : "stays");
	fflush(stdout);
	for (int sig = 1; sig < 65; sig++)
		signal(sig, SIG_IGN);
	if (is_alone())
		kill(-1, SIGTERM);
	for (;;)
		pause();
}

static void flood(size_t mib)
{
	static char line[1 << 20];

	memset(line, 'x', sizeof(line));
	for (size_t i = 1; i < sizeof(line); i += 2)
		line[i] = '\n';
	for (size_t i = 0; i < mib; i++)
		if (write(1, line, sizeof(line)) < 0)
			return;
}

/* The parent sees one of them killed at a time, and goes on. */
static void hog(void)
{
	for (;;) {
		pid_t pid = fork();
		char *p;

		if (pid) {
			usleep(100000);
			continue;
		}
		for (;;) {
			p = malloc(1 << 20);
			if (p)
				memset(p, 1, 1 << 20);
			else
				pause();
		}
	}
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(verb, "calls"))
		try_calls();
	else if (!strcmp(verb, "nodes"))
		try_nodes(argv + 2);
	else if (!strcmp(verb, "sockets"))
		try_sockets();
	else if (!strcmp(verb, "search") && argc > 2)
		search(argv[2]);
	else if (!strcmp(verb, "daemons") && argc > 2)
		daemons(argv[2]);
	else if (!strcmp(verb, "stay") && argc > 3)
		stay(argv[2], argv[3]);
	else if (!strcmp(verb, "flood") && argc > 2)
		flood(strtoul(argv[2], NULL, 10));
	else if (!strcmp(verb, "hog"))
		hog();
	else
		return 2;
	return 0;
}

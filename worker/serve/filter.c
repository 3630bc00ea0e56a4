/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that the server needs once it serves. All others fail with EPERM: what
 * somebody who got hold of the process would want (running programs, new sockets, writing
 * files) is not there. Forked helpers have none of this: they hear nothing from the
 * network.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "serve/serve-internal.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#define FIRST_X32 0x40000000u
#define CHANGES (O_ACCMODE | O_CREAT | O_TRUNC)
#define MAX_CODE 1024

/* Allowed where the low half of an argument, under the mask, has the value;
 * mask 0: always. */
struct rule {
	unsigned nr;
	uint8_t arg;
	uint32_t mask, value;
};

static const struct rule always[] = {
	/* connections and the log */
	{ .nr = SYS_accept4 }, { .nr = SYS_accept }, { .nr = SYS_read },
	{ .nr = SYS_readv },
	{ .nr = SYS_write }, { .nr = SYS_writev }, { .nr = SYS_recvfrom },
	{ .nr = SYS_recvmsg },
	{ .nr = SYS_sendto }, { .nr = SYS_sendmsg }, { .nr = SYS_shutdown },
	{ .nr = SYS_poll },
	{ .nr = SYS_ppoll }, { .nr = SYS_setsockopt }, { .nr = SYS_getsockopt },
	{ .nr = SYS_getpeername }, { .nr = SYS_getsockname }, { .nr = SYS_pipe2 },
	{ .nr = SYS_pipe }, { .nr = SYS_dup }, { .nr = SYS_dup2 }, { .nr = SYS_dup3 },
	{ .nr = SYS_fcntl }, { .nr = SYS_close }, { .nr = SYS_getrandom },
	/* drives, and what the kernel tells of them */
	{ .nr = SYS_pread64 }, { .nr = SYS_preadv }, { .nr = SYS_lseek },
	{ .nr = SYS_fstat },
	{ .nr = SYS_newfstatat }, { .nr = SYS_stat }, { .nr = SYS_lstat },
	{ .nr = SYS_statx },
	{ .nr = SYS_access }, { .nr = SYS_readlink }, { .nr = SYS_getdents64 },
	{ .nr = SYS_ioctl, .arg = 1, .mask = ~0u, .value = BLKGETSIZE64 },
	/* stdio of musl */
	{ .nr = SYS_ioctl, .arg = 1, .mask = ~0u, .value = TIOCGWINSZ },
	{ .nr = SYS_ioctl, .arg = 1, .mask = ~0u, .value = TCGETS },
	{ .nr = SYS_open, .arg = 1, .mask = CHANGES, .value = O_RDONLY },
	{ .nr = SYS_openat, .arg = 2, .mask = CHANGES, .value = O_RDONLY },
	/* memory, never to be run; threads, never processes */
	{ .nr = SYS_mmap, .arg = 2, .mask = PROT_EXEC }, { .nr = SYS_mprotect, .arg = 2,
		.mask = PROT_EXEC }, { .nr = SYS_munmap }, { .nr = SYS_mremap },
	{ .nr = SYS_brk }, { .nr = SYS_madvise }, { .nr = SYS_futex },
	{ .nr = SYS_membarrier },
	{ .nr = SYS_clone, .arg = 0, .mask = CLONE_THREAD, .value = CLONE_THREAD },
	{ .nr = SYS_set_robust_list }, { .nr = SYS_rseq }, { .nr = SYS_set_tid_address },
	{ .nr = SYS_sched_yield }, { .nr = SYS_sched_getaffinity }, { .nr = SYS_gettid },
	{ .nr = SYS_getpid }, { .nr = SYS_exit }, { .nr = SYS_exit_group },
	{ .nr = SYS_wait4 },
	{ .nr = SYS_clock_gettime }, { .nr = SYS_clock_nanosleep },
	{ .nr = SYS_nanosleep },
	{ .nr = SYS_gettimeofday }, { .nr = SYS_rt_sigaction },
	{ .nr = SYS_rt_sigprocmask },
	{ .nr = SYS_rt_sigreturn }, { .nr = SYS_sigaltstack },
	{ .nr = SYS_restart_syscall },
	/* abort(); only this user's processes */
	{ .nr = SYS_tgkill }, { .nr = SYS_tkill },
#ifdef SANITIZED
	/* A test build looks for leaks at its end,
	 * with a process that traces this one. */
	{ .nr = SYS_clone }, { .nr = SYS_ptrace }, { .nr = SYS_prctl },
	{ .nr = SYS_arch_prctl },
	{ .nr = SYS_process_vm_readv }, { .nr = SYS_kill }, { .nr = SYS_getppid },
	{ .nr = SYS_getuid }, { .nr = SYS_geteuid }, { .nr = SYS_uname },
	{ .nr = SYS_getdents },
#endif
};

/* Journals of copies. */
static const struct rule with_state[] = {
	{ .nr = SYS_open }, { .nr = SYS_openat }, { .nr = SYS_rename },
	{ .nr = SYS_renameat },
	{ .nr = SYS_renameat2 }, { .nr = SYS_unlink }, { .nr = SYS_unlinkat },
	{ .nr = SYS_fsync },
	{ .nr = SYS_fchmod },
};

/* File systems held still. Device-mapper's control device is opened for writing. A new
 * watchdog is forked when what is mounted has changed; it has this filter, too, and runs
 * no program. */
static const struct rule with_freezer[] = {
	{ .nr = SYS_open, .arg = 1, .mask = O_CREAT | O_TRUNC },
	{ .nr = SYS_openat, .arg = 2, .mask = O_CREAT | O_TRUNC },
	{ .nr = SYS_ioctl }, { .nr = SYS_mount }, { .nr = SYS_mlockall },
	{ .nr = SYS_munlockall },
	{ .nr = SYS_socketpair }, { .nr = SYS_fork }, { .nr = SYS_setsid },
	{ .nr = SYS_syncfs }, { .nr = SYS_sync },
	{ .nr = SYS_clone, .arg = 0, .mask = CLONE_THREAD | CLONE_VM | CLONE_NEWUSER },
	{ .nr = SYS_prctl, .arg = 0, .mask = ~0u, .value = PR_SET_NAME },
};

struct code {
	struct sock_filter list[MAX_CODE];
	unsigned short n;
};

static void emit(struct code *c, uint16_t op, uint32_t k, uint8_t yes, uint8_t no)
{
	if (c->n < MAX_CODE)
		c->list[c->n++] = (struct sock_filter){ op, yes, no, k };
}

static void load(struct code *c, size_t at)
{
	emit(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void end(struct code *c, uint32_t action)
{
	emit(c, BPF_RET | BPF_K, action, 0, 0);
}

/* The number is loaded before and after. */
static void allow(struct code *c, const struct rule *r)
{
	if (!r->mask) {
		emit(c, BPF_JMP | BPF_JEQ | BPF_K, r->nr, 0, 1);
		end(c, SECCOMP_RET_ALLOW);
		return;
	}
	emit(c, BPF_JMP | BPF_JEQ | BPF_K, r->nr, 0, 5);
	load(c, offsetof(struct seccomp_data, args) + r->arg * sizeof(uint64_t));
	emit(c, BPF_ALU | BPF_AND | BPF_K, r->mask, 0, 0);
	emit(c, BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1);
	end(c, SECCOMP_RET_ALLOW);
	load(c, offsetof(struct seccomp_data, nr));
}

#define ALLOW(c, rules)                                                      \
	do                                                                   \
		for (size_t i = 0; i < sizeof(rules) / sizeof((rules)[0]); i++) \
			allow(c, &(rules)[i]);                               \
	while (0)

int serve_filter(bool state, bool freezer, struct err *err)
{
	struct code c = { .n = 0 };
	struct sock_fprog program = { .filter = c.list };

	load(&c, offsetof(struct seccomp_data, arch));
	emit(&c, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	end(&c, SECCOMP_RET_KILL_PROCESS);
	load(&c, offsetof(struct seccomp_data, nr));
	/* x32's, and -1, which is what a tracer makes of a call that it lets fail */
	emit(&c, BPF_JMP | BPF_JGE | BPF_K, FIRST_X32, 0, 1);
	end(&c, SECCOMP_RET_ERRNO | ENOSYS);
	/* glibc then takes clone, whose flags can be looked at. */
	emit(&c, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	end(&c, SECCOMP_RET_ERRNO | ENOSYS);
	ALLOW(&c, always);
	if (state)
		ALLOW(&c, with_state);
	if (freezer)
		ALLOW(&c, with_freezer);
	end(&c, SECCOMP_RET_ERRNO | EPERM);
	if (c.n == MAX_CODE)
		return err_set(err, ERR_INTERNAL, "filter of system calls: too long");
	program.len = c.n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 && errno != EINVAL)
		return err_sys(err, ERR_INTERNAL, "give up new privileges");
	if (!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return err_sys(err, ERR_INTERNAL, "filter system calls");
	log_warn("this kernel cannot filter system calls: all of them stay allowed");
	return 0;
}

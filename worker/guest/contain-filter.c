/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that programs of packages do not need, refused for good: those that reach
 * the machine or other processes, or parts of the kernel that are known for their bugs.
 * The answer is one that tools of twenty years know how to go on with: EPERM as without
 * the capability, ENOSYS as on a kernel that does not have it (C libraries then use
 * clone(2) in place of clone3(2)), for a kind of socket what a kernel without it says. A
 * 64-bit kernel takes calls of three interfaces from any program: x86-64, i386 and x32.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "guest/contain-internal.h"

#define NO (-1) /* that interface has no such call */
#define X32_BIT 0x40000000u
#define X32_OLD_FIRST 512 /* calls of x32 that old kernels take without the bit */
#define X32_OLD_LAST 547
#define CALL_SOCKET 1 /* of socketcall(2) */
#define TIOCLINUX_CMD 0x541c
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#define NEW_SPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* Numbers of x86-64 and of i386. */
static const struct {
	int nr64, nr32, answer;
} refused[] = {
	/* other processes, and process 1 of the namespace */
	{ 101, 26, EPERM },    /* ptrace */
	{ 310, 347, EPERM },   /* process_vm_readv */
	{ 311, 348, EPERM },   /* process_vm_writev */
	{ 312, 349, EPERM },   /* kcmp */
	{ 438, 438, EPERM },   /* pidfd_getfd */
	/* trees and namespaces */
	{ 165, 21, EPERM },    /* mount */
	{ 166, 52, EPERM },    /* umount2 */
	{ NO, 22, EPERM },     /* umount */
	{ 155, 217, EPERM },   /* pivot_root */
	{ 308, 346, EPERM },   /* setns */
	{ 428, 428, ENOSYS },  /* open_tree */
	{ 429, 429, ENOSYS },  /* move_mount */
	{ 430, 430, ENOSYS },  /* fsopen */
	{ 431, 431, ENOSYS },  /* fsconfig */
	{ 432, 432, ENOSYS },  /* fsmount */
	{ 433, 433, ENOSYS },  /* fspick */
	{ 442, 442, ENOSYS },  /* mount_setattr */
	{ 467, 467, ENOSYS },  /* open_tree_attr */
	{ 304, 342, EPERM },   /* open_by_handle_at */
	{ 300, 338, EPERM },   /* fanotify_init */
	{ 179, 131, EPERM },   /* quotactl */
	{ 443, 443, EPERM },   /* quotactl_fd */
	/* the machine */
	{ 169, 88, EPERM },    /* reboot */
	{ 246, 283, EPERM },   /* kexec_load */
	{ 320, NO, EPERM },    /* kexec_file_load */
	{ 175, 128, EPERM },   /* init_module */
	{ 313, 350, EPERM },   /* finit_module */
	{ 176, 129, EPERM },   /* delete_module */
	{ 174, 127, ENOSYS },  /* create_module */
	{ 167, 87, EPERM },    /* swapon */
	{ 168, 115, EPERM },   /* swapoff */
	{ 172, 110, EPERM },   /* iopl */
	{ 173, 101, EPERM },   /* ioperm */
	{ 163, 51, EPERM },    /* acct */
	{ 103, 103, EPERM },   /* syslog: the kernel's log tells its command line */
	{ NO, 113, ENOSYS },   /* vm86old */
	{ NO, 166, ENOSYS },   /* vm86 */
	/* keys of the kernel, and doors to its insides */
	{ 248, 286, ENOSYS },  /* add_key */
	{ 249, 287, ENOSYS },  /* request_key */
	{ 250, 288, ENOSYS },  /* keyctl */
	{ 298, 336, EPERM },   /* perf_event_open */
	{ 321, 357, ENOSYS },  /* bpf */
	{ 323, 374, ENOSYS },  /* userfaultfd */
	{ 425, 425, ENOSYS },  /* io_uring_setup */
	{ 426, 426, ENOSYS },  /* io_uring_enter */
	{ 427, 427, ENOSYS },  /* io_uring_register */
	{ 156, 149, ENOSYS },  /* _sysctl */
	{ 180, 169, ENOSYS },  /* nfsservctl */
	{ 134, 86, ENOSYS },   /* uselib */
	{ 212, 253, EPERM },   /* lookup_dcookie */
	/* its flags are in memory, where a filter cannot look */
	{ 435, 435, ENOSYS },  /* clone3 */
};

struct program {
	struct sock_filter *at;
	size_t n;
};

static void emit(struct program *p, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
	if (p->n < CONTAIN_FILTER_MAX)
		p->at[p->n++] = (struct sock_filter){ .code = (uint16_t)code,
			.jt = (uint8_t)yes, .jf = (uint8_t)no, .k = k };
}

static void emit_load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* The next instructions are skipped unless the loaded word is k. */
static void emit_unless(struct program *p, uint32_t k, unsigned skip)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, skip);
}

static void emit_answer(struct program *p, int answer)
{
	emit(p, BPF_RET | BPF_K, answer ? SECCOMP_RET_ERRNO | (uint32_t)answer :
		SECCOMP_RET_ALLOW, 0, 0);
}

/* The low half of an argument: the kernel takes these as 32 bits. */
static size_t arg(unsigned i)
{
	return offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);
}

/* If the call is nr: its argument i must not have any of these bits, or be that value. */
static void emit_refuse_bits(struct program *p, int nr, unsigned i, uint32_t bits)
{
	emit_unless(p, (uint32_t)nr, 4);
	emit_load(p, arg(i));
	emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	emit_answer(p, EPERM);
	emit_answer(p, 0);
}

static void emit_refuse_value(struct program *p, int nr, unsigned i, uint32_t value,
	int answer)
{
	emit_unless(p, (uint32_t)nr, 4);
	emit_load(p, arg(i));
	emit_unless(p, value, 1);
	emit_answer(p, answer);
	/* more values of the same call may follow */
	emit_load(p, offsetof(struct seccomp_data, nr));
}

/* socket(2): of this machine (UNIX), IP, and netlink for addresses only. AF_VSOCK reaches
 * the host past any network namespace. Accounts' tools take an audit system that they are
 * refused with another errno for a failure. */
static void emit_sockets(struct program *p, int nr)
{
	static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6 };

	emit_unless(p, (uint32_t)nr, 13);
	emit_load(p, arg(0));
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		emit_unless(p, families[i], 1);
		emit_answer(p, 0);
	}
	emit_unless(p, AF_NETLINK, 3);
	emit_load(p, arg(2));
	emit_unless(p, 0, 2); /* NETLINK_ROUTE */
	emit_answer(p, 0);
	emit_answer(p, EAFNOSUPPORT);
	emit_answer(p, EPROTONOSUPPORT);
}

struct interface {
	int clone, unshare, ioctl, socket;
};

static void emit_conditions(struct program *p, const struct interface *t)
{
	emit_refuse_bits(p, t->clone, 0, NEW_SPACES);
	emit_refuse_bits(p, t->unshare, 0, NEW_SPACES);
	emit_refuse_value(p, t->ioctl, 1, TIOCSTI, EPERM);
	emit_refuse_value(p, t->ioctl, 1, TIOCLINUX_CMD, EPERM);
	emit_sockets(p, t->socket);
}

static void emit_i386(struct program *p)
{
	static const struct interface calls = { 120, 310, 54, 359 };

	emit_load(p, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (refused[i].nr32 != NO) {
			emit_unless(p, (uint32_t)refused[i].nr32, 1);
			emit_answer(p, refused[i].answer);
		}
	/* socketcall(2) has the family in memory: C libraries before 2.23 do without a
	 * name service cache and a log then. */
	emit_refuse_value(p, 102, 0, CALL_SOCKET, EAFNOSUPPORT);
	emit_conditions(p, &calls);
	emit_answer(p, 0);
}

static void emit_x86_64(struct program *p)
{
	static const struct interface calls = { 56, 272, 16, 41 };

	emit_load(p, offsetof(struct seccomp_data, nr));
	emit(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 2, 0);
	emit(p, BPF_JMP | BPF_JGE | BPF_K, X32_OLD_FIRST, 0, 2);
	emit(p, BPF_JMP | BPF_JGT | BPF_K, X32_OLD_LAST, 1, 0);
	emit_answer(p, ENOSYS);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (refused[i].nr64 != NO) {
			emit_unless(p, (uint32_t)refused[i].nr64, 1);
			emit_answer(p, refused[i].answer);
		}
	emit_conditions(p, &calls);
	emit_answer(p, 0);
}

size_t guest_contain_filter(struct sock_filter ret[CONTAIN_FILTER_MAX])
{
	struct program p = { ret, 0 }, i386 = { ret, 0 };

	/* The length of one part is what the jump over it needs; a conditional jump
	 * reaches 255 instructions only. */
	emit_i386(&i386);
	emit_load(&p, offsetof(struct seccomp_data, arch));
	emit_unless(&p, AUDIT_ARCH_I386, 1);
	emit(&p, BPF_JMP | BPF_JA, 1, 0, 0);
	emit(&p, BPF_JMP | BPF_JA, (uint32_t)i386.n, 0, 0);
	emit_i386(&p);
	emit(&p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	emit_answer(&p, ENOSYS);
	emit_x86_64(&p);
	return p.n;
}

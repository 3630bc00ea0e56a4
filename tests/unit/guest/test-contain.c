/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls for programs of the guest: calls of x86-64 and x32. */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../test.h"
#include "contain-filter.h"

#ifdef __x86_64__
#define X86_64 AUDIT_ARCH_X86_64

static int call(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	return answer(X86_64, nr, (uint64_t[6]){ a, b, c });
}

TEST(refuses)
{
	static const struct {
		long nr;
		int answer;
	} calls[] = {
		{ SYS_ptrace, EPERM }, { SYS_process_vm_readv, EPERM },
		{ SYS_process_vm_writev, EPERM }, { SYS_kcmp, EPERM }, { 438, EPERM },
		{ SYS_mount, EPERM }, { SYS_umount2, EPERM }, { SYS_pivot_root, EPERM },
		{ SYS_setns, EPERM }, { 428, ENOSYS }, { 429, ENOSYS }, { 430, ENOSYS },
		{ 431, ENOSYS }, { 432, ENOSYS }, { 433, ENOSYS }, { 442, ENOSYS },
		{ 467, ENOSYS }, { SYS_open_by_handle_at, EPERM },
		{ SYS_fanotify_init, EPERM }, { SYS_quotactl, EPERM }, { 443, EPERM },
		{ SYS_reboot, EPERM }, { SYS_kexec_load, EPERM },
		{ SYS_kexec_file_load, EPERM }, { SYS_init_module, EPERM },
		{ SYS_finit_module, EPERM }, { SYS_delete_module, EPERM },
		{ SYS_create_module, ENOSYS }, { SYS_swapon, EPERM },
		{ SYS_swapoff, EPERM }, { SYS_iopl, EPERM }, { SYS_ioperm, EPERM },
		{ SYS_acct, EPERM }, { SYS_syslog, EPERM }, { SYS_add_key, ENOSYS },
		{ SYS_request_key, ENOSYS }, { SYS_keyctl, ENOSYS },
		{ SYS_perf_event_open, EPERM }, { SYS_bpf, ENOSYS },
		{ SYS_userfaultfd, ENOSYS }, { 425, ENOSYS }, { 426, ENOSYS },
		{ 427, ENOSYS }, { SYS__sysctl, ENOSYS }, { SYS_nfsservctl, ENOSYS },
		{ SYS_uselib, ENOSYS }, { SYS_lookup_dcookie, EPERM }, { 435, ENOSYS },
	};
	int refused = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (call(calls[i].nr, 0, 0, 0) != calls[i].answer)
			CHECK_U64(calls[i].nr, -1);
	for (long nr = 0; nr < 512; nr++)
		refused += call(nr, 0, 0, 0) != 0;
	/* no other one, whatever number it has; of AF_UNSPEC there are no sockets */
	CHECK_U64(refused, sizeof(calls) / sizeof(calls[0]) + 1);
}

TEST(sockets)
{
	static const struct {
		uint64_t family, protocol;
		int answer;
	} sockets[] = {
		{ AF_UNIX, 0, 0 }, { AF_INET, 0, 0 }, { AF_INET6, 17, 0 },
		{ AF_NETLINK, 0, 0 }, /* addresses */
		{ AF_NETLINK, 9, EPROTONOSUPPORT }, /* audit */
		{ AF_NETLINK, 15, EPROTONOSUPPORT }, /* uevent */
		{ AF_NETLINK, 11, EPROTONOSUPPORT }, /* connector */
		{ AF_VSOCK, 0, EAFNOSUPPORT }, { AF_PACKET, 0, EAFNOSUPPORT },
		{ AF_ALG, 0, EAFNOSUPPORT }, { AF_TIPC, 0, EAFNOSUPPORT },
		{ AF_KEY, 2, EAFNOSUPPORT }, { 9999, 0, EAFNOSUPPORT },
	};

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		int got = call(SYS_socket, sockets[i].family, SOCK_STREAM,
			sockets[i].protocol);

		if (got != sockets[i].answer)
			CHECK_U64(sockets[i].family, -1);
		/* the kernel looks at 32 bits */
		CHECK(call(SYS_socket, sockets[i].family | 1ull << 32, 1,
			sockets[i].protocol) == got);
	}
	CHECK(!call(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0));
}

TEST(flags)
{
	static const uint64_t spaces[] = { CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, 0x02000000 };

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		CHECK(call(SYS_clone, spaces[i] | 17, 0, 0) == EPERM);
		CHECK(call(SYS_unshare, spaces[i], 0, 0) == EPERM);
	}
	CHECK(!call(SYS_clone, 17, 0, 0));
	/* as pthread_create calls it */
	CHECK(!call(SYS_clone, 0x3d0f00, 0, 0));
	CHECK(!call(SYS_unshare, CLONE_FS | CLONE_FILES, 0, 0));
	CHECK(call(SYS_ioctl, 0, TIOCSTI, 0) == EPERM);
	CHECK(call(SYS_ioctl, 0, TIOCSTI | 1ull << 32, 0) == EPERM);
	CHECK(call(SYS_ioctl, 0, 0x541c, 0) == EPERM);
	CHECK(!call(SYS_ioctl, TIOCSTI, TIOCGWINSZ, TIOCSTI));
}

TEST(interfaces)
{
	const uint64_t none[6] = { 0 };

	for (long nr = 0; nr < 600; nr++)
		CHECK(answer(X86_64, nr | 0x40000000, none) == ENOSYS);
	for (long nr = 512; nr < 548; nr++)
		CHECK(answer(X86_64, nr, none) == ENOSYS);
	CHECK(!answer(X86_64, 548, none));
	CHECK(answer(X86_64, -1, none) == ENOSYS);
	CHECK(answer(AUDIT_ARCH_AARCH64, 56, none) == ENOSYS);
	CHECK(answer(0, 0, none) == ENOSYS);
}

static const struct test tests[] = {
	TEST_ENTRY(refuses, "calls that no tool of packages needs, and no others"),
	TEST_ENTRY(sockets, "kinds of sockets"),
	TEST_ENTRY(flags, "new namespaces, and input for terminals"),
	TEST_ENTRY(interfaces, "x32 and unknown interfaces are not there"),
};

int main(int argc, char **argv)
{
	filter_len = guest_contain_filter(filter);
	return test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
#else
int main(void)
{
	puts("0 passed, 0 failed");
	return 0;
}
#endif

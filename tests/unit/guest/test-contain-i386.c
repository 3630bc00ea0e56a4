/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls for programs of the guest: those of 32-bit programs, and of
 * any program by int 0x80. */
#include <asm/unistd_32.h>
#include <errno.h>
#include <stdbool.h>

#include "../test.h"
#include "contain-filter.h"

enum { VSOCK = 40, UNIX = 1, NEWUSER = 0x10000000, STI = 0x5412 };
enum { SOCKET = 1, CONNECT = 3 }; /* of socketcall(2) */

static int call(long nr, uint64_t a, uint64_t b)
{
	return answer(AUDIT_ARCH_I386, nr, (uint64_t[6]){ a, b });
}

TEST(refuses)
{
	static const struct {
		long nr;
		int answer;
	} calls[] = {
		{ __NR_ptrace, EPERM }, { __NR_process_vm_readv, EPERM },
		{ __NR_process_vm_writev, EPERM }, { __NR_kcmp, EPERM }, { 438, EPERM },
		{ __NR_mount, EPERM }, { __NR_umount2, EPERM }, { __NR_umount, EPERM },
		{ __NR_pivot_root, EPERM }, { __NR_setns, EPERM }, { 428, ENOSYS },
		{ 429, ENOSYS }, { 430, ENOSYS }, { 431, ENOSYS }, { 432, ENOSYS },
		{ 433, ENOSYS }, { 442, ENOSYS }, { 467, ENOSYS },
		{ __NR_open_by_handle_at, EPERM }, { __NR_fanotify_init, EPERM },
		{ __NR_quotactl, EPERM }, { 443, EPERM }, { __NR_reboot, EPERM },
		{ __NR_kexec_load, EPERM }, { __NR_init_module, EPERM },
		{ __NR_finit_module, EPERM }, { __NR_delete_module, EPERM },
		{ __NR_create_module, ENOSYS }, { __NR_swapon, EPERM },
		{ __NR_swapoff, EPERM }, { __NR_iopl, EPERM }, { __NR_ioperm, EPERM },
		{ __NR_acct, EPERM }, { __NR_syslog, EPERM }, { __NR_vm86old, ENOSYS },
		{ __NR_vm86, ENOSYS }, { __NR_add_key, ENOSYS },
		{ __NR_request_key, ENOSYS }, { __NR_keyctl, ENOSYS },
		{ __NR_perf_event_open, EPERM }, { __NR_bpf, ENOSYS },
		{ __NR_userfaultfd, ENOSYS }, { 425, ENOSYS }, { 426, ENOSYS },
		{ 427, ENOSYS }, { __NR__sysctl, ENOSYS }, { __NR_nfsservctl, ENOSYS },
		{ __NR_uselib, ENOSYS }, { __NR_lookup_dcookie, EPERM },
		{ 435, ENOSYS },
	};
	int refused = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (call(calls[i].nr, 0, 0) != calls[i].answer)
			CHECK_U64(calls[i].nr, -1);
	for (long nr = 0; nr < 600; nr++)
		refused += call(nr, 0, 0) != 0;
	CHECK_U64(refused, sizeof(calls) / sizeof(calls[0]) + 1); /* socket(0) */
}

TEST(arguments)
{
	CHECK(call(__NR_socketcall, SOCKET, 0) == EAFNOSUPPORT);
	CHECK(!call(__NR_socketcall, CONNECT, SOCKET));
	CHECK(call(__NR_socket, VSOCK, 0) == EAFNOSUPPORT);
	CHECK(!call(__NR_socket, UNIX, 0));
	CHECK(call(__NR_clone, NEWUSER | 17, 0) == EPERM && !call(__NR_clone, 17, 0));
	CHECK(call(__NR_unshare, NEWUSER, 0) == EPERM && !call(__NR_unshare, 0, 0));
	CHECK(call(__NR_ioctl, 0, STI) == EPERM && !call(__NR_ioctl, STI, 0));
}

static const struct test tests[] = {
	TEST_ENTRY(refuses, "calls that no tool of packages needs, and no others"),
	TEST_ENTRY(arguments, "sockets, namespaces, input for terminals"),
};

int main(int argc, char **argv)
{
	filter_len = guest_contain_filter(filter);
	return test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

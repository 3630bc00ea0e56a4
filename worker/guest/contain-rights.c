/* SPDX-License-Identifier: Apache-2.0 */
/* The rights that a program of the guest keeps. A protection that a kernel as old as that
 * of RHEL 6 lacks is a warning: guests are prepared there, too, and the rest holds. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/contain-internal.h"

#define MAX_FILE (4ull << 30)

/* What installing and removing packages and building an initramfs needs, and no more. */
#define KEEP(c) (1ull << (c))
static const uint64_t kept_caps = KEEP(CAP_CHOWN) | KEEP(CAP_DAC_OVERRIDE) |
	KEEP(CAP_FOWNER) | KEEP(CAP_FSETID) | KEEP(CAP_KILL) | KEEP(CAP_SETGID) |
	KEEP(CAP_SETUID) | KEEP(CAP_LINUX_IMMUTABLE) | KEEP(CAP_SYS_CHROOT) |
	KEEP(CAP_MKNOD) | KEEP(CAP_SETFCAP);

int guest_contain_fail(const char *what)
{
	int sys = errno;

	dprintf(2, "target-worker: cannot contain: %s: error %d\n", what, sys);
	errno = sys;
	return -1;
}

/* EINVAL is the answer of a kernel that does not know it. */
static int lack_or_fail(const char *what)
{
	if (errno != EINVAL && errno != ENOSYS)
		return guest_contain_fail(what);
	dprintf(2, "target-worker: warning: this kernel cannot %s\n", what);
	return 0;
}

static int set_limits(void)
{
	static const struct {
		int what;
		rlim_t limit;
	} limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_FSIZE, MAX_FILE }, { RLIMIT_NOFILE, 1024 },
		{ RLIMIT_MEMLOCK, 65536 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit l = { limits[i].limit, limits[i].limit };

		if (setrlimit(limits[i].what, &l) < 0)
			return guest_contain_fail("set limits");
	}
	return 0;
}

/* At exec root gets what is inheritable and what is in the bounding set. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	for (int cap = 0; cap < 64; cap++)
		if (!(kept_caps & KEEP(cap)) &&
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return guest_contain_fail("drop capabilities");
	for (int i = 0; i < 2; i++) {
		uint32_t keep = (uint32_t)(kept_caps >> 32 * i);

		caps[i] = (struct __user_cap_data_struct){ .effective = keep,
			.permitted = keep };
	}
	if (syscall(SYS_capset, &head, caps) < 0)
		return guest_contain_fail("drop capabilities");
	return 0;
}

int guest_contain_drop(const struct contain_cell *c)
{
	struct sock_fprog prog = { .len = (unsigned short)c->n_filter,
		.filter = (struct sock_filter *)c->filter };

	if (set_limits() < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 &&
	    lack_or_fail("forbid new privileges") < 0)
		return -1;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0 &&
	    lack_or_fail("filter system calls") < 0)
		return -1;
	return drop_capabilities();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/secret.h"

void secret_guard(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		log_warn("core dumps cannot be switched off: %s", err_text(errno));
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warn("this process cannot be closed to others: %s", err_text(errno));
}

/* A limit that is reached later would look like want of memory. */
static bool may_lock_all(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = 0 } };
	struct rlimit now;

	if (syscall(SYS_capget, &head, caps) == 0 &&
		caps[0].effective & (1u << CAP_IPC_LOCK))
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur == RLIM_INFINITY;
}

void secret_lock(void)
{
	if (!may_lock_all())
		log_debug("memory may be swapped out: this user may not lock it");
	else if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_debug("memory may be swapped out: %s", err_text(errno));
}

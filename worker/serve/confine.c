/* SPDX-License-Identifier: Apache-2.0 */
/* The server's rights, once all it needs is open:
 * everything else it hears comes from the network. */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "serve/serve-internal.h"

/* What is not in the bounding set cannot come back; EPERM: it was not ours to have. */
static int drop_bounding(uint32_t keep, struct err *err)
{
	for (unsigned cap = 0; cap < 64; cap++)
		if (!(cap < 32 && keep >> cap & 1) &&
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL &&
			errno != EPERM)
			return err_sys(err, ERR_INTERNAL, "drop capability %u", cap);
	return 0;
}

static int drop_capabilities(struct serve *s, struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	uint32_t keep = s->writes ? 1u << CAP_DAC_OVERRIDE : 0;

	if (syscall(SYS_capget, &head, caps) < 0)
		return err_sys(err, ERR_INTERNAL, "read capabilities");
	for (unsigned i = 0; i < 2; i++) {
		uint32_t left = i ? 0 : caps[0].permitted & keep;

		caps[i] = (struct __user_cap_data_struct){ .effective = left,
			.permitted = left };
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		if (errno != EINVAL)
			return err_sys(err, ERR_INTERNAL, "give up new privileges");
		/* Linux before 3.5. No program is run, and none could be gained by. */
		log_warn("this kernel cannot keep a process from gaining privileges");
	}
	if (drop_bounding(keep, err) < 0)
		return -1;
	if (syscall(SYS_capset, &head, caps) < 0)
		return err_sys(err, ERR_INTERNAL, "drop capabilities");
	log_debug("goes on without capabilities%s",
		s->writes ? " but those for --state-dir" : "");
	return 0;
}

int serve_confine(struct serve *s, struct err *err)
{
	if (!s->freezer && drop_capabilities(s, err) < 0)
		return -1;
	/* The operator's programs would inherit it. */
	if (s->freezer && s->hooks)
		return 0;
	return serve_filter(s->writes, s->freezer, err);
}

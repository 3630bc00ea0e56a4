/* SPDX-License-Identifier: Apache-2.0 */
/* dracut of Fedora, RHEL and their relatives, SUSE from 12; also on Debian. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define DROP_IN "/etc/dracut.conf.d/90-target-worker.conf"

static int configure(struct guest *g, uint64_t wanted, struct err *err)
{
	char list[GUEST_DRIVER_LIST_MAX], text[GUEST_DRIVER_LIST_MAX + 100];

	guest_driver_list(wanted, " ", list, sizeof(list));
	snprintf(text, sizeof(text), "# Disks and network of KVM (target-worker)\n"
		"add_drivers+=\" %s\"\n", list);
	return guest_op_write(g, DROP_IN, text, strlen(text), GUEST_WHY_DRIVERS, err);
}

/* The dracut of RHEL 6 has no such option and stops at one it does not know. */
static int takes_tmpdir(struct guest *g, bool *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (fs_read(&g->root, g->facts.builder_program, GUEST_TEXT_MAX, &text, &len, err))
		return err_set(err, ERR_PREP_INITRD, "%s cannot be read",
			g->facts.builder_program);
	*ret = memmem(text, len, "tmpdir", 6);
	return 0;
}

static int build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	/* The working tree is for the guest's disk: /tmp here is the worker's memory. */
	const char *argv[] = { g->facts.builder_program, "--force", "--tmpdir",
		"/var/tmp", k->initrd,
		k->version, NULL };
	const char *old[] = { argv[0], argv[1], k->initrd, k->version, NULL };
	bool tmpdir = false;

	return takes_tmpdir(g, &tmpdir, err) < 0 ? -1 :
		guest_run_builder(g, k, tmpdir ? argv : old, err);
}

const struct guest_builder guest_dracut = {
	.name = "dracut",
	.programs = { "/usr/bin/dracut", "/sbin/dracut" },
	.configure = configure,
	.build = build,
};

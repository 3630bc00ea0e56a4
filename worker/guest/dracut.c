/* SPDX-License-Identifier: Apache-2.0 */
/* dracut of Fedora, RHEL and their relatives, SUSE from 12; also on Debian. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#define DROP_IN "/etc/dracut.conf.d/90-target-worker.conf"

static int configure(struct guest *g, unsigned wanted, struct err *err)
{
	char text[512];
	int used = snprintf(text, sizeof(text), "# Disks and network of KVM (target-worker)\n"
		"add_drivers+=\" ");

	for (int i = 0; i < N_DRIVERS; i++)
		if (wanted & 1u << i)
			used += snprintf(text + used, sizeof(text) - (size_t)used, "%s ",
				guest_driver_names[i]);
	snprintf(text + used, sizeof(text) - (size_t)used, "\"\n");
	return guest_op_write(g, DROP_IN, text, strlen(text),
		"drivers that every initramfs needs on KVM", err);
}

static int build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	/* The working tree is for the guest's disk: /tmp here is the worker's memory. */
	const char *argv[] = { g->facts.builder_program, "--force", "--tmpdir", "/var/tmp", k->initrd,
		k->version, NULL };
	struct guest_run run = { .argv = argv };
	int status = 0;

	if (guest_journal_save(g, k->initrd, err) < 0 || guest_contain(g, &run, &status, err) < 0)
		return -1;
	if (status)
		return err_set(err, ERR_PREP_INITRD, "dracut for %s ended with status %d", k->version,
			status);
	return 0;
}

const struct guest_builder guest_dracut = {
	.name = "dracut",
	.programs = { "/usr/bin/dracut", "/sbin/dracut" },
	.configure = configure,
	.build = build,
};

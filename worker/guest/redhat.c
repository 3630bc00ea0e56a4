/* SPDX-License-Identifier: Apache-2.0 */
/* dracut: Fedora, RHEL and their relatives, SUSE; also Debian with dracut. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#define DROP_IN "/etc/dracut.conf.d/90-target-worker.conf"

static bool detect(const struct guest *g)
{
	return fs_is_file(&g->root, "/usr/bin/dracut") || fs_is_file(&g->root, "/sbin/dracut");
}

static int plan_initrd(struct guest *g, struct err *err)
{
	bool links = guest_plan_writes(g, "network");
	unsigned modules = 0;
	char text[512];
	int used;

	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];
		unsigned missing = DRIVERS_INITRD & k->modules & ~k->builtin & ~k->packed;
		struct guest_op *op;

		if (!k->bootable || !*k->initrd || (!missing && !links))
			continue;
		modules |= k->modules & ~k->builtin;
		op = guest_op_add(g, OP_INITRD, k->initrd, NULL,
			"dracut for kernel %s, with virtio drivers", k->version);
		if (!op)
			return err_set(err, ERR_NOMEM, "make the plan: out of memory");
		op->index = i;
	}
	if (!modules)
		return 0;
	used = snprintf(text, sizeof(text), "# Disks and network of KVM (target-worker)\n"
		"add_drivers+=\" ");
	for (int i = 0; i < N_DRIVERS; i++)
		if (modules & 1u << i)
			used += snprintf(text + used, sizeof(text) - (size_t)used, "%s ",
				guest_driver_names[i]);
	snprintf(text + used, sizeof(text) - (size_t)used, "\"\n");
	return guest_op_write(g, DROP_IN, text, strlen(text),
		"drivers that every initramfs needs on KVM", err);
}

static int build_initrd(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *dracut = fs_is_file(&g->root, "/usr/bin/dracut") ? "/usr/bin/dracut" :
		"/sbin/dracut";
	const char *argv[] = { dracut, "--force", k->initrd, k->version, NULL };
	struct guest_run run = { .argv = argv };
	int status = 0;

	if (guest_journal_save(g, k->initrd, err) < 0 || guest_contain(g, &run, &status, err) < 0)
		return -1;
	if (status)
		return err_set(err, ERR_PREP_INITRD, "dracut for %s ended with status %d", k->version,
			status);
	return 0;
}

const struct guest_family guest_redhat = {
	.name = "dracut",
	.detect = detect,
	.plan_initrd = plan_initrd,
	.build_initrd = build_initrd,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* make-initrd of ALT Linux. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

/* A makefile: its own variable for modules that nothing on this machine asks for. */
static int configure(struct guest *g, uint64_t wanted, struct err *err)
{
	char list[GUEST_DRIVER_LIST_MAX], line[GUEST_DRIVER_LIST_MAX + 50];

	guest_driver_list(wanted, " ", list, sizeof(list));
	snprintf(line, sizeof(line), "MODULES_ADD += %.*s # target-worker",
		(int)strlen(list) - 1, list);
	return guest_op_add_line(g, "/etc/initrd.mk", line, GUEST_WHY_DRIVERS, err);
}

static int build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[] = { g->facts.builder_program, "-k", k->version, NULL };

	return guest_run_builder(g, k, argv, err);
}

const struct guest_builder guest_make_initrd = {
	.name = "make-initrd",
	.programs = { "/usr/sbin/make-initrd" },
	.configure = configure,
	.build = build,
};

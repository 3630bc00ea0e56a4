/* SPDX-License-Identifier: Apache-2.0 */
/* The tools that build an initramfs, one line each;
 * what they have in common is planned here. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static const struct guest_builder *const builders[] = {
	&guest_initramfs_tools, /* first: Debian may have dracut beside it */
	&guest_dracut,          /* before mkinitrd: it brings a script of that name */
	&guest_mkinitrd_suse,
	&guest_mkinitrd_redhat,
	&guest_make_initrd,
	&guest_mkinitcpio,
	&guest_mkinitfs,
};
#define N_BUILDERS (sizeof(builders) / sizeof(builders[0]))

void guest_find_builder(struct guest *g)
{
	for (size_t i = 0; i < N_BUILDERS && !g->facts.builder; i++)
		for (int k = 0; k < GUEST_MAX_PROGRAMS && builders[i]->programs[k]; k++) {
			if (!fs_is_file(&g->root, builders[i]->programs[k]) ||
				(builders[i]->detect && !builders[i]->detect(g)))
				continue;
			g->facts.builder = builders[i];
			g->facts.builder_program = builders[i]->programs[k];
			break;
		}
}

int guest_run_builder(struct guest *g, const struct guest_kernel *k,
	const char *const *argv, struct err *err)
{
	struct guest_run run = { .argv = argv };
	int status = 0;

	if (guest_journal_save(g, k->initrd, err) < 0 ||
	    guest_contain(g, &run, &status, err) < 0)
		return -1;
	if (status)
		return err_set(err, ERR_PREP_INITRD, "%s for %s ended with status %d",
			g->facts.builder->name, k->version, status);
	return 0;
}

int guest_op_add_line(struct guest *g, const char *path, const char *line,
	const char *why, struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (text && strstr(text, line))
		return 0;
	strbuf_add(&out, text ? text : "", len);
	strbuf_fmt(&out, "%s%s\n", len && text[len - 1] != '\n' ? "\n" : "", line);
	return out.failed ? err_set(err, ERR_NOMEM, "plan %s: out of memory", path) :
		guest_op_write(g, path, out.s, out.len, why, err);
}

static bool has_image(const struct guest_kernel *k)
{
	return k->bootable && *k->initrd && !k->unified &&
		k->initrd_size <= GUEST_INITRD_MAX;
}

/* Whether images are to be built, all when one has to be, and what the tool has to be
 * told by name: what any of them keeps. */
static bool build_is_due(const struct guest *g, uint64_t *ret_wanted)
{
	/* An initramfs with udev names adapters before the root's own files are read,
	 * finds the root's disks by its own copy of lvm.conf and mdadm.conf, and waits
	 * for the device to resume from. */
	bool copies = guest_plan_writes(g, "network") || guest_plan_writes(g, "stack") ||
		guest_plan_writes(g, "resume"), due = false;

	*ret_wanted = 0;
	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];

		if (!has_image(k))
			continue;
		due |= copies || (DRIVERS_INITRD & k->modules & ~k->builtin & ~k->packed);
		*ret_wanted |= k->modules & ~k->builtin & (guest_kept_drivers(g, k) |
			~DRIVERS_STACK);
	}
	return due;
}

int guest_plan_initrd(struct guest *g, struct err *err)
{
	const struct guest_builder *b = g->facts.builder;
	uint64_t wanted;

	if (!b)
		return guest_plan_supplement(g, err);
	if (!build_is_due(g, &wanted))
		return 0;
	if (wanted && b->configure(g, wanted, err) < 0)
		return -1;
	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];
		struct guest_op *op;

		if (!has_image(k))
			continue;
		op = guest_op_add(g, OP_INITRD, k->initrd, NULL,
			"%s for kernel %s, with virtio drivers", b->name, k->version);
		if (!op)
			return err_set(err, ERR_NOMEM, "make the plan: out of memory");
		op->index = i;
	}
	return 0;
}

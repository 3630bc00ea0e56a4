/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for what the plan writes, with the old files kept beside the new ones. What only a
 * program of the guest could tell (the files of rpm's packages) is not counted: none is
 * run before the first write.
 */
#include "guest/guest-internal.h"

#include <string.h>

#define SPARE_BYTES (16u << 20) /* lists of files, the guest's own tools */

static int has_room(const char *where, const struct fs_space *at, uint64_t need,
	struct err *err)
{
	return at->free_bytes >= need ? 0 : err_set(err, ERR_PREP_NO_SPACE,
		"%s has %llu MB free and needs %llu MB", where,
		(unsigned long long)at->free_bytes >> 20,
		(unsigned long long)(need + (1u << 20) - 1) >> 20);
}

/* What is saved of the files that the plan changes or removes,
 * and what is written in their place. */
static int count_saved(struct guest *g, uint64_t *ret, struct err *err)
{
	int status = 0;

	g->journal.counted = ret;
	for (int i = 0; i < g->n_ops && !status; i++) {
		const struct guest_op *op = &g->ops[i];

		if (op->kind == OP_WRITE || op->kind == OP_COPY || op->kind == OP_REMOVE)
			status = guest_journal_save(g, op->path, err);
		else if ((op->kind == OP_PURGE || op->kind == OP_INSTALL) &&
		    g->facts.family->save)
			status = g->facts.family->save(g, op->from, err);
		if (op->kind == OP_WRITE)
			*ret += op->len;
	}
	g->journal.counted = NULL;
	return status;
}

int guest_check_space(struct guest *g, struct err *err)
{
	uint64_t boot = 0, largest = 0, unpacked = 0, root = SPARE_BYTES;
	struct fs_space at_boot, at_root, at_var, at_esp;
	bool on_esp = false;

	for (int i = 0; i < g->n_ops; i++) {
		const struct guest_kernel *k = &g->facts.kernels[g->ops[i].index < 0 ? 0 :
			g->ops[i].index];

		if (g->ops[i].kind != OP_INITRD && g->ops[i].kind != OP_SUPPLEMENT)
			continue;
		/* one new file of up to 6 MB more than the old,
		 * before the old one goes */
		if (k->initrd_size + (6u << 20) > largest)
			largest = k->initrd_size + (6u << 20);
		boot += 6u << 20;
		root += k->initrd_size;
		/* two of it, and more */
		if (*k->made && guest_save_companions(g, k, &root, err) < 0)
			return -1;
		on_esp |= *g->facts.boot.esp && !strncmp(k->initrd, g->facts.boot.esp,
			strlen(g->facts.boot.esp));
		if (k->initrd_unpacked > unpacked)
			unpacked = k->initrd_unpacked;
	}
	if (!g->n_ops)
		return 0;
	if (count_saved(g, &root, err) < 0)
		return -1;
	boot += largest;
	root += unpacked * 3 / 2; /* the tool's working copy in /var/tmp */
	if (fs_space(&g->root, "/boot", &at_boot, err) < 0 ||
		fs_space(&g->root, "/", &at_root, err) < 0 ||
		fs_space(&g->root, "/var", &at_var, err) < 0)
		return -1;
	if (on_esp && (fs_space(&g->root, g->facts.boot.esp, &at_esp, err) < 0 ||
		(at_esp.dev != at_boot.dev &&
			has_room(g->facts.boot.esp, &at_esp, boot, err) < 0)))
		return -1;
	if (at_boot.dev == at_var.dev)
		root += boot;
	else if (has_room("/boot", &at_boot, boot, err) < 0)
		return -1;
	if (has_room(at_var.dev == at_root.dev ? "/" : "/var", &at_var, root, err) < 0)
		return -1;
	if (at_boot.free_inodes < 10 || at_var.free_inodes < 400)
		return err_set(err, ERR_PREP_NO_SPACE, "no free inodes on %s",
			at_boot.free_inodes < 10 ? "/boot" : "/var");
	return 0;
}

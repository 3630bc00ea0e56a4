/* SPDX-License-Identifier: Apache-2.0 */
/* mkinitcpio of Arch Linux, mkinitfs of Alpine. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* MODULES is an array: the drop-in adds to it (mkinitcpio 36 and later read the folder), older
 * ones get the line at the end of the main file. */
static int cpio_configure(struct guest *g, unsigned wanted, struct err *err)
{
	static const char main_file[] = "/etc/mkinitcpio.conf";
	static const char drop_in[] = "/etc/mkinitcpio.conf.d/target-worker.conf";
	char list[256], line[300];

	guest_driver_list(wanted, " ", list, sizeof(list));
	snprintf(line, sizeof(line), "MODULES+=(%.*s) # target-worker", (int)strlen(list) - 1, list);
	return guest_op_add_line(g, fs_is_dir(&g->root, "/etc/mkinitcpio.conf.d") ? drop_in :
		main_file, line, GUEST_WHY_DRIVERS, err);
}

static int cpio_build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[] = { g->facts.builder_program, "-k", k->version, "-g", k->initrd, NULL };

	return guest_run_builder(g, k, argv, err);
}

/* A feature of our own: its file lists the modules, the main file names it. */
static int fs_configure(struct guest *g, unsigned wanted, struct err *err)
{
	static const char main_file[] = "/etc/mkinitfs/mkinitfs.conf", key[] = "features=\"";
	static const char why[] = "drivers that every initramfs needs on KVM";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, modules = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	char *at;

	for (int i = 0; i < N_DRIVERS; i++)
		if (wanted & 1u << i)
			strbuf_fmt(&modules, "kernel/drivers/**/%s.ko*\n", guest_driver_names[i]);
	if (fs_read(&g->root, main_file, GUEST_TEXT_MAX, &text, &len, err))
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s cannot be read", main_file);
	at = strstr(text, key);
	if (!at)
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s: no line %s", main_file, key);
	at += strlen(key);
	strbuf_add(&out, text, (size_t)(at - text));
	strbuf_str(&out, "virtio ");
	strbuf_str(&out, at);
	if (out.failed || modules.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", main_file);
	/* the distribution's own "virtio" feature, where there is one, is enough */
	if (!fs_is_file(&g->root, "/etc/mkinitfs/features.d/virtio.modules") &&
		guest_op_write(g, "/etc/mkinitfs/features.d/virtio.modules", modules.s, modules.len,
			why, err) < 0)
		return -1;
	return strstr(text, "\"virtio ") || strstr(text, " virtio") ? 0 :
		guest_op_write(g, main_file, out.s, out.len, why, err);
}

static int fs_build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[] = { g->facts.builder_program, "-o", k->initrd, k->version, NULL };

	return guest_run_builder(g, k, argv, err);
}

const struct guest_builder guest_mkinitcpio = {
	.name = "mkinitcpio",
	.programs = { "/usr/bin/mkinitcpio" },
	.configure = cpio_configure,
	.build = cpio_build,
};

const struct guest_builder guest_mkinitfs = {
	.name = "mkinitfs",
	.programs = { "/sbin/mkinitfs" },
	.configure = fs_configure,
	.build = fs_build,
};

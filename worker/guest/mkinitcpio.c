/* SPDX-License-Identifier: Apache-2.0 */
/* mkinitcpio of Arch Linux, mkinitfs of Alpine. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Whether each kernel has it: what one does not have makes its build fail,
 * unless a "?" follows. */
static bool all_have(const struct guest *g, int driver)
{
	for (int i = 0; i < g->facts.n_kernels; i++)
		if (g->facts.kernels[i].bootable && !(DRIVER_BIT(driver) &
			(g->facts.kernels[i].modules | g->facts.kernels[i].builtin)))
			return false;
	return true;
}

/* MODULES is an array: the drop-in adds to it (mkinitcpio 36 and later read the folder),
 * older ones get the line at the end of the main file. */
static int cpio_configure(struct guest *g, uint64_t wanted, struct err *err)
{
	static const char main_file[] = "/etc/mkinitcpio.conf";
	static const char drop_in[] = "/etc/mkinitcpio.conf.d/target-worker.conf";
	CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
	const char *sep = "MODULES+=(";

	for (int i = 0; i < N_DRIVERS; i++)
		if (wanted & DRIVER_BIT(i)) {
			strbuf_fmt(&line, "%s%s%s", sep, guest_driver_names[i],
				all_have(g, i) ? "" : "?");
			sep = " ";
		}
	strbuf_str(&line, ") # target-worker");
	if (line.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", main_file);
	return guest_op_add_line(g,
		fs_is_dir(&g->root, "/etc/mkinitcpio.conf.d") ? drop_in :
		main_file, line.s, GUEST_WHY_DRIVERS, err);
}

static int cpio_build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[] = { g->facts.builder_program, "-k", k->version, "-g",
		k->initrd, NULL };

	return guest_run_builder(g, k, argv, err);
}

/* Globs of a shell below the kernel's folder: "?" is what a file may spell "-" or "_". */
static void add_globs(struct strbuf *out, uint64_t drivers)
{
	for (int i = 0; i < N_DRIVERS; i++) {
		char name[40];

		if (!(drivers & DRIVER_BIT(i)))
			continue;
		snprintf(name, sizeof(name), "%s", guest_driver_names[i]);
		for (char *p = name; i >= DRIVER_DM_CRYPT && (p = strchr(p, '_'));)
			*p = '?';
		if (i >= DRIVER_DM_CRYPT)
			strbuf_fmt(out,
				"kernel/drivers/md/%s.ko*\nkernel/drivers/md/*/%s.ko*\n",
				name, name);
		else if (i >= DRIVER_XTS)
			strbuf_fmt(out, "kernel/crypto/%s.ko*\n", name);
		else
			strbuf_fmt(out,
				"kernel/drivers/*/%s.ko*\nkernel/drivers/*/*/%s.ko*\n",
				name, name);
	}
}

/* A feature of our own with these drivers;
 * the distribution's "virtio" is enough where it is. */
static int add_feature(struct guest *g, const char *name, uint64_t drivers,
	struct err *err)
{
	CLEANUP_STRBUF struct strbuf globs = STRBUF_INIT;
	char path[80];

	snprintf(path, sizeof(path), "/etc/mkinitfs/features.d/%s.modules", name);
	if (!(drivers & DRIVERS_STACK) && fs_is_file(&g->root, path))
		return 0;
	add_globs(&globs, drivers);
	return globs.failed ? err_set(err, ERR_NOMEM, "plan %s: out of memory", path) :
		guest_op_write(g, path, globs.s, globs.len, GUEST_WHY_DRIVERS, err);
}

static bool names_feature(const char *list, size_t len, const char *name)
{
	for (size_t at = 0, n; at < len; at += n + 1) {
		n = 0;
		while (at + n < len && list[at + n] != ' ')
			n++;
		if (n == strlen(name) && !memcmp(list + at, name, n))
			return true;
	}
	return false;
}

/* Features list the modules, the main file names the features. */
static int fs_configure(struct guest *g, uint64_t wanted, struct err *err)
{
	static const char main_file[] = "/etc/mkinitfs/mkinitfs.conf",
		key[] = "features=\"";
	const struct {
		const char *name;
		uint64_t drivers;
	} features[] = { { "virtio", wanted & ~DRIVERS_STACK },
		{ "target-worker", wanted & DRIVERS_STACK } };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	char *at;

	if (fs_read(&g->root, main_file, GUEST_TEXT_MAX, &text, &len, err))
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s cannot be read", main_file);
	at = strstr(text, key);
	if (!at)
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s: no line %s", main_file,
			key);
	at += strlen(key);
	strbuf_add(&out, text, (size_t)(at - text));
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (!features[i].drivers)
			continue;
		if (add_feature(g, features[i].name, features[i].drivers, err) < 0)
			return -1;
		if (!names_feature(at, strcspn(at, "\"\n"), features[i].name))
			strbuf_fmt(&out, "%s ", features[i].name);
	}
	strbuf_str(&out, at);
	return out.failed ? err_set(err, ERR_NOMEM, "plan %s: out of memory", main_file) :
		guest_op_write(g, main_file, out.s, out.len, GUEST_WHY_DRIVERS, err);
}

static int fs_build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[] = { g->facts.builder_program, "-o", k->initrd, k->version,
		NULL };

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

/* SPDX-License-Identifier: Apache-2.0 */
/* update-initramfs of Debian and Ubuntu. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define MODULES "/etc/initramfs-tools/modules"
#define HOOK "/etc/initramfs-tools/hooks/target-worker"
#define CRYPTTAB "/etc/crypttab"

/* Whether a line of the modules file names it. */
static bool lists(const char *text, const char *module)
{
	for (const char *p = text; p && *p;
	    p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		size_t n;

		p += strspn(p, " \t");
		n = strcspn(p, " \t\r\n#");
		if (n == strlen(module) && !memcmp(p, module, n))
			return true;
	}
	return false;
}

/*
 * What MODULES names is loaded at every start. That is right for what the root is known
 * to stand on; the drivers of volumes that the old image only holds are copied by a hook,
 * for whoever asks for them (initramfs-tools(7), manual_add_modules).
 */
static int keep(struct guest *g, uint64_t drivers, struct err *err)
{
	char list[GUEST_DRIVER_LIST_MAX], text[GUEST_DRIVER_LIST_MAX + 256];
	int before = g->n_ops;

	if (!drivers)
		return 0;
	guest_driver_list(drivers, " ", list, sizeof(list));
	snprintf(text, sizeof(text), "#!/bin/sh\n"
		"# Drivers of volumes that the image had before (target-worker).\n"
		"[ \"$1\" != prereqs ] || exit 0\n"
		". /usr/share/initramfs-tools/hook-functions\n"
		"manual_add_modules %.*s\n", (int)strlen(list) - 1, list);
	if (guest_op_write(g, HOOK, text, strlen(text), GUEST_WHY_DRIVERS, err) < 0)
		return -1;
	if (g->n_ops > before)
		g->ops[before].mode = 0755;
	return 0;
}

static int name(struct guest *g, uint64_t wanted, struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	bool first = true;
	size_t len = 0;

	if (fs_read(&g->root, MODULES, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	strbuf_add(&out, text ? text : "", len);
	if (len && text[len - 1] != '\n')
		strbuf_str(&out, "\n");
	for (int i = 0; i < N_DRIVERS; i++) {
		if (!(wanted & DRIVER_BIT(i)) ||
		    (text && lists(text, guest_driver_names[i])))
			continue;
		if (first)
			strbuf_str(&out, "# Disks and network of KVM (target-worker)\n");
		first = false;
		strbuf_fmt(&out, "%s\n", guest_driver_names[i]);
	}
	if (out.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", MODULES);
	return first ? 0 : guest_op_write(g, MODULES, out.s, out.len,
		GUEST_WHY_DRIVERS, err);
}

static int configure(struct guest *g, uint64_t wanted, struct err *err)
{
	uint64_t loaded = ~DRIVERS_STACK | guest_stack_drivers(g);

	return name(g, wanted & loaded, err) < 0 ? -1 : keep(g, wanted & ~loaded, err);
}

/* The hook of cryptsetup asks device-mapper whether the root is encrypted, which it
 * cannot reach in its cell. In its eyes the volumes that the old image opens carry the
 * option that says so. */
static int early_crypttab(struct guest *g, const struct guest_kernel *k,
	struct strbuf *out, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (!*k->opens)
		return 0;
	if (fs_read(&g->root, CRYPTTAB, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (text && !guest_crypttab_early(text, len, k->opens, out))
		strbuf_free(out);
	return out->failed ? err_set(err, ERR_NOMEM, "read %s: out of memory", CRYPTTAB) :
		0;
}

static int build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	CLEANUP_STRBUF struct strbuf crypttab = STRBUF_INIT;
	char state[256];
	const char *mode = "-u";
	const char *argv[] = { "/usr/sbin/update-initramfs", "-u", "-k", k->version,
		NULL };
	struct guest_run run = { .argv = argv, .masks = { {
		"/etc/initramfs-tools/update-initramfs.conf",
		"update_initramfs=yes\nbackup_initramfs=no\n" } } };
	int status = 0;

	/* -u only updates what it remembers to have made. */
	snprintf(state, sizeof(state), "/var/lib/initramfs-tools/%s", k->version);
	if (!fs_is_file(&g->root, state))
		mode = "-c";
	argv[1] = mode;
	if (early_crypttab(g, k, &crypttab, err) < 0)
		return -1;
	if (crypttab.len) {
		run.masks[1].file = CRYPTTAB;
		run.masks[1].text = crypttab.s;
	}
	if (guest_journal_save(g, k->initrd, err) < 0 ||
		guest_journal_save(g, state, err) < 0 ||
		guest_contain(g, &run, &status, err) < 0)
		return -1;
	if (status)
		return err_set(err, ERR_PREP_INITRD,
			"update-initramfs for %s ended with status %d", k->version,
			status);
	return 0;
}

const struct guest_builder guest_initramfs_tools = {
	.name = "update-initramfs",
	.programs = { "/usr/sbin/update-initramfs" },
	.configure = configure,
	.build = build,
};

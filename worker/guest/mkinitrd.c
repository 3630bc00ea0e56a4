/* SPDX-License-Identifier: Apache-2.0 */
/* mkinitrd before dracut: of SUSE (to 11) and of Red Hat (to 5),
 * which share only the name. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define SUSE_CONFIG "/etc/sysconfig/kernel"
#define SUSE_KEY "INITRD_MODULES=\""

static bool is_suse(const struct guest *g)
{
	return fs_is_file(&g->root, SUSE_CONFIG) && fs_is_dir(&g->root, "/lib/mkinitrd");
}

/* INITRD_MODULES="..." lists what every image gets;
 * drivers of the old host stay in it. */
static int suse_configure(struct guest *g, uint64_t wanted, struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	char have[1024], list[GUEST_DRIVER_LIST_MAX], all[GUEST_DRIVER_LIST_MAX + 50];
	size_t len = 0, at;
	char *line;

	if (fs_read(&g->root, SUSE_CONFIG, GUEST_TEXT_MAX, &text, &len, err))
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s cannot be read",
			SUSE_CONFIG);
	line = strncmp(text, SUSE_KEY, strlen(SUSE_KEY)) ? strstr(text, "\n" SUSE_KEY) :
		text;
	if (!line) {
		guest_driver_list(wanted, " ", list, sizeof(list));
		snprintf(all, sizeof(all), SUSE_KEY "%.*s\"", (int)strlen(list) - 1,
			list);
		return guest_op_add_line(g, SUSE_CONFIG, all, GUEST_WHY_DRIVERS, err);
	}
	at = (size_t)(strchr(line, '"') + 1 - text);
	at += strcspn(text + at, "\"\n");
	snprintf(have, sizeof(have), " %.*s ", (int)(text + at - line), line);
	for (char *p = have; *p; p++)
		if (*p == '"')
			*p = ' ';
	strbuf_add(&out, text, at);
	for (int i = 0; i < N_DRIVERS; i++) {
		char word[64];

		snprintf(word, sizeof(word), " %s ", guest_driver_names[i]);
		if (wanted & DRIVER_BIT(i) && !strstr(have, word))
			strbuf_fmt(&out, " %s", guest_driver_names[i]);
	}
	strbuf_add(&out, text + at, len - at);
	return out.failed ? err_set(err, ERR_NOMEM, "plan %s: out of memory",
		SUSE_CONFIG) :
		guest_op_write(g, SUSE_CONFIG, out.s, out.len, GUEST_WHY_DRIVERS, err);
}

/* Kernel and image are named below /boot. The root device is given: the links of udev, by
 * which it would look for it, are not there. */
static int suse_build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[] = { g->facts.builder_program, "-k", strrchr(k->image, '/') + 1,
		"-i", strrchr(k->initrd, '/') + 1, "-d", g->vols[g->root_vol].fs.dev,
		NULL };

	return guest_run_builder(g, k, argv, err);
}

/* The drivers of the first disk controller are what its mkinitrd packs. */
static int redhat_configure(struct guest *g, uint64_t wanted, struct err *err)
{
	static const char line[] = "alias scsi_hostadapter99 virtio_blk";

	return wanted & DRIVER_BIT(DRIVER_VIRTIO_BLK) ?
		guest_op_add_line(g, "/etc/modprobe.conf", line, GUEST_WHY_DRIVERS, err) :
		0;
}

static int redhat_build(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	const char *argv[4 + N_DRIVERS + 1];
	char with[N_DRIVERS][40];
	int n = 0;

	argv[n++] = g->facts.builder_program;
	argv[n++] = "-f";
	for (int i = 0; i < N_DRIVERS; i++) {
		if (!((DRIVERS_INITRD | guest_kept_drivers(g, k)) & k->modules &
			~k->builtin & DRIVER_BIT(i)))
			continue;
		snprintf(with[i], sizeof(with[i]), "--with=%s", guest_driver_names[i]);
		argv[n++] = with[i];
	}
	argv[n++] = k->initrd;
	argv[n++] = k->version;
	argv[n] = NULL;
	return guest_run_builder(g, k, argv, err);
}

const struct guest_builder guest_mkinitrd_suse = {
	.name = "mkinitrd of SUSE",
	.programs = { "/sbin/mkinitrd" },
	.detect = is_suse,
	.configure = suse_configure,
	.build = suse_build,
};

const struct guest_builder guest_mkinitrd_redhat = {
	.name = "mkinitrd of Red Hat",
	.programs = { "/sbin/mkinitrd" },
	.configure = redhat_configure,
	.build = redhat_build,
};

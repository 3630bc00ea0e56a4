/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images on the ESP (EFI/Linux, where systemd-boot looks): kernel,
 * initramfs and command line in one file, often signed. They are read and judged; nothing
 * of them is changed.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

struct listing {
	struct guest *g;
	const char *dir;
	struct err *err;
};

/* The kernel's own folder of modules: by .uname,
 * else by the longest version that the name has. */
static struct guest_kernel *kernel_of(struct guest *g, const struct boot_uki *u,
	const char *name)
{
	struct guest_kernel *best = NULL;

	for (int i = 0; i < g->facts.n_kernels; i++) {
		struct guest_kernel *k = &g->facts.kernels[i];

		if (*u->uname ? !strcmp(u->uname, k->version) :
		    strstr(name, k->version) != NULL)
			if (!best || strlen(k->version) > strlen(best->version))
				best = k;
	}
	return best;
}

/* "image-6.1.efi": without a folder of modules the version is what the image says,
 * or its name. */
static struct guest_kernel *new_kernel(struct guest *g, const struct boot_uki *u,
	const char *name)
{
	struct guest_kernel *k = &g->facts.kernels[g->facts.n_kernels];
	const char *version = *u->uname ? u->uname : name;

	if (g->facts.n_kernels == GUEST_MAX_KERNELS) {
		guest_report_warn(g, "%s: more than %d kernels; it is not looked at", name,
			GUEST_MAX_KERNELS);
		return NULL;
	}
	if (strlen(version) >= sizeof(k->version) || strchr(version, '/'))
		return NULL;
	memset(k, 0, sizeof(*k));
	memcpy(k->version, version, strlen(version) + 1);
	g->facts.n_kernels++;
	return k;
}

static int look(void *ctx, const char *name, const struct stat *st)
{
	struct listing *l = ctx;
	struct guest *g = l->g;
	CLEANUP_FREE struct boot_uki *u = calloc(1, sizeof(*u));
	struct guest_kernel *k;
	char path[sizeof(k->image)];
	size_t n = strlen(name);
	int found;

	if (!u)
		return err_set(l->err, ERR_NOMEM, "read %s: out of memory", name);
	if (!S_ISREG(st->st_mode) || n < 5 || strcasecmp(name + n - 4, ".efi") ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", l->dir,
			name) >= sizeof(path))
		return 0;
	found = boot_uki_read(&g->root, path, u, l->err);
	if (found)
		return found < 0 ? -1 : 0;
	k = kernel_of(g, u, name);
	if (!k)
		k = new_kernel(g, u, name);
	/* A copy that no loader starts from is below /lib/modules;
	 * one in /boot is its own kernel. */
	if (!k || (*k->image && strncmp(k->image, "/lib/", 5)))
		return 0;
	k->unified = true;
	memcpy(k->image, path, sizeof(path));
	k->initrd[0] = '\0';
	if (u->part[BOOT_UKI_INITRD].len)
		memcpy(k->initrd, path, sizeof(path));
	k->initrd_off = u->part[BOOT_UKI_INITRD].off;
	k->initrd_len = u->part[BOOT_UKI_INITRD].len;
	if (!boot_cmdline_get(u->cmdline, strlen(u->cmdline), "root=", k->root,
		sizeof(k->root)))
		k->root[0] = '\0';
	return 0;
}

/* A unified image is built by the guest's tools where it runs, and often signed there. */
void guest_unified_advice(const struct guest *g, const struct guest_kernel *k, char *ret,
	size_t size)
{
	char drivers[160];
	size_t n;

	guest_driver_list(DRIVERS_INITRD & ~k->builtin, " ", drivers, sizeof(drivers));
	n = strlen(drivers);
	if (n && drivers[n - 1] == ' ')
		drivers[n - 1] = '\0';
	if (fs_is_file(&g->root, "/usr/bin/dracut") ||
	    fs_is_file(&g->root, "/usr/sbin/dracut"))
		snprintf(ret, size,
			"run dracut --uefi --force --add-drivers \"%s\" --kver %s %s",
			drivers, k->version, k->image);
	else if (fs_is_file(&g->root, "/usr/bin/mkinitcpio"))
		snprintf(ret,
			size, "put %s into MODULES of /etc/mkinitcpio.conf and run mkinitcpio -P", drivers);
	else if (fs_is_file(&g->root, "/usr/sbin/update-initramfs"))
		snprintf(ret,
			size, "put %s into /etc/initramfs-tools/modules and run update-initramfs -u -k %s "
			"and kernel-install add %s /boot/vmlinuz-%s", drivers, k->version,
			k->version, k->version);
	else
		snprintf(ret, size, "build the image anew with %s in its initramfs",
			drivers);
}

int guest_list_unified(struct guest *g, struct err *err)
{
	char dir[128];
	struct listing l = { g, dir, err };

	if (!*g->facts.boot.esp)
		return 0;
	snprintf(dir, sizeof(dir), "%s/EFI/Linux", g->facts.boot.esp);
	return fs_list(&g->root, dir, look, &l, err) < 0 ? -1 : 0;
}

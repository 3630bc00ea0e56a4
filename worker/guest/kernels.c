/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels: a folder below /lib/modules, an image and an initramfs that belong to it. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* leaves room for images of the ESP that have none */
#define MAX_FOLDERS (GUEST_MAX_KERNELS / 4 * 3)

static void find_file(const struct guest *g, const char *const *forms, const char *name,
	char *ret, size_t size)
{
	for (; *forms; forms++) {
		if ((size_t)snprintf(ret, size, *forms, name) < size &&
		    fs_is_file(&g->root, ret))
			return;
	}
	*ret = '\0';
}

/* Files named after the flavour, not the version: Arch writes it to pkgbase
 * ("linux-lts"), Alpine puts it at the end of the version ("6.6.30-0-lts"). */
static int find_flavour(struct guest *g, const char *version, char *ret, size_t size,
	struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	const char *dash = strrchr(version, '-');
	char path[256];
	size_t len = 0;

	snprintf(path, sizeof(path), "/lib/modules/%s/pkgbase", version);
	if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (text)
		snprintf(ret, size, "%.*s", (int)strcspn(text, "\r\n/ "), text);
	else
		snprintf(ret, size, "%s", dash ? dash + 1 : "");
	return 0;
}

/* One image starts one kernel: of two folders that claim it the later version has it, and
 * the other is left over from an update. */
static void take_over(struct guest *g, const struct guest_kernel *k)
{
	for (struct guest_kernel *old = g->facts.kernels; old < k; old++)
		if (*k->image && !strcmp(old->image, k->image))
			old->image[0] = old->initrd[0] = '\0';
}

static int add_kernel(struct guest *g, const char *name, struct err *err)
{
	static const char *const images[] = {
		"/boot/vmlinuz-%s", "/boot/vmlinux-%s", "/boot/kernel-%s",
		"/boot/bzImage-%s", "/lib/modules/%s/vmlinuz", NULL,
	};
	static const char *const initrds[] = {
		"/boot/initrd.img-%s", "/boot/initramfs-%s.img", "/boot/initrd-%s",
		"/boot/initrd-%s.img", "/boot/initramfs-%s", NULL,
	};
	static const char *const flavour_images[] = { "/boot/vmlinuz-%s", NULL };
	static const char *const flavour_initrds[] = {
		"/boot/initramfs-%s.img", "/boot/initramfs-%s", "/boot/booster-%s.img",
	NULL, };
	struct guest_kernel *k = &g->facts.kernels[g->facts.n_kernels];
	char flavour[96];

	memset(k, 0, sizeof(*k));
	snprintf(k->version, sizeof(k->version), "%s", name);
	if (find_flavour(g, name, flavour, sizeof(flavour), err) < 0)
		return -1;
	find_file(g, images, name, k->image, sizeof(k->image));
	find_file(g, initrds, name, k->initrd, sizeof(k->initrd));
	if (!*k->initrd && *flavour)
		find_file(g, flavour_initrds, flavour, k->initrd, sizeof(k->initrd));
	/* Arch keeps a second copy below /lib/modules;
	 * the loader starts the one in /boot. */
	if (*flavour && (!*k->image || !strncmp(k->image, "/lib/", 5))) {
		char image[sizeof(k->image)];

		find_file(g, flavour_images, flavour, image, sizeof(image));
		if (*image)
			memcpy(k->image, image, sizeof(image));
	}
	take_over(g, k);
	g->facts.n_kernels++;
	return 0;
}

/* GRUB names a file of a btrfs from the top of its file system: "/@/boot/vmlinuz". */
static bool find_in_subvolume(const struct guest *g, const char *name, char *ret,
	size_t size)
{
	name += strspn(name, "/");
	for (int i = 0; i < g->n_mounts; i++) {
		const struct guest_mount *m = &g->mounts[i];
		const char *sub = m->sub.value;
		size_t n;

		if (strcmp(m->sub.key, "subvol"))
			continue;
		sub += strspn(sub, "/");
		n = strlen(sub);
		if (!n || strncmp(name, sub, n) || name[n] != '/')
			continue;
		snprintf(ret, size, "%s%s", m->point[1] ? m->point : "", name + n);
		if (fs_is_file(&g->root, ret))
			return true;
	}
	return false;
}

bool guest_find_boot_file(const struct guest *g, const char *name, char *ret, size_t size)
{
	const char *const bases[] = { "", "/boot", g->facts.boot.esp };

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		snprintf(ret, size, "%s%s%s", bases[i], *name == '/' ? "" : "/", name);
		if (fs_is_file(&g->root, ret))
			return true;
	}
	return find_in_subvolume(g, name, ret, size);
}

/* Whether a folder or the end of the path's last part is the version. */
static bool of_version(const char *path, const char *version)
{
	size_t n = strlen(version);

	for (const char *p = path; (p = strstr(p, version)); p += n)
		if (p > path &&
		    ((p[-1] == '/' && p[n] == '/') || (strchr("/-", p[-1]) && !p[n])))
			return true;
	return false;
}

/* kernel-install of systemd-boot copies kernel and initramfs to the ESP, and an entry
 * names the copies: those are what starts. */
static int see_entry(void *ctx, const struct boot_entry *e)
{
	struct guest *g = ctx;
	char path[512];

	for (int i = 0; i < g->facts.n_kernels; i++) {
		struct guest_kernel *k = &g->facts.kernels[i];

		if (*k->made || !of_version(e->kernel, k->version))
			continue;
		if (!*k->image && guest_find_boot_file(g, e->kernel, path, sizeof(path)))
			snprintf(k->image, sizeof(k->image), "%.255s", path);
		if (!*e->initrd ||
			!guest_find_boot_file(g, e->initrd, path, sizeof(path)) ||
			!strcmp(path, k->initrd) || strlen(path) >= sizeof(k->initrd))
			continue;
		memcpy(k->made, k->initrd, sizeof(k->made));
		snprintf(k->initrd, sizeof(k->initrd), "%.255s", path);
	}
	return 0;
}

struct folders {
	char (*names)[sizeof(((struct guest_kernel *)0)->version)];
	size_t n, cap;
};

/* -1: out of memory. */
static int add_folder(void *ctx, const char *name, const struct stat *st)
{
	struct folders *f = ctx;

	if (!S_ISDIR(st->st_mode) || !isdigit((unsigned char)*name) ||
		strlen(name) >= sizeof(f->names[0]))
		return 0;
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 32;
		void *grown = realloc(f->names, cap * sizeof(f->names[0]));

		if (!grown)
			return -1;
		f->names = grown;
		f->cap = cap;
	}
	snprintf(f->names[f->n++], sizeof(f->names[0]), "%s", name);
	return 0;
}

static int by_version(const void *a, const void *b)
{
	return strverscmp(a, b);
}

/* Folders that updates left may be many; what starts is among the newest. */
static int add_newest(struct guest *g, struct folders *f, struct err *err)
{
	size_t first = 0;

	if (f->n)
		qsort(f->names, f->n, sizeof(f->names[0]), by_version);
	if (f->n > MAX_FOLDERS) {
		first = f->n - MAX_FOLDERS;
		guest_report_warn(g, "/lib/modules has folders of %zu kernels: the %zu oldest, up to %s, are "
			"not looked at", f->n, first, f->names[first - 1]);
	}
	for (size_t i = first; i < f->n; i++)
		if (add_kernel(g, f->names[i], err) < 0)
			return -1;
	return 0;
}

int guest_list_kernels(struct guest *g, struct err *err)
{
	struct folders f = { .names = NULL };
	int result = fs_list(&g->root, "/lib/modules", add_folder, &f, err);

	if (result < 0 && !err->code)
		err_set(err, ERR_NOMEM, "list kernels: out of memory");
	if (result >= 0)
		result = add_newest(g, &f, err);
	free(f.names);
	if (result < 0)
		return -1;
	return g->facts.boot.kind == BOOT_SYSTEMD_BOOT &&
		boot_entries(&g->root, &g->facts.boot, see_entry, g, err) < 0 ? -1 : 0;
}

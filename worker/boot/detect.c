/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

/* Main files of the loaders, most telling first. */
static const struct {
	enum boot_kind kind;
	const char *path;
} places[] = {
	{ BOOT_GRUB2, "/boot/grub/grub.cfg" },
	{ BOOT_GRUB2, "/boot/grub2/grub.cfg" },
	{ BOOT_SYSTEMD_BOOT, "/boot/efi/loader/loader.conf" },
	{ BOOT_SYSTEMD_BOOT, "/efi/loader/loader.conf" },
	{ BOOT_SYSTEMD_BOOT, "/boot/loader/loader.conf" },
	{ BOOT_EXTLINUX, "/boot/extlinux/extlinux.conf" },
	{ BOOT_EXTLINUX, "/boot/syslinux/syslinux.cfg" },
	{ BOOT_EXTLINUX, "/boot/extlinux.conf" },
	{ BOOT_GRUB1, "/boot/grub/menu.lst" },
	{ BOOT_GRUB1, "/boot/grub/grub.conf" },
};

const char *boot_kind_name(enum boot_kind k)
{
	static const char *const names[] = { "none", "grub2", "grub1", "systemd-boot",
		"extlinux",
		"unified" };

	return names[k];
}

static int find_esp(const struct fs_root *r, char *ret, size_t size)
{
	static const char *const at[] = { "/boot/efi", "/efi", "/boot" };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		char dir[64];

		snprintf(dir, sizeof(dir), "%s/EFI", at[i]);
		if (!fs_is_dir(r, dir))
			continue;
		snprintf(ret, size, "%s", at[i]);
		return 0;
	}
	*ret = '\0';
	return 0;
}

struct esp_look {
	const struct fs_root *r;
	struct boot_config *c;
};

/* A vendor's folder with the only configuration there is, as RHEL to 8 has it. A stub of
 * three lines that loads /boot/grub/grub.cfg is none: that file was found before. */
static int look_vendor(void *ctx, const char *name, const struct stat *st)
{
	static const struct {
		enum boot_kind kind;
		const char *file;
	} files[] = { { BOOT_GRUB2, "grub.cfg" }, { BOOT_GRUB1, "grub.conf" } };
	struct esp_look *k = ctx;
	char path[256];

	for (size_t i = 0; i < 2 && S_ISDIR(st->st_mode); i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/EFI/%s/%s", k->c->esp, name,
			files[i].file) >= sizeof(path) || !fs_is_file(k->r, path))
			continue;
		k->c->kind = files[i].kind;
		memcpy(k->c->path, path, sizeof(path));
		return 1;
	}
	return 0;
}

static int find_on_esp(const struct fs_root *r, struct boot_config *c, struct err *err)
{
	struct esp_look k = { r, c };
	char dir[80];

	snprintf(dir, sizeof(dir), "%s/EFI", c->esp);
	return *c->esp && fs_list(r, dir, look_vendor, &k, err) < 0 ? -1 : 0;
}

static int look_unified(void *ctx, const char *name, const struct stat *st)
{
	size_t n = strlen(name);

	(void)ctx;
	return S_ISREG(st->st_mode) && n > 4 && !strcasecmp(name + n - 4, ".efi");
}

/* systemd-boot needs no loader.conf, and firmware that starts a
 * unified image no loader. */
static int find_without_files(const struct fs_root *r, struct boot_config *c,
	struct err *err)
{
	char entries[80], systemd[80], linux_dir[80];
	int got;

	snprintf(entries, sizeof(entries), "%s/loader/entries", c->esp);
	snprintf(systemd, sizeof(systemd), "%s/EFI/systemd", c->esp);
	snprintf(linux_dir, sizeof(linux_dir), "%s/EFI/Linux", c->esp);
	if (!*c->esp)
		return 0;
	if (fs_is_dir(r, entries) || fs_is_dir(r, systemd)) {
		c->kind = BOOT_SYSTEMD_BOOT;
		snprintf(c->path, sizeof(c->path), "%s/loader/loader.conf", c->esp);
		return 0;
	}
	got = fs_list(r, linux_dir, look_unified, NULL, err);
	if (got == 1) {
		c->kind = BOOT_UNIFIED;
		snprintf(c->path, sizeof(c->path), "%s", linux_dir);
	}
	return got < 0 ? -1 : 0;
}

int boot_detect(const struct fs_root *r, struct boot_config *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	memset(ret, 0, sizeof(*ret));
	find_esp(r, ret->esp, sizeof(ret->esp));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !ret->kind; i++) {
		if (!fs_is_file(r, places[i].path))
			continue;
		ret->kind = places[i].kind;
		if (fs_real(r, places[i].path, ret->path, sizeof(ret->path), err) < 0)
			return -1;
	}
	if ((!ret->kind && find_on_esp(r, ret, err) < 0) ||
		(!ret->kind && find_without_files(r, ret, err) < 0))
		return -1;
	if (ret->kind == BOOT_SYSTEMD_BOOT) {
		ret->bls = true;
		snprintf(ret->bls_dir, sizeof(ret->bls_dir), "%.*sentries",
			(int)(strlen(ret->path) - strlen("loader.conf")), ret->path);
	} else if (ret->kind == BOOT_GRUB2) {
		if (fs_read(r, ret->path, BOOT_TEXT_MAX, &text, &len, err) < 0)
			return -1;
		ret->bls = text && boot_grub_uses_bls(text, len) &&
			fs_is_dir(r, "/boot/loader/entries");
		snprintf(ret->bls_dir, sizeof(ret->bls_dir), "/boot/loader/entries");
	}
	return 0;
}

struct collect {
	const struct boot_config *c;
	struct boot_file *files;
	int n, max;
	bool more; /* than max */
	const struct fs_root *r;
	boot_entry_fn each;
	void *ctx;
	struct err *err;
};

static bool add(struct collect *k, const char *path,
	int (*rewrite)(const char *, size_t, const struct boot_map *, struct strbuf *))
{
	struct err ignored = ERR_INIT; /* a link to nowhere is simply not there */
	char real[256];

	if (!fs_is_file(k->r, path) ||
		fs_real(k->r, path, real, sizeof(real), &ignored) < 0)
		return false;
	for (int i = 0; i < k->n; i++)
		if (!strcmp(k->files[i].path, real))
			return false;
	if (k->n == k->max) {
		k->more = true;
		return false;
	}
	snprintf(k->files[k->n].path, sizeof(k->files[k->n].path), "%s", real);
	k->files[k->n++].rewrite = rewrite;
	return true;
}

static bool is_conf(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".conf");
}

static int add_bls(void *ctx, const char *name, const struct stat *st)
{
	struct collect *k = ctx;
	char path[256];

	(void)st;
	if (is_conf(name) && (size_t)snprintf(path, sizeof(path), "%s/%s", k->c->bls_dir,
		name) < sizeof(path))
		add(k, path, boot_bls_rewrite);
	return 0;
}

/* /etc/kernel/cmdline is one command line and nothing else. */
static int rewrite_plain(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	return boot_cmdline_rewrite(s, len, m, out);
}

int boot_files(const struct fs_root *r, const struct boot_config *c,
	struct boot_file *ret, int max, struct err *err)
{
	struct collect k = { .c = c, .files = ret, .max = max, .r = r };

	if (c->kind == BOOT_GRUB2 || c->kind == BOOT_GRUB1)
		add(&k, c->path, boot_grub_rewrite);
	if (c->kind == BOOT_GRUB2) {
		char env[256];

		snprintf(env, sizeof(env), "%.*sgrubenv",
			(int)(strrchr(c->path, '/') + 1 - c->path), c->path);
		add(&k, env, boot_grubenv_rewrite);
		add(&k, "/boot/grub2/grubenv", boot_grubenv_rewrite);
	}
	if (c->kind == BOOT_EXTLINUX)
		add(&k, c->path, boot_extlinux_rewrite);
	if (c->bls && fs_list(r, c->bls_dir, add_bls, &k, err) < 0)
		return -1;
	add(&k, "/etc/default/grub", boot_grub_default_rewrite);
	add(&k, "/etc/default/extlinux", boot_grub_default_rewrite);
	add(&k, "/etc/kernel/cmdline", rewrite_plain);
	if (k.more)
		return err_set(err, ERR_PREP_LOADER, "more than %d files with kernel command "
			"lines", max);
	return k.n;
}

static int read_bls(void *ctx, const char *name, const struct stat *st)
{
	struct collect *k = ctx;
	CLEANUP_FREE char *text = NULL;
	struct boot_entry e;
	char path[256];
	size_t len = 0;

	(void)st;
	if (!is_conf(name) || (size_t)snprintf(path, sizeof(path), "%s/%s", k->c->bls_dir,
		name) >= sizeof(path))
		return 0;
	if (fs_read(k->r, path, BOOT_TEXT_MAX, &text, &len, k->err) < 0)
		return -1;
	return text && boot_bls_entry(text, len, &e) ? k->each(k->ctx, &e) : 0;
}

int boot_entries(const struct fs_root *r, const struct boot_config *c, boot_entry_fn each,
	void *ctx, struct err *err)
{
	struct collect k = { .c = c, .r = r, .each = each, .ctx = ctx, .err = err };
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int result = 0;

	if (c->bls) {
		result = fs_list(r, c->bls_dir, read_bls, &k, err);
		if (result && result != 1)
			return result;
	}
	if (!c->kind || c->kind == BOOT_SYSTEMD_BOOT || c->kind == BOOT_UNIFIED)
		return 0;
	if (fs_read(r, c->path, BOOT_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (!text)
		return 0;
	return c->kind == BOOT_EXTLINUX ? boot_extlinux_entries(text, len, each, ctx) :
		boot_grub_entries(text, len, each, ctx);
}

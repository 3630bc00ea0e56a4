/* SPDX-License-Identifier: Apache-2.0 */
/* What the mounted guest is. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "initrd/initrd.h"

const struct guest_family *const guest_families[] = {
	&guest_debian, &guest_redhat, &guest_alpine, &guest_arch, NULL,
};

const char *guest_family_name(size_t i)
{
	for (const struct guest_family *const *f = guest_families; *f; f++)
		if (i-- == 0)
			return (*f)->name;
	return NULL;
}

bool guest_shell_value(const char *text, const char *key, char *ret, size_t size)
{
	size_t k = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		size_t n;
		char quote;

		if (strncmp(p, key, k) || p[k] != '=')
			continue;
		p += k + 1;
		quote = *p == '"' || *p == '\'' ? *p++ : '\0';
		n = quote ? strcspn(p, quote == '"' ? "\"\n" : "'\n") :
			strcspn(p, " \t\r\n;#");
		snprintf(ret, size, "%.*s", n < size ? (int)n : (int)size - 1, p);
		return true;
	}
	return false;
}

/* From the ELF header of a program that every system has. */
static void find_arch(struct guest *g)
{
	static const char *const programs[] = { "/bin/sh", "/bin/bash", "/bin/ls",
		"/sbin/init" };
	static const struct {
		uint16_t machine;
		const char *name;
	} machines[] = { { 62, "x86_64" }, { 3, "i386" }, { 183, "aarch64" } };

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && !*g->facts.arch;
	    i++) {
		CLEANUP_CLOSE int fd =
			fs_open(&g->root, programs[i], O_RDONLY | O_NONBLOCK, 0);
		uint8_t head[20];

		if (fd < 0 || read(fd, head, sizeof(head)) != sizeof(head) ||
			memcmp(head, "\177ELF", 4))
			continue;
		for (size_t m = 0; m < sizeof(machines) / sizeof(machines[0]); m++)
			if (bytes_le16(head + 18) == machines[m].machine)
				snprintf(g->facts.arch, sizeof(g->facts.arch), "%s",
					machines[m].name);
	}
}

/* Kernels: a folder below /lib/modules, an image and an initramfs with its version. */

static int find_modules(const struct fs_root *r, const char *dir, int depth,
	uint64_t *mask, struct err *err);
struct module_walk {
	const struct fs_root *r;
	const char *dir;
	int depth;
	uint64_t *mask;
	struct err *err;
};

static int look_module(void *ctx, const char *name, const struct stat *st)
{
	struct module_walk *w = ctx;
	char path[FS_PATH_MAX];

	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		*w->mask |= guest_driver_bit(name);
	if (!S_ISDIR(st->st_mode) || (size_t)snprintf(path, sizeof(path), "%s/%s", w->dir,
		name) >= sizeof(path))
		return 0;
	return find_modules(w->r, path, w->depth + 1, w->mask, w->err);
}

static int find_modules(const struct fs_root *r, const char *dir, int depth,
	uint64_t *mask, struct err *err)
{
	struct module_walk w = { r, dir, depth, mask, err };

	if (depth > 8)
		return 0;
	return fs_list(r, dir, look_module, &w, err) < 0 ? -1 : 0;
}

/* Kernels before 2.6.33 have no modules.builtin. */
static int read_config(struct guest *g, struct guest_kernel *k, struct err *err)
{
	static const char *const names[] =
		{ "/boot/config-%s", "/lib/modules/%s/config" };
	int got = 1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && got > 0; i++) {
		CLEANUP_FREE char *text = NULL;
		char path[FS_PATH_MAX];
		size_t len = 0;

		snprintf(path, sizeof(path), names[i], k->version);
		got = fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err);
		if (!got)
			k->builtin |= guest_config_drivers(text, len);
	}
	return got < 0 ? -1 : 0;
}

/* Where the drivers of our table lie; anywhere else would take a walk over thousands. */
static int find_drivers(struct guest *g, struct guest_kernel *k, struct err *err)
{
	static const char *const dirs[] = {
		"kernel/drivers/virtio", "kernel/drivers/block", "kernel/drivers/scsi",
		"kernel/drivers/net", "kernel/drivers/nvme", "kernel/drivers/ata",
		"kernel/drivers/md", "kernel/crypto", "extra", "updates",
	};
	CLEANUP_FREE char *text = NULL;
	char path[FS_PATH_MAX];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "/lib/modules/%s/%s", k->version, dirs[i]);
		if (find_modules(&g->root, path, 5, &k->modules, err) < 0)
			return -1;
	}
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin", k->version);
	if (fs_read(&g->root, path, GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		k->builtin |= guest_driver_bit(line);
	}
	return text ? 0 : read_config(g, k, err);
}

struct initrd_look {
	struct guest *g;
	struct guest_kernel *k;
	struct initrd_reader *r;
	int fd;
	uint64_t left; /* of a unified image's part */
	char crypttab[32768];
	size_t crypttab_len;
	bool more; /* did not fit */
};

static ssize_t read_fd(void *ctx, void *buf, size_t len)
{
	struct initrd_look *l = ctx;
	ssize_t n;

	if (len > l->left)
		len = (size_t)l->left;
	do {
		n = read(l->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		l->left -= (uint64_t)n;
	return n;
}

static int see_entry(void *ctx, const struct initrd_entry *e)
{
	struct initrd_look *l = ctx;
	const char *name = e->name + (strncmp(e->name, "./", 2) ? 0 : 2);

	if (S_ISREG(e->mode) || S_ISLNK(e->mode))
		l->k->packed |= guest_driver_bit(e->name);
	l->r->want_data = S_ISREG(e->mode) &&
		(!strcmp(name, "cryptroot/crypttab") ||
			!strcmp(name, "conf/conf.d/cryptroot"));
	return 0;
}

static int see_data(void *ctx, const struct initrd_entry *e, const void *buf, size_t len)
{
	struct initrd_look *l = ctx;
	size_t room = sizeof(l->crypttab) - 1 - l->crypttab_len;

	(void)e;
	l->more |= len > room;
	if (len > room)
		len = room;
	memcpy(l->crypttab + l->crypttab_len, buf, len);
	l->crypttab_len += len;
	return 0;
}

/* "NAME SOURCE KEY OPTIONS" a line, before Debian 10 "target=NAME,source=...". False:
 * there are more than fit. */
static bool name_opened(char *text, struct guest_kernel *k)
{
	bool all = true;
	char *save;

	*k->opens = '\0';
	for (char *line = strtok_r(text, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save)) {
		size_t used = strlen(k->opens), n;

		line += strncmp(line, "target=", 7) ? 0 : 7;
		n = strcspn(line, " \t,");
		if (!n || *line == '#')
			continue;
		if (used + n + 2 <= sizeof(k->opens))
			snprintf(k->opens + used, sizeof(k->opens) - used, "%s%.*s",
				used ? "," : "", (int)n, line);
		else
			all = false;
	}
	return all;
}

int guest_read_initrd(struct guest *g, struct guest_kernel *k, struct err *err)
{
	struct initrd_look l = { .g = g, .k = k };
	struct initrd_reader r = { .read = read_fd, .entry = see_entry, .data = see_data,
		.ctx = &l };
	struct initrd_info info;
	enum initrd_status status;
	struct stat st;

	l.r = &r;
	k->packed = 0;
	k->initrd_read = false;
	l.fd = fs_open(&g->root, k->initrd, O_RDONLY | O_NONBLOCK, 0);
	if (l.fd < 0 || fstat(l.fd, &st) < 0)
		return err_sys(err, ERR_FS_MOUNT, "open %s", k->initrd);
	k->initrd_size = l.left = k->unified ? k->initrd_len : (uint64_t)st.st_size;
	if (k->initrd_size > GUEST_INITRD_MAX) {
		close(l.fd);
		snprintf(k->initrd_format, sizeof(k->initrd_format), "too large");
		guest_report_warn(g, "%s has %llu MiB, more than any initramfs: it is not read, and "
			"none is built in its place",
			k->initrd, (unsigned long long)(k->initrd_size >> 20));
		return 0;
	}
	if (k->unified && lseek(l.fd, (off_t)k->initrd_off, SEEK_SET) < 0) {
		close(l.fd);
		return err_sys(err, ERR_FS_MOUNT, "read %s", k->initrd);
	}
	status = initrd_walk(&r, &info);
	close(l.fd);
	if (!name_opened(l.crypttab, k) || l.more)
		guest_report_warn(g, "%s opens more encrypted volumes than can be held against a new "
			"one: compare its cryptroot/crypttab", k->initrd);
	snprintf(k->initrd_format, sizeof(k->initrd_format), "%s", info.format);
	k->initrd_unpacked = info.unpacked;
	if (status == INITRD_NO_MEMORY)
		return err_set(err, ERR_NOMEM, "read %s: out of memory", k->initrd);
	if (status == INITRD_OK)
		k->initrd_read = true;
	else
		guest_report_warn(g, "%s (%s): %s", k->initrd, info.format,
			initrd_status_text(status));
	if (g->opt->tick)
		g->opt->tick(g->opt->ctx);
	return 0;
}

static int find_kernels(struct guest *g, struct err *err)
{
	if (guest_list_kernels(g, err) < 0 || guest_list_unified(g, err) < 0)
		return -1;
	for (int i = 0; i < g->facts.n_kernels; i++) {
		struct guest_kernel *k = &g->facts.kernels[i];

		if (find_drivers(g, k, err) < 0)
			return -1;
		k->bootable = k->image[0] != '\0';
		k->virtio = guest_kernel_virtio(g, k);
		if (*k->initrd && guest_read_initrd(g, k, err) < 0)
			return -1;
	}
	return 0;
}

static void find_init(struct guest *g)
{
	static const struct {
		const char *path, *name;
	} inits[] = {
		{ "/lib/systemd/systemd", "systemd" },
		{ "/usr/lib/systemd/systemd", "systemd" },
		{ "/sbin/openrc", "openrc" }, { "/sbin/upstart", "upstart" },
		{ "/etc/init/rc.conf", "upstart" }, { "/etc/inittab", "sysvinit" },
	};

	for (size_t i = 0; i < sizeof(inits) / sizeof(inits[0]); i++)
		if (fs_is_file(&g->root, inits[i].path)) {
			snprintf(g->facts.init, sizeof(g->facts.init), "%s",
				inits[i].name);
			return;
		}
}

/* The kernel drops an image that other hardware wrote, so nothing has to be changed. */
static void find_hibernation(struct guest *g)
{
	for (int i = 0; i < g->n_vols; i++) {
		if (strcmp(g->vols[i].fs.type, "swsuspend"))
			continue;
		g->facts.hibernated = true;
		guest_report_warn(g, "%s holds a hibernation image: it cannot be resumed on other hardware, "
			"the guest starts afresh and loses what it had only in memory; to keep that, start the "
			"source, shut it down and copy it again", g->vols[i].fs.dev);
	}
}

int guest_inspect(struct guest *g, struct err *err)
{
	struct guest_facts *f = &g->facts;

	if (guest_read_os(g, err) < 0 || boot_detect(&g->root, &f->boot, err) < 0 ||
		find_kernels(g, err) < 0)
		return -1;
	find_arch(g);
	guest_find_cpu(g);
	if (g->opt->in_target)
		guest_check_virtio(g, "/sys/bus/pci/devices");
	find_init(g);
	find_hibernation(g);
	guest_find_firmware(g);
	f->selinux = fs_is_file(&g->root, "/etc/selinux/config") &&
		fs_is_file(&g->root, "/usr/sbin/load_policy");
	f->cloud_init = fs_is_dir(&g->root, "/etc/cloud/cloud.cfg.d");
	f->has_links = fs_is_file(&g->root, "/lib/systemd/network/99-default.link") ||
		fs_is_file(&g->root, "/usr/lib/systemd/network/99-default.link");
	for (int i = 0; guest_families[i] && !f->family; i++)
		if (guest_families[i]->detect(g))
			f->family = guest_families[i];
	guest_find_builder(g);
	guest_find_tools(g);
	return guest_find_ifaces(g, err);
}

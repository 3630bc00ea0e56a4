/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers for an initramfs without running anything of the guest: an archive with the
 * guest's own modules, and its own tables of them, is put behind the image. The kernel
 * unpacks the archives of an image one after the other, so that later files take the
 * place of earlier ones; the image's udev then finds the drivers by the devices it sees.
 *
 * Only folders that the image does not have are added: the kernel would remove a link
 * (lib -> usr/lib) to make room for a folder of the same name.
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "initrd/initrd.h"

#define DEP_MAX (16u << 20)
#define MODULE_MAX (32u << 20)
#define MAX_FILES 128

struct supplement {
	struct guest *g;
	const struct guest_kernel *k;
	struct strbuf out;
	char prefix[64];       /* "usr/lib/modules/", as in the image */
	struct strbuf seen;    /* folders and links of the image, each as "<path>" */
	char files[MAX_FILES][192]; /* of modules.dep, already added */
	int n_files;
	int fd;
};

static ssize_t read_image(void *ctx, void *buf, size_t len)
{
	struct supplement *s = ctx;
	ssize_t n;

	do {
		n = read(s->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Remembers folders and links, as "<path>". */
static int see(void *ctx, const struct initrd_entry *e)
{
	struct supplement *s = ctx;
	const char *name = e->name;

	while (*name == '/' || (name[0] == '.' && name[1] == '/'))
		name++;
	if (S_ISDIR(e->mode) || S_ISLNK(e->mode))
		strbuf_fmt(&s->seen, "<%s>", name);
	if (!strcmp(name, "lib") && S_ISLNK(e->mode))
		snprintf(s->prefix, sizeof(s->prefix), "usr/lib/modules/");
	return s->seen.failed;
}

static bool has_dir(const struct supplement *s, const char *dir)
{
	char key[520];

	snprintf(key, sizeof(key), "<%s>", dir);
	return s->seen.s && strstr(s->seen.s, key);
}

/* The folders above a file that neither the image nor this archive has. */
static void add_dirs(struct supplement *s, const char *path)
{
	char dir[512];

	for (const char *slash = strchr(path, '/'); slash;
	    slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		if (has_dir(s, dir))
			continue;
		initrd_add(&s->out, dir, S_IFDIR | 0755, "", 0);
		strbuf_fmt(&s->seen, "<%s>", dir);
	}
}

/* A file below /lib/modules/VERSION. */
static int add_file(struct supplement *s, const char *name, bool needed, struct err *err)
{
	CLEANUP_FREE char *data = NULL;
	char path[512];
	size_t len = 0;
	int got;

	for (int i = 0; i < s->n_files; i++)
		if (!strcmp(s->files[i], name))
			return 0;
	snprintf(path, sizeof(path), "/lib/modules/%s/%s", s->k->version, name);
	got = fs_read(&s->g->root, path, MODULE_MAX, &data, &len, err);
	if (got < 0)
		return -1;
	if (got)
		return needed ? err_set(err, ERR_PREP_NO_KERNEL, "%s is missing", path) :
			0;
	if (s->n_files == MAX_FILES || strlen(name) >= sizeof(s->files[0]))
		return err_set(err, ERR_PREP_UNSUPPORTED, "too many modules behind %s",
			name);
	snprintf(s->files[s->n_files++], sizeof(s->files[0]), "%s", name);
	snprintf(path, sizeof(path), "%s%s/%s", s->prefix, s->k->version, name);
	add_dirs(s, path);
	initrd_add(&s->out, path, S_IFREG | 0644, data, len);
	return 0;
}

/* "a.ko: b.ko c.ko": each with all that it needs. */
static int add_modules(struct supplement *s, uint64_t wanted, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char path[256], *save = NULL, *word_save;
	size_t len = 0;

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", s->k->version);
	if (fs_read(&s->g->root, path, DEP_MAX, &text, &len, err))
		return err_set(err, ERR_PREP_NO_KERNEL, "%s cannot be read", path);
	for (char *line = strtok_r(text, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = '\0';
		if (!(guest_driver_bit(line) & wanted))
			continue;
		if (add_file(s, line, true, err) < 0)
			return -1;
		for (char *word = strtok_r(colon + 1, " ", &word_save); word;
			word = strtok_r(NULL, " ", &word_save))
			if (add_file(s, word, true, err) < 0)
				return -1;
	}
	return 0;
}

static int make_archive(struct supplement *s, uint64_t wanted, struct err *err)
{
	static const char *const tables[] = {
		"modules.dep", "modules.dep.bin", "modules.alias", "modules.alias.bin",
		"modules.softdep", "modules.builtin", "modules.builtin.bin",
		"modules.builtin.alias.bin", "modules.order",
	};

	if (add_modules(s, wanted, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (add_file(s, tables[i], false, err) < 0)
			return -1;
	initrd_end(&s->out);
	if (s->out.failed || s->seen.failed)
		return err_set(err, ERR_NOMEM, "add drivers to %s: out of memory",
			s->k->initrd);
	return 0;
}

int guest_supplement(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	CLEANUP_FREE struct supplement *s = calloc(1, sizeof(*s));
	struct initrd_reader r = { .read = read_image, .entry = see, .ctx = s };
	uint64_t wanted = DRIVERS_INITRD & k->modules & ~k->builtin & ~k->packed;
	enum initrd_status status;
	int result;

	if (!s)
		return err_set(err, ERR_NOMEM, "add drivers to %s: out of memory",
			k->initrd);
	s->g = g;
	s->k = k;
	snprintf(s->prefix, sizeof(s->prefix), "lib/modules/");
	s->fd = fs_open(&g->root, k->initrd, O_RDONLY | O_NONBLOCK, 0);
	if (s->fd < 0)
		return err_sys(err, ERR_FS_MOUNT, "open %s", k->initrd);
	status = initrd_walk(&r, NULL);
	close(s->fd);
	if (status)
		result = err_set(err, ERR_PREP_INITRD, "%s: %s", k->initrd,
			initrd_status_text(status));
	else
		result = make_archive(s, wanted, err);
	if (!result)
		result = guest_journal_save(g, k->initrd, err);
	if (!result)
		result = fs_append(&g->root, k->initrd, s->out.s, s->out.len, err);
	strbuf_free(&s->out);
	strbuf_free(&s->seen);
	return result;
}

int guest_plan_supplement(struct guest *g, struct err *err)
{
	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];
		struct guest_op *op;

		if (!k->bootable || !*k->initrd || k->unified || !k->initrd_read ||
			!(DRIVERS_MUST & k->modules & ~k->builtin & ~k->packed))
			continue;
		op = guest_op_add(g, OP_SUPPLEMENT, k->initrd, NULL,
			"virtio drivers of kernel %s behind "
			"the image, as the guest has no tool that the worker can run",
			k->version);
		if (!op)
			return err_set(err, ERR_NOMEM, "make the plan: out of memory");
		op->index = i;
	}
	return 0;
}

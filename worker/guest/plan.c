/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: a table of steps, each of which looks at the guest and appends operations.
 * Nothing is written here; a guest that needs nothing gets an empty plan.
 */
#include "guest/guest-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MAX_BOOT_FILES 512

const char *guest_op_name(enum guest_op_kind k)
{
	static const char *const names[] = { "write", "copy", "link", "remove", "purge",
		"initramfs",
		"supplement", "script", "nvram", "install" };

	return names[k];
}

struct guest_op *guest_op_add(struct guest *g, enum guest_op_kind kind, const char *path,
	const char *from, const char *why, ...)
{
	struct guest_op *op;
	char text[512];
	va_list ap;

	if (g->n_ops == g->cap_ops) {
		int cap = g->cap_ops ? 2 * g->cap_ops : 32;

		op = realloc(g->ops, (size_t)cap * sizeof(*op));
		if (!op)
			return NULL;
		g->ops = op;
		g->cap_ops = cap;
	}
	va_start(ap, why);
	vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	op = &g->ops[g->n_ops++];
	*op = (struct guest_op){ .kind = kind, .step = g->step, .mode = 0644, .index = -1,
		.path = path ? strdup(path) : NULL, .from = from ? strdup(from) : NULL,
		.why = strdup(text) };
	return op->why && (op->path || !path) && (op->from || !from) ? op : NULL;
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NOMEM, "make the plan: out of memory");
}

static struct guest_op *planned(struct guest *g, const char *path)
{
	for (int i = g->n_ops - 1; i >= 0; i--)
		if (g->ops[i].kind == OP_WRITE && !strcmp(g->ops[i].path, path))
			return &g->ops[i];
	return NULL;
}

bool guest_plan_has(struct guest *g, const char *path)
{
	return planned(g, path) != NULL;
}

int guest_plan_read(struct guest *g, const char *path, char **ret, size_t *ret_len,
	struct err *err)
{
	struct guest_op *op = planned(g, path);

	if (!op)
		return fs_read(&g->root, path, GUEST_TEXT_MAX, ret, ret_len, err);
	*ret = malloc(op->len + 1);
	if (!*ret)
		return no_memory(err);
	memcpy(*ret, op->data, op->len + 1);
	*ret_len = op->len;
	return 0;
}

/* What was planned for the file by an earlier step was read by this one,
 * and is in its text. */
static int plan_again(struct guest_op *op, const char *data, size_t len, const char *why,
	struct err *err)
{
	char *copy = malloc(len + 1), *both;

	if (copy && !strstr(op->why, why)) {
		if (asprintf(&both, "%s; %s", op->why, why) < 0) {
			free(copy);
			return no_memory(err);
		}
		free(op->why);
		op->why = both;
	}
	if (!copy)
		return no_memory(err);
	memcpy(copy, data, len);
	copy[len] = '\0';
	free(op->data);
	op->data = copy;
	op->len = len;
	return 0;
}

int guest_op_write(struct guest *g, const char *path, const char *data, size_t len,
	const char *why, struct err *err)
{
	CLEANUP_FREE char *old = NULL;
	size_t old_len = 0;
	struct guest_op *op = planned(g, path);
	int got;

	if (op)
		return plan_again(op, data, len, why, err);
	got = fs_read(&g->root, path, BOOT_TEXT_MAX, &old, &old_len, err);

	if (got < 0)
		return -1;
	if (!got && old_len == len && !memcmp(old, data, len))
		return 0;
	op = guest_op_add(g, OP_WRITE, path, NULL, "%s", why);
	if (!op)
		return no_memory(err);
	op->data = malloc(len + 1);
	if (!op->data)
		return no_memory(err);
	memcpy(op->data, data, len);
	op->data[len] = '\0';
	op->len = len;
	return 0;
}

bool guest_plan_writes(const struct guest *g, const char *step)
{
	for (int i = 0; i < g->n_ops; i++)
		if (!strcmp(g->ops[i].step, step))
			return true;
	return false;
}

static bool stable(void *ctx, const char *spec, char *ret, size_t size)
{
	return guest_stable_name(ctx, spec, ret, size);
}

static bool elsewhere(void *ctx, const char *spec)
{
	return guest_is_elsewhere(ctx, spec);
}

int guest_plan_rewrite(struct guest *g, const char *path,
	int (*fn)(const char *, size_t, const struct boot_map *, struct strbuf *),
	const char *why, struct err *err)
{
	struct boot_map m = { .device = stable, .elsewhere = elsewhere, .ctx = g };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	char real[FS_PATH_MAX];
	size_t len = 0;
	int got = fs_read(&g->root, path, BOOT_TEXT_MAX, &text, &len, err);

	if (got)
		return got < 0 ? -1 : 0;
	if (!fn(text, len, &m, &out))
		return 0;
	if (out.failed)
		return no_memory(err);
	if (fs_real(&g->root, path, real, sizeof(real), err) < 0)
		return -1;
	return guest_op_write(g, real, out.s, out.len, why, err);
}

static int check_fstab(void *ctx, const struct fstab_entry *e)
{
	struct guest *g = ctx;
	bool awaited = guest_fstab_awaited(e);

	if (guest_is_elsewhere(g, e->spec) && awaited)
		guest_report_warn(g, "fstab: %s (%s) %s; it is marked nofail, "
			"so that the guest starts without it", e->spec, e->point,
			guest_why_absent(g, e->spec));
	else if (guest_find_vol(g, e->spec) == GUEST_SEVERAL)
		guest_report_warn(g, "fstab: %s (%s) %s; which of them the guest takes "
			"cannot be told, and none of them was looked into", e->spec,
			e->point, guest_why_absent(g, e->spec));
	else if (guest_has_twin(g, e->spec))
		guest_report_warn(g, "fstab: %s (%s) has the UUID of another volume and cannot be named "
			"otherwise: it stays, and the target may call it differently",
			e->spec, e->point);
	return 0;
}

static int plan_fstab(struct guest *g, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (fs_read(&g->root, "/etc/fstab", GUEST_TEXT_MAX, &text, &len, err) < 0)
		return -1;
	if (text)
		guest_fstab_entries(text, len, check_fstab, g);
	return guest_plan_rewrite(g, "/etc/fstab", guest_fstab_rewrite,
		"names that depend on the disk controller become UUIDs", err);
}

static int plan_crypttab(struct guest *g, struct err *err)
{
	return guest_plan_rewrite(g, "/etc/crypttab", guest_crypttab_rewrite,
		"names that depend on the disk controller become UUIDs", err);
}

static int see_bare(void *ctx, const struct boot_entry *e)
{
	return *e->root && !*e->initrd ? *(bool *)ctx = true : 0;
}

static int plan_loader(struct guest *g, struct err *err)
{
	CLEANUP_FREE struct boot_file *files = calloc(MAX_BOOT_FILES, sizeof(*files));
	bool bare = false;
	int n, r = 0;

	if (!files)
		return no_memory(err);
	n = boot_files(&g->root, &g->facts.boot, files, MAX_BOOT_FILES, err);
	if (n < 0 || boot_entries(&g->root, &g->facts.boot, see_bare, &bare, err) < 0)
		return -1;
	g->by_partition = bare;
	for (int i = 0; i < n && r >= 0; i++)
		r = guest_plan_rewrite(g, files[i].path, files[i].rewrite, bare ?
			"devices on kernel command lines by PARTUUID, as a kernel starts without initramfs" :
			"devices on kernel command lines by UUID", err);
	g->by_partition = false;
	return r;
}

static int plan_efi(struct guest *g, struct err *err)
{
	struct boot_copy copies[8];
	char loader[256];
	int n;

	if (strcmp(g->facts.firmware, "uefi"))
		return 0;
	n = boot_efi_fallback(&g->root, g->facts.boot.esp, copies, 8, loader,
		sizeof(loader), err);
	for (int i = 0; i < n; i++)
		if (!guest_op_add(g, OP_COPY, copies[i].to, copies[i].from,
			"firmware without variables starts from here"))
			return no_memory(err);
	return n < 0 ? -1 : 0;
}

static int plan_nvram(struct guest *g, struct err *err)
{
	struct boot_copy copies[8];
	struct boot_efi_part part = { 0 };
	struct err why = ERR_INIT;
	char loader[256];
	int missing;

	if (strcmp(g->facts.firmware, "uefi") || !g->opt->write_nvram)
		return 0;
	if (!g->opt->firmware || strcmp(g->opt->firmware, "uefi")) {
		guest_report_skip(g, g->step, "this machine's firmware is not UEFI");
		return 0;
	}
	if (boot_efi_fallback(&g->root, g->facts.boot.esp, copies, 8, loader,
		sizeof(loader), err) < 0)
		return -1;
	if (guest_esp_part(g, &part, err) < 0)
		return -1;
	if (!part.number)
		return 0;
	missing = boot_nvram_check(&part, loader, &why);
	/* The fallback loader boots the guest without it. */
	if (missing < 0)
		guest_report_skip(g, g->step, "%s", why.text);
	else if (missing && !guest_op_add(g, OP_NVRAM, NULL, loader,
		"firmware's boot entry for the guest's loader"))
		return no_memory(err);
	return 0;
}

static const struct {
	const char *name;
	int (*plan)(struct guest *g, struct err *err);
} steps[] = {
	{ "fstab", plan_fstab },
	{ "units", guest_plan_units },
	{ "autofs", guest_plan_autofs },
	{ "crypttab", plan_crypttab },
	{ "stack", guest_plan_stack },
	{ "resume", guest_plan_resume },
	{ "kdump", guest_plan_kdump },
	{ "loader", plan_loader },
	{ "console", guest_plan_console },
	{ "display", guest_plan_display },
	{ "network", guest_plan_network }, /* before the initramfs: it holds
					    * .link files */
	{ "cloud-init", guest_plan_cloud_init },
	{ "relabel", guest_plan_relabel },
	{ "debconf", guest_plan_debconf },
	{ "tools", guest_plan_tools },
	{ "guest-agent", guest_plan_agent },    /* before what plans the first boot */
	{ "extensions", guest_plan_extensions },
	{ "initramfs", guest_plan_initrd },      /* after everything that goes into it */
	{ "efi-fallback", plan_efi },
	{ "nvram", plan_nvram },
};

int guest_plan(struct guest *g, struct err *err)
{
	const char *outer = g->step;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		g->step = steps[i].name;
		if (steps[i].plan(g, err) < 0) {
			g->step = outer;
			return err_wrap(err, "plan %s", steps[i].name);
		}
	}
	g->step = outer;
	return guest_check_space(g, err);
}

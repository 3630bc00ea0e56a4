/* SPDX-License-Identifier: Apache-2.0 */
/* Carries the plan out: what is there is saved first, what came of it is listed. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static int write_file(struct guest *g, const struct guest_op *op, struct err *err)
{
	char dir[FS_PATH_MAX];

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(op->path, '/') - op->path),
		op->path);
	if (*dir && !fs_is_dir(&g->root, dir) &&
		(guest_journal_save(g, dir, err) < 0 ||
			fs_mkdirs(&g->root, dir, 0755, err) < 0))
		return -1;
	if (guest_journal_save(g, op->path, err) < 0)
		return -1;
	switch (op->kind) {
	case OP_WRITE:
		return fs_replace(&g->root, op->path, op->data, op->len, op->mode, err);
	case OP_REMOVE:
		return fs_remove(&g->root, op->path, err);
	case OP_COPY:
		return fs_copy(&g->root, op->from, op->path, true, NULL, err);
	default:
		return fs_remove(&g->root, op->path, err) < 0 ? -1 :
			fs_symlink(&g->root, op->from, op->path, err);
	}
}

static int write_nvram(struct guest *g, const struct guest_op *op, struct err *err)
{
	struct boot_efi_part part = { 0 };
	struct err why = ERR_INIT;
	char name[16];

	if (guest_esp_part(g, &part, err) < 0)
		return -1;
	/* The fallback loader starts the guest without it,
	 * so this is no reason to fail. */
	if (boot_nvram_write(&part, op->from,
		g->facts.os_id[0] ? g->facts.os_id : "linux", name, &why) < 0)
		guest_report_warn(g, "%s", why.text);
	else
		guest_report_change(g, name, "firmware variable added", NULL, NULL, NULL);
	return 0;
}

struct companions {
	struct guest *g;
	const char *dir, *with; /* names that have this in them */
	uint64_t *bytes; /* NULL = save them */
	struct err *err;
};

static int on_companion(void *ctx, const char *name, const struct stat *st)
{
	struct companions *c = ctx;
	char path[FS_PATH_MAX];

	if (!S_ISREG(st->st_mode) || !strstr(name, c->with) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", c->dir,
			name) >= sizeof(path))
		return 0;
	if (c->bytes)
		*c->bytes += (uint64_t)st->st_size;
	return c->bytes ? 0 : guest_journal_save(c->g, path, c->err);
}

/* kernel-install, which the tool's hook calls, writes the kernel and its entry beside the
 * copy of the initramfs anew, and depmod's lists. */
int guest_save_companions(struct guest *g, const struct guest_kernel *k,
	uint64_t *only_bytes, struct err *err)
{
	char folder[sizeof(k->initrd)], modules[128], entries[160];
	struct companions all[] = { { g, folder, "", only_bytes, err },
		{ g, entries, k->version, only_bytes, err },
		{ g, modules, "modules.", only_bytes, err } };

	snprintf(folder, sizeof(folder), "%.*s",
		(int)(strrchr(k->initrd, '/') - k->initrd), k->initrd);
	snprintf(modules, sizeof(modules), "/lib/modules/%s", k->version);
	snprintf(entries, sizeof(entries), "%s/loader/entries", g->facts.boot.esp);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (fs_list(&g->root, all[i].dir, on_companion, &all[i], err) < 0)
			return -1;
	return 0;
}

/* The guest's tool builds where it always does;
 * what the loader starts may be a copy of that. */
static int build_initrd(struct guest *g, const struct guest_kernel *k, struct err *err)
{
	struct guest_kernel own = *k;

	if (!*k->made)
		return g->facts.builder->build(g, k, err);
	memcpy(own.initrd, k->made, sizeof(own.initrd));
	if (guest_journal_save(g, k->initrd, err) < 0 ||
		guest_save_companions(g, k, NULL, err) < 0 ||
		g->facts.builder->build(g, &own, err) < 0)
		return -1;
	return fs_copy(&g->root, k->made, k->initrd, true, NULL, err);
}

/* A package that cannot be removed is no reason to give up the guest: what the attempt
 * changed goes back, and its services are switched off. */
static int purge(struct guest *g, const struct guest_op *op, struct err *err)
{
	int tool = op->index; /* more steps may move the plan */
	size_t mark;

	if (guest_journal_mark(g, &mark, err) < 0)
		return -1;
	if (g->facts.family->save(g, op->from, err) == 0 &&
		g->facts.family->purge(g, op->from, err) == 0)
		return 0;
	if (err->code != ERR_PREP_TOOLS)
		return -1;
	guest_report_warn(g, "%s: the packages stay, their services are switched off",
		err->text);
	err_clear(err);
	return guest_journal_back_to(g, mark, err) < 0 ? -1 :
		guest_tool_stays(g, tool, err);
}

static int apply_one(struct guest *g, const struct guest_op *op, struct err *err)
{
	if (g->opt->cancel && *g->opt->cancel)
		return err_set(err, ERR_CANCELLED, "cancelled before %s", op->step);
	if (g->opt->tick)
		g->opt->tick(g->opt->ctx);
	switch (op->kind) {
	case OP_WRITE:
	case OP_COPY:
	case OP_LINK:
	case OP_REMOVE:
		return write_file(g, op, err);
	case OP_PURGE:
		return purge(g, op, err);
	case OP_INITRD:
		return build_initrd(g, &g->facts.kernels[op->index], err);
	case OP_SUPPLEMENT:
		return guest_supplement(g, &g->facts.kernels[op->index], err);
	case OP_SCRIPT:
		return guest_run_mounted(g, op->index, err);
	case OP_NVRAM:
		return write_nvram(g, op, err);
	case OP_INSTALL:
		return guest_install_agent(g, op->from, op->len, err);
	}
	return err_set(err, ERR_INTERNAL, "unknown operation");
}

/* The guest as it was; the first error stays the one that is reported. */
static void roll_back(struct guest *g)
{
	struct err err = ERR_INIT, listing = ERR_INIT;
	int lost = 0;

	guest_report_step(g, "rollback", g->journal.dir);
	/* Without the list, what a tool added stays;
	 * what the journal knows goes back all the same. */
	if (guest_list_changes(g, false, &lost, &listing) < 0)
		guest_report_warn(g,
			"what the guest's tools added could not all be found: %s",
			listing.text);
	if (guest_journal_rollback(g, g->journal.dir, NULL, &err) < 0) {
		guest_report_warn(g, "the changes could not all be taken back: %s",
			err.text);
		return;
	}
	g->journal.dir[0] = '\0';
	if (lost)
		guest_report_warn(g, "the guest is not as it was: %d path%s could not be brought back; "
			"copy it again", lost, lost == 1 ? "" : "s");
}

static int run_ops(struct guest *g, struct err *err)
{
	const char *step = "";

	for (int i = 0; i < g->n_ops; i++) {
		if (strcmp(step, g->ops[i].step)) {
			step = g->ops[i].step;
			guest_report_step(g, step, g->ops[i].why);
		}
		if (apply_one(g, &g->ops[i], err) < 0)
			return err_wrap(err, "%s", step);
	}
	return 0;
}

/* The list of old paths goes last: a run that is killed here still needs it. */
static int complete(struct guest *g, struct err *err)
{
	struct fs_inventory *after = NULL;
	uint64_t digest;

	if (guest_result_note(g, err) < 0 ||
		guest_take_inventory(g, g->before, &after, err) < 0)
		return -1;
	digest = fs_inventory_digest(after, GUEST_STATE_DIR);
	fs_inventory_free(after);
	/* On the disk before that is noted. */
	return guest_drop_paths(g, err) < 0 || guest_sync(g, err) < 0 ? -1 :
		guest_journal_end(g, digest, err);
}

static int apply(struct guest *g, struct err *err)
{
	int lost;

	if (guest_keep_paths(g, err) < 0 || run_ops(g, err) < 0)
		return -1;
	guest_report_step(g, "verify", NULL);
	if (guest_verify(g, err) < 0)
		return -1;
	guest_report_step(g, "inventory", "all files, after");
	if (guest_selinux_open(g, err) < 0 ||
		guest_list_changes(g, true, &lost, err) < 0 ||
		(g->journal.resumed && guest_list_resumed(g, err) < 0))
		return -1;
	return complete(g, err);
}

int guest_apply(struct guest *g, struct err *err)
{
	guest_report_step(g, "inventory", "all files, before");
	if (guest_take_inventory(g, NULL, &g->before, err) < 0 ||
		guest_journal_open(g, err) < 0)
		return -1;
	if (!apply(g, err))
		return 0;
	if (g->stuck)
		guest_report_warn(g, "the guest is left as it is; the next preparation "
			"takes the changes back");
	else
		roll_back(g);
	return -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the guest would boot on virtio, judged from what is on its disks. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/words.h"

struct judging {
	struct guest *g;
	int reasons, entries, usable;
	char problem[400]; /* of the last entry that would not start */
};

/* Names of volume groups are the guest's own; arrays may have other numbers there. */
static bool is_other_root(const struct guest *g, int vol)
{
	const struct guest_vol *v = &g->vols[vol], *root = &g->vols[g->root_vol];

	if (vol == g->root_vol || v->snapshot || (!strcmp(v->fs.type, "btrfs") &&
		!strcmp(root->fs.type, "btrfs") && !strcmp(v->fs.uuid, root->fs.uuid)))
		return false;
	return v->disk >= 0 ||
		(v->layer >= 0 && g->stack.layers[v->layer].kind == FS_LAYER_LVM);
}

/* Why a root= does not start this system, or may not: it is another volume, or which one
 * cannot be told. "" = it does. No edit helps there. */
static const char *wrong_root(struct guest *g, const char *root)
{
	int vol = guest_find_vol(g, root);

	if (vol >= 0 && is_other_root(g, vol))
		return "is another volume";
	if (vol == GUEST_SEVERAL)
		return guest_why_absent(g, root);
	return guest_has_twin(g, root) ?
		"has the UUID of another volume, and no other name" : "";
}

static int judge_entry(void *ctx, const struct boot_entry *e)
{
	struct judging *j = ctx;
	struct guest *g = j->g;
	struct guest_device d;
	char path[512];
	int vol;

	if (strchr(e->kernel, '$') || strchr(e->initrd, '$'))
		return 0; /* built from variables: files are judged through /boot */
	j->entries++;
	if (!guest_find_boot_file(g, e->kernel, path, sizeof(path))) {
		snprintf(j->problem, sizeof(j->problem), "%.100s: no kernel %.200s",
			e->title, e->kernel);
		return 0;
	}
	if (*e->initrd && !guest_find_boot_file(g, e->initrd, path, sizeof(path))) {
		snprintf(j->problem, sizeof(j->problem), "%.100s: no initramfs %.200s",
			e->title, e->initrd);
		return 0;
	}
	if (!*e->initrd &&
	    (!strncmp(e->root, "UUID=", 5) || !strncmp(e->root, "LABEL=", 6))) {
		snprintf(j->problem, sizeof(j->problem),
			"%.100s: no kernel finds root=%.200s without an "
			"initramfs", e->title, e->root);
		return 0;
	}
	vol = *e->root ? guest_find_vol(g, e->root) : g->root_vol;
	if (*wrong_root(g, e->root)) {
		snprintf(j->problem, sizeof(j->problem), "%.100s: root=%.100s %.180s",
			e->title, e->root, wrong_root(g, e->root));
		return 0;
	}
	if (vol < 0 && (!strncmp(e->root, "UUID=", 5) ||
		!strncmp(e->root, "PARTUUID=", 9) || guest_parse_device(e->root, &d))) {
		snprintf(j->problem, sizeof(j->problem),
			"%.100s: root=%.200s is on no drive", e->title, e->root);
		return 0;
	}
	j->usable++;
	return 0;
}

static void reason(struct judging *j, const char *text)
{
	guest_report_because(j->g, "%s", text);
	j->reasons++;
}

/* A root by a name of the old hardware, where no edit reaches it. */
static bool fixed_root(struct guest *g, const struct guest_kernel *k)
{
	char stable[256];

	return k->unified && *k->root &&
		guest_stable_name(g, k->root, stable, sizeof(stable));
}

/* Why a unified image does not start, and what is to be done. */
static void unified_reason(struct guest *g, const struct guest_kernel *k,
	uint64_t missing, char *ret, size_t size)
{
	char advice[512], stable[256];

	if (!missing && guest_stable_name(g, k->root, stable, sizeof(stable))) {
		snprintf(ret,
			size, "the command line in %s names its root %s, which depends on the disk "
			"controller, and the image is not edited: on the source write root=%s into "
			"/etc/kernel/cmdline, have the image built anew, and copy again",
			k->image, k->root, stable);
		return;
	}
	guest_unified_advice(g, k, advice, sizeof(advice));
	snprintf(ret,
		size, "%s lacks %s, and unified kernel images are not edited: on the source %s, and "
		"copy again", k->image,
		missing & DRIVER_BIT(DRIVER_VIRTIO_BLK) ? "virtio_blk" :
		"virtio_pci", advice);
}

static void judge_kernels(struct judging *j)
{
	struct guest *g = j->g;
	int good = 0, bootable = 0;
	char text[1024], last[1024] = "";

	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];
		uint64_t missing = DRIVERS_MUST & ~k->builtin;

		if (!k->bootable)
			continue;
		bootable++;
		if (*k->initrd && k->initrd_read)
			missing &= ~k->packed;
		if (!missing && !fixed_root(g, k)) {
			good++;
			continue;
		}
		if (!missing || (k->unified && k->initrd_read))
			unified_reason(g, k, missing, text, sizeof(text));
		else if (missing & ~k->modules)
			snprintf(text, sizeof(text), "kernel %s has no virtio drivers",
				k->version);
		else if (!*k->initrd)
			snprintf(text, sizeof(text), "kernel %s has no initramfs",
				k->version);
		else if (!k->initrd_read)
			snprintf(text, sizeof(text), "%s cannot be read", k->initrd);
		else
			snprintf(text, sizeof(text), "%s lacks %s", k->initrd,
				missing & DRIVER_BIT(DRIVER_VIRTIO_BLK) ? "virtio_blk" :
				"virtio_pci");
		snprintf(last, sizeof(last), "%s", text);
		if (k->initrd_read)
			reason(j, text);
	}
	if (!bootable)
		reason(j, "no kernel in /boot with modules in /lib/modules");
	else if (!good && !j->reasons)
		reason(j, last);
}

/* If a guest has loaders for both, the facts name the VM's firmware. */
int guest_check_firmware(const struct guest *g, struct err *err)
{
	const char *vm = g->opt->firmware, *made_for = g->facts.firmware;

	if (!vm || !g->opt->firmware_stays || !strcmp(vm, made_for))
		return 0;
	return err_set(err, ERR_FW_MISMATCH,
		"the guest starts from %s only, this VM has %s", strcmp(made_for,
			"uefi") ? "BIOS" : "UEFI", strcmp(vm, "uefi") ? "BIOS" : "UEFI");
}

struct roots {
	struct guest *g;
	int n, wrong;
	char text[400]; /* of the last one that is */
};

static int see_root(void *ctx, const struct boot_entry *e)
{
	struct roots *r = ctx;
	const char *why = wrong_root(r->g, e->root);

	r->n += *e->root != '\0';
	r->wrong += *why != '\0';
	if (*why)
		snprintf(r->text, sizeof(r->text), "root=%.200s %s", e->root, why);
	return 0;
}

static int check_roots(struct guest *g, struct err *err)
{
	struct roots r = { .g = g };

	if (boot_entries(&g->root, &g->facts.boot, see_root, &r, err) < 0)
		return -1;
	return r.wrong && r.wrong == r.n ?
		err_set(err, ERR_PREP_STACK, "%s", r.text) : 0;
}

int guest_check_hope(struct guest *g, struct err *err)
{
	int bootable = 0, able = 0, planned = 0, ready = 0;
	const struct guest_kernel *fixed = NULL, *sealed = NULL;
	char text[1024];

	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];

		if (!k->bootable)
			continue;
		bootable++;
		if (k->unified)
			sealed = k;
		able += !(DRIVERS_MUST & ~k->builtin & ~k->modules);
		if (fixed_root(g, k))
			fixed = k;
		else
			ready += !(DRIVERS_MUST & ~k->builtin & ~k->packed);
	}
	for (int i = 0; i < g->n_ops; i++)
		planned += g->ops[i].kind == OP_INITRD || g->ops[i].kind == OP_SUPPLEMENT;
	if (!bootable)
		return err_set(err, ERR_PREP_NO_KERNEL,
			"no kernel in /boot with modules in /lib/modules");
	if (!able)
		return err_set(err, ERR_PREP_NO_KERNEL,
			"none of %d kernel%s has virtio drivers", bootable,
			bootable == 1 ? "" : "s");
	if (!g->facts.boot.kind)
		return err_set(err, ERR_PREP_LOADER,
			"no boot loader configuration was found");
	if (!ready && !planned && (fixed || sealed)) {
		const struct guest_kernel *k = fixed ? fixed : sealed;

		unified_reason(g, k, fixed ? 0 : DRIVERS_MUST & ~k->builtin & ~k->packed,
			text, sizeof(text));
		return err_set(err, ERR_PREP_UNSUPPORTED, "%s", text);
	}
	if (!ready && !planned)
		return err_set(err, ERR_PREP_UNSUPPORTED,
			"no way to put virtio drivers into the "
			"initramfs of %s", g->facts.os_name[0] ? g->facts.os_name :
			"this system");
	return check_roots(g, err) < 0 ? -1 : guest_check_firmware(g, err);
}

int guest_judge(struct guest *g, struct err *err)
{
	struct judging j = { .g = g };

	judge_kernels(&j);
	if (!g->facts.boot.kind)
		reason(&j, "no boot loader configuration was found");
	else if (boot_entries(&g->root, &g->facts.boot, judge_entry, &j, err) < 0)
		return -1;
	if (j.entries && !j.usable)
		reason(&j, j.problem);
	return j.reasons;
}

static struct guest_kernel *kernel_of(struct guest *g, const struct guest_op *op)
{
	return op->kind == OP_INITRD || op->kind == OP_SUPPLEMENT ?
		&g->facts.kernels[op->index] : NULL;
}

/* Of a volume or an array that the old image could open. */
static int lost_drivers(const struct guest_kernel *k, uint64_t lost, struct err *err)
{
	char names[GUEST_DRIVER_LIST_MAX];

	guest_driver_list(lost, ", ", names, sizeof(names));
	names[strlen(names) - 2] = '\0';
	return err_set(err, ERR_PREP_VERIFY,
		"the new %s lacks drivers of the guest's volumes that the old "
		"one had: %s", k->initrd, names);
}

/* Nobody is there at the first start to type what the root needs. */
static int lost_volume(const struct guest_kernel *k, char *had, struct err *err)
{
	char *save;

	for (char *name = strtok_r(had, ",", &save); name;
	    name = strtok_r(NULL, ",", &save))
		if (!words_has(k->opens, name))
			return err_set(err, ERR_PREP_VERIFY,
				"the new %s does not open the encrypted volume %s "
				"as the old one did", k->initrd, name);
	return 0;
}

/* Reads what was written back: first to the disk, then anew. */
int guest_verify(struct guest *g, struct err *err)
{
	int reasons;

	for (int i = 0; i < g->n_ops; i++) {
		const struct guest_op *op = &g->ops[i];
		struct guest_kernel *k = kernel_of(g, op);
		uint64_t missing, had;
		char opened[sizeof(k->opens)];

		if (op->kind == OP_WRITE) {
			CLEANUP_FREE char *text = NULL;
			size_t len = 0;

			if (fs_read(&g->root, op->path, BOOT_TEXT_MAX, &text, &len, err))
				return err_set(err, ERR_PREP_VERIFY, "%s is not there",
					op->path);
			/* the modules file and the like may be touched
			 * again by the tools */
			if (len != op->len || memcmp(text, op->data, len))
				guest_report_warn(g,
					"%s was changed again by a tool of the guest",
					op->path);
		}
		if (op->kind == OP_REMOVE && fs_is_file(&g->root, op->path))
			return err_set(err, ERR_PREP_VERIFY, "%s is still there",
				op->path);
		if (!k)
			continue;
		had = k->packed & guest_kept_drivers(g, k);
		memcpy(opened, k->opens, sizeof(opened));
		if (guest_read_initrd(g, k, err) < 0)
			return -1;
		missing = DRIVERS_MUST & k->modules & ~k->builtin & ~k->packed;
		if (!k->initrd_read || missing)
			return err_set(err, ERR_PREP_VERIFY, "the new %s %s", k->initrd,
				missing ? "lacks virtio drivers" : "cannot be read");
		missing = had & ~k->packed;
		if (missing)
			return lost_drivers(k, missing, err);
		if (lost_volume(k, opened, err) < 0)
			return -1;
	}
	if (guest_tools_left(g, err) < 0)
		return -1;
	reasons = guest_judge(g, err);
	if (reasons > 0)
		return err_set(err, ERR_PREP_VERIFY,
			"the prepared guest would not boot: %s",
			yyjson_mut_get_str(yyjson_mut_arr_get_last(g->because)));
	return reasons;
}

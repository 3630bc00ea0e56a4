/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on the partitions: arrays, volume groups and encrypted volumes in any
 * nesting. Each round opens what the last one brought to light. A layer that stays closed
 * is a warning until it turns out that the system lies in it.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define MAX_ROUNDS 8

/* Keeps the first reason for which something stayed closed. */
static void stays_closed(struct guest *g, const struct err *why)
{
	guest_report_warn(g, "%s", why->text);
	if (!g->locked.code)
		g->locked = *why;
}

static bool is_type(const struct guest_vol *v, const char *type)
{
	return v->found == FS_FOUND && !strcmp(v->fs.type, type);
}

/* The volume and all others of its type with the same UUID; the list ends with NULL. */
static int collect(struct guest *g, int first, const char *type, const char **ret)
{
	int n = 0;

	for (int i = first; i < g->n_vols; i++) {
		struct guest_vol *v = &g->vols[i];

		if (!is_type(v, type) || v->tried ||
		    strcmp(v->fs.uuid, g->vols[first].fs.uuid))
			continue;
		v->tried = true;
		ret[n++] = v->fs.dev;
	}
	ret[n] = NULL;
	return n;
}

/* Two disks with the same identity: one is a copy, and which is meant cannot be known. */
static int check_twins(struct guest *g, const char *type, bool by_member, struct err *err)
{
	for (int i = 0; i < g->n_vols; i++)
		for (int k = i + 1; k < g->n_vols; k++) {
			const struct fs_info *a = &g->vols[i].fs, *b = &g->vols[k].fs;
			const char *x = by_member ? a->uuid_sub : a->uuid;
			const char *y = by_member ? b->uuid_sub : b->uuid;

			if (!is_type(&g->vols[i], type) || !is_type(&g->vols[k], type) ||
				!*x || strcmp(x, y))
				continue;
			return err_set(err, ERR_PREP_STACK,
				"%s and %s (%s) have the same UUID %s: "
				"one is a copy of the other; give only one of the two",
				a->dev, b->dev, type, x);
		}
	return 0;
}

static int open_array(struct guest *g, int first, struct err *err)
{
	CLEANUP_FREE const char **members = calloc(GUEST_MAX_VOLS + 1, sizeof(*members));
	struct err why = ERR_INIT;
	struct fs_layer *l;
	int before = g->n_vols;

	if (!members)
		return err_set(err, ERR_NOMEM, "open arrays: out of memory");
	collect(g, first, "linux_raid_member", members);
	if (fs_stack_able(FS_LAYER_MD, &why) < 0) {
		err_wrap(&why, "%s holds linux_raid_member", g->vols[first].fs.dev);
		stays_closed(g, &why);
		return 0;
	}
	if (fs_md_open(&g->stack, members, g->vols[first].fs.uuid, &l, &why) < 0) {
		stays_closed(g, &why);
		return why.code == ERR_CANCELLED ?
			err_set(err, why.code, "%s", why.text) : 0;
	}
	if (*l->problem)
		guest_report_warn(g, "%s: %s", l->name, l->problem);
	if (guest_add_volumes(g, l->name, -1, err) < 0)
		return -1;
	for (int i = before; i < g->n_vols; i++)
		g->vols[i].layer = (int)(l - g->stack.layers);
	return 0;
}

static bool key_applies(const struct guest *g, const struct guest_key *k, int vol)
{
	if (k->uuid && *k->uuid)
		return !strcasecmp(k->uuid, g->vols[vol].fs.uuid);
	return !k->device || !*k->device || guest_find_given(g, k->device) == vol;
}

static bool key_is_named(const struct guest_key *k)
{
	return (k->uuid && *k->uuid) || (k->device && *k->device);
}

/* Keys that open the volume by themselves, and do not on another machine. */
static void check_tokens(struct guest *g, const struct fs_layer *l)
{
	static const char *const bound[] = { "systemd-tpm2", "clevis", "systemd-fido2",
		"systemd-pkcs11" };

	for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++)
		if (strstr(l->tokens, bound[i]))
			guest_report_warn(g, "%s has a key of %s, which is bound to the old machine or its "
				"network: where it fails, the new one asks for the passphrase at its "
				"console; bind it again there", l->on, bound[i]);
}

static int open_encrypted(struct guest *g, int vol, struct err *err)
{
	const struct fs_info *fs = &g->vols[vol].fs;
	struct err why = ERR_INIT;
	struct fs_layer *l;
	char name[128], node[160];
	bool named = false;
	int tried = 0;

	g->vols[vol].tried = true;
	if (fs_stack_able(FS_LAYER_LUKS, &why) < 0) {
		err_wrap(&why, "%s holds crypto_LUKS", fs->dev);
		stays_closed(g, &why);
		return 0;
	}
	if (!*fs->uuid) {
		err_set(&why, ERR_PREP_STACK, "%s is encrypted, and its UUID is none",
			fs->dev);
		stays_closed(g, &why);
		return 0;
	}
	/* As dracut calls it; crypttab's name follows when the root is known. */
	snprintf(name, sizeof(name), "luks-%s", fs->uuid);
	for (int i = 0; i < g->opt->n_keys; i++) {
		const struct guest_key *k = &g->opt->keys[i];

		if (!key_applies(g, k, vol))
			continue;
		tried++;
		switch (fs_luks_open(&g->stack, fs->dev, fs->uuid, name, k->secret,
			k->len, &l, err)) {
		case FS_KEY_FAILED:
			return -1;
		case FS_KEY_WRONG:
			named |= key_is_named(k);
			continue;
		case FS_KEY_FITS:
			check_tokens(g, l);
			snprintf(node, sizeof(node), "/dev/mapper/%s", name);
			if (guest_add_vol(g, node, -1, 0, err) < 0)
				return -1;
			g->vols[g->n_vols - 1].layer = (int)(l - g->stack.layers);
			return 0;
		}
	}
	if (named)
		return err_set(err, ERR_PREP_KEY, "the key given for %s does not open it",
			fs->dev);
	if (tried)
		err_set(&why, ERR_PREP_KEY,
			"%s is encrypted, and none of %d keys opens it", fs->dev, tried);
	else
		err_set(&why, ERR_PREP_KEY,
			"%s is encrypted, and no key for it was given", fs->dev);
	stays_closed(g, &why);
	return 0;
}

struct lv_walk {
	struct guest *g;
	const char *group;
	int result;
	struct err *err;
};

static void add_lv(void *ctx, const struct fs_lvm_volume *lv)
{
	struct lv_walk *w = ctx;
	struct guest_vol *v;

	if (w->result)
		return;
	w->result = guest_add_vol(w->g, lv->node, -1, 0, w->err);
	if (w->result)
		return;
	v = &w->g->vols[w->g->n_vols - 1];
	v->layer = w->g->stack.n; /* the number that the group will have */
	v->snapshot = lv->snapshot;
	snprintf(v->alias, sizeof(v->alias), "/dev/%s/%s", w->group, lv->name);
}

static int open_group(struct guest *g, const char *const *devs,
	const struct fs_lvm_group *vg, struct err *err)
{
	struct lv_walk w = { g, vg->name, 0, err };
	struct err why = ERR_INIT;
	struct fs_layer *l;

	if (vg->shared)
		err_set(&why, ERR_PREP_UNSUPPORTED,
			"volume group %s is shared by several hosts and "
			"needs their lock manager", vg->name);
	else if (vg->exported)
		err_set(&why, ERR_PREP_STACK, "volume group %s is exported", vg->name);
	else if (*vg->problem)
		err_set(&why, ERR_PREP_STACK, "volume group %s: %s", vg->name,
			vg->problem);
	if (why.code) {
		stays_closed(g, &why);
		return 0;
	}
	if (*vg->system_id)
		guest_report_warn(g, "volume group %s belongs to the system ID %s; it is opened as the "
			"guest's own", vg->name, vg->system_id);
	if (fs_lvm_open(&g->stack, devs, vg, add_lv, &w, &l, &why) < 0) {
		stays_closed(g, &why);
		return why.code == ERR_CANCELLED ?
			err_set(err, why.code, "%s", why.text) : 0;
	}
	if (*l->problem) {
		guest_report_warn(g, "volume group %s: %s", vg->name, l->problem);
		if (!g->locked.code)
			err_set(&g->locked, ERR_PREP_STACK, "volume group %s: %s",
				vg->name, l->problem);
	}
	return w.result;
}

static bool group_known(const struct guest *g, const char *uuid)
{
	for (int i = 0; i < g->stack.n; i++)
		if (!strcmp(g->stack.layers[i].uuid, uuid))
			return true;
	return false;
}

static int open_groups(struct guest *g, const char *const *devs, bool incomplete,
	struct err *err)
{
	CLEANUP_FREE struct fs_lvm_group *list = calloc(FS_LVM_MAX, sizeof(*list));
	struct err why = ERR_INIT;
	int n;

	if (!list)
		return err_set(err, ERR_NOMEM, "open volume groups: out of memory");
	if (fs_stack_able(FS_LAYER_LVM, &why) < 0) {
		err_wrap(&why, "%s holds LVM2_member", devs[0]);
		if (!incomplete)
			stays_closed(g, &why);
		return 0;
	}
	n = fs_lvm_list(&g->stack, devs, list, FS_LVM_MAX, err);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++)
		for (int k = i + 1; k < n; k++)
			if (!strcmp(list[i].name, list[k].name))
				return err_set(err, ERR_PREP_STACK,
					"two volume groups are called %s: give "
					"the disks of one only, or rename one on the source: vgrename %s "
					"NEWNAME, or vgrename %s NEWNAME", list[i].name,
					list[i].uuid, list[k].uuid);
	for (int i = 0; i < n; i++)
		if (!group_known(g, list[i].uuid) && !list[i].missing == !incomplete &&
			open_group(g, devs, &list[i], err) < 0)
			return -1;
	return 0;
}

/* Asks lvm when there are physical volumes that it was not asked about. */
static int look_for_groups(struct guest *g, bool incomplete, struct err *err)
{
	CLEANUP_FREE const char **devs = calloc(GUEST_MAX_VOLS + 1, sizeof(*devs));
	int n = 0, fresh = 0;

	if (!devs)
		return err_set(err, ERR_NOMEM, "open volume groups: out of memory");
	for (int i = 0; i < g->n_vols; i++) {
		if (!is_type(&g->vols[i], "LVM2_member"))
			continue;
		fresh += !g->vols[i].tried;
		g->vols[i].tried = true;
		devs[n++] = g->vols[i].fs.dev;
	}
	return n && (fresh || incomplete) ? open_groups(g, devs, incomplete, err) : 0;
}

static int open_round(struct guest *g, struct err *err)
{
	if (check_twins(g, "linux_raid_member", true, err) < 0 ||
		check_twins(g, "crypto_LUKS", false, err) < 0)
		return -1;
	for (int i = 0, n = g->n_vols; i < n; i++)
		if (is_type(&g->vols[i], "linux_raid_member") && !g->vols[i].tried &&
			open_array(g, i, err) < 0)
			return -1;
	for (int i = 0, n = g->n_vols; i < n; i++)
		if (is_type(&g->vols[i], "crypto_LUKS") && !g->vols[i].tried &&
			open_encrypted(g, i, err) < 0)
			return -1;
	if (check_twins(g, "LVM2_member", false, err) < 0)
		return -1;
	return look_for_groups(g, false, err);
}

int guest_open_layers(struct guest *g, struct err *err)
{
	int before;

	g->stack.writable = g->opt->action == GUEST_APPLY || g->opt->action == GUEST_UNDO;
	g->stack.tick = g->opt->tick;
	g->stack.ctx = g->opt->ctx;
	g->stack.cancel = g->opt->cancel;
	for (int round = 0; round < MAX_ROUNDS; round++) {
		before = g->n_vols;
		if (open_round(g, err) < 0)
			return -1;
		if (g->n_vols == before)
			break;
	}
	/* Nothing more will turn up: groups with holes, and what lies in them. */
	before = g->n_vols;
	if (look_for_groups(g, true, err) < 0)
		return -1;
	return g->n_vols > before ? open_round(g, err) : 0;
}

/* crypttab: its names are those that fstab, the loader and the guest's own tools use. */
struct naming {
	struct guest *g;
	int result;
	struct err *err;
};

static int rename_layer(struct guest *g, int layer, const char *name, struct err *err)
{
	char from[160], to[160];

	snprintf(from, sizeof(from), "/dev/mapper/%s", g->stack.layers[layer].name);
	snprintf(to, sizeof(to), "/dev/mapper/%.127s", name);
	if (fs_luks_rename(&g->stack, &g->stack.layers[layer], name, err) < 0)
		return -1;
	for (int i = 0; i < g->n_vols; i++)
		if (g->vols[i].layer == layer)
			snprintf(g->vols[i].fs.dev, sizeof(g->vols[i].fs.dev), "%s", to);
	return fs_stack_renamed(&g->stack, from, to, err);
}

static int adopt(void *ctx, const struct fstab_entry *e)
{
	/* fields of a crypttab line: name, device; as those of fstab: spec, point */
	struct naming *n = ctx;
	struct guest *g = n->g;
	int vol = guest_find_vol(g, e->point);

	for (int i = 0; vol >= 0 && i < g->stack.n; i++) {
		struct fs_layer *l = &g->stack.layers[i];

		if (l->kind != FS_LAYER_LUKS || strcmp(l->on, g->vols[vol].fs.dev) ||
			!strcmp(l->name, e->spec))
			continue;
		if (!fs_luks_is_name(e->spec)) {
			guest_report_warn(g, "crypttab: a volume on %s has a name that "
				"cannot be used here; it keeps %s", l->on, l->name);
			continue;
		}
		n->result = rename_layer(g, i, e->spec, n->err);
		return n->result;
	}
	return 0;
}

int guest_adopt_names(struct guest *g, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct naming n = { g, 0, err };
	size_t len = 0;
	int result, got = 1;

	for (int i = 0; i < g->stack.n && got; i++)
		got = g->stack.layers[i].kind != FS_LAYER_LUKS;
	if (got)
		return 0;
	if (guest_mount_root(g, g->root_vol, false, err) < 0)
		return -1;
	result = fs_read(&g->root, "/etc/crypttab", GUEST_TEXT_MAX, &text, &len, err);
	if (guest_unmount(g, err) < 0 || result < 0)
		return -1;
	if (!result)
		guest_fstab_entries(text, len, adopt, &n);
	return n.result;
}

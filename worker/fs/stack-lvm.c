/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume groups of LVM2. A list of devices keeps everything else out of sight,
 * configuration comes from the command line, and metadata is never written. lvm2's
 * --nameprefixes tells its answers from its warnings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/fs-internal.h"

#define MAX_ARGS 24

static const char config[] =
	"devices { scan_lvs=1 obtain_device_list_from_udev=0 external_device_info_source=\"none\" "
	"hints=\"none\" } "
	"global { metadata_read_only=1 use_lvmpolld=0 use_lvmlockd=0 event_activation=0 "
	"locking_dir=\"/run/lock/lvm\" } "
	"activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 "
	"auto_set_activation_skip=0 } "
	"backup { backup=0 archive=0 } report { mark_hidden_devices=0 }";

/* NAME='value' of one line of a report; false: it is another kind of line. */
static bool value_of(const char *line, const char *name, char *ret, size_t size)
{
	const char *p = strstr(line, name);
	size_t n = strlen(name);
	const char *end;

	*ret = '\0';
	if (!p || p[n] != '=' || p[n + 1] != '\'')
		return false;
	p += n + 2;
	end = strchr(p, '\'');
	if (!end || (size_t)(end - p) >= size)
		return false;
	memcpy(ret, p, (size_t)(end - p));
	ret[end - p] = '\0';
	return true;
}

static int number_of(const char *line, const char *name)
{
	char text[32];

	return value_of(line, name, text, sizeof(text)) ? atoi(text) : 0;
}

static char *join(const char *const *devs, struct err *err)
{
	struct strbuf b = STRBUF_INIT;

	for (int i = 0; devs[i]; i++) {
		strbuf_str(&b, i ? "," : "");
		strbuf_str(&b, devs[i]);
	}
	if (!b.failed && b.s)
		return b.s;
	strbuf_free(&b);
	err_set(err, ERR_NOMEM, "list devices for lvm: out of memory");
	return NULL;
}

struct groups {
	struct fs_lvm_group *list;
	int n, max;
};

static void see_group(void *ctx, const char *line)
{
	struct groups *g = ctx;
	struct fs_lvm_group vg = { .missing = 0 };
	char text[64];

	if (!value_of(line, "LVM2_VG_NAME", vg.name, sizeof(vg.name)) || !*vg.name)
		return;
	value_of(line, "LVM2_VG_UUID", vg.uuid, sizeof(vg.uuid));
	value_of(line, "LVM2_VG_SYSTEMID", vg.system_id, sizeof(vg.system_id));
	vg.missing = number_of(line, "LVM2_VG_MISSING_PV_COUNT");
	vg.shared = value_of(line, "LVM2_VG_LOCK_TYPE", text, sizeof(text)) && *text &&
		strcmp(text, "none");
	vg.exported = value_of(line, "LVM2_VG_EXPORTED", text, sizeof(text)) && *text;
	if (g->n < g->max)
		g->list[g->n] = vg;
	g->n++;
}

int fs_lvm_list(struct fs_stack *s, const char *const *devs, struct fs_lvm_group *ret,
	int max, struct err *err)
{
	CLEANUP_FREE char *list = join(devs, err);
	const char *argv[] = { STACK_LVM, "vgs", "--devices", list, "--config", config,
		"--foreign",
		"--shared", "--noheadings", "--nameprefixes", "--options",
		"vg_name,vg_uuid,vg_missing_pv_count,vg_systemid,vg_lock_type,vg_exported", NULL };
	struct groups g = { ret, 0, max };
	char last[256];
	int status;

	if (!list)
		return -1;
	status = fs_stack_run(s, argv, see_group, &g, last, err);
	if (status < 0)
		return -1;
	if (status)
		return err_set(err, ERR_PREP_STACK, "volume groups on %s: %s", list,
			last);
	if (g.n > max)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d volume groups",
			max);
	return g.n;
}

struct volumes {
	const struct fs_lvm_group *vg;
	void (*each)(void *ctx, const struct fs_lvm_volume *lv);
	void *ctx;
};

static void see_volume(void *ctx, const char *line)
{
	const struct volumes *v = ctx;
	struct fs_lvm_volume lv = { .snapshot = false };
	char text[128];

	if (!value_of(line, "LVM2_VG_UUID", text, sizeof(text)) ||
		strcmp(text, v->vg->uuid) ||
		!value_of(line, "LVM2_LV_NAME", lv.name, sizeof(lv.name)) ||
		!value_of(line, "LVM2_LV_DM_PATH", lv.node, sizeof(lv.node)))
		return;
	if (!value_of(line, "LVM2_LV_ACTIVE", text, sizeof(text)) ||
	    strncmp(text, "active", 6))
		return;
	/* A pool of thin volumes is no volume of its own. */
	if (value_of(line, "LVM2_LV_ATTR", text, sizeof(text)) && *text &&
		strchr("tVe", *text) && *text == 't')
		return;
	lv.snapshot = value_of(line, "LVM2_ORIGIN", text, sizeof(text)) && *text;
	v->each(v->ctx, &lv);
}

/* What lvm is told about one group: whose it is,
 * and whether its volumes may be written. */
static void group_config(const struct fs_stack *s, const struct fs_lvm_group *vg,
	char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s", config);

	if (!s->writable)
		n += snprintf(ret + n, size - (size_t)n,
			" activation/read_only_volume_list=[\"%s\"]", vg->name);
	if (*vg->system_id)
		snprintf(ret + n, size - (size_t)n, " local/extra_system_ids=[\"%s\"]",
			vg->system_id);
}

static int change(struct fs_stack *s, const char *list, const struct fs_lvm_group *vg,
	const char *how, const char *mode, struct err *err)
{
	char text[sizeof(config) + 512], last[256];
	const char *argv[] = { STACK_LVM, "vgchange", how, "--devices", list, "--config",
		text, "--activationmode", mode, "--ignoreactivationskip", "--yes",
		vg->name,
		NULL };
	int status;

	group_config(s, vg, text, sizeof(text));
	if (how[2] == 'n') {
		argv[7] = "--yes"; /* deactivation knows no mode */
		argv[8] = vg->name;
		argv[9] = NULL;
	}
	status = fs_stack_run(s, argv, NULL, NULL, last, err);
	if (status > 0)
		return err_set(err, ERR_PREP_STACK, "volume group %s: %s", vg->name,
			last);
	return status;
}

int fs_lvm_open(struct fs_stack *s, const char *const *devs,
	const struct fs_lvm_group *vg,
	void (*each)(void *ctx, const struct fs_lvm_volume *lv), void *ctx,
	struct fs_layer **ret, struct err *err)
{
	struct fs_layer *l = fs_stack_new(s, FS_LAYER_LVM, devs, err);
	char text[sizeof(config) + 512], last[256];
	const char *argv[] = { STACK_LVM, "lvs", "--devices", l ? l->on : "", "--config",
		text, "--noheadings", "--nameprefixes", "--options",
		"vg_uuid,lv_name,lv_dm_path,lv_active,lv_attr,origin", vg->name, NULL };
	struct volumes v = { vg, each, ctx };
	struct err late = ERR_INIT; /* the first one counts */
	int status;

	if (!l)
		return -1;
	group_config(s, vg, text, sizeof(text));
	snprintf(l->name, sizeof(l->name), "%s", vg->name);
	snprintf(l->uuid, sizeof(l->uuid), "%s", vg->uuid);
	snprintf(l->detail, sizeof(l->detail), "volume group");
	if (vg->missing)
		snprintf(l->problem, sizeof(l->problem), "%d physical volume%s missing",
			vg->missing, vg->missing == 1 ? " is" : "s are");
	/* A group with holes still gives what has all its parts, or redundancy. */
	if (change(s, l->on, vg, "-ay", "degraded", err) < 0 && !vg->missing)
		goto down;
	status = fs_stack_run(s, argv, see_volume, &v, last, err);
	if (status > 0)
		err_set(err, ERR_PREP_STACK, "volumes of %s: %s", vg->name, last);
	if (status)
		goto down;
	err_clear(err);
	fs_stack_added(s);
	*ret = l;
	return 0;
down:
	change(s, l->on, vg, "-an", "", &late);
	fs_stack_drop(l);
	return -1;
}

int fs_stack_lvm_close(struct fs_stack *s, struct fs_layer *l, struct err *err)
{
	struct fs_lvm_group vg = { .missing = 0 };

	snprintf(vg.name, sizeof(vg.name), "%s", l->name);
	if (change(s, l->on, &vg, "-an", "", err) < 0) {
		err->code = ERR_DISK_BUSY;
		return -1;
	}
	return 0;
}

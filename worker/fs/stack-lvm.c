/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume groups of LVM2. A list of devices keeps everything else out of sight,
 * configuration comes from the command line, and metadata is never written. Of what
 * stands on a disk only names of LVM's own alphabet get that far; a group's owner goes
 * through a file that holds nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/fs-internal.h"

#define MAX_CONFIG 1024

static const char config[] =
	"devices { scan_lvs=1 obtain_device_list_from_udev=0 external_device_info_source=\"none\" "
	"hints=\"none\" } "
	"global { metadata_read_only=1 use_lvmpolld=0 use_lvmlockd=0 event_activation=0 "
	"locking_dir=\"/run/lock/lvm\" } "
	"activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 "
	"auto_set_activation_skip=0 } "
	"backup { backup=0 archive=0 } report { mark_hidden_devices=0 } "
	"log { report_command_log=0 }";

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

static int see_group(void *ctx, yyjson_val *row, struct err *err)
{
	struct groups *g = ctx;
	struct fs_lvm_group vg = { .missing = 0 };
	char text[32];

	if (!fs_lvm_value(row, "vg_name", vg.name, sizeof(vg.name)) ||
	    (*vg.name && !fs_lvm_is_name(vg.name)) ||
	    !fs_lvm_value(row, "vg_uuid", vg.uuid, sizeof(vg.uuid)) ||
	    (*vg.name && !fs_lvm_is_uuid(vg.uuid)))
		return err_set(err, ERR_PREP_STACK,
			"a volume group has a name or UUID that LVM does not allow");
	if (!*vg.name)
		return 0; /* a physical volume without a group */
	if (!fs_lvm_value(row, "vg_systemid", vg.system_id, sizeof(vg.system_id)) ||
	    (*vg.system_id && !fs_lvm_is_system_id(vg.system_id))) {
		*vg.system_id = '\0';
		snprintf(vg.problem, sizeof(vg.problem),
			"its system ID is none that LVM allows");
	}
	vg.missing = fs_lvm_value(row, "vg_missing_pv_count", text, sizeof(text)) ?
		atoi(text) : 0;
	vg.shared = fs_lvm_value(row, "vg_shared", text, sizeof(text)) && *text;
	vg.exported = fs_lvm_value(row, "vg_exported", text, sizeof(text)) && *text;
	if (g->n < g->max)
		g->list[g->n] = vg;
	g->n++;
	return 0;
}

int fs_lvm_list(struct fs_stack *s, const char *const *devs, struct fs_lvm_group *ret,
	int max, struct err *err)
{
	CLEANUP_FREE char *list = join(devs, err);
	const char *argv[] = { STACK_LVM, "vgs", "--devices", list, "--config", config,
		"--foreign",
		"--shared", "--reportformat", "json", "--options",
		"vg_name,vg_uuid,vg_missing_pv_count,vg_systemid,vg_shared,vg_exported", NULL };
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	struct groups g = { ret, 0, max };
	char last[256];
	int status;

	if (!list)
		return -1;
	status = fs_stack_report(s, argv, &text, last, err);
	if (status < 0)
		return -1;
	if (status)
		return err_set(err, ERR_PREP_STACK, "volume groups on %s: %s", list,
			last);
	if (fs_lvm_rows(text.s, text.len, "vg", see_group, &g, err) < 0)
		return err_wrap(err, "volume groups on %s", list);
	if (g.n > max)
		return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d volume groups",
			max);
	return g.n;
}

/* One group while it is worked on: its owner in a file for lvm, "" = it has none. */
struct access {
	const struct fs_lvm_group *vg;
	char file[40];
	int fd;
	char config[MAX_CONFIG];
};

static void close_access(struct access *a)
{
	if (a->fd >= 0)
		close(a->fd);
}
#define CLEANUP_ACCESS __attribute__((cleanup(close_access)))

/* Makes the words for lvm about one group: whose it is, and whether its volumes may be
 * written. */
static int open_access(const struct fs_stack *s, const struct fs_lvm_group *vg,
	struct access *ret, struct err *err)
{
	int n = snprintf(ret->config, sizeof(ret->config), "%s", config);

	ret->vg = vg;
	ret->fd = -1;
	/* Neither can end a string of the configuration or begin an option. */
	if (!fs_lvm_is_name(vg->name) ||
	    (*vg->system_id && !fs_lvm_is_system_id(vg->system_id)))
		return err_set(err, ERR_PREP_STACK,
			"a volume group has a name or system ID that LVM does not allow");
	if (!s->writable)
		n += snprintf(ret->config + n, sizeof(ret->config) - (size_t)n,
			" activation/read_only_volume_list=[\"%s\"]", vg->name);
	if (!*vg->system_id)
		return 0;
	ret->fd = fs_stack_file(vg->system_id, strlen(vg->system_id), err);
	if (ret->fd < 0)
		return -1;
	fs_stack_fd_name(ret->fd, ret->file, sizeof(ret->file));
	snprintf(ret->config + n, sizeof(ret->config) - (size_t)n,
		" global/system_id_source=\"file\" global/system_id_file=\"%s\"",
		ret->file);
	return 0;
}

struct volumes {
	const struct fs_lvm_group *vg;
	void (*each)(void *ctx, const struct fs_lvm_volume *lv);
	void *ctx;
};

/* lvm makes nodes and links below /dev from these names, whatever they are. */
static int check_volume(void *ctx, yyjson_val *row, struct err *err)
{
	const struct volumes *v = ctx;
	char name[128];

	return fs_lvm_value(row, "lv_name", name, sizeof(name)) && fs_lvm_is_name(name) ?
		0 : err_set(err, ERR_PREP_STACK,
			"volume group %s has a volume with a name that LVM does not allow",
			v->vg->name);
}

static int see_volume(void *ctx, yyjson_val *row, struct err *err)
{
	const struct volumes *v = ctx;
	struct fs_lvm_volume lv = { .snapshot = false };
	char text[128];

	if (!fs_lvm_value(row, "vg_uuid", text, sizeof(text)) ||
		strcmp(text, v->vg->uuid))
		return 0;
	if (check_volume(ctx, row, err) < 0)
		return -1;
	fs_lvm_value(row, "lv_name", lv.name, sizeof(lv.name));
	if (!fs_lvm_value(row, "lv_active", text, sizeof(text)) ||
	    strncmp(text, "active", 6))
		return 0;
	/* A pool of thin volumes is no volume of its own. */
	if (fs_lvm_value(row, "lv_attr", text, sizeof(text)) && *text == 't')
		return 0;
	if (!fs_lvm_node(v->vg->name, lv.name, lv.node, sizeof(lv.node)))
		return err_set(err, ERR_PREP_STACK, "%s/%s: name too long", v->vg->name,
			lv.name);
	lv.snapshot = fs_lvm_value(row, "origin", text, sizeof(text)) && *text;
	v->each(v->ctx, &lv);
	return 0;
}

/* all: those that are parts of others, too. */
static int list_volumes(struct fs_stack *s, const char *list, const struct access *a,
	bool all, const struct volumes *v, struct err *err)
{
	const char *argv[] = { STACK_LVM, "lvs", "--devices", list, "--config",
		a->config, "--reportformat", "json", "--options",
		all ? "vg_uuid,lv_name" : "vg_uuid,lv_name,lv_active,lv_attr,origin",
		a->vg->name, all ? "--all" : NULL, NULL };
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	char last[256];
	int status = fs_stack_report(s, argv, &text, last, err);

	if (status > 0)
		return err_set(err, ERR_PREP_STACK, "volumes of %s: %s", a->vg->name,
			last);
	return status < 0 ? -1 : fs_lvm_rows(text.s, text.len, "lv",
		all ? check_volume : see_volume, (void *)v, err);
}

/* lvm keeps links in /dev/GROUP. A folder of this machine is no place for them; one with
 * nothing but links was left by lvm. */
static int check_folder(const char *name, struct err *err)
{
	CLEANUP_CLOSE int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(dev, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool taken = fd < 0 ? errno != ENOENT : fs_is_mounted(fd);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (fd >= 0 && !d)
		close(fd);
	while (d && !taken && (e = readdir(d)))
		taken = e->d_type != DT_LNK && strcmp(e->d_name, ".") &&
			strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return taken ? err_set(err, ERR_PREP_STACK,
		"volume group %s: this machine has a /dev/%s of its own", name, name) : 0;
}

/* On: mode is how much has to be there. Off: it is NULL. */
static int change(struct fs_stack *s, const char *list, const struct access *a,
	const char *mode, struct err *err)
{
	const char *name = a->vg->name;
	const char *on[] = { STACK_LVM, "vgchange", "-ay", "--devices", list, "--config",
		a->config, "--activationmode", mode, "--ignoreactivationskip", "--yes",
		name, NULL };
	const char *off[] = { STACK_LVM, "vgchange", "-an", "--devices", list,
		"--config", a->config, "--yes", name, NULL };
	char last[256];
	int status = fs_stack_run(s, mode ? on : off, NULL, NULL, last, err);

	if (status > 0)
		return err_set(err, ERR_PREP_STACK, "volume group %s: %s", name, last);
	return status;
}

static void describe(struct fs_layer *l, const struct fs_lvm_group *vg)
{
	snprintf(l->name, sizeof(l->name), "%s", vg->name);
	snprintf(l->uuid, sizeof(l->uuid), "%s", vg->uuid);
	snprintf(l->system_id, sizeof(l->system_id), "%s", vg->system_id);
	snprintf(l->detail, sizeof(l->detail), "volume group");
	if (vg->missing)
		snprintf(l->problem, sizeof(l->problem), "%d physical volume%s missing",
			vg->missing, vg->missing == 1 ? " is" : "s are");
}

int fs_lvm_open(struct fs_stack *s, const char *const *devs,
	const struct fs_lvm_group *vg,
	void (*each)(void *ctx, const struct fs_lvm_volume *lv), void *ctx,
	struct fs_layer **ret, struct err *err)
{
	CLEANUP_ACCESS struct access a = { .fd = -1 };
	struct volumes v = { vg, each, ctx };
	struct err late = ERR_INIT; /* the first one counts */
	struct fs_layer *l;

	if (open_access(s, vg, &a, err) < 0)
		return -1;
	l = fs_stack_new(s, FS_LAYER_LVM, devs, err);
	if (!l)
		return -1;
	describe(l, vg);
	if (list_volumes(s, l->on, &a, true, &v, err) < 0 ||
	    check_folder(vg->name, err) < 0)
		goto drop;
	/* A group with holes still gives what has all its parts, or redundancy. */
	if (change(s, l->on, &a, "degraded", err) < 0 && !vg->missing)
		goto down;
	if (list_volumes(s, l->on, &a, false, &v, err) < 0)
		goto down;
	err_clear(err);
	fs_stack_added(s);
	*ret = l;
	return 0;
down:
	change(s, l->on, &a, NULL, &late);
drop:
	fs_stack_drop(l);
	return -1;
}

int fs_stack_lvm_close(struct fs_stack *s, struct fs_layer *l, struct err *err)
{
	CLEANUP_ACCESS struct access a = { .fd = -1 };
	struct fs_lvm_group vg = { .missing = 0 };

	snprintf(vg.name, sizeof(vg.name), "%s", l->name);
	snprintf(vg.system_id, sizeof(vg.system_id), "%s", l->system_id);
	if (open_access(s, &vg, &a, err) < 0 || change(s, l->on, &a, NULL, err) < 0) {
		err->code = ERR_DISK_BUSY;
		return -1;
	}
	return 0;
}

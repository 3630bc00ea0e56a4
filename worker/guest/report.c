/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/guest-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Names from a disk may be no UTF-8: an odd byte becomes '?', so the report is JSON. */
static yyjson_mut_val *text(struct guest *g, const char *s)
{
	yyjson_mut_val *v = yyjson_mut_strcpy(g->doc, s);
	CLEANUP_FREE char *copy = NULL;
	size_t len = 0;
	char *json = yyjson_mut_val_write(v, 0, &len);

	if (json) {
		free(json);
		return v;
	}
	copy = strdup(s);
	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return yyjson_mut_strcpy(g->doc, copy ? copy : "?");
}

static void put(struct guest *g, yyjson_mut_val *obj, const char *key, const char *s)
{
	yyjson_mut_obj_add(obj, yyjson_mut_str(g->doc, key), text(g, s));
}

int guest_report_begin(struct guest *g, struct err *err)
{
	g->doc = yyjson_mut_doc_new(NULL);
	if (!g->doc)
		return err_set(err, ERR_NOMEM, "the report: out of memory");
	g->skipped = yyjson_mut_arr(g->doc);
	g->warnings = yyjson_mut_arr(g->doc);
	g->steps = yyjson_mut_arr(g->doc);
	g->changes = yyjson_mut_arr(g->doc);
	g->because = yyjson_mut_arr(g->doc);
	g->extensions = yyjson_mut_arr(g->doc);
	g->unsaved = yyjson_mut_arr(g->doc);
	g->edited = yyjson_mut_arr(g->doc);
	return 0;
}

void guest_report_warn(struct guest *g, const char *fmt, ...)
{
	char s[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	yyjson_mut_arr_append(g->warnings, text(g, s));
}

void guest_report_because(struct guest *g, const char *fmt, ...)
{
	char s[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	yyjson_mut_arr_append(g->because, text(g, s));
}

void guest_report_skip(struct guest *g, const char *step, const char *fmt, ...)
{
	yyjson_mut_val *o = yyjson_mut_obj(g->doc);
	char s[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	put(g, o, "step", step);
	put(g, o, "why", s);
	yyjson_mut_arr_append(g->skipped, o);
}

void guest_report_change(struct guest *g, const char *path, const char *change,
	const char *before, const char *after, const char *backup)
{
	yyjson_mut_val *o = yyjson_mut_obj(g->doc);

	put(g, o, "path", path);
	put(g, o, "change", change);
	if (before && *before)
		put(g, o, "sha256_before", before);
	if (after && *after)
		put(g, o, "sha256_after", after);
	if (backup && *backup)
		put(g, o, "backup", backup);
	yyjson_mut_arr_append(g->changes, o);
}

void guest_report_path(struct guest *g, yyjson_mut_val *list, const char *path,
	const char *change)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(g->doc, list);

	put(g, o, "path", path);
	put(g, o, "change", change);
}

bool guest_report_has_change(const struct guest *g, const char *path)
{
	yyjson_mut_val *o;
	size_t i, n;

	yyjson_mut_arr_foreach(g->changes, i, n, o)
		if (yyjson_mut_equals_str(yyjson_mut_obj_get(o, "path"), path))
			return true;
	return false;
}

void guest_report_extension(struct guest *g, int i, const char *when, int status,
	const char *output)
{
	yyjson_mut_val *o = yyjson_mut_obj(g->doc);

	yyjson_mut_obj_add_int(g->doc, o, "index", i);
	put(g, o, "when", when);
	yyjson_mut_obj_add_int(g->doc, o, "status", status);
	put(g, o, "output", output);
	yyjson_mut_arr_append(g->extensions, o);
}

void guest_report_step(struct guest *g, const char *step, const char *detail)
{
	guest_report_step_end(g);
	g->step = step;
	g->step_begin = (double)clock_now_ms() / 1000;
	if (g->opt->step)
		g->opt->step(g->opt->ctx, step, false, detail);
}

void guest_report_step_end(struct guest *g)
{
	yyjson_mut_val *o;
	char seconds[32];

	if (!g->step)
		return;
	o = yyjson_mut_obj(g->doc);
	put(g, o, "step", g->step);
	snprintf(seconds, sizeof(seconds), "%.1f",
		(double)clock_now_ms() / 1000 - g->step_begin);
	yyjson_mut_obj_add(o, yyjson_mut_str(g->doc, "seconds"),
		yyjson_mut_rawcpy(g->doc, seconds));
	yyjson_mut_arr_append(g->steps, o);
	if (g->opt->step)
		g->opt->step(g->opt->ctx, g->step, true, seconds);
	g->step = NULL;
}

static yyjson_mut_val *driver_list(struct guest *g, uint64_t mask)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < N_DRIVERS; i++)
		if (mask & DRIVER_BIT(i))
			yyjson_mut_arr_add_str(g->doc, a, guest_driver_names[i]);
	return a;
}

static yyjson_mut_val *kernels(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->facts.n_kernels; i++) {
		const struct guest_kernel *k = &g->facts.kernels[i];
		yyjson_mut_val *o = yyjson_mut_obj(g->doc);

		put(g, o, "version", k->version);
		put(g, o, "image", k->image);
		put(g, o, "initrd", k->initrd);
		put(g, o, "format", k->initrd_format);
		yyjson_mut_obj_add_uint(g->doc, o, "initrd_bytes", k->initrd_size);
		yyjson_mut_obj_add_bool(g->doc, o, "bootable", k->bootable);
		yyjson_mut_obj_add_bool(g->doc, o, "unified", k->unified);
		if (k->virtio)
			put(g, o, "virtio", k->virtio == GUEST_VIRTIO_1 ? "1" : "legacy");
		yyjson_mut_obj_add_val(g->doc, o, "built_in", driver_list(g, k->builtin));
		yyjson_mut_obj_add_val(g->doc, o, "modules", driver_list(g, k->modules));
		yyjson_mut_obj_add_val(g->doc, o, "in_initrd", driver_list(g, k->packed));
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

static yyjson_mut_val *volumes(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->n_vols; i++) {
		const struct guest_vol *v = &g->vols[i];
		yyjson_mut_val *o = yyjson_mut_obj(g->doc);

		put(g, o, "device", v->fs.dev);
		yyjson_mut_obj_add_int(g->doc, o, "disk", v->disk);
		yyjson_mut_obj_add_int(g->doc, o, "partition", v->part);
		yyjson_mut_obj_add_uint(g->doc, o, "bytes", v->fs.size);
		put(g, o, "type", v->found == FS_AMBIGUOUS ? "ambiguous" : v->fs.type);
		put(g, o, "uuid", v->fs.uuid);
		put(g, o, "label", v->fs.label);
		if (v->is_root)
			put(g, o, "system", v->os);
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

static yyjson_mut_val *layers(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->stack.n; i++) {
		const struct fs_layer *l = &g->stack.layers[i];
		yyjson_mut_val *o = yyjson_mut_obj(g->doc), *on = yyjson_mut_arr(g->doc);

		put(g, o, "kind", fs_layer_name(l->kind));
		put(g, o, "name", l->name);
		put(g, o, "uuid", l->uuid);
		put(g, o, "detail", l->detail);
		if (*l->tokens)
			put(g, o, "tokens", l->tokens);
		if (*l->problem)
			put(g, o, "problem", l->problem);
		for (const char *p = l->on; *p; p += strcspn(p, ","), p += *p == ',') {
			char dev[256];

			snprintf(dev, sizeof(dev), "%.*s", (int)strcspn(p, ","), p);
			yyjson_mut_arr_append(on, text(g, dev));
		}
		yyjson_mut_obj_add_val(g->doc, o, "on", on);
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

static yyjson_mut_val *systems(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->n_systems; i++) {
		const struct guest_system *s = &g->systems[i];
		yyjson_mut_val *o = yyjson_mut_obj(g->doc);

		put(g, o, "device", g->vols[s->vol].fs.dev);
		if (*s->subvol)
			put(g, o, "subvolume", s->subvol);
		put(g, o, "name", s->os);
		yyjson_mut_obj_add_bool(g->doc, o, "chosen", s->vol == g->root_vol &&
			!strcmp(s->subvol, g->root_subvol));
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

static yyjson_mut_val *mounts(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->n_mounts; i++) {
		yyjson_mut_val *o = yyjson_mut_obj(g->doc);
		struct err ignored = ERR_INIT; /* space is extra */
		struct fs_space space;

		put(g, o, "point", g->mounts[i].point);
		put(g, o, "device", g->vols[g->mounts[i].vol].fs.dev);
		put(g, o, "type", g->vols[g->mounts[i].vol].fs.type);
		if (g->root.fd >= 0 && !g->stuck &&
		    !fs_space(&g->root, g->mounts[i].point, &space, &ignored)) {
			yyjson_mut_obj_add_uint(g->doc, o, "free_bytes",
				space.free_bytes);
			/* No limit is left out: readers of JSON end at 2^63 - 1. */
			if (space.free_inodes != UINT64_MAX)
				yyjson_mut_obj_add_uint(g->doc, o, "free_inodes",
					space.free_inodes);
		}
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

static yyjson_mut_val *interfaces(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->facts.n_ifaces; i++) {
		yyjson_mut_val *o = yyjson_mut_obj(g->doc);

		put(g, o, "name", g->facts.ifaces[i].name);
		put(g, o, "mac", g->facts.ifaces[i].mac);
		put(g, o, "file", g->facts.ifaces[i].where);
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

static yyjson_mut_val *facts(struct guest *g)
{
	const struct guest_facts *f = &g->facts;
	yyjson_mut_val *o = yyjson_mut_obj(g->doc), *os = yyjson_mut_obj(g->doc);
	yyjson_mut_val *loader = yyjson_mut_obj(g->doc);

	put(g, os, "id", f->os_id);
	put(g, os, "version", f->os_version);
	put(g, os, "name", f->os_name);
	put(g, os, "family", f->family ? f->family->name : "");
	yyjson_mut_obj_add_val(g->doc, o, "os", os);
	put(g, o, "initramfs_tool", f->builder ? f->builder->name : "");
	put(g, o, "arch", f->arch);
	if (f->cpu_level)
		yyjson_mut_obj_add_int(g->doc, o, "cpu_level", f->cpu_level);
	put(g, o, "machine_type", guest_machine_type(g));
	put(g, o, "firmware", f->firmware);
	put(g, o, "init", f->init);
	put(g, loader, "kind", boot_kind_name(f->boot.kind));
	put(g, loader, "config", f->boot.path);
	put(g, loader, "esp", f->boot.esp);
	yyjson_mut_obj_add_val(g->doc, o, "loader", loader);
	yyjson_mut_obj_add_val(g->doc, o, "kernels", kernels(g));
	yyjson_mut_obj_add_val(g->doc, o, "volumes", volumes(g));
	yyjson_mut_obj_add_val(g->doc, o, "layers", layers(g));
	yyjson_mut_obj_add_val(g->doc, o, "systems", systems(g));
	yyjson_mut_obj_add_val(g->doc, o, "mounts", mounts(g));
	put(g, o, "network_stacks", f->stacks);
	yyjson_mut_obj_add_val(g->doc, o, "interfaces", interfaces(g));
	put(g, o, "tools", f->tools);
	yyjson_mut_obj_add_int(g->doc, o, "tools_left", f->tools_left);
	yyjson_mut_obj_add_bool(g->doc, o, "selinux", f->selinux);
	yyjson_mut_obj_add_bool(g->doc, o, "cloud_init", f->cloud_init);
	yyjson_mut_obj_add_bool(g->doc, o, "hibernated", f->hibernated);
	return o;
}

static yyjson_mut_val *plan(struct guest *g)
{
	yyjson_mut_val *a = yyjson_mut_arr(g->doc);

	for (int i = 0; i < g->n_ops; i++) {
		yyjson_mut_val *o = yyjson_mut_obj(g->doc);

		put(g, o, "step", g->ops[i].step);
		put(g, o, "kind", guest_op_name(g->ops[i].kind));
		put(g, o, "path", g->ops[i].path ? g->ops[i].path : "");
		if (g->ops[i].from)
			put(g, o, "from", g->ops[i].from);
		put(g, o, "why", g->ops[i].why);
		yyjson_mut_arr_append(a, o);
	}
	return a;
}

void guest_report_finish(struct guest *g, const char *verdict, const struct err *err,
	struct strbuf *out)
{
	yyjson_mut_val *root = yyjson_mut_obj(g->doc);
	CLEANUP_FREE char *json = NULL;
	size_t len;

	guest_report_step_end(g);
	yyjson_mut_doc_set_root(g->doc, root);
	put(g, root, "verdict", verdict);
	yyjson_mut_obj_add_val(g->doc, root, "because", g->because);
	if (g->opt->rehearse)
		yyjson_mut_obj_add_uint(g->doc,
			yyjson_mut_obj_add_obj(g->doc, root, "rehearsal"),
			"memory_bytes", g->rehearsed_bytes);
	yyjson_mut_obj_add_val(g->doc, root, "facts", facts(g));
	yyjson_mut_obj_add_val(g->doc, root, "plan", plan(g));
	yyjson_mut_obj_add_val(g->doc, root, "changes", g->changes);
	yyjson_mut_obj_add_val(g->doc, root, "extensions", g->extensions);
	yyjson_mut_obj_add_val(g->doc, root, "unsaved", g->unsaved);
	yyjson_mut_obj_add_val(g->doc, root, "edited", g->edited);
	yyjson_mut_obj_add_val(g->doc, root, "skipped", g->skipped);
	yyjson_mut_obj_add_val(g->doc, root, "warnings", g->warnings);
	yyjson_mut_obj_add_val(g->doc, root, "steps", g->steps);
	put(g, root, "backup", g->journal.dir);
	if (err && err->code) {
		yyjson_mut_val *e = yyjson_mut_obj_add_obj(g->doc, root, "error");

		put(g, e, "code", err_name(err->code));
		put(g, e, "text", err->text);
		put(g, e, "hint", err_hint(err->code));
	}
	json = yyjson_mut_write(g->doc, 0, &len);
	if (json && out)
		strbuf_add(out, json, len);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job document. Its keys stand in tables; what a table cannot say (which keys go together)
 * is checked at the end of each object. worker.8 describes every key.
 */
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

#define FIELD(s, f) .offset = offsetof(struct s, f), .size = sizeof(((struct s *)0)->f)

static const char *const modes[] = { "full", "delta", "prepare", NULL };
static const char *const finishes[] = { "poweroff", "reboot", "hold", NULL };
static const char *const verifies[] = { "none", "sample", "full", NULL };
static const char *const states[] = { "pristine", "prepared", "booted", "unknown", NULL };

static int read_version(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	(void)k;
	(void)field;
	if (!yyjson_is_uint(v) || yyjson_get_uint(v) != 1)
		return job_read_fail(r, "must be 1, the version this worker understands");
	return 0;
}

/* controller */

static int read_pin(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;
	char s[128];

	if (job_read_string(r, v, &(struct job_key){ .size = sizeof(s), .min = 1 }, s) < 0)
		return -1;
	if (job_pin_parse(s, j->controller.pins[i]) < 0)
		return job_read_fail(r, "is not a pin: sha256//, then 32 bytes in base64");
	j->controller.n_pins = (int)i + 1;
	return 0;
}

static int read_pins(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job *j = (struct job *)((char *)field - offsetof(struct job, controller.pins));

	(void)k;
	return job_read_array(r, v, JOB_MAX_PINS, read_pin, j);
}

static const struct job_key controller_keys[] = {
	{ "url", job_read_string, FIELD(job, controller.url), .min = 1, .required = true },
	{ "token", job_read_string, FIELD(job, controller.token), .min = 1, .required = true },
	{ "pins", read_pins, FIELD(job, controller.pins), .required = true },
	{ .name = NULL },
};

static int read_controller(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	if (job_read_object(r, v, controller_keys, j) < 0)
		return -1;
	if (job_url_check(j->controller.url, "https") < 0)
		return job_read_fail_key(r, "url", "must be https://host[:port][/path]");
	if (strpbrk(j->controller.token, " \"\\"))
		return job_read_fail_key(r, "token", "holds a blank, a quote or a backslash");
	if (!j->controller.n_pins)
		return job_read_fail_key(r, "pins", "needs at least one pin");
	j->controller.present = true;
	return 0;
}

/* network */

static int read_dns(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct net_config *c = ctx;

	return job_read_addr(r, v, &(struct job_key){ .size = sizeof(c->dns[0]) }, c->dns[i]);
}

static int read_dns_list(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct net_config *c = (struct net_config *)((char *)field - k->offset);

	return job_read_array(r, v, sizeof(c->dns) / sizeof(c->dns[0]), read_dns, c);
}

static const struct job_key network_keys[] = {
	{ "mac", job_read_mac, FIELD(net_config, mac) },
	{ "dhcp", job_read_bool, FIELD(net_config, dhcp4) },
	{ "slaac", job_read_bool, FIELD(net_config, slaac6) },
	{ "address", job_read_net4, FIELD(net_config, address4) },
	{ "gateway", job_read_addr4, FIELD(net_config, gateway4) },
	{ "address6", job_read_net6, FIELD(net_config, address6) },
	{ "gateway6", job_read_addr6, FIELD(net_config, gateway6) },
	{ "dns", read_dns_list, FIELD(net_config, dns) },
	{ "mtu", job_read_unsigned, FIELD(net_config, mtu), .min = 576, .max = 65535 },
	{ "timeout_s", job_read_unsigned, FIELD(net_config, timeout_s), .min = 1, .max = 600 },
	{ .name = NULL },
};

static int read_net(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;
	struct net_config *c = &j->nets[i];
	size_t n;

	if (job_read_object(r, v, network_keys, c) < 0)
		return -1;
	if (!c->dhcp4 && !c->slaac6 && !*c->address4 && !*c->address6)
		return job_read_fail(r, "needs dhcp, slaac, address or address6");
	if (c->dhcp4 && *c->address4)
		return job_read_fail_key(r, "address", "and dhcp exclude each other");
	if (*c->gateway4 && !*c->address4)
		return job_read_fail_key(r, "gateway", "needs address beside it");
	if (*c->gateway6 && !*c->address6)
		return job_read_fail_key(r, "gateway6", "needs address6 beside it");
	for (n = 0; n < i; n++)
		if (!strcmp(j->nets[n].mac, c->mac))
			return job_read_fail_key(r, "mac", "is that of network[%zu] too", n);
	j->n_nets = (int)i + 1;
	return 0;
}

static int read_nets(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	return job_read_array(r, v, JOB_MAX_NETS, read_net, (char *)field - k->offset);
}

/* source */

static const struct job_key source_keys[] = {
	{ "url", job_read_string, FIELD(job, source.url), .min = 1, .required = true },
	{ "psk", job_read_psk, FIELD(job, source.psk) },
	{ "allow_plain", job_read_bool, FIELD(job, source.allow_plain) },
	{ "connections", job_read_unsigned, FIELD(job, source.connections), .min = 1, .max = 16 },
	{ "stall_s", job_read_unsigned, FIELD(job, source.stall_s), .min = 5, .max = 86400 },
	{ .name = NULL },
};

static int read_source(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	if (job_read_object(r, v, source_keys, j) < 0)
		return -1;
	if (!strncmp(j->source.url, "tw://", 5) && !j->source.allow_plain)
		return job_read_fail_key(r, "url", "is not encrypted; that needs allow_plain");
	if (!job_source_url_known(j->source.url))
		return job_read_fail_key(r, "url",
			"must start with tws://, tw://, nbd://, nbds://, nbd+unix:// or file:");
	if (!strncmp(j->source.url, "tws://", 6) && !*j->source.psk)
		return job_read_fail_key(r, "psk", "is missing; tws:// needs one");
	return 0;
}

/* drives */

static int read_size_exact(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	if (job_read_bool(r, v, k, field) < 0)
		return -1;
	if (!*(bool *)field)
		return job_read_fail(r, "may only be true");
	return 0;
}

static const struct job_key target_keys[] = {
	{ "serial", job_read_string, FIELD(job_target, serial), .min = 1 },
	{ "wwn", job_read_string, FIELD(job_target, wwn), .min = 1 },
	{ "path", job_read_string, FIELD(job_target, path), .min = 1 },
	{ "device", job_read_string, FIELD(job_target, device), .min = 1 },
	{ "size_exact", read_size_exact, FIELD(job_target, size_exact) },
	{ .name = NULL },
};

static int read_target(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job_target *t = field;

	(void)k;
	if (job_read_object(r, v, target_keys, t) < 0)
		return -1;
	if (!!*t->serial + !!*t->wwn + !!*t->path + !!*t->device + t->size_exact != 1)
		return job_read_fail(r,
			"needs exactly one of serial, wwn, path, device and size_exact");
	if (*t->device && *t->device != '/')
		return job_read_fail_key(r, "device", "must be an absolute path");
	return 0;
}

static const struct job_key drive_keys[] = {
	{ "source", job_read_string, FIELD(job_drive, source), .min = 1 },
	{ "target", read_target, FIELD(job_drive, target), .required = true },
	{ "target_state", job_read_enum, FIELD(job_drive, target_state), .names = states },
	{ "target_zero", job_read_bool, FIELD(job_drive, target_zero) },
	{ .name = NULL },
};

static bool same_target(const struct job_target *a, const struct job_target *b)
{
	return (*a->serial && !strcmp(a->serial, b->serial)) ||
		(*a->wwn && !strcmp(a->wwn, b->wwn)) ||
		(*a->path && !strcmp(a->path, b->path)) ||
		(*a->device && !strcmp(a->device, b->device));
}

static int read_drive(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;
	struct job_drive *d = &j->drives[i];
	size_t n;

	d->target_state = JOB_UNKNOWN;
	if (job_read_object(r, v, drive_keys, d) < 0)
		return -1;
	if (d->target_zero && d->target_state != JOB_PRISTINE)
		return job_read_fail_key(r, "target_zero", "needs target_state \"pristine\"");
	for (n = 0; n < i; n++) {
		if (same_target(&j->drives[n].target, &d->target))
			return job_read_fail_key(r, "target", "is that of drives[%zu] too", n);
		if (*d->source && !strcmp(j->drives[n].source, d->source))
			return job_read_fail_key(r, "source", "is that of drives[%zu] too", n);
	}
	j->n_drives = (int)i + 1;
	return 0;
}

static int read_drives(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	if (job_read_array(r, v, JOB_MAX_DRIVES, read_drive, j) < 0)
		return -1;
	return j->n_drives ? 0 : job_read_fail(r, "needs at least one drive");
}

/* prepare */

/* {"MAC at the source": "MAC of the target VM"} */
static int read_nic_map(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);
	yyjson_val *old, *fresh;
	size_t i, n, mark, m;

	if (!yyjson_is_obj(v))
		return job_read_fail(r, "must be an object {\"source MAC\": \"target MAC\"}");
	if (yyjson_obj_size(v) > JOB_MAX_NETS)
		return job_read_fail(r, "has more than %d entries", JOB_MAX_NETS);
	yyjson_obj_foreach(v, i, n, old, fresh)
	{
		struct guest_nic *nic = &j->prepare.nics[i];

		mark = job_read_push_key(r, yyjson_get_str(old));
		if (job_mac_parse(yyjson_get_str(old), nic->old_mac) < 0)
			return job_read_fail(r, "is not a MAC address of the source");
		if (job_read_mac(r, fresh, k, nic->mac) < 0)
			return -1;
		for (m = 0; m < i; m++)
			if (!strcmp(j->prepare.nics[m].old_mac, nic->old_mac) ||
				!strcmp(j->prepare.nics[m].mac, nic->mac))
				return job_read_fail(r, "one of the two is already mapped");
		job_read_pop(r, mark);
		j->prepare.n_nics = (int)i + 1;
	}
	return 0;
}

static int read_disk_key(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;

	j->prepare.n_keys = (int)i + 1;
	return job_read_text(r, v, &(struct job_key){ .min = 1, .max = 4096 },
		&j->prepare.keys[i]);
}

static int read_disk_keys(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	return job_read_array(r, v, JOB_MAX_KEYS, read_disk_key, j);
}

static const struct job_key prepare_keys[] = {
	{ "guest", job_read_string, FIELD(job, prepare.guest), .min = 1 },
	{ "network", read_nic_map, FIELD(job, prepare.nics) },
	{ "remove_tools", job_read_bool, FIELD(job, prepare.remove_tools) },
	{ "dry_run", job_read_bool, FIELD(job, prepare.dry_run) },
	{ "undo", job_read_bool, FIELD(job, prepare.undo) },
	{ "nvram", job_read_bool, FIELD(job, prepare.nvram) },
	{ "keys", read_disk_keys, FIELD(job, prepare.keys) },
	{ "tool_timeout_s", job_read_unsigned, FIELD(job, prepare.tool_timeout_s), .min = 10,
		.max = 86400 },
	{ .name = NULL },
};

/* An object, or false for "copy only". */
static int read_prepare(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	if (yyjson_is_false(v)) {
		j->prepare.enabled = false;
		return 0;
	}
	if (yyjson_is_true(v))
		return 0;
	if (job_read_object(r, v, prepare_keys, j) < 0)
		return -1;
	if (strcmp(j->prepare.guest, "auto") && *j->prepare.guest != '/')
		return job_read_fail_key(r, "guest", "must be \"auto\" or a root device");
	if (j->prepare.dry_run && j->prepare.undo)
		return job_read_fail_key(r, "undo", "and dry_run exclude each other");
	return 0;
}

/* extensions */

static const char *const whens[] = { "pre-mount", "mounted", "first-boot", NULL };

static int read_when(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field)
{
	struct job_key as_enum = *k;
	int i;

	as_enum.names = whens;
	if (job_read_enum(r, v, &as_enum, &i) < 0)
		return -1;
	strcpy(field, whens[i]);
	return 0;
}

static const struct job_key extension_keys[] = {
	{ "when", read_when, FIELD(job_extension, when), .required = true },
	{ "run", job_read_text, FIELD(job_extension, run), .min = 1, .max = 256 << 10,
		.required = true },
	{ "fatal", job_read_bool, FIELD(job_extension, fatal) },
	{ .name = NULL },
};

static int read_extension(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;

	j->n_extensions = (int)i + 1;
	j->extensions[i].fatal = true;
	return job_read_object(r, v, extension_keys, &j->extensions[i]);
}

static int read_extensions(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return job_read_array(r, v, JOB_MAX_EXTENSIONS, read_extension,
		(char *)field - k->offset);
}

/* the whole document */

static const struct job_key job_keys[] = {
	{ "version", read_version, .required = true },
	{ "migration", job_read_name, FIELD(job, migration), .min = 1, .required = true },
	{ "mode", job_read_enum, FIELD(job, mode), .names = modes, .required = true },
	{ "controller", read_controller, FIELD(job, controller) },
	{ "network", read_nets, FIELD(job, nets) },
	{ "source", read_source, FIELD(job, source) },
	{ "drives", read_drives, FIELD(job, drives), .required = true },
	{ "verify", job_read_enum, FIELD(job, verify), .names = verifies },
	{ "bandwidth", job_read_rate, FIELD(job, bandwidth) },
	{ "prepare", read_prepare, FIELD(job, prepare) },
	{ "extensions", read_extensions, FIELD(job, extensions) },
	{ "finish", job_read_enum, FIELD(job, finish), .names = finishes },
	{ "on_error", job_read_enum, FIELD(job, on_error), .names = finishes },
	{ "report_deadline_s", job_read_unsigned, FIELD(job, report_deadline_s), .max = 86400 },
	{ .name = NULL },
};

/* What only the whole document can tell. */
static int check_together(struct job_reader *r, const struct job *j)
{
	char uri[JOB_URI_MAX];
	int i;

	if (j->mode == JOB_PREPARE && *j->source.url)
		return job_read_fail_key(r, "source", "has no use in mode prepare");
	if (j->mode == JOB_PREPARE && !j->prepare.enabled)
		return job_read_fail_key(r, "prepare", "is switched off in mode prepare");
	if (j->mode != JOB_PREPARE && !*j->source.url)
		return job_read_fail_key(r, "source", "missing");
	if (j->mode != JOB_PREPARE && (j->prepare.dry_run || j->prepare.undo))
		return job_read_fail_key(r, "prepare", "dry_run and undo need mode prepare");
	for (i = 0; i < j->n_drives; i++) {
		const struct job_drive *d = &j->drives[i];
		size_t list = job_read_push_key(r, "drives");

		job_read_push_index(r, (size_t)i);
		if (j->mode == JOB_PREPARE && *d->source)
			return job_read_fail_key(r, "source", "has no use in mode prepare");
		if (j->mode == JOB_PREPARE && d->target.size_exact)
			return job_read_fail_key(r, "target",
				"size_exact needs a source to compare with");
		if (j->mode != JOB_PREPARE && !*d->source)
			return job_read_fail_key(r, "source", "missing");
		if (j->mode != JOB_PREPARE && job_drive_uri(j, d, uri) < 0)
			return job_read_fail_key(r, "source", "makes source.url too long");
		job_read_pop(r, list);
	}
	return 0;
}

static void set_defaults(struct job *j)
{
	j->prepare.enabled = true;
	j->prepare.remove_tools = true;
	j->prepare.nvram = true;
	strcpy(j->prepare.guest, "auto");
	j->verify = COPY_VERIFY_SAMPLE;
	j->report_deadline_s = 1800;
}

static int fail_syntax(const char *text, size_t len, const yyjson_read_err *e, struct err *err)
{
	size_t line = 0, col = 0, chr = 0;

	if (e->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
		return err_set(err, ERR_NOMEM, "job: no memory for the document");
	if (!yyjson_locate_pos(text, len, e->pos, &line, &col, &chr))
		return err_set(err, ERR_CFG_INVALID, "job: not JSON: %s", e->msg);
	return err_set(err, ERR_CFG_INVALID, "job: not JSON: line %zu, column %zu: %s", line, col,
		e->msg);
}

int job_parse(const char *text, size_t len, struct job **ret, struct err *err)
{
	struct job_reader r = { .err = err };
	yyjson_read_err e;
	yyjson_doc *doc;
	struct job *j;
	int rc;

	if (len > JOB_MAX_BYTES)
		return err_set(err, ERR_CFG_INVALID, "job: %zu bytes, at most %u are allowed", len,
			JOB_MAX_BYTES);
	j = calloc(1, sizeof(*j));
	if (!j)
		return err_set(err, ERR_NOMEM, "job: no memory");
	set_defaults(j);
	/* Without the in-situ flag the text is only read. */
	doc = yyjson_read_opts((char *)(uintptr_t)text, len, 0, &job_read_wiping_alc, &e);
	if (!doc) {
		job_free(j);
		return fail_syntax(text, len, &e, err);
	}
	rc = job_read_object(&r, yyjson_doc_get_root(doc), job_keys, j);
	if (rc == 0)
		rc = check_together(&r, j);
	yyjson_doc_free(doc);
	if (rc < 0) {
		job_free(j);
		return -1;
	}
	*ret = j;
	return 0;
}

static void wipe_text(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void job_free(struct job *j)
{
	int i;

	if (!j)
		return;
	for (i = 0; i < j->n_extensions; i++)
		wipe_text(j->extensions[i].run);
	for (i = 0; i < j->prepare.n_keys; i++)
		wipe_text(j->prepare.keys[i]);
	free(j->provenance_json);
	explicit_bzero(j, sizeof(*j));
	free(j);
}

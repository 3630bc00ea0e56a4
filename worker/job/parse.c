/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job document. Its keys stand in tables; what a table cannot say (which keys go
 * together) is checked at the end of each object. worker.8 describes every key.
 */
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

static const char *const modes[] = { "full", "delta", "prepare", NULL };
static const char *const finishes[] = { "poweroff", "reboot", "hold", NULL };
static const char *const verifies[] = { "none", "sample", "full", NULL };

static int read_version(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
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

	if (job_read_string(r, v, &(struct job_key){ .size = sizeof(s), .min = 1 },
		s) < 0)
		return -1;
	if (job_pin_parse(s, j->controller.pins[i]) < 0)
		return job_read_fail(r,
			"is not a pin: sha256//, then 32 bytes in base64");
	j->controller.n_pins = (int)i + 1;
	return 0;
}

static int read_pins(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j =
		(struct job *)((char *)field - offsetof(struct job, controller.pins));

	(void)k;
	return job_read_array(r, v, JOB_MAX_PINS, read_pin, j);
}

static const struct job_key controller_keys[] = {
	{ "url", job_read_string, JOB_FIELD(job, controller.url), .min = 1,
		.required = true },
	{ "token", job_read_string, JOB_FIELD(job, controller.token), .min = 1,
		.required = true },
	{ "pins", read_pins, JOB_FIELD(job, controller.pins), .required = true },
	{ "register_window_s", job_read_unsigned,
		JOB_FIELD(job, controller.register_window_s),
		.min = 1, .max = 86400 },
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
		return job_read_fail_key(r, "token",
			"holds a blank, a quote or a backslash");
	if (!j->controller.n_pins)
		return job_read_fail_key(r, "pins", "needs at least one pin");
	j->controller.present = true;
	return 0;
}

/* network */

static int read_dns(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct net_config *c = ctx;

	return job_read_addr(r, v, &(struct job_key){ .size = sizeof(c->dns[0]) },
		c->dns[i]);
}

static int read_dns_list(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct net_config *c = (struct net_config *)((char *)field - k->offset);

	return job_read_array(r, v, sizeof(c->dns) / sizeof(c->dns[0]), read_dns, c);
}

static const struct job_key network_keys[] = {
	{ "mac", job_read_mac, JOB_FIELD(net_config, mac) },
	{ "dhcp", job_read_bool, JOB_FIELD(net_config, dhcp4) },
	{ "slaac", job_read_bool, JOB_FIELD(net_config, slaac6) },
	{ "address", job_read_net4, JOB_FIELD(net_config, address4) },
	{ "gateway", job_read_addr4, JOB_FIELD(net_config, gateway4) },
	{ "address6", job_read_net6, JOB_FIELD(net_config, address6) },
	{ "gateway6", job_read_addr6, JOB_FIELD(net_config, gateway6) },
	{ "dns", read_dns_list, JOB_FIELD(net_config, dns) },
	{ "mtu", job_read_unsigned, JOB_FIELD(net_config, mtu), .min = 576,
		.max = 65535 },
	{ "timeout_s", job_read_unsigned, JOB_FIELD(net_config, timeout_s), .min = 1,
		.max = 600 },
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
			return job_read_fail_key(r, "mac", "is that of network[%zu] too",
				n);
	j->n_nets = (int)i + 1;
	return 0;
}

static int read_nets(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return job_read_array(r, v, JOB_MAX_NETS, read_net, (char *)field - k->offset);
}

/* source */

static const struct job_key source_keys[] = {
	{ "url", job_read_string, JOB_FIELD(job, source.url), .min = 1,
		.required = true },
	{ "psk", job_read_psk, JOB_FIELD(job, source.psk) },
	{ "allow_plain", job_read_bool, JOB_FIELD(job, source.allow_plain) },
	{ "require_consistency", job_read_bool,
		JOB_FIELD(job, source.require_consistency) },
	{ "connections", job_read_unsigned, JOB_FIELD(job, source.connections), .min = 1,
		.max = 16 },
	{ "stall_s", job_read_unsigned, JOB_FIELD(job, source.stall_s), .min = 5,
		.max = 86400 },
	{ "live_passes", job_read_unsigned, JOB_FIELD(job, source.live_passes),
		.max = 100 },
	{ "downtime_s", job_read_unsigned, JOB_FIELD(job, source.downtime_s), .min = 1,
		.max = 86400 },
	{ "bad_ranges_max", job_read_bytes, JOB_FIELD(job, source.bad_ranges_max) },
	{ .name = NULL },
};

static int read_source(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	if (job_read_object(r, v, source_keys, j) < 0)
		return -1;
	if (!strncmp(j->source.url, "tw://", 5) && !j->source.allow_plain)
		return job_read_fail_key(r, "url",
			"is not encrypted; that needs allow_plain");
	if (!job_source_url_known(j->source.url))
		return job_read_fail_key(r, "url",
			"must start with tws://, tw://, nbd://, nbds://, nbd+unix:// or file:");
	if (j->source.downtime_s && !j->source.live_passes)
		return job_read_fail_key(r, "downtime_s", "needs live_passes");
	if (!strncmp(j->source.url, "tws://", 6) && !*j->source.psk)
		return job_read_fail_key(r, "psk", "is missing; tws:// needs one");
	return 0;
}

/* the whole document */

static const struct job_key job_keys[] = {
	{ "version", read_version, .required = true },
	{ "migration", job_read_name, JOB_FIELD(job, migration), .min = 1,
		.required = true },
	{ "mode", job_read_enum, JOB_FIELD(job, mode), .names = modes, .required = true },
	{ "controller", read_controller, JOB_FIELD(job, controller) },
	{ "network", read_nets, JOB_FIELD(job, nets) },
	{ "source", read_source, JOB_FIELD(job, source) },
	{ "drives", job_read_drives, JOB_FIELD(job, drives), .required = true },
	{ "verify", job_read_enum, JOB_FIELD(job, verify), .names = verifies },
	{ "bandwidth", job_read_rate, JOB_FIELD(job, bandwidth) },
	{ "prepare", job_read_prepare, JOB_FIELD(job, prepare) },
	{ "extensions", job_read_extensions, JOB_FIELD(job, extensions) },
	{ "finish", job_read_enum, JOB_FIELD(job, finish), .names = finishes },
	{ "on_error", job_read_enum, JOB_FIELD(job, on_error), .names = finishes },
	{ "report_deadline_s", job_read_unsigned, JOB_FIELD(job, report_deadline_s),
		.max = 86400 },
	{ "max_starts", job_read_unsigned, JOB_FIELD(job, max_starts), .min = 1,
		.max = 10000 },
	{ .name = NULL },
};

/* A word about what changed narrows a comparison with a target
 * that is as the last copy left it. */
static int check_tracker(struct job_reader *r, const struct job *j,
	const struct job_drive *d)
{
	const char *key = *d->since ? "since" : "bitmap";

	if (!*d->since && !*d->bitmap)
		return 0;
	if (j->mode != JOB_DELTA)
		return job_read_fail_key(r, key, "needs mode \"delta\"");
	if (d->target_state != JOB_PRISTINE)
		return job_read_fail_key(r, key,
			"needs target_state \"pristine\": nobody has written "
			"to the target since");
	if (*d->since && strncmp(j->source.url, "tw", 2))
		return job_read_fail_key(r, "since",
			"needs a source with tws:// or tw://");
	if (*d->bitmap && strncmp(j->source.url, "nbd", 3))
		return job_read_fail_key(r, "bitmap", "needs an NBD source");
	if (j->source.live_passes)
		return job_read_fail_key(r, key,
			"and source.live_passes exclude each other");
	return 0;
}

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
	if (j->mode != JOB_PREPARE && (j->prepare.dry_run || j->prepare.undo ||
		j->prepare.rehearse))
		return job_read_fail_key(r, "prepare",
			"dry_run, rehearse and undo need mode prepare");
	for (i = 0; i < j->n_drives; i++) {
		const struct job_drive *d = &j->drives[i];
		size_t list = job_read_push_key(r, "drives");

		job_read_push_index(r, (size_t)i);
		if (j->mode == JOB_PREPARE && d->target.size_exact)
			return job_read_fail_key(r, "target",
				"size_exact needs a source to compare with");
		if (j->mode != JOB_PREPARE && !*d->source)
			return job_read_fail_key(r, "source", "missing");
		if (j->mode != JOB_PREPARE && job_drive_uri(j, d, uri) < 0)
			return job_read_fail_key(r, "source",
				"makes source.url too long");
		if (check_tracker(r, j, d) < 0)
			return -1;
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
	j->max_starts = 5;
	j->controller.register_window_s = 600;
}

static int fail_syntax(const char *text, size_t len, const yyjson_read_err *e,
	struct err *err)
{
	size_t line = 0, col = 0, chr = 0;

	if (e->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
		return err_set(err, ERR_NOMEM, "job: no memory for the document");
	if (!yyjson_locate_pos(text, len, e->pos, &line, &col, &chr))
		return err_set(err, ERR_CFG_INVALID, "job: not JSON: %s", e->msg);
	return err_set(err, ERR_CFG_INVALID, "job: not JSON: line %zu, column %zu: %s",
		line, col, e->msg);
}

int job_parse(const char *text, size_t len, struct job **ret, struct err *err)
{
	struct job_reader r = { .err = err };
	yyjson_read_err e;
	yyjson_doc *doc;
	struct job *j;
	int rc;

	if (len > JOB_MAX_BYTES)
		return err_set(err, ERR_CFG_INVALID,
			"job: %zu bytes, at most %u are allowed", len, JOB_MAX_BYTES);
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

/* A key that is wrong itself keeps its default. */
static bool read_one(yyjson_val *root, const char *name, struct job *j)
{
	struct err none = ERR_INIT;
	struct job_reader r = { .err = &none };
	yyjson_val *v = yyjson_obj_get(root, name);
	const struct job_key *k = job_keys;

	while (strcmp(k->name, name))
		k++;
	job_read_push_key(&r, name);
	return v && k->read(&r, v, k, (char *)j + k->offset) == 0;
}

struct job *job_parse_contact(const char *text, size_t len)
{
	struct job *j = len <= JOB_MAX_BYTES ? calloc(1, sizeof(*j)) : NULL;
	yyjson_doc *doc;
	yyjson_val *root;

	if (!j)
		return NULL;
	set_defaults(j);
	/* As in job_parse, the text is only read. */
	doc = yyjson_read_opts((char *)(uintptr_t)text, len, 0, &job_read_wiping_alc,
		NULL);
	root = yyjson_doc_get_root(doc);
	if (!read_one(root, "migration", j) || !read_one(root, "controller", j)) {
		yyjson_doc_free(doc);
		job_free(j);
		return NULL;
	}
	read_one(root, "mode", j);
	read_one(root, "report_deadline_s", j);
	if (!read_one(root, "network", j)) {
		memset(j->nets, 0, sizeof(j->nets));
		j->n_nets = 0;
	}
	yyjson_doc_free(doc);
	return j;
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
	for (i = 0; i < j->prepare.n_keys; i++) {
		if (j->prepare.keys[i].secret)
			explicit_bzero(j->prepare.keys[i].secret, j->prepare.keys[i].len);
		free(j->prepare.keys[i].secret);
	}
	free(j->provenance_json);
	explicit_bzero(j, sizeof(*j));
	free(j);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* prepare and extensions of the job document. */
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

#define MAX_SECRET 8192 /* characters of one key */

/* As the source calls an adapter, where it is no MAC address. */
static bool is_name(const char *s)
{
	return *s && strlen(s) < sizeof(((struct guest_nic *)0)->name) &&
		!strpbrk(s, " \t\r\n/:");
}

/* {"MAC or name at the source": "MAC of the target VM"} */
static int read_nic_map(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);
	yyjson_val *old, *fresh;
	size_t i, n, mark, m;

	if (!yyjson_is_obj(v))
		return job_read_fail(r,
			"must be an object {\"source MAC or name\": \"target MAC\"}");
	if (yyjson_obj_size(v) > JOB_MAX_NETS)
		return job_read_fail(r, "has more than %d entries", JOB_MAX_NETS);
	yyjson_obj_foreach(v, i, n, old, fresh)
	{
		struct guest_nic *nic = &j->prepare.nics[i];

		mark = job_read_push_key(r, yyjson_get_str(old));
		if (is_name(yyjson_get_str(old)))
			snprintf(nic->name, sizeof(nic->name), "%s", yyjson_get_str(old));
		else if (job_mac_parse(yyjson_get_str(old), nic->old_mac) < 0)
			return job_read_fail(r, "is neither a MAC address nor an adapter's name at the source");
		if (job_read_mac(r, fresh, k, nic->mac) < 0)
			return -1;
		for (m = 0; m < i; m++)
			if ((*nic->old_mac &&
				!strcmp(j->prepare.nics[m].old_mac, nic->old_mac)) ||
				(*nic->name &&
					!strcmp(j->prepare.nics[m].name, nic->name)) ||
					!strcmp(j->prepare.nics[m].mac, nic->mac))
				return job_read_fail(r,
					"one of the two is already mapped");
		job_read_pop(r, mark);
		j->prepare.n_nics = (int)i + 1;
	}
	return 0;
}

/* {"adapter": "dhcp" or "ADDRESS/PREFIX[,GATEWAY[,DNS...]]"} */
static int read_addresses(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);
	yyjson_val *who, *how;
	size_t i, n, mark;

	if (!yyjson_is_obj(v))
		return job_read_fail(r, "must be an object {\"adapter\": \"dhcp\"}");
	if (yyjson_obj_size(v) > JOB_MAX_NETS)
		return job_read_fail(r, "has more than %d entries", JOB_MAX_NETS);
	yyjson_obj_foreach(v, i, n, who, how)
	{
		struct err why = ERR_INIT;

		mark = job_read_push_key(r, yyjson_get_str(who));
		if (!yyjson_is_str(how))
			return job_read_fail(r, "must be a string");
		if (guest_address_parse(yyjson_get_str(who), yyjson_get_str(how),
			&j->prepare.addresses[i], &why) < 0)
			return job_read_fail(r, "%s", why.text);
		job_read_pop(r, mark);
		j->prepare.n_addresses = (int)i + 1;
	}
	return 0;
}

static int read_secret(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job_disk_key *d = (struct job_disk_key *)((char *)field - k->offset);

	(void)k;
	if (d->secret)
		return job_read_fail(r, "only one of key and key_base64 is allowed");
	if (job_read_text(r, v, &(struct job_key){ .min = 1, .max = MAX_SECRET },
		&d->secret) < 0)
		return -1;
	d->len = strlen(d->secret);
	return 0;
}

/* A key file of any bytes. Decoded it is shorter: it fits in the place of its text. */
static int read_base64(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job_disk_key *d = (struct job_disk_key *)((char *)field - k->offset);
	char raw[MAX_SECRET + 4];
	size_t len = 0;
	int rc = 0;

	if (read_secret(r, v, k, field) < 0)
		return -1;
	if (job_base64_decode(d->secret, d->len, raw, &len) < 0 || !len)
		rc = job_read_fail(r, "is not base64");
	explicit_bzero(d->secret, d->len);
	memcpy(d->secret, raw, len);
	explicit_bzero(raw, sizeof(raw));
	d->len = len;
	return rc;
}

static const struct job_key disk_key_keys[] = {
	{ "device", job_read_string, JOB_FIELD(job_disk_key, device), .min = 1 },
	{ "uuid", job_read_string, JOB_FIELD(job_disk_key, uuid), .min = 1 },
	{ "key", read_secret, JOB_FIELD(job_disk_key, secret) },
	{ "key_base64", read_base64, JOB_FIELD(job_disk_key, secret) },
	{ .name = NULL },
};

/* A passphrase for any volume, or an object that says more. */
static int read_disk_key(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;
	struct job_disk_key *d = &j->prepare.keys[i];

	j->prepare.n_keys = (int)i + 1;
	if (!yyjson_is_obj(v))
		return read_secret(r, v, &disk_key_keys[2], &d->secret);
	if (job_read_object(r, v, disk_key_keys, d) < 0)
		return -1;
	if (*d->device && *d->uuid)
		return job_read_fail_key(r, "uuid", "and device exclude each other");
	return d->secret ? 0 : job_read_fail_key(r, "key", "missing");
}

static int read_disk_keys(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);

	return job_read_array(r, v, JOB_MAX_KEYS, read_disk_key, j);
}

/* virtio_win, packages: a disk or folder with something for the guest. */
static int read_supply(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	struct job *j = (struct job *)((char *)field - k->offset);
	struct job_target *t = field;
	bool *has = t == &j->prepare.packages ? &j->prepare.has_packages
					      : &j->prepare.has_virtio_win;

	if (job_read_target(r, v, k, t) < 0)
		return -1;
	if (t->size_exact)
		return job_read_fail_key(r, "size_exact",
			"says nothing about a disk of %s",
			t == &j->prepare.packages ? "packages" : "drivers");
	*has = true;
	return 0;
}

/* In the order of enum guest_console. */
static const char *const consoles[] = { "keep", "serial", NULL };
static const char *const agents[] = { "keep", "install", NULL };
static const char *const edits[] = GUEST_EDITED_WORDS;

static const struct job_key prepare_keys[] = {
	{ "guest", job_read_string, JOB_FIELD(job, prepare.guest), .min = 1 },
	{ "network", read_nic_map, JOB_FIELD(job, prepare.nics) },
	{ "addresses", read_addresses, JOB_FIELD(job, prepare.addresses) },
	{ "remove_tools", job_read_bool, JOB_FIELD(job, prepare.remove_tools) },
	{ "dry_run", job_read_bool, JOB_FIELD(job, prepare.dry_run) },
	{ "rehearse", job_read_bool, JOB_FIELD(job, prepare.rehearse) },
	{ "undo", job_read_bool, JOB_FIELD(job, prepare.undo) },
	{ "undo_earlier", job_read_bool, JOB_FIELD(job, prepare.undo_earlier) },
	{ "edited", job_read_enum, JOB_FIELD(job, prepare.edited), .names = edits },
	{ "cloud_init_anew", job_read_bool, JOB_FIELD(job, prepare.cloud_init_anew) },
	{ "guest_agent", job_read_enum, JOB_FIELD(job, prepare.guest_agent),
		.names = agents },
	{ "relabel", job_read_bool, JOB_FIELD(job, prepare.relabel) },
	{ "console", job_read_enum, JOB_FIELD(job, prepare.console), .names = consoles },
	{ "nvram", job_read_bool, JOB_FIELD(job, prepare.nvram) },
	{ "virtio_win", read_supply, JOB_FIELD(job, prepare.virtio_win) },
	{ "packages", read_supply, JOB_FIELD(job, prepare.packages) },
	{ "keys", read_disk_keys, JOB_FIELD(job, prepare.keys) },
	{ "tool_timeout_s", job_read_unsigned, JOB_FIELD(job, prepare.tool_timeout_s),
		.min = 10,
		.max = 86400 },
	{ .name = NULL },
};

/* An object, or false for "copy only". */
int job_read_prepare(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
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
	if (!j->prepare.undo && (j->prepare.undo_earlier || j->prepare.edited))
		return job_read_fail_key(r, j->prepare.edited ? "edited" : "undo_earlier",
			"needs undo");
	if (j->prepare.rehearse && (j->prepare.dry_run || j->prepare.undo))
		return job_read_fail_key(r, "rehearse", "excludes dry_run and undo");
	return 0;
}

/* extensions */

static const char *const whens[] = { "pre-mount", "mounted", "first-boot",
	"mounted-worker", NULL };

static int read_when(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
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
	{ "when", read_when, JOB_FIELD(job_extension, when), .required = true },
	{ "run", job_read_text, JOB_FIELD(job_extension, run), .min = 1, .max = 256 << 10,
		.required = true },
	{ "fatal", job_read_bool, JOB_FIELD(job_extension, fatal) },
	{ .name = NULL },
};

static int read_extension(struct job_reader *r, yyjson_val *v, size_t i, void *ctx)
{
	struct job *j = ctx;

	j->n_extensions = (int)i + 1;
	j->extensions[i].fatal = true;
	return job_read_object(r, v, extension_keys, &j->extensions[i]);
}

int job_read_extensions(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return job_read_array(r, v, JOB_MAX_EXTENSIONS, read_extension,
		(char *)field - k->offset);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker runs on: for the controller when it registers, and for result.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/sha256.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "guest/guest.h"
#include "job/job-internal.h"
#include "source/source.h"

#define PROGRAM "/proc/self/exe"

#define SECURE_BOOT \
	"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

const char *job_firmware(void)
{
	return access("/sys/firmware/efi", F_OK) == 0 ? "uefi" : "bios";
}

/* The variable is 4 bytes of attributes and one of value (UEFI 2.10, 3.3). */
static bool secure_boot(void)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *value = NULL;
	size_t len;

	return fdio_read_file(SECURE_BOOT, 64, &value, &len, &none) == 0 && len == 5 &&
		value[4];
}

static void add_line(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key,
	const char *path)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len;

	if (fdio_read_file(path, 4096, &text, &len, &none) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	yyjson_mut_obj_add_strcpy(doc, o, key, text);
}

static void add_memory(yyjson_mut_doc *doc, yyjson_mut_val *o)
{
	struct err none = ERR_INIT;
	CLEANUP_FREE char *text = NULL;
	unsigned long long kb;
	const char *p;
	size_t len;

	if (fdio_read_file("/proc/meminfo", 64 << 10, &text, &len, &none) < 0)
		return;
	p = strstr(text, "MemTotal:");
	if (p && sscanf(p, "MemTotal: %llu kB", &kb) == 1)
		yyjson_mut_obj_add_uint(doc, o, "memory", kb << 10);
}

static void add_disks(yyjson_mut_doc *doc, yyjson_mut_val *root,
	const struct job_runner *r)
{
	yyjson_mut_val *all = yyjson_mut_obj_add_arr(doc, root, "disks");
	int i;

	for (i = 0; i < r->n_disks; i++) {
		const struct job_disk *d = &r->disks[i];
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, all);

		yyjson_mut_obj_add_str(doc, o, "node", d->b.node);
		yyjson_mut_obj_add_uint(doc, o, "size", d->b.size);
		yyjson_mut_obj_add_str(doc, o, "serial", d->b.serial);
		yyjson_mut_obj_add_str(doc, o, "wwn", d->b.wwn);
		yyjson_mut_obj_add_str(doc, o, "model", d->b.model);
		yyjson_mut_obj_add_str(doc, o, "bus", d->b.bus);
		yyjson_mut_obj_add_str(doc, o, "path", d->b.by_path);
		yyjson_mut_obj_add_bool(doc, o, "read_only", d->b.read_only);
		yyjson_mut_obj_add_bool(doc, o, "boot_medium", d->boot_medium);
	}
}

static void add_nics(yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *all = yyjson_mut_obj_add_arr(doc, root, "nics");
	struct net_link links[JOB_MAX_NETS];
	struct err none = ERR_INIT;
	int i, n = net_links(links, JOB_MAX_NETS, &none);

	for (i = 0; i < n && i < JOB_MAX_NETS; i++) {
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, all);

		yyjson_mut_obj_add_strcpy(doc, o, "name", links[i].name);
		yyjson_mut_obj_add_strcpy(doc, o, "mac", links[i].mac);
		yyjson_mut_obj_add_strcpy(doc, o, "driver", links[i].driver);
		yyjson_mut_obj_add_bool(doc, o, "carrier", links[i].carrier);
		yyjson_mut_obj_add_strcpy(doc, o, "ipv4", links[i].ipv4);
		yyjson_mut_obj_add_strcpy(doc, o, "ipv6", links[i].ipv6);
	}
}

static int sum_program(unsigned char ret[32])
{
	mbedtls_sha256_context sha;
	unsigned char buf[16384];
	FILE *f = fopen(PROGRAM, "re");
	int failed;
	size_t n;

	if (!f)
		return -1;
	mbedtls_sha256_init(&sha);
	failed = mbedtls_sha256_starts(&sha, 0);
	while (!failed && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		failed = mbedtls_sha256_update(&sha, buf, n);
	failed = failed || ferror(f) || mbedtls_sha256_finish(&sha, ret);
	mbedtls_sha256_free(&sha);
	fclose(f);
	return failed ? -1 : 0;
}

/* Which worker this is. The image is the program's wrapping,
 * and cannot name its own sum. */
static void add_image(yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "image");
	unsigned char sum[32];
	char hex[65];

	yyjson_mut_obj_add_str(doc, o, "version", TW_VERSION);
	if (sum_program(sum) < 0)
		return;
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	yyjson_mut_obj_add_strcpy(doc, o, "worker_sha256", hex);
}

static void add_capability(yyjson_mut_doc *doc, yyjson_mut_val *all, const char *kind,
	const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%s", kind, name);
	yyjson_mut_arr_add_strcpy(doc, all, text);
}

/* What a job may ask of this worker, for a controller of another version. */
static void add_capabilities(yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *all = yyjson_mut_obj_add_arr(doc, root, "capabilities");
	const char *name;

	add_capability(doc, all, "job", "1");
	for (enum job_mode m = JOB_FULL; m <= JOB_PREPARE; m++)
		add_capability(doc, all, "mode", job_mode_name(m));
	for (size_t i = 0; (name = source_scheme(i)); i++)
		add_capability(doc, all, "source", name);
	for (size_t i = 0; (name = guest_family_name(i)); i++)
		add_capability(doc, all, "prepare", name);
}

char *job_facts(struct job_runner *r)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	struct err none = ERR_INIT;
	char *text;

	yyjson_mut_doc_set_root(doc, root);
	add_image(doc, root);
	add_capabilities(doc, root);
	yyjson_mut_obj_add_str(doc, root, "firmware", job_firmware());
	yyjson_mut_obj_add_bool(doc, root, "secure_boot", secure_boot());
	add_line(doc, root, "hypervisor", "/sys/class/dmi/id/sys_vendor");
	add_line(doc, root, "product", "/sys/class/dmi/id/product_name");
	add_line(doc, root, "smbios_uuid", "/sys/class/dmi/id/product_uuid");
	yyjson_mut_obj_add_int(doc, root, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	add_memory(doc, root);
	if (!r->n_disks)
		r->n_disks = job_disks("/sys", "/dev", r->disks, JOB_MAX_DISKS, &none);
	if (r->n_disks < 0)
		r->n_disks = 0;
	job_disks_mark(r->disks, r->n_disks, &r->found);
	add_disks(doc, root, r);
	add_nics(doc, root);
	if (r->env->last_reset)
		yyjson_mut_obj_add_str(doc, root, "last_reset", r->env->last_reset);
	yyjson_mut_obj_add_str(doc, root, "job_channel",
		job_channel_name(r->found.channel));
	if (r->job && r->job->provenance_json)
		yyjson_mut_obj_add_val(doc, root, "config_provenance",
			yyjson_mut_raw(doc, r->job->provenance_json));
	text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
	yyjson_mut_doc_free(doc);
	return text;
}

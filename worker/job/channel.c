/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the job comes from. The first channel in the order of enum job_channel that has
 * one wins; what a later one holds is not looked at. On the disks only the volume that
 * this machine was started from counts, and volumes that were announced or that nobody
 * can write to (search.c): all others hold what a source made of them. Who points to a
 * job on the kernel command line does not want one of a disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

#define DMI_TABLE "/sys/firmware/dmi/tables/DMI"

static const char *const names[] = {
	[JOB_CH_FILE] = "file",
	[JOB_CH_SMBIOS] = "smbios",
	[JOB_CH_MEDIUM] = "boot-medium",
	[JOB_CH_VOLUME] = "config-volume",
	[JOB_CH_CMDLINE] = "kernel-command-line",
};

const char *job_channel_name(enum job_channel c)
{
	return names[c];
}

void job_candidate_free(struct job_candidate *c)
{
	if (c->text)
		explicit_bzero(c->text, c->len);
	free(c->text);
	c->text = NULL;
}

/* {"migration": "smbios", ...}: each top-level key of the document with its channel. */
static int note_provenance(struct job *j, const char *text, size_t len,
	enum job_channel ch, struct err *err)
{
	/* As in job_parse, the text is only read. */
	yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text, len, 0,
		&job_read_wiping_alc, NULL);
	yyjson_mut_doc *out = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(out);
	yyjson_val *key, *val;
	size_t i, n;

	yyjson_mut_doc_set_root(out, root);
	yyjson_obj_foreach(yyjson_doc_get_root(doc), i, n, key, val)
	{
		(void)val;
		yyjson_mut_obj_add_str(out, root, yyjson_get_str(key), names[ch]);
	}
	/* The keys are those of doc: it is freed after they are written. */
	j->provenance_json = yyjson_mut_write(out, 0, NULL);
	yyjson_mut_doc_free(out);
	yyjson_doc_free(doc);
	return j->provenance_json ? 0 : err_set(err, ERR_NOMEM, "job: no memory");
}

static int take(struct job_candidate *c, enum job_channel ch, struct job_found *ret,
	struct err *err)
{
	struct job *j;
	int rc = job_parse(c->text, c->len, &j, err);

	if (rc == 0 && note_provenance(j, c->text, c->len, ch, err) < 0) {
		job_free(j);
		rc = -1;
	}
	ret->channel = ch;
	if (rc < 0)
		ret->contact = job_parse_contact(c->text, c->len);
	job_candidate_free(c);
	if (rc < 0)
		return err_wrap(err, "%s", names[ch]);
	ret->job = j;
	return 0;
}

static int find_file(const char *path, struct job_found *ret, struct err *err)
{
	struct job_candidate c = { .text = NULL };

	if (fdio_read_file(path, JOB_MAX_BYTES, &c.text, &c.len, err) < 0)
		return -1;
	return take(&c, JOB_CH_FILE, ret, err);
}

/* 1 with a job in *c, 0 without, -1 on error. */
static int look_smbios(struct job_candidate *c, struct job_wanted *w, struct err *err)
{
	struct err no_table = ERR_INIT;
	CLEANUP_FREE char *table = NULL;
	struct job_smbios s;
	size_t len;
	int rc;

	if (fdio_read_file(DMI_TABLE, 1 << 20, &table, &len, &no_table) < 0) {
		log_debug("no SMBIOS: %s", no_table.text);
		return 0;
	}
	rc = job_smbios_parse(table, len, &s, err);
	explicit_bzero(table, len);
	if (rc < 0)
		return -1;
	if (s.announce_volume) {
		w->announced = true;
		memcpy(w->serial, s.announced, sizeof(w->serial));
	}
	c->text = s.job;
	c->len = s.job_len;
	return s.job != NULL;
}

static int look_cmdline(struct job_cmdline *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	if (fdio_read_file("/proc/cmdline", 64 << 10, &text, &len, err) < 0)
		return -1;
	return job_cmdline_parse(text, ret, err);
}

/* On the disks: the volume that was announced comes before the URL, nothing else. */
static int find_on_disks(const struct job_wanted *w, bool has_url,
	struct job_found *ret, struct err *err)
{
	struct job_candidate c = { .text = NULL };
	int rc = job_search(w, ret, &c, err);

	if (rc < 0 || (rc == 0 && has_url))
		return rc;
	return take(&c, *ret->volume ? JOB_CH_VOLUME : JOB_CH_MEDIUM, ret, err);
}

int job_find(const struct job_env *env, struct job_found *ret,
	struct job_cmdline *cmdline, struct err *err)
{
	struct job_candidate smbios = { .text = NULL };
	struct job_wanted w = { .announced = false };
	bool has_url;
	int rc;

	if (env->job_file)
		return find_file(env->job_file, ret, err);
	if (look_cmdline(cmdline, err) < 0)
		return -1;
	job_origin_find("", cmdline, &ret->origin);
	has_url = *cmdline->url;
	if (cmdline->announce_volume) {
		w.announced = true;
		memcpy(w.serial, cmdline->announced, sizeof(w.serial));
	}
	rc = look_smbios(&smbios, &w, err);
	if (rc < 0)
		return -1;
	w.medium = !has_url;
	if (smbios.text)
		rc = take(&smbios, JOB_CH_SMBIOS, ret, err);
	else if (w.announced || !has_url)
		return find_on_disks(&w, has_url, ret, err);
	/* Which candidates are targets, the job of the URL will tell. */
	if (!has_url || ret->job || ret->origin.kind != JOB_ORIGIN_UNKNOWN)
		job_search_medium(ret);
	return rc;
}

int job_find_url(const struct job_env *env, const struct job_cmdline *cmdline,
	struct job_found *ret, struct err *err)
{
	struct strbuf text = STRBUF_INIT;
	struct job_candidate c;
	int rc;

	if (!env->fetch)
		return err_set(err, ERR_CFG_MISSING, "tw.job= cannot be fetched here");
	if (env->fetch(env->ctx, cmdline->url, cmdline->pins, cmdline->n_pins, &text,
		err) < 0) {
		strbuf_free(&text);
		return err_wrap(err, "fetch the job");
	}
	c.text = text.s;
	c.len = text.len;
	rc = take(&c, JOB_CH_CMDLINE, ret, err);
	if (ret->origin.kind == JOB_ORIGIN_UNKNOWN)
		job_search_medium(ret);
	return rc;
}

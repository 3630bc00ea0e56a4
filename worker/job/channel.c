/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the job comes from. The first channel in the order of enum job_channel that has one
 * wins; what a later one holds is not looked at. Two volumes of the same kind with different
 * jobs are refused. Disks appear some time after the kernel has started, so the search is
 * repeated for a while, longer when a volume was announced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

#define DMI_TABLE "/sys/firmware/dmi/tables/DMI"
#define WAIT_MEDIUM_MS 15000    /* for the boot medium, when no other channel is known of */
#define WAIT_ANNOUNCED_MS 60000 /* for a volume that was announced */
#define POLL_US 250000

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

/* A document and where it was found. */
struct candidate {
	char *text;
	size_t len;
	char node[64];
};

static void candidate_free(struct candidate *c)
{
	if (c->text)
		explicit_bzero(c->text, c->len);
	free(c->text);
	c->text = NULL;
}

/* {"migration": "smbios", ...}: each top-level key of the document with its channel. */
static int note_provenance(struct job *j, const char *text, size_t len, enum job_channel ch,
	struct err *err)
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

static int take(struct candidate *c, enum job_channel ch, struct job_found *ret, struct err *err)
{
	struct job *j;
	int rc = job_parse(c->text, c->len, &j, err);

	if (rc == 0 && note_provenance(j, c->text, c->len, ch, err) < 0) {
		job_free(j);
		rc = -1;
	}
	candidate_free(c);
	if (rc < 0)
		return err_wrap(err, "%s", names[ch]);
	ret->job = j;
	ret->channel = ch;
	return 0;
}

static int find_file(const char *path, struct job_found *ret, struct err *err)
{
	struct candidate c = { .text = NULL };

	if (fdio_read_file(path, JOB_MAX_BYTES, &c.text, &c.len, err) < 0)
		return -1;
	return take(&c, JOB_CH_FILE, ret, err);
}

/* 1 with a job in *c, 0 without, -1 on error. */
static int look_smbios(struct candidate *c, bool *ret_announced, struct err *err)
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
	*ret_announced = s.announce_volume;
	c->text = s.job;
	c->len = s.job_len;
	return s.job != NULL;
}

/* Takes the document of a volume as the candidate; a second one must be the same. */
static int add_candidate(struct candidate *c, const struct job_medium *m, struct err *err)
{
	struct err read_err = ERR_INIT;
	struct candidate more = { .text = NULL };
	bool same;

	if (job_medium_read(m, "job.json", &more.text, &more.len, &read_err) < 0) {
		if (read_err.sys == ENOENT)
			return 0; /* a volume without a job */
		*err = read_err;
		return -1;
	}
	if (!c->text) {
		*c = more;
		snprintf(c->node, sizeof(c->node), "%s", m->node);
		return 1;
	}
	same = c->len == more.len && !memcmp(c->text, more.text, c->len);
	candidate_free(&more);
	if (!same)
		return err_set(err, ERR_CFG_AMBIGUOUS, "%s and %s carry different jobs", c->node,
			m->node);
	return 1;
}

/* An empty TWCONFIG has a job.json of zeroes or none: the image as it was built. */
static bool is_blank(const struct candidate *c)
{
	size_t i;

	for (i = 0; i < c->len; i++)
		if (c->text[i] && !strchr(" \t\r\n", c->text[i]))
			return false;
	return true;
}

static int look_disk(const struct job_disk *d, struct candidate *medium,
	struct candidate *volume, struct job_found *ret, struct err *err)
{
	struct job_medium m;
	CLEANUP_CLOSE int fd = -1;

	if (d->config_volume) {
		m = (struct job_medium){ .length = d->b.size, .read_only = true };
		snprintf(m.node, sizeof(m.node), "%s", d->b.node);
		return add_candidate(volume, &m, err);
	}
	if (!d->boot_medium)
		return 0;
	fd = open(d->b.node, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, ERR_DISK_IO, "open %s", d->b.node);
	if (job_medium_probe(fd, d->b.size, &m) != 1)
		return err_set(err, ERR_CFG_INVALID,
			"%s is a worker volume, but its TWCONFIG partition is damaged", d->b.node);
	snprintf(m.node, sizeof(m.node), "%s", d->b.node);
	m.read_only = d->b.read_only || !strncmp(d->b.name, "sr", 2);
	if (!ret->has_medium || ret->medium.read_only) {
		ret->medium = m;
		ret->has_medium = true;
	}
	return add_candidate(medium, &m, err);
}

/* One look at all disks that are there now. */
static int look_disks(struct candidate *medium, struct candidate *volume, struct job_found *ret,
	struct err *err)
{
	struct job_disk *disks = calloc(JOB_MAX_DISKS, sizeof(*disks));
	int i, n, rc = 0;

	if (!disks)
		return err_set(err, ERR_NOMEM, "no memory for the list of disks");
	n = job_disks("/sys", "/dev", disks, JOB_MAX_DISKS, err);
	for (i = 0; i < n && rc >= 0; i++)
		rc = look_disk(&disks[i], medium, volume, ret, err);
	free(disks);
	if (n < 0 || rc < 0)
		return -1;
	if (medium->text && is_blank(medium))
		candidate_free(medium);
	return 0;
}

static int look_cmdline(struct job_cmdline *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;

	if (fdio_read_file("/proc/cmdline", 64 << 10, &text, &len, err) < 0)
		return -1;
	return job_cmdline_parse(text, ret, err);
}

/* Repeats the look at the disks until there is a job, or no reason to wait on. */
static int wait_disks(struct candidate *medium, struct candidate *volume, bool announced,
	bool other, struct job_found *ret, struct err *err)
{
	uint64_t wait = announced ? WAIT_ANNOUNCED_MS : WAIT_MEDIUM_MS;
	uint64_t start = clock_now_ms();

	for (;;) {
		candidate_free(medium);
		candidate_free(volume);
		if (look_disks(medium, volume, ret, err) < 0)
			return -1;
		if (medium->text || volume->text)
			return 0;
		/* The medium is there and empty, or the job comes from elsewhere. */
		if (!announced && (ret->has_medium || other) && clock_now_ms() - start > 2000)
			return 0;
		if (clock_now_ms() - start >= wait)
			break;
		usleep(POLL_US);
	}
	if (announced)
		return err_set(err, ERR_CFG_LATE,
			"no volume labelled TWCONFIG with a job.json came in %d s",
			WAIT_ANNOUNCED_MS / 1000);
	return 0;
}

int job_find(const struct job_env *env, struct job_found *ret, struct job_cmdline *cmdline,
	struct err *err)
{
	struct candidate smbios = { .text = NULL }, medium = { .text = NULL },
			 volume = { .text = NULL };
	bool announced = false;
	int rc;

	if (env->job_file)
		return find_file(env->job_file, ret, err);
	if (look_cmdline(cmdline, err) < 0)
		return -1;
	rc = look_smbios(&smbios, &announced, err);
	if (rc < 0)
		return -1;
	announced = (announced || cmdline->announce_volume) && !rc;
	if (wait_disks(&medium, &volume, announced, rc || *cmdline->url, ret, err) < 0)
		rc = -1;
	else if (smbios.text)
		rc = take(&smbios, JOB_CH_SMBIOS, ret, err);
	else if (medium.text)
		rc = take(&medium, JOB_CH_MEDIUM, ret, err);
	else if (volume.text)
		rc = take(&volume, JOB_CH_VOLUME, ret, err);
	else if (!*cmdline->url)
		rc = err_set(err, ERR_CFG_MISSING,
			"no job: SMBIOS, the boot medium%s and attached volumes have none",
			ret->has_medium ? "" : " (not found)");
	candidate_free(&smbios);
	candidate_free(&medium);
	candidate_free(&volume);
	return rc;
}

int job_find_url(const struct job_env *env, const struct job_cmdline *cmdline,
	struct job_found *ret, struct err *err)
{
	struct strbuf text = STRBUF_INIT;
	struct candidate c;

	if (!env->fetch)
		return err_set(err, ERR_CFG_MISSING, "tw.job= cannot be fetched here");
	if (env->fetch(env->ctx, cmdline->url, cmdline->pins, cmdline->n_pins, &text, err) < 0) {
		strbuf_free(&text);
		return err_wrap(err, "fetch the job");
	}
	c.text = text.s;
	c.len = text.len;
	return take(&c, JOB_CH_CMDLINE, ret, err);
}

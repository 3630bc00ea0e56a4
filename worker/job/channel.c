/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the job comes from. The first channel in the order of enum job_channel that has
 * one wins; what a later one holds is not looked at. Two volumes of the same kind with
 * different jobs are refused. Disks appear some time after the kernel has started, so the
 * search is repeated for a while, longer when a volume was announced.
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
/* for the boot medium, when no other channel is known of */
#define WAIT_MEDIUM_MS 15000
#define WAIT_ANNOUNCED_MS 60000 /* for a volume that was announced */
/* for further disks, once there is one or another channel */
#define WAIT_MORE_MS 2000
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
	struct job_medium medium;
};

static void candidate_free(struct candidate *c)
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

static int take(struct candidate *c, enum job_channel ch, struct job_found *ret,
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
	candidate_free(c);
	if (rc < 0)
		return err_wrap(err, "%s", names[ch]);
	ret->job = j;
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

/* An empty TWCONFIG may have a job.json of zeroes or blanks. */
static bool is_blank(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] && !strchr(" \t\r\n", text[i]))
			return false;
	return true;
}

/* Takes the document of a volume as the candidate; a second one must be the same. */
static int add_candidate(struct candidate *c, const struct job_medium *m, struct err *err)
{
	struct err read_err = ERR_INIT;
	struct candidate more = { .medium = *m };
	bool same;

	if (job_medium_read(m, "job.json", &more.text, &more.len, &read_err) < 0) {
		if (read_err.sys == ENOENT)
			return 0; /* a volume without a job */
		*err = read_err;
		return -1;
	}
	if (is_blank(more.text, more.len)) {
		candidate_free(&more);
		return 0;
	}
	if (!c->text) {
		*c = more;
		return 0;
	}
	same = c->len == more.len && !memcmp(c->text, more.text, c->len);
	candidate_free(&more);
	if (!same)
		return err_set(err, ERR_CFG_AMBIGUOUS, "%s and %s carry different jobs",
			c->medium.node, m->node);
	return 0;
}

/* What one look at all disks has found. */
struct look {
	struct candidate medium, volume;
	struct job_medium worker; /* the last worker volume seen */
	int n_workers;
	char damaged[64];         /* node of a worker volume without a usable TWCONFIG */
};

static void look_free(struct look *l)
{
	candidate_free(&l->medium);
	candidate_free(&l->volume);
	memset(l, 0, sizeof(*l));
}

static int look_disk(const struct job_disk *d, struct look *l, struct err *err)
{
	struct job_medium m;
	CLEANUP_CLOSE int fd = -1;

	if (d->config_volume) {
		m = (struct job_medium){ .length = d->b.size, .read_only = true };
		snprintf(m.node, sizeof(m.node), "%s", d->b.node);
		return add_candidate(&l->volume, &m, err);
	}
	if (!d->boot_medium)
		return 0;
	fd = open(d->b.node, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, ERR_DISK_IO, "open %s", d->b.node);
	if (job_medium_probe(fd, d->b.size, &m) != 1) {
		snprintf(l->damaged, sizeof(l->damaged), "%s", d->b.node);
		return 0;
	}
	snprintf(m.node, sizeof(m.node), "%s", d->b.node);
	m.read_only = d->b.read_only || !strncmp(d->b.name, "sr", 2);
	l->worker = m;
	l->n_workers++;
	return add_candidate(&l->medium, &m, err);
}

static int look_disks(struct look *l, struct err *err)
{
	struct job_disk *disks = calloc(JOB_MAX_DISKS, sizeof(*disks));
	int i, n, rc = 0;

	if (!disks)
		return err_set(err, ERR_NOMEM, "no memory for the list of disks");
	n = job_disks("/sys", "/dev", disks, JOB_MAX_DISKS, err);
	for (i = 0; i < n && rc == 0; i++)
		rc = look_disk(&disks[i], l, err);
	free(disks);
	return n < 0 ? -1 : rc;
}

void job_choose_medium(struct job_found *ret, const struct job_medium *with_job,
	const struct job_medium *last, int n)
{
	ret->has_medium = true;
	if (with_job)
		ret->medium = *with_job;
	else if (n == 1)
		ret->medium = *last;
	else
		ret->has_medium = false;
	if (n > 1 && !with_job)
		log_warn("CONFIG %d worker volumes are attached: the result stays on none", n);
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
static int wait_disks(struct look *l, bool announced, bool other, struct err *err)
{
	uint64_t wait = announced ? WAIT_ANNOUNCED_MS : WAIT_MEDIUM_MS;
	uint64_t start = clock_now_ms();

	for (;;) {
		look_free(l);
		if (look_disks(l, err) < 0)
			return -1;
		if (l->medium.text || l->volume.text)
			return 0;
		/* The medium is there and empty, or the job comes from elsewhere. */
		if (!announced && (l->n_workers || other) &&
		    clock_now_ms() - start > WAIT_MORE_MS)
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

static int nothing_found(const struct look *l, struct err *err)
{
	if (*l->damaged && !l->n_workers)
		return err_set(err, ERR_CFG_INVALID,
			"%s is a worker volume, but its TWCONFIG partition is damaged",
			l->damaged);
	return err_set(err, ERR_CFG_MISSING,
		"no job: SMBIOS, the boot medium%s and attached volumes have none",
		l->n_workers ? "" : " (not found)");
}

int job_find(const struct job_env *env, struct job_found *ret,
	struct job_cmdline *cmdline, struct err *err)
{
	struct candidate smbios = { .text = NULL };
	struct look l = { .n_workers = 0 };
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
	rc = wait_disks(&l, announced, rc || *cmdline->url, err);
	if (*l.damaged)
		log_warn("CONFIG %s is a worker volume with a damaged TWCONFIG",
			l.damaged);
	if (l.n_workers)
		job_choose_medium(ret,
			l.medium.text && !smbios.text ? &l.medium.medium :
			NULL, &l.worker, l.n_workers);
	if (rc == 0 && smbios.text)
		rc = take(&smbios, JOB_CH_SMBIOS, ret, err);
	else if (rc == 0 && l.medium.text)
		rc = take(&l.medium, JOB_CH_MEDIUM, ret, err);
	else if (rc == 0 && l.volume.text)
		rc = take(&l.volume, JOB_CH_VOLUME, ret, err);
	else if (rc == 0 && !*cmdline->url)
		rc = nothing_found(&l, err);
	candidate_free(&smbios);
	look_free(&l);
	return rc;
}

int job_find_url(const struct job_env *env, const struct job_cmdline *cmdline,
	struct job_found *ret, struct err *err)
{
	struct strbuf text = STRBUF_INIT;
	struct candidate c;

	if (!env->fetch)
		return err_set(err, ERR_CFG_MISSING, "tw.job= cannot be fetched here");
	if (env->fetch(env->ctx, cmdline->url, cmdline->pins, cmdline->n_pins, &text,
		err) < 0) {
		strbuf_free(&text);
		return err_wrap(err, "fetch the job");
	}
	c.text = text.s;
	c.len = text.len;
	return take(&c, JOB_CH_CMDLINE, ret, err);
}

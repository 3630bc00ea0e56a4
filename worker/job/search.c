/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The look at the disks of the machine, repeated until the volume it was started from is
 * there: for its job, or only for the result of a job that came another way. A config
 * volume counts when it was announced, or when it is a CD or write protected: whatever
 * this machine can write to may be a copy of what a source has. Two volumes with
 * different jobs are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

#define WAIT_MEDIUM_MS 15000    /* for the boot medium, and for a job on it */
#define WAIT_ANNOUNCED_MS 60000 /* for a volume that was announced */
/* for further disks, where one more would make a difference; longer where the boot volume
 * is known only by being the only one: it may be a slow USB stick */
#define WAIT_MORE_MS 2000
#define WAIT_ONLY_MS 6000
#define POLL_US 250000

/* The findings of one look at all disks. */
struct look {
	struct job_disk *disks;
	struct job_alike *alike;
	int n_alike;
	int own, other; /* as of job_look_choose */
	struct job_candidate medium, volume;
};

/* The boot medium, NULL when it is not there or cannot be told. */
static const struct job_alike *own_medium(const struct look *l)
{
	return l->own >= 0 && l->other < 0 ? &l->alike[l->own] : NULL;
}

static void look_free(struct look *l)
{
	job_candidate_free(&l->medium);
	job_candidate_free(&l->volume);
	free(l->disks);
	free(l->alike);
	memset(l, 0, sizeof(*l));
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
static int add_candidate(struct job_candidate *c, const struct job_medium *m,
	struct err *err)
{
	struct err read_err = ERR_INIT;
	struct job_candidate more = { .text = NULL };
	bool same;

	if (job_medium_read(m, "job.json", &more.text, &more.len, &read_err) < 0) {
		if (read_err.sys == ENOENT)
			return 0; /* a volume without a job */
		*err = read_err;
		return -1;
	}
	snprintf(more.node, sizeof(more.node), "%s", m->node);
	if (is_blank(more.text, more.len)) {
		job_candidate_free(&more);
		return 0;
	}
	if (!c->text) {
		*c = more;
		return 0;
	}
	same = c->len == more.len && !memcmp(c->text, more.text, c->len);
	job_candidate_free(&more);
	if (!same)
		return err_set(err, ERR_CFG_AMBIGUOUS, "%s and %s carry different jobs",
			c->node, m->node);
	return 0;
}

static bool is_wanted(const struct job_wanted *w, const struct job_disk *d)
{
	struct job_target t = { .size_exact = false };

	snprintf(t.serial, sizeof(t.serial), "%s", w->serial);
	if (w->announced)
		return !*t.serial || job_target_is(&t, d);
	return d->b.read_only || !strncmp(d->b.name, "sr", 2);
}

static int look_volume(struct look *l, const struct job_wanted *w,
	const struct job_disk *d, struct err *err)
{
	struct job_medium m = { .length = d->b.size, .read_only = true };
	CLEANUP_CLOSE int fd = -1;

	if (!is_wanted(w, d))
		return 0;
	fd = open(d->b.node, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !job_volume_probe(fd, d->b.size))
		return 0;
	snprintf(m.node, sizeof(m.node), "%s", d->b.node);
	return add_candidate(&l->volume, &m, err);
}

/* w NULL: only the boot medium matters. */
static int look_disks(struct look *l, const struct job_origin *o,
	const struct job_wanted *w, const struct job *elsewhere, struct err *err)
{
	const struct job_alike *own;
	int i, n, rc = 0;

	memset(l, 0, sizeof(*l));
	l->own = l->other = -1;
	l->disks = calloc(JOB_MAX_DISKS, sizeof(*l->disks));
	l->alike = calloc(JOB_MAX_DISKS, sizeof(*l->alike));
	if (!l->disks || !l->alike)
		return err_set(err, ERR_NOMEM, "no memory for the list of disks");
	n = job_disks("/sys", "/dev", l->disks, JOB_MAX_DISKS, err);
	for (i = 0; i < n && rc == 0; i++) {
		if (job_look_alike(&l->disks[i], &l->alike[l->n_alike]))
			l->n_alike++;
		else if (w)
			rc = look_volume(l, w, &l->disks[i], err);
	}
	l->own = job_look_choose(o, l->alike, l->n_alike, elsewhere, &l->other);
	own = own_medium(l);
	if (rc == 0 && w && w->medium && own && !own->damaged)
		rc = add_candidate(&l->medium, &own->m, err);
	return n < 0 ? -1 : rc;
}

static void keep_medium(const struct look *l, struct job_found *ret)
{
	const struct job_alike *own = own_medium(l);

	ret->has_medium = own && !own->damaged;
	if (ret->has_medium)
		ret->medium = own->m;
	else if (own)
		log_warn("CONFIG %s is a worker volume with a damaged TWCONFIG",
			own->m.node);
	else if (l->other >= 0)
		log_warn("CONFIG several worker volumes are attached, and nobody tells which "
			"one this machine was started from: the result stays on none");
}

/* Whether the origin names the medium: then one more disk makes no difference. */
static bool is_certain(const struct job_origin *o)
{
	return o->kind == JOB_ORIGIN_KEY || o->kind == JOB_ORIGIN_FIRMWARE;
}

static bool is_enough(const struct look *l, const struct job_wanted *w,
	const struct job_origin *o, uint64_t waited)
{
	if (l->medium.text)
		return is_certain(o) || waited > WAIT_ONLY_MS;
	if (l->volume.text)
		return waited > WAIT_MORE_MS;
	/* The medium is there and empty, or it will not be known. */
	return !w->announced && l->own >= 0 &&
		waited > (is_certain(o) ? WAIT_MORE_MS : WAIT_ONLY_MS);
}

static int nothing_found(const struct look *l, const struct job_wanted *w,
	struct err *err)
{
	const struct job_alike *own = own_medium(l);

	if (w->announced)
		return err_set(err, ERR_CFG_LATE,
			"no volume labelled TWCONFIG%s%s with a job.json came in %d s",
			*w->serial ? " of serial number " : "", w->serial,
			WAIT_ANNOUNCED_MS / 1000);
	if (!w->medium) /* there is a URL */
		return 0;
	if (l->other >= 0)
		return err_set(err, ERR_CFG_AMBIGUOUS,
			"%s and %s both look like the volume this machine was started from "
			"(scripts/set-job gives a volume an identity)",
			l->alike[l->own].m.node, l->alike[l->other].m.node);
	if (own && own->damaged)
		return err_set(err, ERR_CFG_INVALID,
			"%s is a worker volume, but its TWCONFIG partition is damaged",
			own->m.node);
	return err_set(err, ERR_CFG_MISSING,
		"no job: SMBIOS, the boot medium%s and attached volumes have none%s",
		own ? "" : " (not found)",
		!own && l->n_alike ? "; worker volumes that this machine was not "
		"started from do not count" : "");
}

int job_search(const struct job_wanted *w, struct job_found *ret,
	struct job_candidate *c, struct err *err)
{
	uint64_t limit = w->announced ? WAIT_ANNOUNCED_MS : WAIT_MEDIUM_MS;
	uint64_t start = clock_now_ms(), waited;
	struct look l;
	int rc;

	for (;;) {
		rc = look_disks(&l, &ret->origin, w, NULL, err);
		waited = clock_now_ms() - start;
		if (rc < 0 || is_enough(&l, w, &ret->origin, waited) || waited >= limit)
			break;
		look_free(&l);
		usleep(POLL_US);
	}
	keep_medium(&l, ret);
	if (rc == 0 && l.medium.text) {
		*c = l.medium;
		l.medium.text = NULL;
		rc = 1;
	} else if (rc == 0 && l.volume.text) {
		*c = l.volume;
		l.volume.text = NULL;
		memcpy(ret->volume, c->node, sizeof(ret->volume));
		rc = 1;
	} else if (rc == 0) {
		rc = nothing_found(&l, w, err);
	}
	look_free(&l);
	return rc;
}

void job_search_medium(struct job_found *ret)
{
	uint64_t limit = is_certain(&ret->origin) ? WAIT_MEDIUM_MS : WAIT_ONLY_MS;
	uint64_t start = clock_now_ms();
	struct err err = ERR_INIT;
	struct look l;

	if (ret->origin.kind == JOB_ORIGIN_NONE)
		return;
	for (;;) {
		err_clear(&err);
		if (look_disks(&l, &ret->origin, NULL, ret->job, &err) == 0 &&
			is_certain(&ret->origin) && own_medium(&l))
			break;
		if (clock_now_ms() - start >= limit)
			break;
		look_free(&l);
		usleep(POLL_US);
	}
	if (err.code)
		log_warn("CONFIG the boot volume is not known: %s", err.text);
	else
		keep_medium(&l, ret);
	look_free(&l);
}

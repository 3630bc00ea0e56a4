/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READY: all sources are opened and measured, all targets mapped and checked, before the
 * first byte is written anywhere. Whatever is wrong with the last drive leaves the first
 * one untouched.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"
#include "source/source.h"

/* what a copy with its buffers needs beside the running worker */
#define MEM_MIN_KB (20u << 10)

static int check_memory(struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	unsigned long kb;
	const char *p;
	size_t len;

	if (fdio_read_file("/proc/meminfo", 64 << 10, &text, &len, err) < 0)
		return -1;
	p = strstr(text, "MemAvailable:");
	if (!p || sscanf(p, "MemAvailable: %lu kB", &kb) != 1)
		return 0;
	if (kb < MEM_MIN_KB)
		return err_set(err, ERR_MEM_LOW,
			"%lu KiB of memory are free, a copy needs %u", kb, MEM_MIN_KB);
	return 0;
}

static int open_source(struct job_runner *r, int i, struct err *err)
{
	const struct job *j = r->job;
	const struct job_drive *jd = &j->drives[i];
	struct job_run_drive *d = &r->drives[i];
	/* After an earlier attempt the target may hold half a preparation; where no trace
	 * of one is kept, any attempt may be a later one. */
	bool prepares = j->prepare.enabled && !j->prepare.dry_run && !j->prepare.rehearse;
	bool as_left = !r->resume && !(prepares && r->traceless);
	struct source_options opt = {
		.psk = *j->source.psk ? j->source.psk : NULL,
		.allow_plain = j->source.allow_plain,
		.require_consistency = j->source.require_consistency,
		.compress = true,
		.job_id = j->migration,
		.since = as_left && *jd->since ? jd->since : NULL,
		.bitmap = as_left && *jd->bitmap ? jd->bitmap : NULL,
	};

	if (!as_left && (*jd->since || *jd->bitmap))
		log_info("READY drives[%d]: an earlier run has written to the target%s, so all of "
			"it is compared", i, r->resume ? "" :
			" or may have: nothing here keeps its trace");
	if (job_drive_uri(j, jd, d->uri) < 0)
		return err_set(err, ERR_CFG_INVALID, "drives[%d].source: too long", i);
	return source_open(d->uri, &opt, &d->source, err);
}

/* Outside the image a target may be any block device or file; sink_open looks closer. */
static int map_device(struct job_runner *r, int i, uint64_t size, struct err *err)
{
	const char *path = r->job->drives[i].target.device;
	struct stat st;

	if (r->env->image)
		return err_set(err, ERR_CFG_INVALID,
			"drives[%d].target.device: only outside the image", i);
	if (stat(path, &st) < 0) {
		if (errno != ENOENT || r->job->mode == JOB_PREPARE)
			return err_sys(err, ERR_DISK_NOT_FOUND, "%s", path);
	} else if (S_ISBLK(st.st_mode)) {
		struct block_dev dev;

		if (block_open(path, BLOCK_WRITE | BLOCK_EXCLUSIVE, &dev, err) < 0)
			return -1;
		block_close(&dev);
		r->drives[i].sector = dev.sector;
		if (dev.size < size)
			return err_set(err, ERR_DISK_SMALL,
				"%s has %llu bytes, the source drive %llu", path,
				(unsigned long long)dev.size, (unsigned long long)size);
	} else if (!S_ISREG(st.st_mode)) {
		return err_set(err, ERR_DISK_NOT_FOUND, "%s is neither a disk nor a file",
			path);
	} else if (access(path, W_OK) < 0) {
		return err_sys(err, ERR_DISK_RO, "%s", path);
	}
	snprintf(r->drives[i].target, sizeof(r->drives[i].target), "%s", path);
	return 0;
}

/* What the target really is: links and other names of a disk or file lead to the same. */
static int identify(struct job_runner *r, int i, struct err *err)
{
	struct job_run_drive *d = &r->drives[i];
	char copy[256];
	struct stat st;
	int k;

	if (stat(d->target, &st) == 0) {
		bool disk = S_ISBLK(st.st_mode);

		snprintf(d->identity, sizeof(d->identity), "%c:%llu:%llu",
			disk ? 'b' :
			'f', (unsigned long long)(disk ? st.st_rdev : st.st_dev),
				disk ? 0ull : (unsigned long long)st.st_ino);
	} else {
		/* A file that will be made: its folder and name. */
		char *slash, *folder;

		snprintf(copy, sizeof(copy), "%s", d->target);
		slash = strrchr(copy, '/');
		*slash = '\0';
		folder = realpath(*copy ? copy : "/", NULL);
		if (!folder)
			return err_sys(err, ERR_DISK_NOT_FOUND, "%s", *copy ? copy : "/");
		snprintf(d->identity, sizeof(d->identity), "n:%.200s/%.80s", folder,
			slash + 1);
		free(folder);
		if (lstat(d->target, &st) == 0)
			return err_set(err, ERR_DISK_NOT_FOUND, "%s is a link to nothing",
				d->target);
	}
	for (k = 0; k < i; k++)
		if (!strcmp(r->drives[k].identity, d->identity))
			return err_set(err, ERR_DISK_BUSY,
				"%s is the target of drives[%d] too", d->target, k);
	return 0;
}

static int map_drive(struct job_runner *r, int i, struct err *err)
{
	const struct job_disk *taken[JOB_MAX_DRIVES];
	const struct job_drive *jd = &r->job->drives[i];
	struct job_run_drive *d = &r->drives[i];
	uint64_t size = d->source ? source_get_info(d->source)->size : 0;
	int k;

	if (*jd->target.device)
		return map_device(r, i, size, err);
	for (k = 0; k < i; k++)
		taken[k] = r->drives[k].disk;
	if (job_map(&jd->target, size, r->disks, r->n_disks, taken, i, &d->disk, err) < 0)
		return -1;
	snprintf(d->target, sizeof(d->target), "%s", d->disk->b.node);
	d->sector = d->disk->b.sector;
	return 0;
}

/* A table that counts in other sectors than the target has is found out before anything
 * is copied. */
static int check_tables(struct job_runner *r, struct err *err)
{
	for (int i = 0; i < r->job->n_drives; i++) {
		struct job_run_drive *d = &r->drives[i];

		if (d->source && copy_check_sectors(d->source, d->sector, d->target,
			err) < 0)
			return err_wrap(err, "drives[%d].target", i);
		job_tick(r);
	}
	return 0;
}

/* Disks of a started VM appear within moments;
 * one that is late is waited for a little. */
static int map_all(struct job_runner *r, struct err *err)
{
	int i, tries;

	for (tries = 0;; tries++) {
		r->n_disks = job_disks("/sys", "/dev", r->disks, JOB_MAX_DISKS, err);
		if (r->n_disks < 0)
			return -1;
		job_disks_mark(r->disks, r->n_disks, &r->found);
		for (i = 0; i < r->job->n_drives; i++) {
			err_clear(err);
			if (map_drive(r, i, err) < 0 || identify(r, i, err) < 0)
				break;
		}
		if (i == r->job->n_drives)
			return 0;
		if (err->code != ERR_DISK_NOT_FOUND || !r->env->image || tries >= 20)
			return err_wrap(err, "drives[%d].target", i);
		usleep(500000);
	}
}

/* What is only read: a CD drive or a write-protected disk will do;
 * outside the image, a file too. */
static int map_medium(struct job_runner *r, const struct job_target *t, const char *what,
	char *ret, size_t size, struct err *err)
{
	const struct job_disk *disk;
	int i;

	if (*t->device && r->env->image)
		return err_set(err, ERR_CFG_INVALID, "device: only outside the image");
	if (*t->device && access(t->device, R_OK) < 0)
		return err_sys(err, ERR_DISK_NOT_FOUND, "%s", t->device);
	if (!*t->device && job_map_find(t, 0, r->disks, r->n_disks, &disk, err) < 0)
		return -1;
	snprintf(ret, size, "%s", *t->device ? t->device : disk->b.node);
	for (i = 0; i < r->job->n_drives; i++)
		if (!strcmp(r->drives[i].target, ret))
			return err_set(err, ERR_DISK_BUSY,
				"%s is the target of drives[%d]", ret, i);
	log_info("READY %s %s", what, ret);
	return 0;
}

static int map_media(struct job_runner *r, struct err *err)
{
	const struct job *j = r->job;

	*r->virtio_win = *r->packages = '\0';
	if (j->prepare.has_virtio_win &&
		map_medium(r, &j->prepare.virtio_win, "virtio-win", r->virtio_win,
			sizeof(r->virtio_win), err) < 0)
		return err_wrap(err, "prepare.virtio_win");
	if (j->prepare.has_packages &&
		map_medium(r, &j->prepare.packages, "packages", r->packages,
			sizeof(r->packages), err) < 0)
		return err_wrap(err, "prepare.packages");
	return 0;
}

static void choose_method(struct job_runner *r, int i)
{
	const struct job_drive *jd = &r->job->drives[i];
	struct job_run_drive *d = &r->drives[i];

	/* Only a target that nobody has written to may be taken as empty. */
	d->delta = r->job->mode == JOB_DELTA || jd->target_state != JOB_PRISTINE;
	d->zero = jd->target_zero && !r->resume && !r->traceless;
}

int job_preflight(struct job_runner *r, struct err *err)
{
	int i;

	if (r->job->n_extensions && !r->job->prepare.enabled)
		return err_set(err, ERR_CFG_INVALID,
			"extensions: prepare is false, so nothing would run them");
	if (r->env->image && check_memory(err) < 0)
		return -1;
	for (i = 0; i < r->job->n_drives && r->job->mode != JOB_PREPARE; i++) {
		if (job_cancelled(r, err) < 0)
			return -1;
		if (open_source(r, i, err) < 0)
			return err_wrap(err, "drives[%d].source %s", i,
				r->job->drives[i].source);
		job_tick(r);
	}
	if (map_all(r, err) < 0 || map_media(r, err) < 0 || check_tables(r, err) < 0)
		return -1;
	for (i = 0; i < r->job->n_drives; i++) {
		choose_method(r, i);
		log_info("READY drives[%d] %s -> %s%s", i,
			r->drives[i].source ? source_name(r->drives[i].source) :
			"prepare", r->drives[i].target,
				r->drives[i].delta ? " (compare first)" : "");
	}
	return 0;
}

void job_close_sources(struct job_runner *r)
{
	int i;

	for (i = 0; i < JOB_MAX_DRIVES; i++) {
		if (r->drives[i].source)
			source_close(r->drives[i].source);
		r->drives[i].source = NULL;
	}
}

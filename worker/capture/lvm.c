/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of LVM volumes, made, watched and removed with the machine's own lvm.
 * Device-mapper freezes a mounted file system by itself while a snapshot is made. A thick
 * one needs free space in the group for what changes meanwhile, and is worthless when
 * that is full: so it is extended in time. A thin one takes its space from the pool. All
 * of ours carry a tag: what an earlier process left behind is found by it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/spawn.h"
#include "capture/capture.h"

#define TAG "target-worker-snapshot"
#define LIMIT_S 60
#define EXTEND_AT 70 /* percent */
#define POOL_AT 95   /* percent of a thin pool: its own volumes need the rest */
#define MAX_ARGS 20

static const char *const programs[] = { "/usr/sbin/lvm", "/sbin/lvm", "/usr/bin/lvm",
	NULL };

/* No archive of metadata below /etc: a frozen root would hold that up. */
static const char config[] = "backup { backup=0 archive=0 }";

static void on_line(void *ctx, const char *line)
{
	(void)ctx;
	log_debug("lvm: %s", line);
}

/* argv without the program; output may be NULL. */
static int lvm(const char *const *args, struct strbuf *output, struct err *err)
{
	const char *argv[MAX_ARGS + 4] = { NULL };
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C",
		"LVM_SUPPRESS_FD_WARNINGS=1", NULL };
	struct spawn sp = { .argv = argv, .env = env, .timeout_s = LIMIT_S,
		.line = on_line,
		.output = output };
	struct spawn_result result;
	int n = 0;

	for (int i = 0; programs[i] && !argv[0]; i++)
		if (!access(programs[i], X_OK))
			argv[0] = programs[i];
	if (!argv[0])
		return err_set(err, ERR_SRC_SNAPSHOT, "this machine has no lvm program");
	argv[++n] = args[0];
	argv[++n] = "--config";
	argv[++n] = config;
	for (int i = 1; args[i] && n < MAX_ARGS; i++)
		argv[++n] = args[i];
	if (spawn_run(&sp, &result, err) < 0) {
		err->code = ERR_SRC_SNAPSHOT;
		return -1;
	}
	if (result.status)
		return err_set(err, ERR_SRC_SNAPSHOT, "%s: %s", args[0],
			result.last_line);
	return 0;
}

/* One field of one volume, without blanks. */
static int field(const char *volume, const char *name, char *ret, size_t size,
	struct err *err)
{
	const char *const args[] = { "lvs", "--noheadings", "--nosuffix", "--units", "b",
		"-o", name,
		volume, NULL };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	const char *last = NULL;
	char *save, *line;

	if (lvm(args, &out, err) < 0)
		return -1;
	if (!out.s)
		return err_set(err, ERR_SRC_SNAPSHOT, "lvs: nothing about %s", volume);
	/* Warnings come first. */
	for (line = strtok_r(out.s, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save))
		last = line + strspn(line, " ");
	if (!last || strlen(last) >= size)
		return err_set(err, ERR_SRC_SNAPSHOT, "lvs: nothing about %s", volume);
	strcpy(ret, last);
	ret[strcspn(ret, " ")] = '\0';
	return 0;
}

static bool attribute(dev_t dev, const char *name, char *ret, size_t size)
{
	char path[96];
	CLEANUP_FCLOSE FILE *f = NULL;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/%s", major(dev), minor(dev),
		name);
	f = fopen(path, "re");
	if (!f || !fgets(ret, (int)size, f))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

bool capture_lvm_volume(const char *path, char *ret, size_t size)
{
	char uuid[160], name[160];
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode) &&
		attribute(st.st_rdev, "uuid", uuid, sizeof(uuid)) &&
		!strncmp(uuid, "LVM-", 4) &&
		attribute(st.st_rdev, "name", name, sizeof(name)) &&
		(size_t)snprintf(ret, size, "/dev/mapper/%s", name) < size;
}

void capture_lvm_sweep(const char *path)
{
	const char *const args[] = { "lvremove", "-f", "-y", "--select", NULL, NULL };
	const char *argv[6];
	char group[128], select[320];
	struct err err = ERR_INIT;

	if (field(path, "vg_name", group, sizeof(group), &err) < 0) {
		log_warn("%s", err.text);
		return;
	}
	/* Nothing but snapshots with names as they are made below,
	 * whatever else carries the tag. */
	snprintf(select, sizeof(select),
		"tags=" TAG " && vg_name=\"%s\" && origin!=\"\" && "
		"lv_name=~\"^tw[0-9]+-[0-9]+$\"", group);
	memcpy(argv, args, sizeof(args));
	argv[4] = select;
	if (lvm(argv, NULL, &err) < 0)
		log_warn("%s: snapshots of an earlier run stay: %s", group, err.text);
}

/* Room for what changes while it is copied: a tenth, at most what is free. lvcreate wants
 * no more than the origin and its own table need. */
static int make(const struct capture_snapshot *s, bool thin, const char *name,
	struct err *err)
{
	const char *const thick_args[] = { "lvcreate", "-s", "-y", "-p", "r", "--addtag",
		TAG, "-n", name, "-l",
		"10%ORIGIN", s->origin, NULL };
	const char *const thin_args[] = { "lvcreate", "-s", "-y", "-p", "r", "-kn", "-ay",
		"--addtag", TAG,
		"-n", name, s->origin, NULL };

	return lvm(thin ? thin_args : thick_args, NULL, err);
}

int capture_lvm_snapshot(const char *path, unsigned number, struct capture_snapshot *ret,
	struct err *err)
{
	struct capture_snapshot s = { .thick = false };
	char group[128], volume[128], type[64], pool[128], name[64];

	if (field(path, "vg_name", group, sizeof(group), err) < 0 ||
		field(path, "lv_name", volume, sizeof(volume), err) < 0 ||
		field(path, "segtype", type, sizeof(type), err) < 0)
		return -1;
	s.thick = strcmp(type, "thin") != 0;
	if (!s.thick && field(path, "pool_lv", pool, sizeof(pool), err) < 0)
		return -1;
	snprintf(name, sizeof(name), "tw%ld-%u", (long)getpid(), number);
	if ((size_t)snprintf(s.origin, sizeof(s.origin), "%s/%s", group, volume) >=
			sizeof(s.origin) ||
		(size_t)snprintf(s.volume, sizeof(s.volume), "%s/%s", group, name) >=
			sizeof(s.volume) ||
		(!s.thick && (size_t)snprintf(s.pool, sizeof(s.pool), "%s/%s", group,
			pool) >= sizeof(s.pool)))
		return err_set(err, ERR_SRC_SNAPSHOT, "%s: name too long", path);
	snprintf(s.path, sizeof(s.path), "/dev/%s", s.volume);
	if (make(&s, !s.thick, name, err) < 0)
		return err_wrap(err, "snapshot of %s", s.origin);
	log_info("%s: %s snapshot %s", s.origin, s.thick ? "thick" : "thin", s.volume);
	*ret = s;
	return 0;
}

static void extend(struct capture_snapshot *s, const char *used)
{
	const char *const args[] = { "lvextend", "-l", "+10%ORIGIN", s->volume, NULL };
	struct err err = ERR_INIT;

	if (lvm(args, NULL, &err) < 0)
		log_warn("%s: %s %% used, cannot be extended: %s", s->volume, used,
			err.text);
	else
		log_info("%s: %s %% used, extended", s->volume, used);
}

int capture_lvm_watch(struct capture_snapshot *s, struct err *err)
{
	struct err why = ERR_INIT;
	char text[64];
	double used;

	if (!s->volume[0])
		return 0;
	if (field(s->thick ? s->volume : s->pool, "data_percent", text, sizeof(text),
		&why) < 0) {
		if (!s->mute)
			log_warn("%s: cannot be watched: %s", s->volume, why.text);
		s->mute = true;
		return 0;
	}
	s->mute = false;
	used = strtod(text, NULL);
	if (s->thick && used >= 100)
		return err_set(err, ERR_SRC_SNAPSHOT, "%s: full, and with that worthless",
			s->volume);
	if (!s->thick && used >= POOL_AT)
		return err_set(err, ERR_SRC_SNAPSHOT,
			"%s: %s %% used; the snapshot must go, or %s "
			"could not be written to any more", s->pool, text, s->origin);
	if (s->thick && used >= EXTEND_AT)
		extend(s, text);
	return 0;
}

int capture_lvm_remove(struct capture_snapshot *s, struct err *err)
{
	const char *const args[] = { "lvremove", "-f", "-y", s->volume, NULL };

	if (!s->volume[0])
		return 0;
	if (lvm(args, NULL, err) < 0)
		return err_wrap(err, "remove %s", s->volume);
	log_info("%s: removed", s->volume);
	s->volume[0] = '\0';
	return 0;
}

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
#include "capture/capture-internal.h"

#define TAG "target-worker-snapshot"
#define LIMIT_S 60     /* of programs that only ask */
#define STILL_S 30     /* what lvm suspends is resumed after it, whatever lvm does */
#define GROUP_LEN 36   /* "LVM-" and a UUID without hyphens: how UUIDs of a group begin */
#define EXTEND_AT 70 /* percent */
#define POOL_AT 95   /* percent of a thin pool: its own volumes need the rest */
#define MAX_ARGS 20

static const char *const programs[] = { "/usr/sbin/lvm", "/sbin/lvm", "/usr/bin/lvm",
	NULL };

/* No archive of metadata below /etc: a frozen root would hold that up. */
static const char config[] = "backup { backup=0 archive=0 }";

/* A program that changes something, and what of the group it suspends meanwhile. */
struct change {
	char group[GROUP_LEN + 1];
	struct capture_suspended before;
	unsigned still_s, seconds;
	bool resumed;
};

static void on_line(void *ctx, const char *line)
{
	(void)ctx;
	log_debug("lvm: %s", line);
}

/* Production waits for a device that is suspended. lvm does that for moments; should it
 * be stuck in there, production goes on, and what lvm makes is not used. */
static void on_tick(void *ctx)
{
	struct change *c = ctx;
	struct capture_suspended now;

	capture_suspended(c->group, &now);
	c->still_s = now.n > c->before.n ? c->still_s + 1 : 0;
	if (++c->seconds % LIMIT_S == 0)
		log_warn("lvm runs for %u s", c->seconds);
	if (c->still_s < STILL_S)
		return;
	c->still_s = 0;
	c->resumed |= capture_resume(c->group, &c->before, "lvm does not end") > 0;
}

/* argv without the program; output may be NULL. changes: it is never ended by force, as
 * it may hold a device of the group suspended; NULL: it only asks. */
static int lvm(const char *const *args, struct strbuf *output, struct change *changes,
	struct err *err)
{
	const char *argv[MAX_ARGS + 4] = { NULL };
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C",
		"LVM_SUPPRESS_FD_WARNINGS=1", NULL };
	struct spawn sp = { .argv = argv, .env = env, .timeout_s = LIMIT_S,
		.line = on_line, .output = output, .never_kill = changes,
		.tick = changes ? on_tick : NULL, .ctx = changes };
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
			result.last_line[0] ? result.last_line : "it failed");
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

	if (lvm(args, &out, NULL, err) < 0)
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

/* "LVM-" and the UUID of the group that the volume, or a snapshot of it, is in. */
static void group_of(const char *path, char ret[GROUP_LEN + 1])
{
	char uuid[160] = "";
	struct stat st;

	if (stat(path, &st) < 0 ||
		!attribute(st.st_rdev, "uuid", uuid, sizeof(uuid)) ||
		strlen(uuid) < GROUP_LEN)
		snprintf(uuid, sizeof(uuid), "LVM-?"); /* what no device's begins with */
	snprintf(ret, GROUP_LEN + 1, "%.*s", GROUP_LEN, uuid);
}

/* Whatever becomes of it, nothing that it suspended stays so. */
static int change_lvm(const char *const *args, const char *group, struct err *err)
{
	struct change c = { .seconds = 0 };
	int r;

	snprintf(c.group, sizeof(c.group), "%s", group);
	capture_suspended(c.group, &c.before);
	r = lvm(args, NULL, &c, err);
	if (r < 0)
		capture_resume(c.group, &c.before, err->text);
	else if (c.resumed)
		r = err_set(err, ERR_SRC_SNAPSHOT, "%s: took too long", args[0]);
	return r;
}

/* Removes by name and tag, whatever it has become so far: before it is a snapshot, it is
 * a plain volume. */
static int remove_tagged(const char *group, const char *vg, const char *name,
	struct err *err)
{
	char select[400];
	const char *const args[] = { "lvremove", "-f", "-y", "--select", select, NULL };

	snprintf(select, sizeof(select), "tags=" TAG " && vg_name=\"%s\" && lv_name=~\"%s\"",
		vg, name);
	return change_lvm(args, group, err);
}

void capture_lvm_sweep(const char *path)
{
	char vg[128], group[GROUP_LEN + 1];
	struct err err = ERR_INIT;

	group_of(path, group);
	/* A process that was killed with all its children may have left that, and lvm
	 * would wait for it. */
	if (capture_has_snapshots(group))
		capture_resume(group, NULL, "by an earlier source-server");
	if (field(path, "vg_name", vg, sizeof(vg), &err) < 0) {
		log_warn("%s", err.text);
		return;
	}
	/* Nothing but names as they are made below, whatever else carries the tag. */
	if (remove_tagged(group, vg, "^tw[0-9]+-[0-9]+$", &err) < 0)
		log_warn("%s: snapshots of an earlier run stay: %s", vg, err.text);
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

	return change_lvm(thin ? thin_args : thick_args, s->group, err);
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
	group_of(path, s.group);
	if (make(&s, !s.thick, name, err) < 0) {
		char exact[80];
		struct err left = ERR_INIT;

		snprintf(exact, sizeof(exact), "^%s$", name);
		if (remove_tagged(s.group, group, exact, &left) < 0)
			log_warn("%s: may be left behind: %s", s.volume, left.text);
		return err_wrap(err, "snapshot of %s", s.origin);
	}
	log_info("%s: %s snapshot %s", s.origin, s.thick ? "thick" : "thin", s.volume);
	*ret = s;
	return 0;
}

static void extend(struct capture_snapshot *s, const char *used)
{
	const char *const args[] = { "lvextend", "-l", "+10%ORIGIN", s->volume, NULL };
	struct err err = ERR_INIT;

	if (change_lvm(args, s->group, &err) < 0)
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
	if (change_lvm(args, s->group, err) < 0)
		return err_wrap(err, "remove %s", s->volume);
	log_info("%s: removed", s->volume);
	s->volume[0] = '\0';
	return 0;
}

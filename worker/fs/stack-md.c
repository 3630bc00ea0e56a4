/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of Linux (md). An array is assembled read-only; to be written it is frozen
 * first, so that neither a resync nor a rebuild starts on a copy that the guest will look
 * after itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "fs/fs-internal.h"

#define MAX_MEMBERS 384 /* md's own limit */

struct examined {
	char level[16], name[64];
	int devices;
};

static void see_line(void *ctx, const char *line)
{
	struct examined *x = ctx;

	if (!strncmp(line, "MD_LEVEL=", 9))
		snprintf(x->level, sizeof(x->level), "%s", line + 9);
	else if (!strncmp(line, "MD_DEVICES=", 11))
		x->devices = atoi(line + 11);
	else if (!strncmp(line, "MD_NAME=", 8)) /* "host:0" or "0" */
		snprintf(x->name, sizeof(x->name), "%s", strchr(line, ':') ?
			strchr(line, ':') + 1 : line + 8);
}

static bool in_use(int number)
{
	char path[64], *text = NULL;
	struct err ignored = ERR_INIT; /* no such file: free */
	size_t len;
	bool used;

	snprintf(path, sizeof(path), "/sys/block/md%d/md/array_state", number);
	if (fdio_read_file(path, 64, &text, &len, &ignored) < 0)
		return false;
	used = strncmp(text, "clear", 5);
	free(text);
	return used;
}

/* /dev/md0 for an array called "0", as the guest's own udev would; else from 127 down. */
static int pick_number(const char *name)
{
	char *end;
	long want = strtol(name, &end, 10);

	if (end != name && !*end && want >= 0 && want < 512 && !in_use((int)want))
		return (int)want;
	for (int i = 127; i > 0; i--)
		if (!in_use(i))
			return i;
	return 0;
}

static long read_number(const char *node, const char *what)
{
	char path[128], *text = NULL;
	struct err ignored = ERR_INIT; /* levels without redundancy have no such file */
	size_t len;
	long value;

	snprintf(path, sizeof(path), "/sys/block/%s/md/%s", node + 5, what);
	if (fdio_read_file(path, 64, &text, &len, &ignored) < 0)
		return -1;
	value = strtol(text, NULL, 10);
	free(text);
	return value;
}

/* Levels without redundancy have nothing to synchronise and no sync_action. */
static int freeze(const char *node, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/%s/md/sync_action", node + 5);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || write(fd, "frozen", 6) != 6)
		return err_sys(err, ERR_PREP_STACK, "keep %s from synchronising", node);
	return 0;
}

static int make_writable(struct fs_stack *s, const char *node, struct err *err)
{
	const char *argv[] = { STACK_MDADM, "--readwrite", node, NULL };
	char last[256];
	int status;

	if (freeze(node, err) < 0)
		return -1;
	status = fs_stack_run(s, argv, NULL, NULL, last, err);
	if (status > 0)
		return err_set(err, ERR_PREP_STACK, "make %s writable: %s", node, last);
	return status;
}

static int stop(struct fs_stack *s, const char *node, struct err *err)
{
	const char *argv[] = { STACK_MDADM, "--stop", node, NULL };
	char last[256];
	int status = fs_stack_run(s, argv, NULL, NULL, last, err);

	if (status > 0)
		return err_set(err, ERR_DISK_BUSY, "stop %s: %s", node, last);
	return status;
}

static void describe(struct fs_layer *l, const struct examined *x, int members)
{
	long degraded = read_number(l->name, "degraded");

	snprintf(l->detail, sizeof(l->detail), "%s, %d members", x->level, x->devices);
	if (degraded > 0)
		snprintf(l->problem, sizeof(l->problem),
			"degraded: %ld of %d members %s missing or "
			"out of date (%d given)", degraded, x->devices,
			degraded == 1 ? "is" : "are", members);
}

int fs_md_open(struct fs_stack *s, const char *const *members, const char *uuid,
	struct fs_layer **ret, struct err *err)
{
	const char *examine[] = { STACK_MDADM, "--examine", "--export", members[0],
		NULL };
	const char *argv[MAX_MEMBERS + 8] = { STACK_MDADM, "--assemble", "--config=none",
		"--run", "--readonly" };
	struct examined x = { .devices = 0 };
	struct fs_layer *l = fs_stack_new(s, FS_LAYER_MD, members, err);
	char last[256];
	int n = 5, count = 0, status;

	if (!l)
		return -1;
	status = fs_stack_run(s, examine, see_line, &x, last, err);
	if (status > 0)
		err_set(err, ERR_PREP_STACK, "%s: %s", members[0], last);
	if (status)
		goto drop;
	snprintf(l->name, sizeof(l->name), "/dev/md%d", pick_number(x.name));
	snprintf(l->uuid, sizeof(l->uuid), "%s", uuid);
	argv[n++] = l->name;
	while (members[count] && count < MAX_MEMBERS)
		argv[n++] = members[count++];
	if (members[count]) {
		err_set(err, ERR_PREP_UNSUPPORTED, "an array of more than %d members",
			MAX_MEMBERS);
		goto drop;
	}
	status = fs_stack_run(s, argv, NULL, NULL, last, err);
	if (status > 0)
		err_set(err, ERR_PREP_STACK, "array on %s: %s", l->on, last);
	if (status)
		goto drop;
	if (s->writable && make_writable(s, l->name, err) < 0) {
		struct err late = ERR_INIT; /* the first one counts */

		stop(s, l->name, &late);
		goto drop;
	}
	describe(l, &x, count);
	fs_stack_added(s);
	*ret = l;
	return 0;
drop:
	fs_stack_drop(l);
	return -1;
}

int fs_stack_md_close(struct fs_stack *s, struct fs_layer *l, struct err *err)
{
	return stop(s, l->name, err);
}

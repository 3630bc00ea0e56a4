/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rehearsal: the whole preparation on snapshots of the disks in memory, which are
 * thrown away. Above each snapshot stands a loop device, as the kernel looks for
 * partitions there and not on device-mapper's. Nothing but the disks differs from a real
 * run, except that no variable of the firmware is written.
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

struct stage {
	struct block_loop image;   /* below: of a disk that is a file */
	struct fs_snapshot snap;
	struct block_loop top;     /* above: what the preparation is given */
};

struct guest_rehearsal {
	const struct guest_options *asked;
	struct guest_options opt;  /* the same with other disks */
	const char *disks[GUEST_MAX_DISKS + 1];
	struct stage stages[GUEST_MAX_DISKS];
	int n;
	struct fs_stack tools;
	uint64_t room;             /* for the changes of one disk */
};

static int open_stage(struct guest_rehearsal *r, const char *disk, struct err *err)
{
	struct stage *s = &r->stages[r->n];
	const char *below = disk;
	struct stat st;
	char name[32];

	s->image = s->top = (struct block_loop)BLOCK_LOOP_INIT;
	s->snap = (struct fs_snapshot)FS_SNAPSHOT_INIT;
	snprintf(name, sizeof(name), "target-worker-%d", r->n);
	r->n++;
	if (stat(disk, &st) < 0)
		return err_sys(err, err_disk_code(errno), "%s", disk);
	if (S_ISREG(st.st_mode)) {
		if (block_loop_attach(disk, true, &s->image, err) < 0)
			return -1;
		below = s->image.node;
	}
	if (fs_snapshot_open(&r->tools, below, name, r->room, &s->snap, err) < 0 ||
		block_loop_attach(s->snap.node, false, &s->top, err) < 0)
		return -1;
	r->disks[r->n - 1] = s->top.node;
	return 0;
}

int guest_rehearse_begin(struct guest *g, struct err *err)
{
	struct guest_rehearsal *r = calloc(1, sizeof(*r));
	struct sysinfo si;
	int n = 0;

	if (!r || sysinfo(&si) < 0) {
		free(r);
		return err_set(err, ERR_NOMEM, "rehearse: out of memory");
	}
	g->rehearsal = r;
	r->asked = g->opt;
	r->opt = *g->opt;
	r->tools = (struct fs_stack){ .tick = g->opt->tick, .ctx = g->opt->ctx };
	while (g->opt->disks[n])
		if (++n > GUEST_MAX_DISKS)
			return err_set(err, ERR_PREP_UNSUPPORTED, "more than %d disks",
				GUEST_MAX_DISKS);
	/* Half of what is free: the other half is the tools'. */
	if (n)
		r->room = (uint64_t)si.freeram * si.mem_unit / 2 / (unsigned)n &
			~0xfffffull;
	for (int i = 0; i < n; i++)
		if (open_stage(r, g->opt->disks[i], err) < 0)
			return err_wrap(err, "rehearse");
	r->opt.disks = r->disks;
	r->opt.write_nvram = false;
	g->opt = &r->opt;
	return 0;
}

int guest_rehearse_used(struct guest *g, uint64_t *ret, struct err *err)
{
	struct guest_rehearsal *r = g->rehearsal;
	uint64_t sum = 0, used;

	for (int i = 0; i < r->n; i++) {
		if (!*r->stages[i].snap.node)
			continue;
		if (fs_snapshot_used(&r->tools, &r->stages[i].snap, &used, err) < 0)
			return -1;
		if (used == FS_SNAPSHOT_FULL)
			return err_set(err, ERR_NOMEM,
				"rehearse: the changes to disk %d need more than "
				"%llu MB of memory", i,
				(unsigned long long)r->room >> 20);
		sum += used;
	}
	*ret = sum;
	return 0;
}

int guest_rehearse_end(struct guest *g, struct err *err)
{
	struct guest_rehearsal *r = g->rehearsal;
	struct err more = ERR_INIT; /* the first one counts */
	int result = 0;

	while (r->n) {
		struct stage *s = &r->stages[--r->n];

		if (block_loop_detach(&s->top, result ? &more : err) < 0)
			result = -1;
		if (fs_snapshot_close(&r->tools, &s->snap, result ? &more : err) < 0)
			result = -1;
		if (block_loop_detach(&s->image, result ? &more : err) < 0)
			result = -1;
	}
	g->opt = r->asked;
	g->rehearsal = NULL;
	free(r);
	return result;
}

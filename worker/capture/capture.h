/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a live source can tell about itself and how its state is caught: the inventory of
 * the machine, and which blocks of its drives no file system uses.
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strbuf.h"

/* inventory.c: the machine as one JSON object (source-server.8, INVENTORY), read from
 * /proc, /sys, /etc and /run below root without running programs. With "/" also what only
 * system calls tell: IPv4 addresses, usage of file systems, the hypervisor's own name.
 * What is not known is null.
 * json: else the same as indented text for people. */
int capture_inventory(const char *root, bool json, struct strbuf *ret, struct err *err);

/* below.c: where the bytes of a block device lie on whole disks: partitions and linear
 * device-mapper targets (LVM) are followed; what lies elsewhere (RAID, encrypted, volumes
 * that have snapshots) is left out. */
struct capture_segment {
	uint64_t off, len; /* bytes of the device */
	dev_t disk;
	uint64_t disk_off;
};
#define CAPTURE_MAX_SEGMENTS 256
/* -1 when a table cannot be read, or has more pieces than there is room for. */
int capture_below(dev_t device, struct capture_segment ret[CAPTURE_MAX_SEGMENTS],
	unsigned *ret_n, struct err *err);
/* A line of a device-mapper table in sectors;
 * false when it is no target that is followed. */
bool capture_dm_target(const char *type, const char *parameters, dev_t *ret_device,
	uint64_t *ret_sector);

/* unused.c: the free space of a mounted file system (ext4, XFS; Linux 4.12), in bytes of
 * its block device. Only true while it is frozen. 1 told, 0 it cannot tell, -1 it failed
 * half way. */
int capture_unused(int mount_fd, dev_t device,
	void (*range)(void *ctx, uint64_t off, uint64_t len), void *ctx, struct err *err);

/* lvm.c: snapshots of LVM volumes by the machine's own lvm program; SRC_SNAPSHOT on
 * failure. lvm is never killed while it changes something, and takes as long as it takes;
 * what it leaves suspended, or keeps so for half a minute, is resumed. Flush the volume
 * before: lvm does so while all writers wait. */
struct capture_snapshot {
	char path[256];        /* to be opened */
	/* GROUP/NAME; volume is "" when there is none */
	char volume[224], origin[224], pool[224];
	bool thick;            /* has its own space, in which all must fit
				* that changes; no pool */
	bool mute;             /* a failure to ask was told */
	char group[37];        /* how UUIDs of its group's devices begin */
};
/* Whether the block device is an LVM volume;
 * ret is then the path that lvm knows it by. */
bool capture_lvm_volume(const char *path, char *ret, size_t size);
/* Removes what an earlier process left in the volume's group, unless it is in use. */
void capture_lvm_sweep(const char *path);
/* number: another one for each snapshot of this process. */
int capture_lvm_snapshot(const char *path, unsigned number, struct capture_snapshot *ret,
	struct err *err);
/* To be called every few seconds: extends it in time. -1: it is lost, or must go as its
 * pool is nearly full. */
int capture_lvm_watch(struct capture_snapshot *s, struct err *err);
int capture_lvm_remove(struct capture_snapshot *s, struct err *err);

/* limits.c: how long file systems may stand still at most before something of this
 * machine takes those who wait for dead, and resets, fences or ends what it should
 * not. */
struct capture_limit {
	unsigned seconds; /* 0 = nothing does */
	char why[200];
};
void capture_limit(const char *root, struct capture_limit *ret);

/* hook.c: the operator's programs around a freeze, run without a shell; NULL = none. */
struct capture_hooks {
	const char *before_freeze, *after_thaw;
	unsigned limit_s; /* for each of them */
};
/* Runs one with `what` as its argument; its output goes to the log. SRC_HOOK when it
 * cannot be run, takes too long or is cancelled (then it is killed), or says no. tick:
 * once a second meanwhile. It and cancel may be NULL. */
int capture_hook(const char *program, const char *what, unsigned limit_s,
	void (*tick)(void *ctx), void *ctx, const _Atomic bool *cancel, struct err *err);

#endif

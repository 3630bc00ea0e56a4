/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_FS_INTERNAL_H
#define FS_FS_INTERNAL_H

#include "base/spawn.h"
#include "fs/fs.h"

/* stack.c */
#define STACK_LVM "/usr/sbin/lvm"
#define STACK_MDADM "/usr/sbin/mdadm"
#define STACK_CRYPTSETUP "/usr/sbin/cryptsetup"
#define STACK_DMSETUP "/usr/sbin/dmsetup"
/* Runs a tool; line (may be NULL) gets each line of its output. Returns the exit status,
 * -1 when it could not run. last (may be NULL) gets its last words. */
int fs_stack_run(struct fs_stack *s, const char *const *argv,
	void (*line)(void *ctx, const char *line), void *ctx, char last[256],
	struct err *err);
/* A new layer on these devices, not counted until fs_stack_added. NULL: err is filled. */
struct fs_layer *fs_stack_new(struct fs_stack *s, enum fs_layer_kind k,
	const char *const *devs, struct err *err);
void fs_stack_added(struct fs_stack *s);
/* Forgets the layer that fs_stack_new made. */
void fs_stack_drop(struct fs_layer *l);

/* One per kind: takes one layer down. */
int fs_stack_md_close(struct fs_stack *s, struct fs_layer *l, struct err *err);
int fs_stack_lvm_close(struct fs_stack *s, struct fs_layer *l, struct err *err);
int fs_stack_luks_close(struct fs_stack *s, struct fs_layer *l, struct err *err);

#endif

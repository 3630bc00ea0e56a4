/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_FS_INTERNAL_H
#define FS_FS_INTERNAL_H

#include <yyjson.h>

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
/* The same of lvm, which writes its report, at most 16 MiB, where no message of it goes:
 * some go to standard output. */
int fs_stack_report(struct fs_stack *s, const char *const *argv, struct strbuf *ret,
	char last[256], struct err *err);
/* A file in memory with this content. -1: err is filled. */
int fs_stack_file(const void *buf, size_t len, struct err *err);
/* The name that programs started by the worker open the descriptor by. */
void fs_stack_fd_name(int fd, char *ret, size_t size);
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

/* lvm-report.c: memory only. Calls each row of the kind ("vg", "lv"); the first non-zero
 * result of each ends it and is returned. */
int fs_lvm_rows(const char *text, size_t len, const char *kind,
	int (*each)(void *ctx, yyjson_val *row, struct err *err), void *ctx,
	struct err *err);
/* False: there is no such text, or it is too long. */
bool fs_lvm_value(yyjson_val *row, const char *name, char *ret, size_t size);
/* What lvm2 allows when it makes them (validate_name, system_id_from_string). */
bool fs_lvm_is_name(const char *s);
bool fs_lvm_is_system_id(const char *s);
bool fs_lvm_is_uuid(const char *s);
/* "/dev/mapper/a--b-root" for a-b and root. False: too long. */
bool fs_lvm_node(const char *vg, const char *lv, char *ret, size_t size);

#endif

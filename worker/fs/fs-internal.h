/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_FS_INTERNAL_H
#define FS_FS_INTERNAL_H

#include <sys/stat.h>
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
/* The rules are those of lvm2 (validate_name, system_id_from_string). */
bool fs_lvm_is_name(const char *s);
bool fs_lvm_is_system_id(const char *s);
bool fs_lvm_is_uuid(const char *s);
/* "/dev/mapper/a--b-root" for a-b and root. False: too long. */
bool fs_lvm_node(const char *vg, const char *lv, char *ret, size_t size);

/* meta.c. -1 with errno; a file system without flags, projects or attributes is no error
 * where there is nothing to set. */
#define FS_LOCKED (FS_IMMUTABLE_FL | FS_APPEND_FL) /* needs <linux/fs.h> */
unsigned fs_fd_flags(int fd);
int fs_fd_set_flags(int fd, unsigned flags);
/* Owner and mode; vfat has none of its own and refuses what it cannot show. */
int fs_fd_owner(int fd, const struct stat *like);
/* All but the flags. */
int fs_fd_set_meta(int fd, const struct fs_meta *m);

/* write.c */
enum err_code fs_write_code(int sys);
/* Opens the folder of path; *ret_name is its last part. */
int fs_open_parent(const struct fs_root *r, const char *path, const char **ret_name);
/* A file that is written beside another and then takes its place. */
struct fs_new {
	int dir, fd, old; /* old: the one whose place it takes, -1 = none */
	unsigned flags;   /* of chattr, that it gets at the end */
	bool flags_known;
	const char *name;
	char tmp[256];
};
#define FS_NEW_INIT { .dir = -1, .fd = -1, .old = -1 }
/* fs_new_close is due also after -1. keep: it gets the flags of the old one. */
int fs_new_open(const struct fs_root *r, const char *path, bool keep, struct fs_new *n,
	struct err *err);
/* Those flags that an empty file only can get, now; all others at the end. */
int fs_new_flags(struct fs_new *n, unsigned flags);
int fs_new_finish(struct fs_new *n);
/* Also removes what fs_new_finish has not put in place. */
void fs_new_close(struct fs_new *n);
/* Extended attributes of one file to another. */
int fs_copy_xattrs(int from, int to);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems of a guest: recognise one, mount it, and work on files below its root
 * without ever leaving it. The guest's tree is hostile: every path is resolved by the
 * kernel beneath the root (openat2, RESOLVE_IN_ROOT), absolute symbolic links start again
 * at that root, and only regular files are read.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "block/block.h"

#define FS_PATH_MAX 4096

/* probe.c: libblkid. */
struct fs_info {
	char dev[256];       /* as given: "/dev/vda1" */
	char type[32];       /* "ext4", "vfat", "swap", "LVM2_member", "crypto_LUKS" */
	char usage[16];      /* "filesystem", "raid", "crypto", "other" */
	char uuid[64], label[128];
	char uuid_sub[64];   /* btrfs: of this device */
	char partuuid[64], partlabel[128];
	char parttype[64];   /* GUID in lower case, or "0x83" */
	uint64_t size;       /* bytes of the device */
	unsigned part_number;    /* 0 = not a partition */
	uint64_t part_start, part_sectors; /* in units of 512 bytes */
};
enum fs_found {
	FS_FOUND, FS_NOTHING, /* no signature that libblkid knows */
	FS_AMBIGUOUS,         /* two signatures: never guessed */
	FS_UNREADABLE,        /* err is filled */
};
enum fs_found fs_probe(const char *dev, struct fs_info *ret, struct err *err);
#define FS_MAX_PARTS 256
struct fs_table {
	char type[16]; /* "gpt", "dos", "" for none */
	struct {
		int number;
		uint64_t off, len; /* bytes */
	} parts[FS_MAX_PARTS];
	int n;
};
int fs_probe_table(const char *disk, struct fs_table *ret, struct err *err);
#define FS_ESP_GUID "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
#define FS_BIOS_BOOT_GUID "21686148-6449-6e6f-744e-656564454649"

/* mount.c: always nodev and nosuid. Read-only mounts do not replay a journal, so that not
 * one byte of the device changes. Mounts are held by descriptors. */
struct fs_option {
	const char *key, *value; /* value NULL: a flag; any text: it is never split */
};
/* Mounts on the folder `dir` (a descriptor, O_PATH is enough). options may be NULL, else
 * they end with a key NULL. Returns the mount's descriptor: of its root, as of O_PATH. */
int fs_mount(const char *dev, const char *type, int dir, bool writable,
	const struct fs_option *options, struct err *err);
/* Everything that was written to the file system of a mount is on the disk. A name would
 * do for another one, where a hook has put a link. */
int fs_sync(int mount, const char *name, struct err *err);
/* Flushes, takes the mount out of the tree, wherever it is there, and closes the
 * descriptor. The file system may live on for somebody who has it open: fs_wait_free
 * tells. name is for errors. */
int fs_unmount(int *mount, const char *name, struct err *err);
/* Waits until no file system holds the device:
 * the last user's mounts go a moment after it. */
int fs_wait_free(const char *dev, unsigned seconds, struct err *err);
bool fs_mountable(const char *type); /* the worker knows what to do with this type */

/*
 * stack.c, stack-md.c, stack-lvm.c, stack-luks.c: volumes that stand on other volumes,
 * opened by mdadm, lvm and cryptsetup as they lie in the image. The tools see the named
 * devices only. Unless the stack is writable not one byte of them changes; no array is
 * ever synchronised.
 */
enum fs_layer_kind { FS_LAYER_MD, FS_LAYER_LVM, FS_LAYER_LUKS };
#define FS_STACK_MAX 256
struct fs_layer {
	enum fs_layer_kind kind;
	char name[128];      /* "/dev/md0", a volume group, the name below /dev/mapper */
	char uuid[64];
	char detail[64];     /* "raid1, 2 members", "LUKS, aes-xts-plain64" */
	char tokens[64];     /* of LUKS2, other keys than a passphrase:
			      * "systemd-tpm2 clevis" */
	char problem[200];   /* "1 of 2 members is missing"; "" = none */
	char system_id[132]; /* of a volume group that has an owner */
	char *on;            /* devices below it, separated by commas */
};
struct fs_stack {
	struct fs_layer layers[FS_STACK_MAX]; /* bottom first */
	int n;
	bool writable;
	void (*tick)(void *ctx);              /* may be NULL; as cancel */
	void *ctx;
	const _Atomic bool *cancel;
};
const char *fs_layer_name(enum fs_layer_kind k); /* "md", "lvm", "luks" */
/* Whether this machine can open the kind: PREP_UNSUPPORTED says what is missing. */
int fs_stack_able(enum fs_layer_kind k, struct err *err);
/* What stands on a device knows it by its new name from now on. */
int fs_stack_renamed(struct fs_stack *s, const char *from, const char *to,
	struct err *err);
/* Closes everything, top first. Goes on after a failure; err is the first one. */
int fs_stack_close(struct fs_stack *s, struct err *err);

/* Assembles the members of one array (NULL-terminated). */
int fs_md_open(struct fs_stack *s, const char *const *members, const char *uuid,
	struct fs_layer **ret, struct err *err);

#define FS_LVM_MAX 256
struct fs_lvm_group {
	char name[128], uuid[64];
	int missing;         /* physical volumes that are on none of the devices */
	bool shared;         /* by several hosts: needs their lock manager */
	bool exported;
	char system_id[132]; /* owner, "" = none */
	char problem[80];    /* why it is not opened: text that LVM does not allow */
};
/* The volume groups on the devices. Returns how many, -1 with err. */
int fs_lvm_list(struct fs_stack *s, const char *const *devs, struct fs_lvm_group *ret,
	int max, struct err *err);
struct fs_lvm_volume {
	char name[128], node[256]; /* "root", "/dev/mapper/vg-root" */
	bool snapshot;             /* of another volume: same content, same UUIDs */
};
/* Activates a group under its own name and calls each active volume of it. */
int fs_lvm_open(struct fs_stack *s, const char *const *devs,
	const struct fs_lvm_group *vg,
	void (*each)(void *ctx, const struct fs_lvm_volume *lv), void *ctx,
	struct fs_layer **ret, struct err *err);

/* The name can stand below /dev/mapper as it is: device-mapper escapes other bytes, and
 * an option or a path is no name. */
bool fs_luks_is_name(const char *s);
enum fs_key { FS_KEY_FITS, FS_KEY_WRONG, FS_KEY_FAILED /* err is filled */ };
enum fs_key fs_luks_open(struct fs_stack *s, const char *dev, const char *uuid,
	const char *name, const void *key, size_t len, struct fs_layer **ret,
	struct err *err);
/* Gives an open volume another name below /dev/mapper, also while it is mounted. */
int fs_luks_rename(struct fs_stack *s, struct fs_layer *l, const char *name,
	struct err *err);

/* snapshot.c: a disk as it is, and what is written to it goes to
 * memory and is lost at the end. */
struct fs_snapshot {
	char name[32], node[64];  /* node: "/dev/mapper/NAME"; "" = closed */
	struct block_loop store;
};
#define FS_SNAPSHOT_INIT { .store = BLOCK_LOOP_INIT }
#define FS_SNAPSHOT_FULL UINT64_MAX
/* bytes: room for changes; once they are used up the snapshot fails every request. */
int fs_snapshot_open(struct fs_stack *s, const char *dev, const char *name,
	uint64_t bytes, struct fs_snapshot *ret, struct err *err);
/* Bytes of changes, FS_SNAPSHOT_FULL when they did not find room. */
int fs_snapshot_used(struct fs_stack *s, const struct fs_snapshot *snap, uint64_t *ret,
	struct err *err);
int fs_snapshot_close(struct fs_stack *s, struct fs_snapshot *snap, struct err *err);

/* root.c: paths are absolute within the guest. */
struct fs_root {
	int fd;               /* of the root folder */
	char at[FS_PATH_MAX]; /* where it is mounted, without links; "" =
			       * cannot be named */
};
int fs_root_open(struct fs_root *r, const char *at, struct err *err);
/* The same of an open folder, which the caller may close then. */
int fs_root_at(struct fs_root *r, int dir, struct err *err);
void fs_root_close(struct fs_root *r);
/* open(2) within the root; -1 with errno. ELOOP, EXDEV: unsafe. Follows links within the
 * root unless flags has O_NOFOLLOW. */
int fs_open(const struct fs_root *r, const char *path, int flags, unsigned mode);
int fs_stat(const struct fs_root *r, const char *path, struct stat *st);  /* follows */
/* last part not */
int fs_lstat(const struct fs_root *r, const char *path, struct stat *st);
bool fs_is_file(const struct fs_root *r, const char *path); /* regular, links followed */
bool fs_is_dir(const struct fs_root *r, const char *path);
bool fs_is_mounted(int dir); /* an open folder is the root of a mount */
/* The path without links, within the root:
 * "/boot/grub2/grub.cfg" for "/etc/grub2.cfg". */
int fs_real(const struct fs_root *r, const char *path, char *ret, size_t size,
	struct err *err);
int fs_readlink(const struct fs_root *r, const char *path, char *ret, size_t size);
/* 0: read, NUL added behind *ret_len bytes; 1: there is no such file; -1: err (a larger
 * file, not a regular one, a loop of links, an I/O error). */
int fs_read(const struct fs_root *r, const char *path, size_t max, char **ret,
	size_t *ret_len, struct err *err);
/* Calls each name of a folder (no "." and ".."), sorted. 0, or 1 when there is none. A
 * non-zero result of each ends the walk and is returned. */
int fs_list(const struct fs_root *r, const char *path,
	int (*each)(void *ctx, const char *name, const struct stat *st), void *ctx,
	struct err *err);
struct fs_space {
	uint64_t free_bytes, free_inodes, total_bytes;
	dev_t dev;
};
int fs_space(const struct fs_root *r, const char *path, struct fs_space *ret,
	struct err *err);

/* meta.c: what a file system keeps of a path beside its content. */
struct fs_xattr {
	const char *name;
	const void *value;
	size_t len;
};
struct fs_meta {
	struct stat st;      /* owner, mode, times */
	const struct fs_xattr *xattrs; /* ACLs, labels and capabilities are some */
	int n_xattrs;        /* -1: they, flags and project stay as they are */
	unsigned flags;      /* of chattr(1), FS_..._FL; 0 for links */
	unsigned project;    /* of quotas, 0 = none */
};
/* Last part not followed. Extended attributes go to each (xattrs stays NULL), which
 * returns -1 to end it. */
int fs_get_meta(const struct fs_root *r, const char *path, struct fs_meta *ret,
	int (*each)(void *ctx, const struct fs_xattr *x), void *ctx, struct err *err);
/* Sets these of a file, folder or link, and removes other attributes and flags. */
int fs_set_meta(const struct fs_root *r, const char *path, const struct fs_meta *m,
	struct err *err);

/* write.c, copy.c: changes inside the guest. The folder of the path is resolved, the last
 * part is never followed (use fs_real first). What takes another's place does so
 * atomically: it is written beside it, through to the disk, and renamed; an immutable
 * file gives way to one that is immutable as well. */
/* Owner, mode, flags and extended attributes are those of the old file; else it is
 * root's, with this mode. */
int fs_replace(const struct fs_root *r, const char *path, const void *buf, size_t len,
	unsigned mode, struct err *err);
/* Copies a regular file with owner, mode, times, holes and extended attributes; to must
 * not exist unless replace. ret_sha256 (65 bytes of hex) may be NULL. */
int fs_copy(const struct fs_root *r, const char *from, const char *to, bool replace,
	char *ret_sha256, struct err *err);
/* The same with the attributes of m instead. */
int fs_copy_as(const struct fs_root *r, const char *from, const char *to,
	const struct fs_meta *m, struct err *err);
/* Replaces a file by itself with `len` bytes behind it,
 * at a multiple of four (zeroes between). */
int fs_append(const struct fs_root *r, const char *path, const void *buf, size_t len,
	struct err *err);
int fs_mkdirs(const struct fs_root *r, const char *path, unsigned mode, struct err *err);
/* In place of a file or link that is there. */
int fs_symlink(const struct fs_root *r, const char *target, const char *path,
	struct err *err);
/* The same: path becomes one more name of the file or link `of`. Errors of link(2),
 * as EXDEV, are in err->sys. */
int fs_link(const struct fs_root *r, const char *of, const char *path, struct err *err);
/* File, link or empty folder, immutable ones too; what is not there is no error. */
int fs_remove(const struct fs_root *r, const char *path, struct err *err);
/* Removes the file that a killed call of the above left beside path. */
int fs_remove_unfinished(const struct fs_root *r, const char *path, struct err *err);
/* label.c: SELinux labels. Last part not followed. 1: none,
 * or the file system has no such. */
int fs_get_label(const struct fs_root *r, const char *path, char *ret, size_t size,
	struct err *err);
int fs_set_label(const struct fs_root *r, const char *path, const char *label,
	struct err *err);
/* The hex SHA-256 of a regular file, last part not followed. */
int fs_sha256(const struct fs_root *r, const char *path, char ret[65], struct err *err);

/* inventory.c, compare.c: what a tree looks like, to find what a guest's own tool
 * changed. Crosses mount points. A folder with very many paths below it is one entry. */
struct fs_inventory;
struct fs_inventory_rules {
	const struct stat *skip; /* folders that are not looked into, by device
				  * and inode */
	int n_skip;
	/* an earlier one to be compared with; NULL = none */
	const struct fs_inventory *like;
	uint32_t fold_at;        /* how many paths are very many, 0 = default */
	void (*tick)(void *ctx); /* may be NULL */
	void *ctx;
};
int fs_inventory_take(const struct fs_root *r, const struct fs_inventory_rules *rules,
	struct fs_inventory **ret, struct err *err);
/* Counts the folders whose paths are not in the inventory one by one. */
struct fs_inventory_gaps {
	unsigned folded;     /* folders that are one entry */
	unsigned snapshots;  /* of btrfs, in the tree: not looked into */
	unsigned deep;       /* folders too far down, or with too long a path: the same */
};
const struct fs_inventory_gaps *fs_inventory_get_gaps(const struct fs_inventory *inv);
void fs_inventory_free(struct fs_inventory *inv);
enum fs_change { FS_ADDED, FS_CHANGED, FS_REMOVED };
/* Sorted by path. Folders are reported when added or removed only, and when they are one
 * entry and something in them changed: with FS_MODE_LOST as their mode if it is not known
 * by its name, as what was removed there. */
#define FS_MODE_LOST 0
int fs_inventory_diff(const struct fs_inventory *before, const struct fs_inventory *after,
	int (*each)(void *ctx, enum fs_change c, const char *path, unsigned mode),
	void *ctx, struct err *err);

/* What tells later, from the file that fs_inventory_save wrote, which paths are new: 8
 * bytes a path. Only FS_ADDED is reported, and nothing in folders that are one entry. */
int fs_inventory_save(const struct fs_inventory *inv, const struct fs_root *r,
	const char *path, struct err *err);
/* The state of all paths but those below `but`, in one number. */
uint64_t fs_inventory_digest(const struct fs_inventory *inv, const char *but);
int fs_inventory_added(const struct fs_inventory *now, const void *saved, size_t len,
	int (*each)(void *ctx, enum fs_change c, const char *path, unsigned mode),
	void *ctx, struct err *err);

#endif

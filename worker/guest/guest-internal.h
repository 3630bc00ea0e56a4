/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_GUEST_INTERNAL_H
#define GUEST_GUEST_INTERNAL_H

#include <stdint.h>
#include <sys/stat.h>
#include <yyjson.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "block/block.h"
#include "boot/boot.h"
#include "fs/fs.h"
#include "guest/guest.h"

#define GUEST_MAX_VOLS 1024
#define GUEST_MAX_MOUNTS 256
#define GUEST_MAX_KERNELS 128
#define GUEST_MAX_IFACES 128
#define GUEST_TEXT_MAX (1u << 20) /* a configuration file of a guest */
/* bytes of a file; a loader takes that much memory for it, beside what it unpacks to */
#define GUEST_INITRD_MAX (1ull << 30)
#define GUEST_STATE_DIR "/var/lib/target-worker"

/* drivers.c: what a kernel needs to find its disk and network on KVM */
enum guest_driver {
	DRIVER_VIRTIO_PCI, DRIVER_VIRTIO_BLK, DRIVER_VIRTIO_SCSI, DRIVER_VIRTIO_NET,
	DRIVER_SD_MOD, DRIVER_NVME, DRIVER_AHCI,
	/* and to open encrypted volumes and arrays */
	DRIVER_XTS, DRIVER_ECB, DRIVER_CBC, DRIVER_ESSIV, DRIVER_SHA256, DRIVER_AES,
	DRIVER_SERPENT, DRIVER_TWOFISH, DRIVER_CAMELLIA,
	/* drivers/md, but for what only tests of kernels use and
	 * what others of them bring along */
	DRIVER_DM_CRYPT, DRIVER_RAID0, DRIVER_RAID1, DRIVER_RAID10, DRIVER_RAID456,
	DRIVER_MD_MOD, DRIVER_MD_CLUSTER, DRIVER_LINEAR, DRIVER_MD_LINEAR,
	DRIVER_MD_MULTIPATH, DRIVER_DM_MOD, DRIVER_DM_RAID, DRIVER_DM_RAID45,
	DRIVER_DM_MIRROR, DRIVER_DM_LOG_USERSPACE, DRIVER_DM_SNAPSHOT,
	DRIVER_DM_THIN_POOL, DRIVER_DM_CACHE, DRIVER_DM_CACHE_SMQ, DRIVER_DM_CACHE_MQ,
	DRIVER_DM_CACHE_CLEANER, DRIVER_DM_WRITECACHE, DRIVER_DM_PCACHE,
	DRIVER_DM_INTEGRITY, DRIVER_DM_VERITY, DRIVER_DM_VDO, DRIVER_KVDO,
	DRIVER_DM_MULTIPATH, DRIVER_DM_ROUND_ROBIN, DRIVER_DM_QUEUE_LENGTH,
	DRIVER_DM_SERVICE_TIME, DRIVER_DM_HISTORICAL_SERVICE_TIME, DRIVER_DM_IO_AFFINITY,
	DRIVER_DM_SWITCH, DRIVER_DM_ZERO, DRIVER_DM_CLONE, DRIVER_DM_EBS, DRIVER_DM_ERA,
	DRIVER_DM_UNSTRIPE, DRIVER_DM_ZONED, DRIVER_BCACHE, N_DRIVERS,
};
extern const char *const guest_driver_names[N_DRIVERS];
/* Bit masks over enum guest_driver. */
#define DRIVER_BIT(driver) (UINT64_C(1) << (driver))
#define DRIVERS_MUST (DRIVER_BIT(DRIVER_VIRTIO_PCI) | DRIVER_BIT(DRIVER_VIRTIO_BLK))
#define DRIVERS_INITRD \
	(DRIVERS_MUST | DRIVER_BIT(DRIVER_VIRTIO_SCSI) | DRIVER_BIT(DRIVER_SD_MOD))
#define DRIVERS_STACK (~UINT64_C(0) << DRIVER_XTS)
#define DRIVERS_MD (~UINT64_C(0) << DRIVER_DM_CRYPT)
#define GUEST_DRIVER_LIST_MAX 1024 /* all names with a separator each */
struct guest;
struct guest_kernel;
/* What the open encrypted volumes and arrays use. Tools of the guest ask device-mapper,
 * and the kernel which modules it has loaded: in their cell it has none. */
uint64_t guest_stack_drivers(const struct guest *g);
/* The same and those of drivers/md that the kernel's image, as it is, holds: somebody or
 * some tool put them in, for a volume that may not be known here. Nothing that is built
 * in. */
uint64_t guest_kept_drivers(const struct guest *g, const struct guest_kernel *k);
/* The driver's bit for the name of a module's file or a line of
 * modules.builtin, else 0. */
uint64_t guest_driver_bit(const char *path);
/* What a kernel's configuration (CONFIG_...=y) says is built in. */
uint64_t guest_config_drivers(const char *text, size_t len);
/* The names of a mask, each followed by sep. */
void guest_driver_list(uint64_t mask, const char *sep, char *ret, size_t size);

/* layout.c */
struct guest_disk {
	char node[256];      /* "/dev/vda", "/dev/loop0" */
	char table[16];      /* "gpt", "dos", "" */
	uint64_t size;
	struct block_loop loop;
};
struct guest_vol {
	struct fs_info fs;
	enum fs_found found;
	int disk;            /* index, -1 = stands on a layer (LVM, md, LUKS) */
	int part;            /* 0 = the whole disk */
	int layer;           /* of g->stack that it belongs to, -1 = none */
	bool tried;          /* a layer on it was opened, or cannot be */
	bool snapshot;       /* of another volume: never a root */
	char alias[288];     /* "/dev/vg/root" beside "/dev/mapper/vg-root" */
	bool is_root;
	char os[64];         /* of a root */
};
#define GUEST_MAX_SYSTEMS 128
struct guest_system {
	int vol;
	char subvol[256];    /* btrfs: below the top, "" = the default one */
	char os[64];
};
struct guest_subvol {        /* of a btrfs */
	char key[12];        /* "subvol", "subvolid"; "" = the default one */
	char value[256];
};
struct guest_mount {
	char point[256];     /* as in fstab */
	int fd;              /* of fs_mount: what takes it away again */
	struct guest_subvol sub;
	int vol;
};

enum guest_virtio {
	GUEST_VIRTIO_UNKNOWN,
	GUEST_VIRTIO_LEGACY, /* legacy and transitional devices only */
	GUEST_VIRTIO_1,      /* all */
};

struct guest_kernel {
	char version[96];
	char image[256], initrd[256]; /* paths within the guest; "" = none */
	char made[256];      /* where the guest's tool puts it, when initrd is a copy of
			      * that; "" = initrd */
	uint64_t builtin, modules, packed; /* drivers: in the kernel, as
					    * files, in the initrd */
	uint64_t initrd_size, initrd_unpacked;
	bool unified;        /* image and initrd are one file, built by systemd's tools:
			      * never edited */
	uint64_t initrd_off, initrd_len; /* of a unified one: where it is in that file */
	char root[256];      /* of a unified one: root= that is part of it, "" = none */
	bool initrd_read;    /* packed is known */
	char opens[4096];    /* encrypted volumes that Debian's initramfs opens: names,
			      * with commas between */
	char initrd_format[48];
	bool bootable;       /* image and modules are there */
	enum guest_virtio virtio;
};

struct guest_iface {
	char name[16];       /* "" = a configuration for whatever has the MAC */
	char mac[18];        /* that the guest's configuration ties it to, "" = none */
	char where[128];     /* file */
};

/* One file per family: debian.c, redhat.c, ... */
struct guest_family {
	const char *name;
	/* Whether the mounted guest belongs to it: by what is there, not by its name. */
	bool (*detect)(const struct guest *g);
	bool (*installed)(const struct guest *g, const char *package);
	/* Adds the installed ones that fit a pattern, blanks between.
	 * NULL = none is looked for. */
	void (*matching)(const struct guest *g, const char *pattern, char *ret,
		size_t size);
	/* Packages (space-separated) that need one of these and are not among them. */
	int (*needed_by)(struct guest *g, const char *packages, struct strbuf *ret,
		struct err *err);
	/* Saves what removing the packages will touch, as far as no program of the guest
	 * has to be asked. */
	int (*save)(struct guest *g, const char *packages, struct err *err);
	/* Saves the rest, and removes them. */
	int (*purge)(struct guest *g, const char *packages, struct err *err);
};
extern const struct guest_family guest_debian, guest_redhat, guest_alpine, guest_arch;
extern const struct guest_family *const guest_families[];

/* A tool of the guest that builds an initramfs: one file each, one line in builders.c. */
#define GUEST_MAX_PROGRAMS 4
struct guest_builder {
	const char *name;
	/* where it may be; the first that is there */
	const char *programs[GUEST_MAX_PROGRAMS];
	bool (*detect)(const struct guest *g); /* of two tools with one name; NULL = the
						* program is enough */
	/* Plans what its configuration needs so that these drivers
	 * go into every image. */
	int (*configure)(struct guest *g, uint64_t drivers, struct err *err);
	/* Builds one kernel's image, in the guest's root. */
	int (*build)(struct guest *g, const struct guest_kernel *k, struct err *err);
};
extern const struct guest_builder guest_initramfs_tools, guest_dracut, guest_mkinitcpio,
	guest_mkinitfs, guest_make_initrd, guest_mkinitrd_suse, guest_mkinitrd_redhat;
#define GUEST_WHY_DRIVERS "drivers that every initramfs needs on KVM"
/* Runs a builder's command line; the old image is saved first. */
int guest_run_builder(struct guest *g, const struct guest_kernel *k,
	const char *const *argv, struct err *err);
/* Plans the line at the end of a configuration file, unless it is there. */
int guest_op_add_line(struct guest *g, const char *path, const char *line,
	const char *why, struct err *err);
void guest_find_builder(struct guest *g);
int guest_plan_initrd(struct guest *g, struct err *err);

struct guest_facts {
	char os_id[64], os_like[128], os_version[64], os_name[128];
	char arch[16];       /* "x86_64", "i386", "aarch64", "" */
	int cpu_level;       /* of x86-64 that it needs, 1 = any; 0 = another
			      * architecture */
	char firmware[8];    /* the one it was installed for */
	char init[16];
	char stacks[96];     /* network: "ifupdown networkd" */
	/* has_links: udev reads .link files */
	bool selinux, cloud_init, hibernated, has_links;
	const struct guest_family *family;   /* NULL: unknown, nothing of it is run */
	const struct guest_builder *builder; /* NULL: none that is known */
	const char *builder_program;
	struct boot_config boot;
	struct guest_kernel kernels[GUEST_MAX_KERNELS];
	int n_kernels;
	struct guest_iface ifaces[GUEST_MAX_IFACES];
	int n_ifaces;
	char tools[256];     /* names of tools.c's table that were found */
	unsigned taken_out;  /* of tools.c's table, by number: the plan removes them */
	int tools_left;      /* files of theirs after the preparation */
};

/* plan.c */
enum guest_op_kind {
	OP_WRITE,   /* path gets data */
	OP_COPY,    /* path becomes a copy of from */
	OP_LINK,    /* path becomes a symbolic link to from */
	OP_REMOVE,  /* the file at path goes */
	OP_PURGE,   /* packages in from are removed by the guest's tool */
	OP_INITRD,  /* path is built anew for kernel number index */
	OP_SUPPLEMENT, /* path gets the drivers of kernel number index behind it */
	OP_SCRIPT,  /* extension number index runs in the guest's root */
	OP_NVRAM,   /* the firmware gets an entry for the loader in from */
	OP_INSTALL, /* the packages in from, of len bytes, are installed
		     * by the guest's tool */
};
struct guest_op {
	enum guest_op_kind kind;
	const char *step;
	char *path, *from, *why, *data;
	size_t len;
	unsigned mode;
	int index;
};

struct guest_journal {
	char dir[128];       /* GUEST_STATE_DIR "/NUMBER", "" = nothing was changed */
	struct strbuf text;  /* of the one in text_of */
	char text_of[128];
	unsigned n_saved;
	bool resumed;        /* an interrupted run's is gone on with */
	size_t since;        /* what was saved before this place is saved once more */
	uint64_t *counted;   /* not NULL: nothing is saved, bytes that
			      * would be are added here */
};

enum guest_bus {
	GUEST_SD, GUEST_HD, GUEST_VD, GUEST_XVD, /* disks in the order of their letters */
	GUEST_NVME, GUEST_CCISS, GUEST_MMC, GUEST_BUSES,
};
struct guest_device {
	enum guest_bus bus;
	int id;              /* on its bus */
	int order;           /* among the disks of its bus, -1 = cannot be told */
	int part;            /* 0 = the whole disk */
};
/* Names of a disk that say nothing of its place among the others. */
enum guest_link { GUEST_BY_PATH, GUEST_BY_ID, GUEST_MULTIPATH, GUEST_LINKS };
struct guest {
	const struct guest_options *opt;
	struct guest_disk disks[GUEST_MAX_DISKS];
	int n_disks;
	struct guest_vol vols[GUEST_MAX_VOLS];
	int n_vols;
	struct guest_names {
		unsigned buses;      /* bits of enum guest_bus: names of such disks */
		unsigned root_buses; /* that call the root */
		struct guest_device root; /* as the first of them calls it */
		unsigned links_differ; /* bits of enum guest_link: of several disks */
		char link[GUEST_LINKS][256]; /* the first one of a kind */
	} seen;              /* in the guest's files */
	bool by_partition;   /* names for a kernel without an initramfs: it knows no UUID=
			      * but PARTUUID= */
	struct fs_stack stack;
	struct err locked;   /* why the first layer stayed closed */
	struct err unseen;   /* why the first volume could not be mounted */
	struct guest_system systems[GUEST_MAX_SYSTEMS];
	int n_systems;
	int root_vol;        /* -1 = none */
	char root_subvol[256];
	char at[FS_PATH_MAX];
	struct fs_root root;
	struct guest_mount mounts[GUEST_MAX_MOUNTS];
	int n_mounts;        /* mounted ones, root first */
	struct guest_facts facts;
	struct guest_op *ops;
	int n_ops, cap_ops;
	struct guest_journal journal;
	struct guest_links *links; /* links.c */
	struct fs_inventory *before;
	char *contexts, *aliases; /* selinux.c; NULL = the guest has no labels */
	yyjson_mut_doc *doc;
	yyjson_mut_val *skipped, *warnings, *steps, *changes, *because, *extensions,
		*unsaved, *edited;
	struct guest_packages {
		char at[FS_PATH_MAX];      /* folder of the supplied ones that
					    * suit the guest */
		char mounted[FS_PATH_MAX]; /* their medium, "" = not mounted */
		int mount;                 /* of fs_mount */
		struct block_loop loop;
	} packages;
	bool agent_later;    /* the first boot installs qemu-guest-agent */
	const char *step;    /* running */
	double step_begin;
	struct guest_rehearsal *rehearsal; /* NULL = the disks themselves */
	/* A program of the guest could not be ended: whoever touches its file systems may
	 * wait for ever, too. Everything stays as it is. */
	bool stuck;
	uint64_t rehearsed_bytes;
};

/* layout.c */
int guest_open_disks(struct guest *g, struct err *err);
int guest_add_vol(struct guest *g, const char *node, int disk, int part, struct err *err);
/* The partitions of a device, or the device itself when it has none. */
int guest_add_volumes(struct guest *g, const char *node, int disk, struct err *err);
void guest_close_disks(struct guest *g);

/* layers.c */
int guest_open_layers(struct guest *g, struct err *err);
/* Encrypted volumes get the names that the root's crypttab gives them. */
int guest_adopt_names(struct guest *g, struct err *err);

/* systems.c */
int guest_find_roots(struct guest *g, struct err *err);
/* default-entry.c: the system that the boot loader starts by default, -1 = undecided. */
int guest_default_system(struct guest *g, struct err *err);

/* tree.c */
/* Mounts one volume as the root; guest_unmount takes it away. */
int guest_mount_root(struct guest *g, int vol, bool writable, struct err *err);
/* Calls fs_mount with all devices of a btrfs; option may be NULL. */
int guest_mount_vol(struct guest *g, int vol, int dir, bool writable,
	const struct fs_option *option, struct err *err);
int guest_mount_tree(struct guest *g, bool writable, struct err *err);
/* Programs of the guest need folders, and no links, where they get file systems of this
 * machine's kernel. Missing ones are made. */
int guest_check_folders(struct guest *g, struct err *err);
int guest_make_writable(struct guest *g, struct err *err);
int guest_unmount(struct guest *g, struct err *err);

/* os.c: name and version, also of systems older than os-release */
int guest_read_os(struct guest *g, struct err *err);
/* kernels.c: fills version, image and initrd of each kernel */
int guest_list_kernels(struct guest *g, struct err *err);
/* A file as a loader names it, within its own file system: /, /boot, the ESP,
 * or a subvolume. */
bool guest_find_boot_file(const struct guest *g, const char *name, char *ret,
	size_t size);
/* unified.c: the same of images on the ESP that are kernel and initramfs in one */
int guest_list_unified(struct guest *g, struct err *err);
/* What an operator does on the source so that the image gets virtio drivers. */
void guest_unified_advice(const struct guest *g, const struct guest_kernel *k, char *ret,
	size_t size);

/* facts.c */
int guest_inspect(struct guest *g, struct err *err);
int guest_read_initrd(struct guest *g, struct guest_kernel *k, struct err *err);
/* KEY=value of a shell-like file, quotes taken off. */
bool guest_shell_value(const char *text, const char *key, char *ret, size_t size);

/* ifaces.c */
int guest_find_ifaces(struct guest *g, struct err *err);
void guest_ifupdown_names(const char *s, size_t len,
	void (*each)(void *ctx, const char *name), void *ctx);

/* report.c */
int guest_report_begin(struct guest *g, struct err *err);
void guest_report_warn(struct guest *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void guest_report_because(struct guest *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void guest_report_skip(struct guest *g, const char *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void guest_report_change(struct guest *g, const char *path, const char *change,
	const char *before, const char *after, const char *backup);
/* Into g->unsaved: what a tool of the guest did to a path that the journal does not know;
 * g->edited: what somebody did to one after the preparation. */
void guest_report_path(struct guest *g, yyjson_mut_val *list, const char *path,
	const char *change);
bool guest_report_has_change(const struct guest *g, const char *path);
void guest_report_extension(struct guest *g, int i, const char *when, int status,
	const char *output);
void guest_report_step(struct guest *g, const char *step, const char *detail);
void guest_report_step_end(struct guest *g);
void guest_report_finish(struct guest *g, const char *verdict, const struct err *err,
	struct strbuf *out);

#include "guest/names-internal.h"
#include "guest/steps-internal.h"
#include "guest/apply-internal.h"

#endif

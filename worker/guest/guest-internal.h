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

#define GUEST_MAX_DISKS 32
#define GUEST_MAX_VOLS 160
#define GUEST_MAX_MOUNTS 32
#define GUEST_MAX_KERNELS 32
#define GUEST_MAX_IFACES 32
#define GUEST_TEXT_MAX (1u << 20) /* a configuration file of a guest */
#define GUEST_STATE_DIR "/var/lib/target-worker"

/* drivers.c: what a kernel needs to find its disk and network on KVM */
enum guest_driver {
	DRIVER_VIRTIO_PCI, DRIVER_VIRTIO_BLK, DRIVER_VIRTIO_SCSI, DRIVER_VIRTIO_NET, DRIVER_SD_MOD,
	DRIVER_NVME, DRIVER_AHCI,
	/* and to open encrypted volumes */
	DRIVER_DM_CRYPT, DRIVER_XTS, DRIVER_ECB, DRIVER_CBC, DRIVER_ESSIV, DRIVER_SHA256, DRIVER_AES,
	DRIVER_SERPENT, DRIVER_TWOFISH, DRIVER_CAMELLIA, N_DRIVERS,
};
extern const char *const guest_driver_names[N_DRIVERS];
/* Bit masks over enum guest_driver. */
#define DRIVERS_MUST (1u << DRIVER_VIRTIO_PCI | 1u << DRIVER_VIRTIO_BLK)
#define DRIVERS_INITRD (DRIVERS_MUST | 1u << DRIVER_VIRTIO_SCSI | 1u << DRIVER_SD_MOD)
#define DRIVERS_CRYPT (~0u << DRIVER_DM_CRYPT)
struct guest;
/* What the open encrypted volumes use. Tools of the guest ask device-mapper for that, which they
 * cannot reach in their cell. */
unsigned guest_crypt_drivers(const struct guest *g);
/* The driver's bit for the name of a module's file or a line of modules.builtin, else 0. */
unsigned guest_driver_bit(const char *path);
/* What a kernel's configuration (CONFIG_...=y) says is built in. */
unsigned guest_config_drivers(const char *text, size_t len);
/* The names of a mask, each followed by sep. */
void guest_driver_list(unsigned mask, const char *sep, char *ret, size_t size);

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
#define GUEST_MAX_SYSTEMS 32
struct guest_system {
	int vol;
	char subvol[256];    /* btrfs: below the top, "" = the default one */
	char os[64];
};
struct guest_mount {
	char point[256];     /* as in fstab */
	char real[FS_PATH_MAX];
	char options[256];
	int vol;
};

struct guest_kernel {
	char version[96];
	char image[256], initrd[256]; /* paths within the guest; "" = none */
	char made[256];      /* where the guest's tool puts it, when initrd is a copy of that; "" = initrd */
	unsigned builtin, modules, packed; /* drivers: in the kernel, as files, in the initrd */
	uint64_t initrd_size, initrd_unpacked;
	bool unified;        /* image and initrd are one file, built by systemd's tools: never edited */
	uint64_t initrd_off, initrd_len; /* of a unified one: where it is in that file */
	char root[256];      /* of a unified one: root= that is part of it, "" = none */
	bool initrd_read;    /* packed is known */
	char opens[256];     /* encrypted volumes that Debian's initramfs opens: names, with commas between */
	char initrd_format[48];
	bool bootable;       /* image and modules are there */
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
	/* Adds the installed ones that fit a pattern, blanks between. NULL = none is looked for. */
	void (*matching)(const struct guest *g, const char *pattern, char *ret, size_t size);
	/* Packages (space-separated) that need one of these and are not among them. */
	int (*needed_by)(struct guest *g, const char *packages, struct strbuf *ret, struct err *err);
	/* Saves what removing the packages will touch, as far as no program of the guest has to be
	 * asked. */
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
	const char *programs[GUEST_MAX_PROGRAMS]; /* where it may be; the first that is there */
	bool (*detect)(const struct guest *g); /* of two tools with one name; NULL = the program is enough */
	/* Plans what its configuration needs so that these drivers go into every image. */
	int (*configure)(struct guest *g, unsigned drivers, struct err *err);
	/* Builds one kernel's image, in the guest's root. */
	int (*build)(struct guest *g, const struct guest_kernel *k, struct err *err);
};
extern const struct guest_builder guest_initramfs_tools, guest_dracut, guest_mkinitcpio,
	guest_mkinitfs, guest_make_initrd, guest_mkinitrd_suse, guest_mkinitrd_redhat;
#define GUEST_WHY_DRIVERS "drivers that every initramfs needs on KVM"
/* Runs a builder's command line; the old image is saved first. */
int guest_run_builder(struct guest *g, const struct guest_kernel *k, const char *const *argv,
	struct err *err);
/* Plans the line at the end of a configuration file, unless it is there. */
int guest_op_add_line(struct guest *g, const char *path, const char *line, const char *why,
	struct err *err);
void guest_find_builder(struct guest *g);
int guest_plan_initrd(struct guest *g, struct err *err);

struct guest_facts {
	char os_id[64], os_like[128], os_version[64], os_name[128];
	char arch[16];       /* "x86_64", "i386", "aarch64", "" */
	int cpu_level;       /* of x86-64 that it needs, 1 = any; 0 = another architecture */
	char firmware[8];    /* the one it was installed for */
	char init[16];
	char stacks[96];     /* network: "ifupdown networkd" */
	bool selinux, cloud_init, hibernated, has_links; /* has_links: udev reads .link files */
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
	OP_INSTALL, /* the packages in from, of len bytes, are installed by the guest's tool */
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
	char dir[128];       /* GUEST_STATE_DIR "/ID", "" = nothing was changed */
	unsigned n_saved;
	bool resumed;        /* an interrupted run's is gone on with */
	size_t since;        /* what was saved before this place is saved once more */
	uint64_t *counted;   /* not NULL: nothing is saved, bytes that would be are added here */
};

struct guest {
	const struct guest_options *opt;
	struct guest_disk disks[GUEST_MAX_DISKS];
	int n_disks;
	struct guest_vol vols[GUEST_MAX_VOLS];
	int n_vols;
	bool by_partition;   /* names for a kernel without an initramfs: it knows no UUID= but PARTUUID= */
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
	struct fs_inventory *before;
	char *contexts, *aliases; /* selinux.c; NULL = the guest has no labels */
	yyjson_mut_doc *doc;
	yyjson_mut_val *skipped, *warnings, *steps, *changes, *because, *extensions, *unsaved;
	struct guest_packages {
		char at[FS_PATH_MAX];      /* folder of the supplied ones that suit the guest */
		char mounted[FS_PATH_MAX]; /* their medium, "" = not mounted */
		struct block_loop loop;
	} packages;
	bool agent_later;    /* the first boot installs qemu-guest-agent */
	const char *step;    /* running */
	double step_begin;
	struct guest_rehearsal *rehearsal; /* NULL = the disks themselves */
	uint64_t rehearsed_bytes;
};

/* rehearse.c: from begin to end g->opt->disks are snapshots; end is due after a failed begin too. */
int guest_rehearse_begin(struct guest *g, struct err *err);
/* Memory that the changes took; fails with NOMEM when it was not enough. */
int guest_rehearse_used(struct guest *g, uint64_t *ret, struct err *err);
int guest_rehearse_end(struct guest *g, struct err *err);

int guest_open_disks(struct guest *g, struct err *err);
int guest_add_vol(struct guest *g, const char *node, int disk, int part, struct err *err);
/* The partitions of a device, or the device itself when it has none. */
int guest_add_volumes(struct guest *g, const char *node, int disk, struct err *err);

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
/* As fs_mount, with all devices of a btrfs. */
int guest_mount_vol(struct guest *g, int vol, const char *where, bool writable,
	const char *options, struct err *err);
int guest_mount_tree(struct guest *g, bool writable, struct err *err);
int guest_make_writable(struct guest *g, struct err *err);
int guest_unmount(struct guest *g, struct err *err);

void guest_close_disks(struct guest *g);
/* "UUID=..." for a device name that depends on the order of disks; false: not such a name, or
 * none of the disks has it. */
/* What the boot disk will be called when the volume that this machine started from is gone:
 * "/dev/vda" for "/dev/vdb". False: not a name that tells. */
bool guest_first_of_bus(const char *node, char *ret, size_t size);
/* Names a volume that is on none of the given disks. */
bool guest_is_elsewhere(const struct guest *g, const char *spec);
bool guest_stable_name(struct guest *g, const char *spec, char *ret, size_t size);
/* The same as a path, "/dev/disk/by-uuid/...". */
bool guest_stable_path(const struct boot_map *m, const char *spec, char *ret, size_t size);
/* The volume that a fstab or root= value means, -1 = unknown. */
int guest_find_vol(const struct guest *g, const char *spec);
/* Index into disks and partition number for "/dev/sda1", "/dev/nvme0n1p2", ... */
bool guest_parse_device(const char *spec, int *ret_disk, int *ret_part);

/* fstab.c */
struct fstab_entry {
	char spec[256], point[256], type[64], options[256];
};
/* Whether the start of the system waits for it. */
bool guest_fstab_awaited(const struct fstab_entry *e);
int guest_fstab_entries(const char *s, size_t len,
	int (*each)(void *ctx, const struct fstab_entry *e), void *ctx);
/* Changes device names by m and comments out mounts of hypervisors' shared folders; returns how
 * many lines changed. */
int guest_fstab_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
/* crypttab: the second word of a line is the device. */
int guest_crypttab_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
/* Gives the volumes with these names (commas between) the option "initramfs". Appends to out; returns
 * how many lines changed. */
int guest_crypttab_early(const char *s, size_t len, const char *names, struct strbuf *out);

/* units.c */
int guest_plan_units(struct guest *g, struct err *err);
/* Devices of a .mount or .swap unit; returns how many words changed. */
int guest_unit_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
/* What= and Type= of one, "" = none; both of size. False without the first. */
bool guest_unit_mount(const char *s, size_t len, char *ret_what, char *ret_type, size_t size);

/* os.c: name and version, also of systems older than os-release */
int guest_read_os(struct guest *g, struct err *err);
/* kernels.c: fills version, image and initrd of each kernel */
int guest_list_kernels(struct guest *g, struct err *err);
/* A file as a loader names it, within its own file system: /, /boot, the ESP, or a subvolume. */
bool guest_find_boot_file(const struct guest *g, const char *name, char *ret, size_t size);
/* unified.c: the same of images on the ESP that are kernel and initramfs in one */
int guest_list_unified(struct guest *g, struct err *err);
/* What an operator does on the source so that the image gets virtio drivers. */
void guest_unified_advice(const struct guest *g, const struct guest_kernel *k, char *ret, size_t size);

/* facts.c */
int guest_inspect(struct guest *g, struct err *err);
int guest_read_initrd(struct guest *g, struct guest_kernel *k, struct err *err);
/* KEY=value of a shell-like file, quotes taken off. */
bool guest_shell_value(const char *text, const char *key, char *ret, size_t size);

/* cpu.c */
void guest_find_cpu(struct guest *g);
int guest_cpu_needed(const char *id, const char *version);
/* That /proc/cpuinfo tells of, 0 = it does not. */
int guest_cpu_level(const char *cpuinfo, size_t len);
/* Warns when this CPU is below what the guest needs. */
void guest_check_cpu(struct guest *g, const char *cpuinfo, size_t len);

/* supplement.c */
int guest_plan_supplement(struct guest *g, struct err *err);
int guest_supplement(struct guest *g, const struct guest_kernel *k, struct err *err);

/* ifaces.c */
int guest_find_ifaces(struct guest *g, struct err *err);
void guest_ifupdown_names(const char *s, size_t len, void (*each)(void *ctx, const char *name),
	void *ctx);

/* agent.c */
#define GUEST_AGENT_SCRIPT "/usr/lib/target-worker-first-boot/90-agent"
int guest_plan_agent(struct guest *g, struct err *err);
/* Installs the packages, names divided by blanks. When the guest's tool refuses, what it did goes
 * back, and steps for the first boot come to the plan. */
int guest_install_agent(struct guest *g, const char *names, uint64_t bytes, struct err *err);
/* packages.c: what lies beside one of a package and suits the guest, by the names of the files.
 * g->packages.at is where. */
struct guest_supply {
	struct strbuf names;   /* divided by blanks */
	int n, named;          /* all, and those of the package */
	uint64_t bytes;
};
int guest_find_packages(struct guest *g, const char *package, struct guest_supply *ret,
	struct err *err);
void guest_close_packages(struct guest *g);
/* The text of the script for the first boot; -1: no package manager that is known is there. */
int guest_agent_script(const struct guest *g, struct strbuf *ret);

/* extensions.c, first-boot.c */
int guest_plan_extensions(struct guest *g, struct err *err);
int guest_plan_first_boot(struct guest *g, struct err *err);
int guest_run_pre_mount(struct guest *g, struct err *err);
int guest_run_mounted(struct guest *g, int i, struct err *err);

/* console.c */
#define GUEST_WHY_CONSOLES "consoles that the target has not got"
int guest_plan_console(struct guest *g, struct err *err);
bool guest_is_pc(const struct guest *g);
const char *guest_serial_port(const struct guest *g);
/* Whether a name is the kind and a number: "tty" for tty1, not for ttyS1. */
bool guest_console_is(const char *name, size_t len, const char *kind);
bool guest_console_absent(const struct guest *g, const char *name, size_t len);
/* logins.c */
int guest_plan_logins(struct guest *g, struct err *err);

/* cloud-init.c */
int guest_plan_cloud_init(struct guest *g, struct err *err);

/* selinux.c: the label that policy gives a path, by the text of a file_contexts. False: none, or
 * none that can be told. */
bool guest_selinux_find(const char *text, size_t len, const char *path, unsigned mode, char *ret,
	size_t size);
int guest_plan_relabel(struct guest *g, struct err *err);
int guest_selinux_open(struct guest *g, struct err *err);
/* A path that was added or changed gets its label if it has none. */
int guest_selinux_label(struct guest *g, const char *path, unsigned mode, struct err *err);

/* network.c, tools.c */
int guest_plan_network(struct guest *g, struct err *err);
void guest_find_tools(struct guest *g);
int guest_plan_tools(struct guest *g, struct err *err);
bool guest_tool_mount(const char *spec, const char *type);
/* What is left of the tools that the plan took out goes to the report; returns how many files. */
int guest_tools_left(struct guest *g, struct err *err);
/* Switches off a tool that could not be removed: more steps at the end of the plan. */
int guest_tool_stays(struct guest *g, int tool, struct err *err);
/* tools-mask.c: services of a tool, units divided by blanks; why NULL: they are only looked for. */
struct guest_services {
	int there, on;
};
int guest_services_off(struct guest *g, const char *tool, const char *units, const char *why,
	struct guest_services *ret, struct err *err);
/* tools-files.c: patterns are separated by blanks; a folder means all in it. */
int guest_tool_files(struct guest *g, const char *tool, const char *patterns, bool plan,
	int *ret_n, struct err *err);
int guest_tool_locations(struct guest *g, struct err *err);
/* tools-repos.c */
int guest_plan_repos(struct guest *g, struct err *err);
int guest_repo_sections(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
int guest_repo_paragraphs(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
int guest_repo_lines(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);

/* debconf.c */
int guest_plan_debconf(struct guest *g, struct err *err);
/* The answer becomes disk; 1 when it changed, appended to out. */
int guest_debconf_rewrite(const char *s, size_t len, const char *disk, struct strbuf *out);
/* resume.c */
int guest_plan_resume(struct guest *g, struct err *err);
int guest_dracut_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
/* stack-conf.c: lvm.conf, mdadm.conf */
int guest_plan_stack(struct guest *g, struct err *err);
int guest_mdadm_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);
int guest_lvm_rewrite(const char *s, size_t len, const struct boot_map *m, struct strbuf *out);

int guest_plan(struct guest *g, struct err *err);
/* space.c: PREP_NO_SPACE before anything is written */
int guest_check_space(struct guest *g, struct err *err);
/* Plans what fn makes of one file, if it exists. */
int guest_plan_rewrite(struct guest *g, const char *path,
	int (*fn)(const char *, size_t, const struct boot_map *, struct strbuf *), const char *why,
	struct err *err);
struct guest_op *guest_op_add(struct guest *g, enum guest_op_kind kind, const char *path,
	const char *from, const char *why, ...) __attribute__((format(printf, 5, 6)));
/* Whether an earlier step writes the file. */
bool guest_plan_has(struct guest *g, const char *path);
/* As fs_read, of the text that the plan so far gives the file. */
int guest_plan_read(struct guest *g, const char *path, char **ret, size_t *ret_len, struct err *err);
/* A write operation if the text differs from the file; takes nothing over. In place of one that an
 * earlier step planned for the file: read it with guest_plan_read. */
int guest_op_write(struct guest *g, const char *path, const char *data, size_t len,
	const char *why, struct err *err);
const char *guest_op_name(enum guest_op_kind k);

/* apply.c */
int guest_apply(struct guest *g, struct err *err);
/* What is written anew beside a copy of the initramfs that a loader starts: saves it, or adds up its
 * size. */
int guest_save_companions(struct guest *g, const struct guest_kernel *k, uint64_t *only_bytes,
	struct err *err);
/* changes.c */
/* The paths there were at first, kept beside the journal until the end. */
int guest_keep_paths(struct guest *g, struct err *err);
int guest_drop_paths(struct guest *g, struct err *err);
/* What differs goes to the journal and, if asked for, to the report. ret_lost: changes that undo
 * cannot take back. */
int guest_list_changes(struct guest *g, bool report, int *ret_lost, struct err *err);
/* The same of what a killed run had done before. */
int guest_list_resumed(struct guest *g, struct err *err);
/* Whether a path is known to the running plan as one that will be written. */
bool guest_plan_writes(const struct guest *g, const char *step);
/* verify.c */
int guest_verify(struct guest *g, struct err *err);
/* The error that no preparation of ours can mend, before anything is written. */
int guest_check_hope(struct guest *g, struct err *err);
int guest_check_firmware(const struct guest *g, struct err *err);
/* What stands in the way of booting on virtio goes to because[]. Returns how many reasons. */
int guest_judge(struct guest *g, struct err *err);

/* journal.c */
int guest_journal_open(struct guest *g, struct err *err);
/* The text of the journal in a folder; as fs_read. */
int guest_journal_text(struct guest *g, const char *dir, char **ret, size_t *ret_len, struct err *err);
/* Before a path is changed: saves what is there, or notes that nothing is. */
int guest_journal_save(struct guest *g, const char *path, struct err *err);
/* A tool made this path: undo removes it. */
int guest_journal_note_added(struct guest *g, const char *path, struct err *err);
int guest_journal_end(struct guest *g, const char *what, struct err *err);
struct guest_journal_entry {
	const char *path;
	const char *type;    /* "absent", "file", "link", "dir" */
	const char *sha256, *backup, *target; /* "" where the type has none */
};
/* All entries of the open journal. A non-zero result ends it. */
int guest_journal_each(struct guest *g,
	int (*each)(void *ctx, const struct guest_journal_entry *e), void *ctx, struct err *err);
/* 1 when the open journal knows the path, else 0, -1 on error. ret gets its backup, "" for what
 * is no file; ret_sha256 may be NULL. */
int guest_journal_find(struct guest *g, const char *path, char *ret, size_t size, char *ret_sha256,
	struct err *err);
/* rollback.c: plays the journal of a folder backwards, which is gone then */
int guest_journal_rollback(struct guest *g, const char *dir, struct err *err);
/* All that was saved behind a mark goes back to what it was; the entries stay. */
int guest_journal_mark(struct guest *g, size_t *ret, struct err *err);
int guest_journal_back_to(struct guest *g, size_t mark, struct err *err);
int guest_journal_newest(struct guest *g, char *ret, size_t size, bool *ret_complete, struct err *err);

/* contain.c: a program of the guest, in its own root, namespaces and limits. argv[0] is a path
 * within the guest. */
#define GUEST_RUN_FOLDER "/run/target-worker-packages"
struct guest_run {
	const char *const *argv;
	struct {
		const char *file, *text; /* a file of the guest appears with this text instead */
	} masks[2];              /* file NULL = none */
	const char *folder;      /* of this machine, read-only at GUEST_RUN_FOLDER; NULL = none */
	struct strbuf *output; /* may be NULL */
	size_t output_max;
};
int guest_contain(struct guest *g, const struct guest_run *run, int *ret_status, struct err *err);

/* report.c */
int guest_report_begin(struct guest *g, struct err *err);
void guest_report_warn(struct guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void guest_report_because(struct guest *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void guest_report_skip(struct guest *g, const char *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void guest_report_change(struct guest *g, const char *path, const char *change, const char *before,
	const char *after, const char *backup);
/* What a tool of the guest did to a path that the journal does not know. */
void guest_report_unsaved(struct guest *g, const char *path, const char *change);
bool guest_report_has_change(const struct guest *g, const char *path);
void guest_report_extension(struct guest *g, int i, const char *when, int status,
	const char *output);
void guest_report_step(struct guest *g, const char *step, const char *detail);
void guest_report_step_end(struct guest *g);
void guest_report_finish(struct guest *g, const char *verdict, const struct err *err,
	struct strbuf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of the plan, and what they make of a guest's files as text;
 * included by guest-internal.h. */
#ifndef GUEST_STEPS_INTERNAL_H
#define GUEST_STEPS_INTERNAL_H

/* plan.c */
int guest_plan(struct guest *g, struct err *err);
/* space.c: PREP_NO_SPACE before anything is written */
int guest_check_space(struct guest *g, struct err *err);
/* Plans what fn makes of one file, if it exists. */
int guest_plan_rewrite(struct guest *g, const char *path,
	int (*fn)(const char *, size_t, const struct boot_map *, struct strbuf *),
	const char *why, struct err *err);
struct guest_op *guest_op_add(struct guest *g, enum guest_op_kind kind, const char *path,
	const char *from, const char *why, ...) __attribute__((format(printf, 5, 6)));
/* Whether an earlier step writes the file. */
bool guest_plan_has(struct guest *g, const char *path);
/* As fs_read, of the text that the plan so far gives the file. */
int guest_plan_read(struct guest *g, const char *path, char **ret, size_t *ret_len,
	struct err *err);
/* A write operation if the text differs from the file; takes nothing over. In place of
 * one that an earlier step planned for the file: read it with guest_plan_read. */
int guest_op_write(struct guest *g, const char *path, const char *data, size_t len,
	const char *why, struct err *err);
/* Whether the step has anything to do. */
bool guest_plan_writes(const struct guest *g, const char *step);
const char *guest_op_name(enum guest_op_kind k);

/* fstab.c */
struct fstab_entry {
	char spec[256], point[256], type[64], options[256];
};
/* Whether the start of the system waits for it. */
bool guest_fstab_awaited(const struct fstab_entry *e);
int guest_fstab_entries(const char *s, size_t len,
	int (*each)(void *ctx, const struct fstab_entry *e), void *ctx);
/* Changes device names by m and comments out mounts of hypervisors' shared folders;
 * returns how many lines changed. */
int guest_fstab_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
/* crypttab: the second word of a line is the device. */
int guest_crypttab_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
/* Gives the volumes with these names (commas between) the option "initramfs". Appends to
 * out; returns how many lines changed. */
int guest_crypttab_early(const char *s, size_t len, const char *names,
	struct strbuf *out);

/* units.c */
int guest_plan_units(struct guest *g, struct err *err);
/* Devices of a .mount or .swap unit; returns how many words changed. */
int guest_unit_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
/* What= and Type= of one, "" = none; both of size. False without the first. */
bool guest_unit_mount(const char *s, size_t len, char *ret_what, char *ret_type,
	size_t size);

/* autofs.c */
int guest_plan_autofs(struct guest *g, struct err *err);
/* Comments out a map's entries of hypervisors' shared folders; returns how many. */
int guest_autofs_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);

/* supplement.c */
int guest_plan_supplement(struct guest *g, struct err *err);
int guest_supplement(struct guest *g, const struct guest_kernel *k, struct err *err);

/* agent.c */
#define GUEST_AGENT_SCRIPT "/usr/lib/target-worker-first-boot/90-agent"
int guest_plan_agent(struct guest *g, struct err *err);
/* Installs the packages, names divided by blanks. When the guest's tool refuses, what it
 * did goes back, and steps for the first boot come to the plan. */
int guest_install_agent(struct guest *g, const char *names, uint64_t bytes,
	struct err *err);
/* packages.c: what lies beside one of a package and suits the guest, by the names of the
 * files. g->packages.at is where. */
struct guest_supply {
	struct strbuf names;   /* divided by blanks */
	int n, named;          /* all, and those of the package */
	uint64_t bytes;
};
int guest_find_packages(struct guest *g, const char *package, struct guest_supply *ret,
	struct err *err);
void guest_close_packages(struct guest *g);
/* The text of the script for the first boot; -1:
 * no package manager that is known is there. */
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
/* display.c */
int guest_plan_display(struct guest *g, struct err *err);
/* Device sections of an xorg.conf that have a hypervisor's driver get this one. */
int guest_xorg_rewrite(const char *s, size_t len, const char *driver, struct strbuf *out);
/* logins.c */
int guest_plan_logins(struct guest *g, struct err *err);

/* cloud-init.c */
int guest_plan_cloud_init(struct guest *g, struct err *err);

/* network.c, tools.c */
int guest_plan_network(struct guest *g, struct err *err);
void guest_find_tools(struct guest *g);
int guest_plan_tools(struct guest *g, struct err *err);
bool guest_tool_mount(const char *spec, const char *type);
/* What is left of the tools that the plan took out goes to the report;
 * returns how many files. */
int guest_tools_left(struct guest *g, struct err *err);
/* Switches off a tool that could not be removed: more steps at the end of the plan. */
int guest_tool_stays(struct guest *g, int tool, struct err *err);
/* tools-mask.c: services of a tool, units divided by blanks; why NULL:
 * they are only looked for. */
struct guest_services {
	int there, on;
};
int guest_services_off(struct guest *g, const char *tool, const char *units,
	const char *why, struct guest_services *ret, struct err *err);
/* tools-files.c: patterns are separated by blanks; a folder means all in it. */
int guest_tool_files(struct guest *g, const char *tool, const char *patterns, bool plan,
	int *ret_n, struct err *err);
int guest_tool_locations(struct guest *g, struct err *err);
/* tools-repos.c */
int guest_plan_repos(struct guest *g, struct err *err);
int guest_repo_sections(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int guest_repo_paragraphs(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int guest_repo_lines(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);

/* debconf.c */
int guest_plan_debconf(struct guest *g, struct err *err);
/* The answer becomes disk; 1 when it changed, appended to out. */
int guest_debconf_rewrite(const char *s, size_t len, const char *disk,
	struct strbuf *out);
/* resume.c */
int guest_plan_resume(struct guest *g, struct err *err);
int guest_dracut_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int guest_plan_kdump(struct guest *g, struct err *err);
int guest_kdump_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
/* stack-conf.c: lvm.conf, mdadm.conf */
int guest_plan_stack(struct guest *g, struct err *err);
int guest_mdadm_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int guest_lvm_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);

#endif

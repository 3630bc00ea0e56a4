/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the guest run in the guest's root, which is the only tree they can see, in
 * mount, PID, network, IPC and UTS namespaces of their own: no network, no process of the
 * worker, no device but the usual five and the guest's own volumes. Capabilities that
 * reach the machine are dropped for good. The end of the program, of its time, or more
 * processes than any tool needs, ends everything it started.
 */
#include "guest/guest-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/spawn.h"

#define DEFAULT_TIMEOUT_S 900
#define MAX_FILE (4ull << 30)
/* a parallel build has tens; half of what a kernel with 128 MB allows */
#define MAX_TASKS 512
#define NICE 5
#define MAX_NODES (3 * GUEST_MAX_VOLS + GUEST_MAX_DISKS + 8)

/* What installing and removing packages and building an initramfs needs, and no more. */
#define KEEP(c) (1ull << (c))
static const uint64_t kept_caps = KEEP(CAP_CHOWN) | KEEP(CAP_DAC_OVERRIDE) |
	KEEP(CAP_FOWNER) | KEEP(CAP_FSETID) | KEEP(CAP_KILL) | KEEP(CAP_SETGID) |
	KEEP(CAP_SETUID) | KEEP(CAP_LINUX_IMMUTABLE) | KEEP(CAP_SYS_CHROOT) |
	KEEP(CAP_MKNOD) | KEEP(CAP_SETFCAP);

struct node {
	char path[160];
	/* Names as udev makes them, "" = none. By number: dracut goes from a volume to
	 * what is below it on these. By UUID: else it would write this machine's names
	 * into the image. */
	char by_number[40], by_uuid[96];
	mode_t mode;
	dev_t dev;
};

/* All that the child needs, made before it is started: it only makes system calls. */
struct cell {
	struct guest *g;
	const char *at;
	struct node nodes[MAX_NODES];
	int n_nodes;
	bool hide_firmware, is_32bit;
};

static int fail(const char *what)
{
	int sys = errno;

	if (write(2, "target-worker: cannot contain: ", 31) < 0 ||
		write(2, what, strlen(what)) < 0 || write(2, "\n", 1) < 0)
		return -1;
	errno = sys;
	return -1;
}

/* Of two volumes with one name the first has it. */
static int link_node(const struct node *n, const char *name)
{
	if (!*name || !symlink(n->path, name) || errno == EEXIST)
		return 0;
	return fail(name);
}

static int make_dev(const struct cell *c)
{
	static const char *const dirs[] = { "/dev/mapper", "/dev/block", "/dev/disk",
		"/dev/disk/by-uuid" };
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" }, { "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC,
		"mode=755,size=256k") < 0)
		return fail("mount /dev");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0755) < 0)
			return fail(dirs[i]);
	for (int i = 0; i < c->n_nodes; i++)
		if (mknod(c->nodes[i].path, c->nodes[i].mode, c->nodes[i].dev) < 0 &&
			errno != EEXIST)
			return fail(c->nodes[i].path);
	for (int i = 0; i < c->n_nodes; i++)
		if (link_node(&c->nodes[i], c->nodes[i].by_number) < 0 ||
			link_node(&c->nodes[i], c->nodes[i].by_uuid) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			return fail(links[i][1]);
	if (mkdir("/dev/shm", 0755) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV,
			"mode=1777,size=8m") < 0)
		return fail("mount /dev/shm");
	/* Later nodes would be nodes of this machine. */
	if (mount(NULL, "/dev", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC,
		NULL) < 0)
		return fail("make /dev read-only");
	return 0;
}

static int make_tree(const struct cell *c)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail("make mounts private");
	/* A bind over itself: the root must be a mount point that can be moved. The
	 * image's own root is the initramfs, where pivot_root(2) does not work. */
	if (mount(c->at, c->at, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(c->at) < 0 ||
		mount(c->at, "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		return fail("enter the guest's root");
	/* dracut writes the options that it sees here into the image, for the root of the
	 * next start. nodev stays; set-user-ID programs are held by no_new_privs. */
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NODEV | MS_RELATIME,
		NULL) < 0)
		return fail("set the options of the root");
	/* Read-only: /proc/sys and sysrq-trigger belong to the machine, and root may
	 * write them without any capability. */
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		NULL) < 0)
		return fail("mount /proc");
	if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		NULL) < 0)
		return fail("mount /sys");
	/* A guest made for BIOS must not take this machine's firmware for its own. */
	if (c->hide_firmware && mount("tmpfs", "/sys/firmware", "tmpfs",
		MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "size=4k") < 0 &&
		errno != ENOENT)
		return fail("hide /sys/firmware");
	if (make_dev(c) < 0)
		return -1;
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV,
		"mode=755,size=16m") < 0 || mkdir("/run/lock", 01777) < 0)
		return fail("mount /run");
	if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
		"mode=1777,size=32m") < 0)
		return fail("mount /tmp");
	return 0;
}

/* A file of the guest appears with other text, for this one run; nothing is written. */
static int mask(const char *by, const char *file, const char *text)
{
	int fd = open(by, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd) < 0)
		return fail("mask a file");
	if (mount(by, file, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
		return fail(file);
	return 0;
}

static int mask_files(const struct guest_run *run)
{
	static const char *const by[] =
		{ "/run/target-worker-mask", "/run/target-worker-mask-1" };

	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++)
		if (run->masks[i].file &&
		    mask(by[i], run->masks[i].file, run->masks[i].text) < 0)
			return -1;
	return 0;
}

/* A folder of this machine; fd was opened before the guest's root
 * became the only tree. */
static int show_folder(int fd)
{
	char from[40];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	if (mkdir(GUEST_RUN_FOLDER, 0755) < 0 ||
		mount(from, GUEST_RUN_FOLDER, NULL, MS_BIND, NULL) < 0 ||
		mount(NULL, GUEST_RUN_FOLDER, NULL,
			MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV |
		MS_NOEXEC, NULL) < 0)
		return fail("show " GUEST_RUN_FOLDER);
	close(fd);
	return 0;
}

static int drop_rights(void)
{
	static const struct {
		int what;
		rlim_t limit;
	} limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_FSIZE, MAX_FILE }, { RLIMIT_NOFILE, 1024 },
		{ RLIMIT_MEMLOCK, 65536 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit l = { limits[i].limit, limits[i].limit };

		if (setrlimit(limits[i].what, &l) < 0)
			return fail("set limits");
	}
	for (int cap = 0; cap < 64; cap++)
		if (!(kept_caps & KEEP(cap)) &&
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return fail("drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail("drop rights");
	return 0;
}

struct ctx {
	struct cell cell;
	const struct guest_run *run;
};

static int enter(void *arg)
{
	const struct ctx *x = arg;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), folder = -1;

	/* The worker's end is its end, and with it, as PID 1 of its namespace,
	 * that of all others. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return fail("tie to the worker");
	/* The worker's watch comes first; without CAP_SYS_NICE there is no way back. */
	if (setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE) < 0)
		return fail("set its priority");
	/* When memory runs out, the guest's tool goes first. */
	if (fd >= 0 && (write(fd, "1000", 4) != 4 || close(fd) < 0))
		return fail("oom_score_adj");
	if (x->run->folder) {
		folder = open(x->run->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0)
			return fail(x->run->folder);
	}
	umask(0);
	if (make_tree(&x->cell) < 0)
		return -1;
	umask(022);
	if (mask_files(x->run) < 0)
		return -1;
	if (folder >= 0 && show_folder(folder) < 0)
		return -1;
	if (sethostname("localhost", 9) < 0)
		return fail("sethostname");
	if (x->cell.is_32bit)
		personality(PER_LINUX32);
	return drop_rights();
}

static void on_line(void *arg, const char *line)
{
	const struct ctx *x = arg;

	log_info("guest: %s", line);
	if (x->cell.g->opt->tick)
		x->cell.g->opt->tick(x->cell.g->opt->ctx);
}

/* A tool that hangs is ended by its limit; until then it counts as alive. */
static void on_tick(void *arg)
{
	const struct ctx *x = arg;

	if (x->cell.g->opt->tick)
		x->cell.g->opt->tick(x->cell.g->opt->ctx);
}

static void add_node(struct cell *c, const char *path, mode_t mode, dev_t dev)
{
	struct node *n = &c->nodes[c->n_nodes];

	if (c->n_nodes == MAX_NODES)
		return;
	if ((size_t)snprintf(n->path, sizeof(n->path), "%s", path) >= sizeof(n->path) ||
		strchr(strncmp(path, "/dev/mapper/", 12) ? path + 5 : path + 12, '/'))
		return;
	n->mode = mode;
	n->dev = dev;
	n->by_number[0] = n->by_uuid[0] = '\0';
	if (S_ISBLK(mode) && strncmp(path, "/dev/mapper/", 12))
		snprintf(n->by_number, sizeof(n->by_number), "/dev/block/%u:%u",
			major(dev), minor(dev));
	c->n_nodes++;
}

static void add_block(struct cell *c, const char *path)
{
	char real[FS_PATH_MAX], name[32];
	struct stat st;

	if (!realpath(path, real) || stat(real, &st) || !S_ISBLK(st.st_mode) ||
		strncmp(real, "/dev/", 5))
		return;
	add_node(c, real, S_IFBLK | 0600, st.st_rdev);
	/* Of device-mapper: by the name of mountinfo and by that of sysfs. */
	if (strncmp(path, "/dev/mapper/", 12))
		return;
	if (strcmp(path, real))
		add_node(c, path, S_IFBLK | 0600, st.st_rdev);
	snprintf(name, sizeof(name), "/dev/dm-%u", minor(st.st_rdev));
	add_node(c, name, S_IFBLK | 0600, st.st_rdev);
}

/* Members of arrays and groups have the UUID of the whole. */
static void name_by_uuid(struct cell *c, const struct guest_vol *v)
{
	const char *uuid = v->fs.uuid;

	if (v->found != FS_FOUND || v->snapshot || !*uuid || strlen(uuid) > 64 ||
		uuid[strspn(uuid, "0123456789abcdefABCDEF-")] ||
		strstr(v->fs.type, "_member"))
		return;
	for (int i = 0; i < c->n_nodes; i++)
		if (!strcmp(c->nodes[i].path, v->fs.dev))
			snprintf(c->nodes[i].by_uuid, sizeof(c->nodes[i].by_uuid),
				"/dev/disk/by-uuid/%s", uuid);
}

static void fill_cell(struct cell *c, struct guest *g)
{
	static const struct {
		const char *path;
		unsigned minor;
	} chars[] = {
		{ "/dev/null", 3 }, { "/dev/zero", 5 }, { "/dev/full", 7 },
		{ "/dev/random", 8 },
		{ "/dev/urandom", 9 },
	};

	c->g = g;
	c->at = g->root.at;
	for (size_t i = 0; i < sizeof(chars) / sizeof(chars[0]); i++)
		add_node(c, chars[i].path, S_IFCHR | 0666, makedev(1, chars[i].minor));
	for (int i = 0; i < g->n_disks; i++)
		add_block(c, g->disks[i].node);
	for (int i = 0; i < g->n_vols; i++) {
		add_block(c, g->vols[i].fs.dev);
		name_by_uuid(c, &g->vols[i]);
	}
	c->hide_firmware = strcmp(g->facts.firmware, "uefi");
	c->is_32bit = !strcmp(g->facts.arch, "i386");
}

int guest_contain(struct guest *g, const struct guest_run *run, int *ret_status,
	struct err *err)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"LANG=C", "LC_ALL=C", "TERM=dumb", "SHELL=/bin/sh",
		"DEBIAN_FRONTEND=noninteractive",
		"DEBCONF_NONINTERACTIVE_SEEN=true", "RUNLEVEL=1", "SYSTEMD_OFFLINE=1",
		NULL,
	};
	CLEANUP_FREE struct ctx *x = calloc(1, sizeof(*x));
	struct spawn_result result;
	struct spawn sp = {
		.argv = run->argv, .env = env, .cancel = g->opt->cancel, .prepare = enter,
		.line = on_line, .tick = on_tick, .ctx = x, .output = run->output,
		.output_max = run->output_max,
		.timeout_s = g->opt->tool_timeout_s ? g->opt->tool_timeout_s :
		DEFAULT_TIMEOUT_S, .clone_flags = CLONE_NEWNS | CLONE_NEWPID |
		CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, .max_tasks = MAX_TASKS,
	};

	if (!x)
		return err_set(err, ERR_NOMEM, "run %s: out of memory", run->argv[0]);
	x->run = run;
	fill_cell(&x->cell, g);
	if (spawn_run(&sp, &result, err) < 0)
		return -1;
	*ret_status = result.status;
	if (result.status == 126)
		return err_set(err, ERR_INTERNAL, "run %s in the guest: %s", run->argv[0],
			result.last_line);
	if (result.status)
		log_warn("guest: %s ended with status %d", run->argv[0], result.status);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that a program of the guest sees: its own root, and as little of this machine
 * as its tools go by. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/contain-internal.h"

#define NONE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* If two volumes have one name, the first one keeps it. */
static int link_node(const struct contain_node *n, const char *name)
{
	if (!*name || !symlink(n->path, name) || errno == EEXIST)
		return 0;
	return guest_contain_fail(name);
}

static int make_dev(const struct contain_cell *c)
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
		return guest_contain_fail("mount /dev");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0755) < 0)
			return guest_contain_fail(dirs[i]);
	for (int i = 0; i < c->n_nodes; i++)
		if (mknod(c->nodes[i].path, c->nodes[i].mode, c->nodes[i].dev) < 0 &&
			errno != EEXIST)
			return guest_contain_fail(c->nodes[i].path);
	for (int i = 0; i < c->n_nodes; i++)
		if (link_node(&c->nodes[i], c->nodes[i].by_number) < 0 ||
			link_node(&c->nodes[i], c->nodes[i].by_uuid) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			return guest_contain_fail(links[i][1]);
	if (mkdir("/dev/shm", 0755) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV,
			"mode=1777,size=8m") < 0)
		return guest_contain_fail("mount /dev/shm");
	/* Later nodes would be nodes of this machine. */
	if (mount(NULL, "/dev", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC,
		NULL) < 0)
		return guest_contain_fail("make /dev read-only");
	return 0;
}

/* Folders and files of the machine that no tool of a guest needs. The job comes by SMBIOS
 * (dmi), fw_cfg or the kernel command line, which the kernel's log has, too. Others tell
 * of the worker's memory. */
static int hide_machine(const struct contain_cell *c)
{
	static const char *const folders[] = { "/sys/firmware/dmi",
		"/sys/firmware/qemu_fw_cfg", "/sys/kernel/boot_params" };
	static const char *const files[] = { "/proc/bootconfig", "/proc/kmsg",
		"/proc/kcore", "/proc/vmcore", "/proc/kallsyms", "/proc/keys",
		"/sys/kernel/vmcoreinfo" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mount("tmpfs", folders[i], "tmpfs", NONE | MS_RDONLY,
			"mode=755,size=4k") < 0 && errno != ENOENT)
			return guest_contain_fail(folders[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (mount("/dev/null", files[i], NULL, MS_BIND, NULL) < 0 &&
			errno != ENOENT)
			return guest_contain_fail(files[i]);
	for (const char *p = c->registers; *p; p += strlen(p) + 1)
		if (mount("/dev/null", p, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			return guest_contain_fail(p);
	return 0;
}

static int make_tree(const struct contain_cell *c)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return guest_contain_fail("make mounts private");
	/* A bind over itself: the root must be a mount point that can be moved. The
	 * image's own root is the initramfs, where pivot_root(2) does not work. */
	if (mount(c->at, c->at, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(c->at) < 0 ||
		mount(c->at, "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		return guest_contain_fail("enter the guest's root");
	/* dracut writes the options that it sees here into the image, for the root of the
	 * next start. nodev stays; set-user-ID programs are held by no_new_privs. */
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NODEV | MS_RELATIME,
		NULL) < 0)
		return guest_contain_fail("set the options of the root");
	/* Read-only: /proc/sys and sysrq-trigger belong to the machine, and root may
	 * write them without any capability. */
	if (mount("proc", "/proc", "proc", NONE | MS_RDONLY, NULL) < 0)
		return guest_contain_fail("mount /proc");
	if (mount("sysfs", "/sys", "sysfs", NONE | MS_RDONLY, NULL) < 0)
		return guest_contain_fail("mount /sys");
	/* A guest made for BIOS must not take this machine's firmware for its own. */
	if (c->hide_firmware && mount("tmpfs", "/sys/firmware", "tmpfs",
		NONE | MS_RDONLY, "size=4k") < 0 && errno != ENOENT)
		return guest_contain_fail("hide /sys/firmware");
	if (make_dev(c) < 0)
		return -1;
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV,
		"mode=755,size=16m") < 0 || mkdir("/run/lock", 01777) < 0)
		return guest_contain_fail("mount /run");
	if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
		"mode=1777,size=32m") < 0)
		return guest_contain_fail("mount /tmp");
	return 0;
}

/* A file of the guest appears with other text, for this one run; nothing is written. */
static int mask(const char *by, const char *file, const char *text)
{
	int fd = open(by, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd) < 0)
		return guest_contain_fail("mask a file");
	if (mount(by, file, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
		return guest_contain_fail(file);
	return 0;
}

static int mask_files(const struct guest_run *run)
{
	static const char *const by[] =
		{ "/run/target-worker-mask", "/run/target-worker-mask-1" };

	/* Tools that read it look for options of the guest; a file that is empty would
	 * end a script that reads a line. */
	if (mask("/run/target-worker-cmdline", "/proc/cmdline", "\n") < 0)
		return -1;
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
		return guest_contain_fail("show " GUEST_RUN_FOLDER);
	close(fd);
	return 0;
}

int guest_contain_tree(const struct contain_cell *c)
{
	int folder = -1;

	if (c->run->folder) {
		folder = open(c->run->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0)
			return guest_contain_fail(c->run->folder);
	}
	umask(0);
	if (make_tree(c) < 0)
		return -1;
	umask(022);
	if (hide_machine(c) < 0 || mask_files(c->run) < 0)
		return -1;
	return folder >= 0 ? show_folder(folder) : 0;
}

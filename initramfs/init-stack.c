/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes down loop, device-mapper and md devices, top of each stack first: a device goes
 * when no other device holds it (/sys/block/NAME/holders). The caller repeats rounds
 * until one changes nothing, so the order of names does not matter.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <linux/raid/md_u.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "init-internal.h"

enum { STEP_SECONDS = 10 };

struct kind {
	const char *prefix;
	const char *mark; /* below /sys/block/NAME: there only while the
			   * device is in use */
	int (*stop)(const char *name); /* 0 or an errno */
};

/* One request to a device; 0 or an errno. */
static int ask(const char *path, int flags, int request, void *arg)
{
	int fd = open(path, flags | O_CLOEXEC), sys;

	if (fd < 0)
		return errno;
	sys = ioctl(fd, request, arg) < 0 ? errno : 0;
	close(fd);
	return sys;
}

static int ask_node(const char *name, int request)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", name);
	return ask(path, O_RDONLY, request, NULL);
}

static int stop_loop(const char *name)
{
	return ask_node(name, LOOP_CLR_FD);
}

static int stop_dm(const char *name)
{
	struct dm_ioctl io = { .version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(io) };
	char path[96];

	snprintf(path, sizeof(path), "/sys/block/%s/dm/name", name);
	if (file_read(path, io.name, sizeof(io.name)) < 0)
		return errno;
	io.name[strcspn(io.name, "\n")] = '\0';
	return ask("/dev/mapper/control", O_RDWR, (int)DM_DEV_REMOVE, &io);
}

static int stop_md(const char *name)
{
	return ask_node(name, STOP_ARRAY);
}

static const struct kind kinds[] = {
	{ "loop", "loop/backing_file", stop_loop },
	{ "dm-", "dm/name", stop_dm },
	{ "md", "md/array_state", stop_md },
};

static bool held(const char *name)
{
	char path[300];
	struct dirent *e;
	bool any = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/block/%s/holders", name);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((e = readdir(dir)))
		any = any || e->d_name[0] != '.';
	closedir(dir);
	return any;
}

/* An md device node may stay after the array has stopped; its state is "clear" then. */
static bool active(const char *name, const struct kind *kind)
{
	char path[300], text[256];

	snprintf(path, sizeof(path), "/sys/block/%s/%s", name, kind->mark);
	return file_read(path, text, sizeof(text)) == 0 && strncmp(text, "clear", 5) != 0;
}

unsigned stack_round(bool last)
{
	unsigned gone = 0;
	struct dirent *e;
	DIR *dir = opendir("/sys/block");

	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			const struct kind *k = &kinds[i];
			int r;

			if (strncmp(e->d_name, k->prefix, strlen(k->prefix)) != 0 ||
					!active(e->d_name, k))
				continue;
			if (held(e->d_name)) {
				if (last)
					shutdown_stays("OFF_DM",
						"%s stays: another device holds it",
						e->d_name);
				continue;
			}
			r = bounded(STEP_SECONDS, k->stop, e->d_name);
			if (r == 0)
				gone++;
			else if (last)
				shutdown_stays("OFF_DM", "%s stays: %s", e->d_name,
					r < 0 ? "no answer in time" : strerror(r));
		}
	}
	closedir(dir);
	return gone;
}

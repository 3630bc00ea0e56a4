/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device-mapper devices that lvm left suspended: whoever reads or writes them waits for
 * ever. They are found in sysfs and resumed by the kernel's own call, which needs no
 * program; a table that was loaded for them becomes theirs, as lvm would have had it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "capture/capture-internal.h"

#define BLOCK "/sys/class/block"
#define SECOND_LOOK_MS 1000
#define ROUNDS 8 /* what stands on others comes after them */

static bool read_word(char *ret, size_t size, const char *name, const char *file)
{
	CLEANUP_FCLOSE FILE *f = NULL;
	char path[160];

	snprintf(path, sizeof(path), BLOCK "/%.64s/%s", name, file);
	f = fopen(path, "re");
	if (!f || !fgets(ret, (int)size, f))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static bool is_suspended(const char *name)
{
	char text[8];

	return read_word(text, sizeof(text), name, "dm/suspended") && text[0] == '1';
}

void capture_suspended(const char *group, struct capture_suspended *ret)
{
	DIR *dir = opendir(BLOCK);
	struct dirent *e;
	char uuid[160];

	ret->n = 0;
	while (dir && ret->n < CAPTURE_MAX_SUSPENDED && (e = readdir(dir)))
		if (!strncmp(e->d_name, "dm-", 3) && strlen(e->d_name) < 16 &&
			read_word(uuid, sizeof(uuid), e->d_name, "dm/uuid") &&
			!strncmp(uuid, group, strlen(group)) && is_suspended(e->d_name))
			snprintf(ret->name[ret->n++], 16, "%.15s", e->d_name);
	if (dir)
		closedir(dir);
}

/* "GROUP-tw123--0" and what belongs to it: hyphens of a name are doubled. */
bool capture_has_snapshots(const char *group)
{
	DIR *dir = opendir(BLOCK);
	struct dirent *e;
	char uuid[160], name[160];
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		const char *p;

		if (strncmp(e->d_name, "dm-", 3) ||
			!read_word(uuid, sizeof(uuid), e->d_name, "dm/uuid") ||
			strncmp(uuid, group, strlen(group)) ||
			!read_word(name, sizeof(name), e->d_name, "dm/name"))
			continue;
		for (p = strstr(name, "-tw"); p && !found; p = strstr(p + 1, "-tw")) {
			size_t digits = strspn(p + 3, "0123456789");

			found = digits && !strncmp(p + 3 + digits, "--", 2);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_listed(const struct capture_suspended *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->name[i], name))
			return true;
	return false;
}

static bool stands_on_suspended(const char *name)
{
	char path[160];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), BLOCK "/%.64s/slaves", name);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)))
		found = is_suspended(e->d_name);
	if (dir)
		closedir(dir);
	return found;
}

static int resume_device(const char *name)
{
	CLEANUP_CLOSE int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	struct dm_ioctl dm = { .version = { DM_VERSION_MAJOR }, .data_size = sizeof(dm),
		.data_start = sizeof(dm) };
	unsigned ma, mi;
	char text[32];

	if (!read_word(text, sizeof(text), name, "dev") ||
		sscanf(text, "%u:%u", &ma, &mi) != 2)
		return 0; /* it is gone */
	/* new_encode_dev of the kernel */
	dm.dev = (mi & 0xff) | ma << 8 | (uint64_t)(mi & ~0xffu) << 12;
	return fd < 0 ? -1 : ioctl(fd, DM_DEV_SUSPEND, &dm);
}

static void resume_all(const struct capture_suspended *l, const char *why)
{
	char label[160];

	for (int round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < l->n; i++) {
			const char *name = l->name[i];

			if (!is_suspended(name) ||
				(round < ROUNDS - 1 && stands_on_suspended(name)))
				continue;
			if (!read_word(label, sizeof(label), name, "dm/name"))
				snprintf(label, sizeof(label), "%s", name);
			if (resume_device(name) < 0)
				log_error("%s is suspended and cannot be resumed: %s",
					label, err_text(errno));
			else
				log_error("%s was left suspended (%s); it is resumed",
					label, why);
		}
}

unsigned capture_resume(const char *group, const struct capture_suspended *before,
	const char *why)
{
	struct capture_suspended now, again;
	unsigned n = 0;

	capture_suspended(group, &now);
	for (unsigned i = 0; i < now.n; i++)
		if (!before || !is_listed(before, now.name[i]))
			memmove(now.name[n++], now.name[i], sizeof(now.name[0]));
	now.n = n;
	if (!n)
		return 0;
	/* Others use lvm, too, and suspend for a moment. */
	poll(NULL, 0, SECOND_LOOK_MS);
	capture_suspended(group, &again);
	for (unsigned i = n = 0; i < now.n; i++)
		if (is_listed(&again, now.name[i]))
			memmove(now.name[n++], now.name[i], sizeof(now.name[0]));
	now.n = n;
	resume_all(&now, why);
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which disk a job means. Whatever is not certain is refused:
 * the disk will be overwritten. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "job/job-internal.h"

/* virtio-blk hands over at most 20 bytes of what the hypervisor was told. */
#define VIRTIO_SERIAL_MAX 20

static bool serial_matches(const char *wanted, const struct job_disk *d)
{
	if (!*d->b.serial)
		return false;
	if (!strcmp(wanted, d->b.serial))
		return true;
	return !strcmp(d->b.bus, "virtio") && strlen(d->b.serial) == VIRTIO_SERIAL_MAX &&
		!strncmp(wanted, d->b.serial, VIRTIO_SERIAL_MAX);
}

/* Without the prefix that tools put in front in different ways. */
static const char *bare_wwn(const char *s)
{
	static const char *const prefixes[] = { "naa.", "eui.", "uuid.", "wwn-", "0x" };
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncasecmp(s, prefixes[i], strlen(prefixes[i])))
			s += strlen(prefixes[i]);
	return s;
}

static bool wwn_matches(const char *wanted, const struct job_disk *d)
{
	return *d->b.wwn && !strcasecmp(bare_wwn(wanted), bare_wwn(d->b.wwn));
}

/* "pci-0000:00:05.0[-...]" as udev writes it, with or without /dev/disk/by-path/ in
 * front; or the path below /sys/devices up to the device or any of its parents'
 * components. */
static bool path_matches(const char *wanted, const struct job_disk *d)
{
	static const char by_path[] = "/dev/disk/by-path/", sys[] = "/sys/devices/";
	size_t n;

	if (!strncmp(wanted, by_path, sizeof(by_path) - 1))
		wanted += sizeof(by_path) - 1;
	if (*d->b.by_path && !strncmp(wanted, "virtio-pci-", 11))
		wanted += 7;
	if (*d->b.by_path && !strcmp(wanted, d->b.by_path))
		return true;
	if (!strncmp(wanted, sys, sizeof(sys) - 1))
		wanted += sizeof(sys) - 1;
	n = strlen(wanted);
	while (n && wanted[n - 1] == '/')
		n--;
	return n && !strncmp(wanted, d->b.sys_path, n) &&
		(d->b.sys_path[n] == '/' || !d->b.sys_path[n]);
}

static bool matches(const struct job_target *t, uint64_t size, const struct job_disk *d)
{
	if (*t->serial)
		return serial_matches(t->serial, d);
	if (*t->wwn)
		return wwn_matches(t->wwn, d);
	if (*t->path)
		return path_matches(t->path, d);
	return d->b.size == size && !d->b.removable && !d->boot_medium &&
		!d->maybe_medium;
}

bool job_target_is(const struct job_target *t, const struct job_disk *d)
{
	return (*t->serial || *t->wwn || *t->path) && matches(t, 0, d);
}

bool job_names_disk(const struct job *j, const struct job_disk *d)
{
	int i;

	for (i = 0; i < j->n_drives; i++)
		if (job_target_is(&j->drives[i].target, d))
			return true;
	return false;
}

static void describe(const struct job_target *t, uint64_t size, char ret[300])
{
	if (*t->serial)
		snprintf(ret, 300, "serial %s", t->serial);
	else if (*t->wwn)
		snprintf(ret, 300, "WWN %s", t->wwn);
	else if (*t->path)
		snprintf(ret, 300, "bus path %s", t->path);
	else
		snprintf(ret, 300, "exactly %" PRIu64 " bytes", size);
}

static int check(const struct job_disk *d, uint64_t size,
	const struct job_disk *const *taken, int n_taken, struct err *err)
{
	int i;

	if (d->boot_medium)
		return err_set(err, ERR_DISK_BUSY,
			"%s is the volume this worker booted from", d->b.node);
	if (d->maybe_medium)
		return err_set(err, ERR_DISK_BUSY,
			"%s looks like the volume this worker booted from, and nobody tells "
			"which one that is (scripts/set-job gives a volume an identity)",
			d->b.node);
	if (d->config_volume)
		return err_set(err, ERR_DISK_BUSY, "%s is a config volume", d->b.node);
	if (!strncmp(d->b.name, "sr", 2))
		return err_set(err, ERR_DISK_RO, "%s is a CD drive", d->b.node);
	for (i = 0; i < n_taken; i++)
		if (taken[i] == d)
			return err_set(err, ERR_DISK_BUSY,
				"%s is the target of drives[%d] too", d->b.node, i);
	if (d->b.read_only)
		return err_set(err, ERR_DISK_RO, "%s is write protected", d->b.node);
	if (d->b.mounted || d->b.has_holders)
		return err_set(err, ERR_DISK_BUSY, "%s is %s", d->b.node,
			d->b.mounted ? "mounted" :
			"in use by a volume group, RAID or mapping");
	if (d->b.size < size)
		return err_set(err, ERR_DISK_SMALL,
			"%s has %" PRIu64 " bytes, the source drive %" PRIu64, d->b.node,
			d->b.size, size);
	return 0;
}

int job_map_find(const struct job_target *t, uint64_t size, const struct job_disk *disks,
	int n, const struct job_disk **ret, struct err *err)
{
	const struct job_disk *found = NULL;
	char what[300];
	int i;

	describe(t, size, what);
	for (i = 0; i < n; i++) {
		if (!matches(t, size, &disks[i]))
			continue;
		if (found)
			return err_set(err, ERR_DISK_AMBIGUOUS,
				"%s: both %s and %s match", what, found->b.node,
				disks[i].b.node);
		found = &disks[i];
	}
	if (!found)
		return err_set(err, ERR_DISK_NOT_FOUND,
			"no disk with %s (%d disks looked at)", what, n);
	*ret = found;
	return 0;
}

int job_map(const struct job_target *t, uint64_t size, const struct job_disk *disks,
	int n, const struct job_disk *const *taken, int n_taken,
	const struct job_disk **ret, struct err *err)
{
	const struct job_disk *found = NULL;
	char what[300];

	if (job_map_find(t, size, disks, n, &found, err) < 0)
		return -1;
	describe(t, size, what);
	if (check(found, size, taken, n_taken, err) < 0)
		return err_wrap(err, "%s", what);
	*ret = found;
	return 0;
}

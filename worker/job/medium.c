/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume that the machine booted from, recognised by what make-iso puts there, and
 * small volumes labelled TWCONFIG. Offsets in the image:
 *
 *     446     MBR partition table: 4 entries of 16 bytes; +4 type, +8 first sector,
 *             +12 sectors
 *     32768   ISO 9660 primary volume descriptor (ECMA-119, 8.4): +1 "CD001", +40 volume
 *             identifier of 32 bytes, +190 volume set identifier of 128 bytes (ours
 *             begins with the image's id), both blank-filled
 * and in a FAT file system (Microsoft FAT specification, section 3): +43 (FAT12/16) or
 * +71 (FAT32) the volume label of 11 bytes, +510 the signature 55 aa. Of the sectors that
 * TWCONFIG reserves, the second one begins with KEY_MAGIC and the key in hexadecimal; the
 * fifth one is a part of the BIOS loader's configuration (scripts/set-job).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "job/job-internal.h"

#define PVD 32768
#define SECTOR 512
#define CONFIG_MAX (64ull << 20)
#define MOUNT_POINT "/run/twconfig"
#define KEY_MAGIC "TARGET_WORKER_ID"

static bool is_iso(int fd, const char *volume_id)
{
	char pvd[80], id[33];

	if (fdio_pread(fd, pvd, sizeof(pvd), PVD) < 0 || memcmp(pvd + 1, "CD001", 5))
		return false;
	snprintf(id, sizeof(id), "%-32s", volume_id);
	return !memcmp(pvd + 40, id, 32);
}

/* 64 hexadecimal digits, or "". */
static void take_hex(const char *from, char ret[65])
{
	snprintf(ret, 65, "%.64s", from);
	if (strlen(ret) != 64 || ret[strspn(ret, "0123456789abcdef")])
		*ret = '\0';
}

/* Nothing there is fine: then the volume has no identity. */
static void read_claims(int fd, struct job_medium *m)
{
	char text[128];

	*m->image = *m->key = '\0';
	if (fdio_pread(fd, text, sizeof(text), PVD + 190) == 0)
		take_hex(text, m->image);
	if (fdio_pread(fd, text, sizeof(text), m->offset + SECTOR) == 0 &&
		!memcmp(text, KEY_MAGIC, 16))
		take_hex(text + 16, m->key);
}

static bool is_config_fat(int fd, uint64_t off)
{
	static const char label[] = "TWCONFIG   ";
	unsigned char s[SECTOR];

	return fdio_pread(fd, s, sizeof(s), off) == 0 && s[510] == 0x55 &&
		s[511] == 0xaa &&
		(!memcmp(s + 43, label, 11) || !memcmp(s + 71, label, 11));
}

int job_medium_probe(int fd, uint64_t size, struct job_medium *ret)
{
	unsigned char mbr[SECTOR];
	int i;

	if (size < PVD + 2048 || !is_iso(fd, "TARGET_WORKER") ||
		fdio_pread(fd, mbr, sizeof(mbr), 0) < 0)
		return 0;
	if (mbr[510] != 0x55 || mbr[511] != 0xaa)
		return -1;
	for (i = 0; i < 4; i++) {
		const unsigned char *entry = mbr + 446 + 16 * i;
		uint64_t off = (uint64_t)bytes_le32(entry + 8) * SECTOR;
		uint64_t len = (uint64_t)bytes_le32(entry + 12) * SECTOR;

		if (!off || !len || len > CONFIG_MAX || !bytes_in_range(off, len, size) ||
			!is_config_fat(fd, off))
			continue;
		memset(ret, 0, sizeof(*ret));
		ret->offset = off;
		ret->length = len;
		read_claims(fd, ret);
		return 1;
	}
	return -1;
}

bool job_volume_probe(int fd, uint64_t size)
{
	if (size > CONFIG_MAX || size < SECTOR)
		return false;
	return is_config_fat(fd, 0) || (size >= PVD + 2048 && is_iso(fd, "TWCONFIG"));
}

/* A loop device over exactly the file system: works alike for disks, CDs and volumes
 * larger than the image, whatever the kernel makes of their partition tables. It goes
 * away when unmounted. */
static int attach(const struct job_medium *m, bool write, char node[32], struct err *err)
{
	CLEANUP_CLOSE int backing =
		open(m->node, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	CLEANUP_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config c = { .block_size = SECTOR };
	int tries, n, loop;

	if (backing < 0)
		return err_sys(err, ERR_DISK_IO, "open %s", m->node);
	if (control < 0)
		return err_sys(err, ERR_INTERNAL, "open /dev/loop-control");
	c.fd = (uint32_t)backing;
	c.info.lo_offset = m->offset;
	c.info.lo_sizelimit = m->length;
	c.info.lo_flags = LO_FLAGS_AUTOCLEAR | (write ? 0 : LO_FLAGS_READ_ONLY);
	for (tries = 0; tries < 8; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			return err_sys(err, ERR_INTERNAL, "get a loop device");
		snprintf(node, 32, "/dev/loop%d", n);
		loop = open(node, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (loop < 0)
			return err_sys(err, ERR_INTERNAL, "open %s", node);
		if (ioctl(loop, LOOP_CONFIGURE, &c) == 0)
			return loop;
		close(loop);
		if (errno != EBUSY)
			break;
	}
	return err_sys(err, ERR_INTERNAL, "attach %s to %s", m->node, node);
}

static int mount_medium(const struct job_medium *m, bool write, struct err *err)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC |
		(write ? MS_SYNCHRONOUS : MS_RDONLY);
	CLEANUP_CLOSE int loop = -1;
	char node[32];

	if (mkdir(MOUNT_POINT, 0700) < 0 && errno != EEXIST)
		return err_sys(err, ERR_INTERNAL, "make " MOUNT_POINT);
	loop = attach(m, write, node, err);
	if (loop < 0)
		return -1;
	if (mount(node, MOUNT_POINT, "vfat", flags, "") == 0)
		return 0;
	if (!write && mount(node, MOUNT_POINT, "iso9660", flags, "") == 0)
		return 0;
	return err_sys(err, ERR_FS_MOUNT, "TWCONFIG on %s", m->node);
}

static int unmount_medium(const struct job_medium *m, struct err *err)
{
	if (umount2(MOUNT_POINT, UMOUNT_NOFOLLOW) < 0)
		return err_sys(err, ERR_FS_MOUNT, "unmount TWCONFIG on %s", m->node);
	return 0;
}

/* An undo that is done beside a failure which is already reported. */
static void unmount_after_failure(const struct job_medium *m)
{
	struct err err = ERR_INIT;

	if (unmount_medium(m, &err) < 0)
		log_warn("%s", err.text);
}

int job_medium_read(const struct job_medium *m, const char *name, char **ret,
	size_t *ret_len, struct err *err)
{
	char path[128];
	char *text = NULL;
	size_t len = 0;

	if (mount_medium(m, false, err) < 0)
		return -1;
	snprintf(path, sizeof(path), MOUNT_POINT "/%s", name);
	if (fdio_read_file(path, JOB_MAX_BYTES, &text, &len, err) < 0) {
		unmount_after_failure(m);
		return -1;
	}
	if (unmount_medium(m, err) < 0) {
		explicit_bzero(text, len);
		free(text);
		return -1;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

/* Under another name first: a reset leaves the old file or the new one, whole. */
static int write_file(const struct job_file *f, struct err *err)
{
	char path[128], fresh[132];
	CLEANUP_CLOSE int fd = -1;

	snprintf(path, sizeof(path), MOUNT_POINT "/%s", f->name);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, ERR_DISK_IO, "create %s on TWCONFIG", f->name);
	if (fdio_write(fd, f->data, f->len) < 0 || fsync(fd) < 0)
		return err_sys(err, err_disk_code(errno), "write %s to TWCONFIG",
			f->name);
	if (rename(fresh, path) < 0)
		return err_sys(err, ERR_DISK_IO, "rename %s on TWCONFIG", f->name);
	return 0;
}

static int flush_disk(const struct job_medium *m, struct err *err)
{
	CLEANUP_CLOSE int fd = open(m->node, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, ERR_DISK_IO, "open %s", m->node);
	if (fsync(fd) < 0)
		return err_sys(err, ERR_DISK_IO, "flush %s", m->node);
	return 0;
}

static int overwrite_file(const char *name, const void *data, size_t len, struct err *err)
{
	char path[128];
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), MOUNT_POINT "/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, ERR_DISK_IO, "open %s on TWCONFIG", name);
	if ((uint64_t)st.st_size != len)
		return err_set(err, ERR_INTERNAL, "%s on TWCONFIG has changed", name);
	/* FAT has no other place for it than the blocks of the file. */
	if (fdio_pwrite(fd, data, len, 0) < 0 || fsync(fd) < 0)
		return err_sys(err, err_disk_code(errno), "write over %s on TWCONFIG",
			name);
	return 0;
}

int job_medium_overwrite(const struct job_medium *m, const char *name, const void *data,
	size_t len, struct err *err)
{
	if (mount_medium(m, true, err) < 0)
		return -1;
	if (overwrite_file(name, data, len, err) < 0) {
		unmount_after_failure(m);
		return -1;
	}
	return unmount_medium(m, err) < 0 ? -1 : flush_disk(m, err);
}

int job_medium_write(const struct job_medium *m, const struct job_file *files, int n,
	struct err *err)
{
	int i;

	if (m->read_only)
		return err_set(err, ERR_DISK_RO, "%s: the boot medium cannot be written",
			m->node);
	if (mount_medium(m, true, err) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (write_file(&files[i], err) < 0) {
			unmount_after_failure(m);
			return -1;
		}
	}
	return unmount_medium(m, err) < 0 ? -1 : flush_disk(m, err);
}

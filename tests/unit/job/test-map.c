/* SPDX-License-Identifier: Apache-2.0 */
/* Which disk a job means, and what is refused. */
#include "tests/unit/test.h"

#include "job/job-internal.h"

#define GIB (1ull << 30)

static struct job_disk disks[8];

static struct job_disk *add(int i, const char *name, uint64_t size, const char *serial)
{
	struct job_disk *d = &disks[i];

	memset(d, 0, sizeof(*d));
	snprintf(d->b.name, sizeof(d->b.name), "%s", name);
	snprintf(d->b.node, sizeof(d->b.node), "/dev/%s", name);
	snprintf(d->b.serial, sizeof(d->b.serial), "%s", serial);
	snprintf(d->b.bus, sizeof(d->b.bus), "%s", *name == 'v' ? "virtio" : "scsi");
	d->b.size = size;
	return d;
}

/* Two virtio disks, two SCSI disks, a CD, the volume we booted from, a config volume. */
static int machine(void)
{
	struct job_disk *d;

	add(0, "vda", 4 * GIB, "TW0");
	snprintf(disks[0].b.by_path, sizeof(disks[0].b.by_path), "pci-0000:00:05.0");
	snprintf(disks[0].b.sys_path, sizeof(disks[0].b.sys_path),
		"pci0000:00/0000:00:05.0/virtio2/block/vda");
	add(1, "vdb", 8 * GIB, "0f5c2a1e-77b1-4c1b-9");
	d = add(2, "sda", 8 * GIB, "SAME");
	snprintf(d->b.wwn, sizeof(d->b.wwn), "naa.5000C500A1B2C3D4");
	snprintf(d->b.by_path, sizeof(d->b.by_path), "pci-0000:00:06.0-scsi-0:0:1:0");
	add(3, "sdb", 9 * GIB, "SAME");
	d = add(4, "sr0", 1 * GIB, "CD");
	d->b.removable = true;
	d = add(5, "vdc", 16 * GIB, "BOOT");
	d->boot_medium = true;
	d = add(6, "vdd", 32 << 20, "CONF");
	d->config_volume = true;
	return 7;
}

static enum err_code map(struct job_target t, uint64_t size, const char *want)
{
	struct err err = ERR_INIT;
	const struct job_disk *d = NULL;
	int rc = job_map(&t, size, disks, 7, NULL, 0, &d, &err);

	CHECK((rc == 0) == (d != NULL));
	CHECK((rc == 0) == (err.code == ERR_NONE));
	if (want)
		CHECK_STR(d ? d->b.name : err.text, want);
	return err.code;
}

TEST(by_serial)
{
	machine();
	map((struct job_target){ .serial = "TW0" }, 4 * GIB, "vda");
	CHECK(map((struct job_target){ .serial = "TW" }, 1, NULL) == ERR_DISK_NOT_FOUND);
	CHECK(map((struct job_target){ .serial = "tw0" }, 1, NULL) == ERR_DISK_NOT_FOUND);
	/* virtio-blk shows 20 characters of it */
	map((struct job_target){ .serial = "0f5c2a1e-77b1-4c1b-9d7e-0242ac120002" }, 1,
		"vdb");
	CHECK(map((struct job_target){ .serial = "0f5c2a1e-77b1-4c1b-8d7e-0242ac120002" },
		      1, NULL) == ERR_DISK_NOT_FOUND);
	CHECK(map((struct job_target){ .serial = "SAME" }, 1,
		NULL) == ERR_DISK_AMBIGUOUS);
}

TEST(by_wwn)
{
	static const char *const forms[] = { "naa.5000c500a1b2c3d4", "0x5000c500a1b2c3d4",
		"5000C500A1B2C3D4", "wwn-0x5000c500a1b2c3d4" };

	machine();
	for (size_t i = 0; i < 4; i++) {
		struct job_target t = { .wwn = "" };

		strcpy(t.wwn, forms[i]);
		map(t, 1, "sda");
	}
	CHECK(map((struct job_target){ .wwn = "naa.5000" }, 1,
		NULL) == ERR_DISK_NOT_FOUND);
}

TEST(by_path)
{
	machine();
	map((struct job_target){ .path = "pci-0000:00:05.0" }, 1, "vda");
	map((struct job_target){ .path = "/dev/disk/by-path/virtio-pci-0000:00:05.0" }, 1,
		"vda");
	map((struct job_target){ .path = "/sys/devices/pci0000:00/0000:00:05.0" }, 1,
		"vda");
	map((struct job_target){ .path = "pci0000:00/0000:00:05.0/virtio2/block/vda/" },
		1, "vda");
	map((struct job_target){ .path = "pci-0000:00:06.0-scsi-0:0:1:0" }, 1, "sda");
	CHECK(map((struct job_target){ .path = "pci0000:00/0000:00:05" }, 1, NULL) ==
		ERR_DISK_NOT_FOUND);
	CHECK(map((struct job_target){ .path = "/" }, 1, NULL) == ERR_DISK_NOT_FOUND);
}

TEST(by_size)
{
	struct job_target t = { .size_exact = true };

	machine();
	map(t, 4 * GIB, "vda");
	map(t, 9 * GIB, "sdb");
	CHECK(map(t, 8 * GIB, NULL) == ERR_DISK_AMBIGUOUS);
	CHECK(map(t, 8 * GIB - 512, NULL) == ERR_DISK_NOT_FOUND);
	CHECK(map(t, 1 * GIB, NULL) == ERR_DISK_NOT_FOUND);  /* the CD */
	CHECK(map(t, 16 * GIB, NULL) == ERR_DISK_NOT_FOUND); /* the boot volume */
}

TEST(refused)
{
	struct job_target t = { .serial = "TW0" };
	const struct job_disk *taken[1], *d = NULL;
	struct err err = ERR_INIT;

	machine();
	CHECK(map(t, 4 * GIB + 1, NULL) == ERR_DISK_SMALL);
	CHECK(map((struct job_target){ .serial = "BOOT" }, 1, NULL) == ERR_DISK_BUSY);
	CHECK(map((struct job_target){ .serial = "CONF" }, 1, NULL) == ERR_DISK_BUSY);
	CHECK(map((struct job_target){ .serial = "CD" }, 1, NULL) == ERR_DISK_RO);
	disks[0].b.read_only = true;
	CHECK(map(t, 1, NULL) == ERR_DISK_RO);
	disks[0].b.read_only = false;
	disks[0].b.mounted = true;
	CHECK(map(t, 1, NULL) == ERR_DISK_BUSY);
	disks[0].b.mounted = false;
	disks[0].b.has_holders = true;
	CHECK(map(t, 1, NULL) == ERR_DISK_BUSY);
	disks[0].b.has_holders = false;
	taken[0] = &disks[0];
	CHECK(job_map(&t, 1, disks, 7, taken, 1, &d, &err) == -1 &&
		err.code == ERR_DISK_BUSY);
	CHECK(!d);
	map(t, 1, "vda");
}

static const struct test tests[] = {
	TEST_ENTRY(by_serial, "serial numbers, also cut by virtio-blk"),
	TEST_ENTRY(by_wwn, "WWNs in the forms that tools write"),
	TEST_ENTRY(by_path, "udev's by-path names and sysfs paths"),
	TEST_ENTRY(by_size, "the only disk of exactly the size"),
	TEST_ENTRY(refused, "small, used, read-only, boot and config disks are refused"),
};
TEST_MAIN(tests)

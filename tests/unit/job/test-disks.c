/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a machine read from a made-up sysfs and /dev,
 * down to the choice of a target. */
#include "tests/unit/test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/job-internal.h"

static char root[64], sys_root[80], dev_root[80];

static void make_dirs(const char *path)
{
	char part[512];

	for (size_t i = 1; path[i]; i++)
		if (path[i] == '/') {
			snprintf(part, i + 1, "%s", path);
			mkdir(part, 0700);
		}
}

static void put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	make_dirs(path);
	f = fopen(path, "w");
	if (CHECK(f && fwrite(data, 1, len, f) == len))
		fclose(f);
}

static void text(const char *dir, const char *name, const char *value)
{
	put(dir, name, value, strlen(value));
}

/* A disk with its folder below devices/, the link in block/ and a node of size bytes. */
static const char *disk(const char *name, const char *device, uint64_t size)
{
	static char dir[256];
	char path[400], link[256], sectors[32];
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/devices/%s/block/%s", sys_root, device, name);
	snprintf(sectors, sizeof(sectors), "%llu\n", (unsigned long long)size / 512);
	text(dir, "size", sectors);
	text(dir, "ro", "0\n");
	text(dir, "removable", "0\n");
	text(dir, "queue/logical_block_size", "512\n");
	snprintf(path, sizeof(path), "%s/block/%s", sys_root, name);
	make_dirs(path);
	snprintf(link, sizeof(link), "../devices/%s/block/%s", device, name);
	CHECK(symlink(link, path) == 0);
	/* .../block/NAME/device leads back to the device. */
	snprintf(path, sizeof(path), "%s/device", dir);
	CHECK(symlink("../../", path) == 0);
	snprintf(path, sizeof(path), "%s/%s", dev_root, name);
	make_dirs(path);
	f = fopen(path, "w");
	if (CHECK(f &&
		ftruncate(fileno(f), (off_t)(size < (1 << 20) ? size : 1 << 20)) == 0))
		fclose(f);
	return dir;
}

static void worker_volume(const char *name)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dev_root, name);
	f = fopen(path, "r+");
	fseek(f, 32769, SEEK_SET);
	fputs("CD001", f);
	fseek(f, 32808, SEEK_SET);
	fprintf(f, "%-32s", "TARGET_WORKER");
	fclose(f);
}

static void machine(void)
{
	static const unsigned char page80[] = { 0, 0x80, 0, 8, ' ', ' ', 'S', 'N', '-',
		'4', '2', ' ' };
	const char *dir;
	char path[400];

	dir = disk("vda", "pci0000:00/0000:00:05.0/virtio2", 8ull << 30);
	text(dir, "serial", "TW0\n");
	dir = disk("sda", "pci0000:00/0000:00:06.0/virtio3/host0/target0:0:1/0:0:1:0",
		4ull << 30);
	put(dir, "device/vpd_pg80", page80, sizeof(page80));
	text(dir, "device/wwid", "naa.5000c500a1b2c3d4\n");
	text(dir, "device/model", "QEMU HARDDISK   \n");
	dir = disk("nvme0n1", "pci0000:00/0000:00:07.0/nvme/nvme0", 4ull << 30);
	text(dir, "device/serial", "NV1                 \n");
	text(dir, "wwid", "eui.0123456789abcdef\n");
	dir = disk("sdb", "pci0000:00/0000:00:1f.2/ata3/host4/target4:0:0/4:0:0:0",
		5ull << 30);
	text(dir, "holders/md127/x", "");
	snprintf(path, sizeof(path), "%s/devices/pci0000:00/0000:00:1f.2/ata3", sys_root);
	text(path, "ata_port/ata3/port_no", "2\n");
	dir = disk("vdb", "pci0000:00/0000:00:08.0/virtio4", 1ull << 30);
	text(dir, "serial", "WORKER\n");
	worker_volume("vdb");
	disk("loop0", "virtual", 1 << 20);
	disk("dm-0", "virtual", 1 << 20);
	disk("sr0", "pci0000:00/0000:00:1f.2/ata1/host2/target2:0:0/2:0:0:0", 0);
}

static struct job_disk disks[16];
static int n_disks;

static const struct job_disk *find(const char *name)
{
	for (int i = 0; i < n_disks; i++)
		if (!strcmp(disks[i].b.name, name))
			return &disks[i];
	printf("no disk %s\n", name);
	return NULL;
}

TEST(listed)
{
	struct err err = ERR_INIT;
	const struct job_disk *d;

	n_disks = job_disks(sys_root, dev_root, disks, 16, &err);
	CHECK_U64(n_disks, 5); /* no loop, no mapping, no empty CD drive */
	REQUIRE((d = find("vda")));
	CHECK_STR(d->b.serial, "TW0");
	CHECK_STR(d->b.by_path, "pci-0000:00:05.0");
	CHECK_U64(d->b.size, 8ull << 30);
	CHECK(!d->b.mounted && !d->b.has_holders && !d->boot_medium);
	REQUIRE((d = find("sda")));
	CHECK_STR(d->b.serial, "SN-42");
	CHECK_STR(d->b.wwn, "naa.5000c500a1b2c3d4");
	CHECK_STR(d->b.model, "QEMU HARDDISK");
	CHECK_STR(d->b.by_path, "pci-0000:00:06.0-scsi-0:0:1:0");
	REQUIRE((d = find("nvme0n1")));
	CHECK_STR(d->b.serial, "NV1");
	CHECK_STR(d->b.by_path, "pci-0000:00:07.0-nvme-1");
	REQUIRE((d = find("sdb")));
	CHECK_STR(d->b.by_path, "pci-0000:00:1f.2-ata-2");
	CHECK(d->b.has_holders);
	REQUIRE((d = find("vdb")));
	CHECK(!d->boot_medium); /* by its content: a copy of anything may have it */
}

static enum err_code choose(struct job_target t, uint64_t size, const char *name)
{
	struct err err = ERR_INIT;
	const struct job_disk *d = NULL;

	if (job_map(&t, size, disks, n_disks, NULL, 0, &d, &err) == 0)
		CHECK_STR(d->b.name, name);
	return err.code;
}

TEST(chosen)
{
	struct err err = ERR_INIT;

	n_disks = job_disks(sys_root, dev_root, disks, 16, &err);
	CHECK(choose((struct job_target){ .serial = "SN-42" }, 1, "sda") == ERR_NONE);
	CHECK(choose((struct job_target){ .wwn = "0x0123456789ABCDEF" }, 1,
		"nvme0n1") == ERR_NONE);
	CHECK(choose((struct job_target){ .path = "pci-0000:00:05.0" }, 1,
		"vda") == ERR_NONE);
	CHECK(choose((struct job_target){ .size_exact = true }, 8ull << 30,
		"vda") == ERR_NONE);
	CHECK(choose((struct job_target){ .size_exact = true }, 4ull << 30, "") ==
		ERR_DISK_AMBIGUOUS);
	CHECK(choose((struct job_target){ .path = "pci-0000:00:1f.2-ata-2" }, 1, "") ==
		ERR_DISK_BUSY);
	CHECK(choose((struct job_target){ .serial = "TW0" }, (8ull << 30) + 1, "") ==
		ERR_DISK_SMALL);
}

static void mark(const char *medium, const char *volume, enum job_origin_kind kind)
{
	struct job_found found = { .has_medium = *medium, .origin.kind = kind };
	struct err err = ERR_INIT;

	snprintf(found.medium.node, sizeof(found.medium.node), "%s", medium);
	snprintf(found.volume, sizeof(found.volume), "%s", volume);
	n_disks = job_disks(sys_root, dev_root, disks, 16, &err);
	job_disks_mark(disks, n_disks, &found);
}

/* vdb looks like a worker volume. */
TEST(own_volume)
{
	static const struct job_target worker = { .serial = "WORKER" },
		tw0 = { .serial = "TW0" }, by_size = { .size_exact = true };
	char vda[128], vdb[128];

	snprintf(vda, sizeof(vda), "%s/vda", dev_root);
	snprintf(vdb, sizeof(vdb), "%s/vdb", dev_root);
	mark(vdb, "", JOB_ORIGIN_KEY);
	CHECK(choose(worker, 1, "") == ERR_DISK_BUSY);
	CHECK(choose(by_size, 1ull << 30, "") == ERR_DISK_NOT_FOUND);
	/* The clone of a worker volume is a target as any other. */
	mark(vda, "", JOB_ORIGIN_FIRMWARE);
	CHECK(choose(worker, 1, "vdb") == ERR_NONE);
	CHECK(choose(by_size, 1ull << 30, "vdb") == ERR_NONE);
	CHECK(choose(tw0, 1, "") == ERR_DISK_BUSY);
	mark("", "", JOB_ORIGIN_NONE);
	CHECK(choose(worker, 1, "vdb") == ERR_NONE);
	/* It may be the one that is not to be lost. */
	mark("", "", JOB_ORIGIN_UNKNOWN);
	CHECK(choose(worker, 1, "") == ERR_DISK_BUSY);
	CHECK(choose(by_size, 1ull << 30, "") == ERR_DISK_NOT_FOUND);
	CHECK(choose(tw0, 1, "vda") == ERR_NONE);
	mark("", vda, JOB_ORIGIN_NONE);
	CHECK(choose(tw0, 1, "") == ERR_DISK_BUSY);
}

TEST(no_sysfs)
{
	struct err err = ERR_INIT;

	CHECK(job_disks("/no/such/root", dev_root, disks, 16, &err) == -1);
	CHECK(err.code == ERR_DISK_NOT_FOUND);
}

static const struct test tests[] = {
	TEST_ENTRY(listed, "serial, WWN, bus path, users and the boot medium"),
	TEST_ENTRY(chosen, "targets are chosen among what was found"),
	TEST_ENTRY(own_volume, "only the volume we started from is no target"),
	TEST_ENTRY(no_sysfs, "a missing sysfs is an error, not an empty machine"),
};

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

int main(int argc, char **argv)
{
	int rc;

	strcpy(root, "/tmp/tw-disks-XXXXXX");
	if (!mkdtemp(root)) {
		perror(root);
		return 1;
	}
	snprintf(sys_root, sizeof(sys_root), "%s/sys", root);
	snprintf(dev_root, sizeof(dev_root), "%s/dev", root);
	machine();
	rc = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
	return rc;
}

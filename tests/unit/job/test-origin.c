/* SPDX-License-Identifier: Apache-2.0 */
/* The volume this machine was started from: what loader and firmware say, and whom that
 * leaves among disks that all look like it. */
#include "tests/unit/test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/job-internal.h"

#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY "6b65796b65796b65796b65796b65796b65796b65796b65796b65796b65796b65"
/* printf %s KEY | sha256sum */
#define SUM "2447053b7b518034052434fd528a6facaa0acd9bba4e4166ff210a2a3177a035"
#define IMAGE "1111111111111111111111111111111111111111111111111111111111111111"

static char root[64];
static unsigned char buf[512];
static size_t len;

static void node(unsigned type, unsigned sub, const void *data, size_t n)
{
	buf[len] = (unsigned char)type;
	buf[len + 1] = (unsigned char)sub;
	buf[len + 2] = (unsigned char)(n + 4);
	buf[len + 3] = 0;
	if (n)
		memcpy(buf + len + 4, data, n);
	len += n + 4;
}

static void pci_root(unsigned char uid)
{
	const unsigned char data[8] = { 0xd0, 0x41, 0x03, 0x0a, uid };

	len = 0;
	node(2, 1, data, sizeof(data));
}

static void pci(unsigned char device, unsigned char function)
{
	const unsigned char data[2] = { function, device };

	node(1, 1, data, sizeof(data));
}

static void end_path(void)
{
	node(0x7f, 0xff, NULL, 0);
}

static bool is_disk(const char *name, const char *sys_path, const char *by_path)
{
	struct block_disk d = { .size = 1 };
	struct job_devpath w;

	snprintf(d.name, sizeof(d.name), "%s", name);
	snprintf(d.sys_path, sizeof(d.sys_path), "%s", sys_path);
	snprintf(d.by_path, sizeof(d.by_path), "%s", by_path);
	return CHECK(job_devpath_parse(buf, len, &w) == 0) && job_devpath_matches(&w, &d);
}

/* As OVMF writes them. */
TEST(device_paths)
{
	static const unsigned char scsi[4] = { 1, 0, 2, 0 }, ide[4] = { 1, 1 },
		sata[6] = { 2, 0, 0xff, 0xff }, nvme[12] = { 1 };

	pci_root(0);
	pci(5, 0);
	end_path();
	CHECK(is_disk("vda", "pci0000:00/0000:00:05.0/virtio2/block/vda", ""));
	CHECK(!is_disk("vda", "pci0000:00/0000:00:06.0/virtio2/block/vda", ""));
	CHECK(!is_disk("vda", "pci0000:00/0000:00:05.1/virtio2/block/vda", ""));
	CHECK(!is_disk("vda", "pci0000:80/0000:80:05.0/virtio2/block/vda", ""));
	CHECK(!is_disk("vda", "pci0000:00/0000:00:05.0/0000:01:00.0/virtio2/block/vda", ""));
	CHECK(!is_disk("vda", "pci0000:00/virtio2/block/vda", ""));
	CHECK(!is_disk("vda", "", ""));
	pci_root(0);
	pci(2, 1);
	pci(0, 0);
	node(3, 2, scsi, sizeof(scsi));
	end_path();
	CHECK(is_disk("sda", "pci0000:00/0000:00:02.1/0000:03:00.0/virtio1/host0/target0:0:1/"
		"0:0:1:2/block/sda", ""));
	CHECK(!is_disk("sda", "pci0000:00/0000:00:02.1/0000:03:00.0/virtio1/host0/target0:0:2/"
		"0:0:2:2/block/sda", ""));
	CHECK(!is_disk("sda", "pci0000:00/0000:00:02.1/0000:03:00.0/virtio1/host0/target0:0:1/"
		"0:0:1:0/block/sda", ""));
	CHECK(!is_disk("sda", "pci0000:00/0000:00:02.1/host0/target0:0:1/0:0:1:2/block/sda", ""));
	pci_root(0);
	pci(0x1f, 2);
	node(3, 0x12, sata, sizeof(sata));
	end_path();
	CHECK(is_disk("sr0", "pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sr0",
		"pci-0000:00:1f.2-ata-3"));
	CHECK(!is_disk("sda", "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sda",
		"pci-0000:00:1f.2-ata-2"));
	pci_root(0);
	pci(1, 1);
	node(3, 1, ide, sizeof(ide));
	end_path();
	CHECK(is_disk("sdb", "pci0000:00/0000:00:01.1/ata2/host1/target1:0:1/1:0:1:0/block/sdb",
		"pci-0000:00:01.1-ata-2"));
	CHECK(!is_disk("sda", "pci0000:00/0000:00:01.1/ata2/host1/target1:0:0/1:0:0:0/block/sda",
		"pci-0000:00:01.1-ata-2"));
	pci_root(0);
	pci(7, 0);
	node(3, 0x17, nvme, sizeof(nvme));
	end_path();
	CHECK(is_disk("nvme0n1", "pci0000:00/0000:00:07.0/nvme/nvme0/nvme0n1", ""));
	CHECK(!is_disk("nvme0n2", "pci0000:00/0000:00:07.0/nvme/nvme0/nvme0n2", ""));
}

TEST(damaged_paths)
{
	struct job_devpath w;

	pci_root(0);
	pci(5, 0);
	CHECK(job_devpath_parse(buf, len, &w) == -1); /* no end */
	end_path();
	for (size_t n = 0; n < len - 4; n++)
		CHECK(job_devpath_parse(buf, n, &w) == -1);
	buf[14] = 3; /* a node shorter than its head */
	CHECK(job_devpath_parse(buf, len, &w) == -1);
	buf[14] = 200;
	CHECK(job_devpath_parse(buf, len, &w) == -1);
	pci_root(0);
	for (int i = 0; i <= JOB_MAX_PCI; i++)
		pci(1, 0);
	end_path();
	CHECK(job_devpath_parse(buf, len, &w) == -1);
}

static void put(const char *name, const void *data, size_t n)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	f = fopen(path, "w");
	if (CHECK(f && fwrite(data, 1, n, f) == n))
		fclose(f);
}

#define VARIABLE(name) "/sys/firmware/efi/efivars/" name "-8be4df61-93ca-11d2-aa0d-00e098032b8c"

static void start_from_path(void)
{
	unsigned char option[600] = { 7, 0, 0, 0, 1, 0, 0, 0, (unsigned char)len,
		(unsigned char)(len >> 8), 'D', 0, 0x7f, 1, 0, 0 };

	memcpy(option + 16, buf, len);
	put(VARIABLE("Boot00AB"), option, 16 + len);
	put(VARIABLE("BootCurrent"), "\6\0\0\0\xab\0", 6);
}

static enum job_origin_kind origin(const char *volume, struct job_origin *ret)
{
	struct job_cmdline c = { .n_pins = 0 };

	snprintf(c.volume, sizeof(c.volume), "%s", volume);
	job_origin_find(root, &c, ret);
	return ret->kind;
}

static void make_dir(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s%s", root, name);
	mkdir(path, 0700);
}

TEST(who_says_it)
{
	static const unsigned char zeroes[38];
	struct job_origin o;

	/* BIOS: our loader, with and without an identity; another loader. */
	CHECK(origin(SUM, &o) == JOB_ORIGIN_KEY);
	CHECK_STR(o.volume, SUM);
	CHECK(origin(ZEROES, &o) == JOB_ORIGIN_UNKNOWN && !*o.image);
	CHECK(origin("", &o) == JOB_ORIGIN_NONE);
	make_dir("/etc");
	put("/etc/image-id", IMAGE "\n", 65);
	CHECK(origin("", &o) == JOB_ORIGIN_NONE);
	CHECK_STR(o.image, IMAGE);

	/* UEFI */
	make_dir("/sys");
	make_dir("/sys/firmware");
	make_dir("/sys/firmware/efi");
	make_dir("/sys/firmware/efi/efivars");
	CHECK(origin("", &o) == JOB_ORIGIN_NONE); /* -kernel */
	pci_root(0);
	pci(5, 0);
	end_path();
	put(VARIABLE("BootCurrent"), "\6\0\0\0\xab\0", 6);
	CHECK(origin("", &o) == JOB_ORIGIN_UNKNOWN); /* of an entry that is gone */
	start_from_path();
	CHECK(origin("", &o) == JOB_ORIGIN_FIRMWARE);
	CHECK(o.path.n_pci == 1 && o.path.pci[0] == 5 << 3);
	CHECK(origin(SUM, &o) == JOB_ORIGIN_KEY);
	len -= 4;
	node(3, 0x0b, zeroes, 33); /* a network adapter's MAC address */
	end_path();
	start_from_path();
	CHECK(origin("", &o) == JOB_ORIGIN_NONE);
	len = 0;
	node(4, 1, zeroes, 38); /* a partition, and no word of its disk */
	end_path();
	start_from_path();
	CHECK(origin("", &o) == JOB_ORIGIN_UNKNOWN);
}

static struct job_disk disks[4];
static struct job_alike alike[4];
static int other;

/* Four worker volumes of one image: vda to vdc and a CD. */
static void make_machine(void)
{
	static const char *const names[] = { "vda", "vdb", "vdc", "sr0" };

	memset(disks, 0, sizeof(disks));
	memset(alike, 0, sizeof(alike));
	for (int i = 0; i < 4; i++) {
		strcpy(disks[i].b.name, names[i]);
		snprintf(disks[i].b.serial, sizeof(disks[i].b.serial), "SN%d", i);
		snprintf(disks[i].b.sys_path, sizeof(disks[i].b.sys_path),
			"pci0000:00/0000:00:%02x.0/virtio%d/block/%s", 3 + i, i, names[i]);
		alike[i].disk = &disks[i];
		strcpy(alike[i].m.image, IMAGE);
	}
}

TEST(by_key)
{
	struct job_origin o = { .kind = JOB_ORIGIN_KEY, .volume = SUM };

	make_machine();
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == -1 && other == -1);
	strcpy(alike[0].m.key, SUM); /* all that a guest's program can have seen */
	strcpy(alike[2].m.key, ZEROES);
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == -1);
	strcpy(alike[1].m.key, KEY);
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == 1 && other == -1);
	*alike[1].m.image = '\0'; /* another image is started by hand for it */
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == 1);
	strcpy(alike[2].m.key, KEY);
	job_look_choose(&o, alike, 4, NULL, &other);
	CHECK(other == 2);
}

TEST(by_firmware)
{
	struct job_origin o = { .kind = JOB_ORIGIN_FIRMWARE };

	make_machine();
	pci_root(0);
	pci(4, 0);
	end_path();
	REQUIRE(job_devpath_parse(buf, len, &o.path) == 0);
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == 1 && other == -1);
	CHECK(job_look_choose(&o, alike, 1, NULL, &other) == -1);
}

TEST(by_nobody)
{
	struct job_origin o = { .kind = JOB_ORIGIN_UNKNOWN, .image = IMAGE };
	struct job *j = calloc(1, sizeof(*j));

	make_machine();
	REQUIRE(j);
	j->n_drives = 1;
	CHECK(job_look_choose(&o, alike, 1, NULL, &other) == 0 && other == -1);
	job_look_choose(&o, alike, 2, NULL, &other);
	CHECK(other == 1);
	/* Nobody copies to a CD. */
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == 3 && other == -1);
	/* A target of a job that came elsewhere is none. */
	strcpy(j->drives[0].target.serial, "SN0");
	CHECK(job_look_choose(&o, alike, 2, j, &other) == 1 && other == -1);
	CHECK(job_look_choose(&o, alike, 1, j, &other) == -1);
	/* Nor is a volume of another image. */
	alike[1].m.image[0] = '2';
	CHECK(job_look_choose(&o, alike, 2, NULL, &other) == 0 && other == -1);
	CHECK(job_look_choose(&o, alike, 2, j, &other) == -1);
	/* Started over the network, a machine has none. */
	o.kind = JOB_ORIGIN_NONE;
	CHECK(job_look_choose(&o, alike, 4, NULL, &other) == -1 && other == -1);
	free(j);
}

static const struct test tests[] = {
	TEST_ENTRY(device_paths, "a device path and its disk find each other"),
	TEST_ENTRY(damaged_paths, "a device path that is cut off says nothing"),
	TEST_ENTRY(who_says_it, "the loader's word, then the firmware's"),
	TEST_ENTRY(by_key, "the volume with the key, whatever others look like"),
	TEST_ENTRY(by_firmware, "the volume that the firmware has started"),
	TEST_ENTRY(by_nobody, "without a word only the only candidate, and no target"),
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

	strcpy(root, "/tmp/tw-origin-XXXXXX");
	if (!mkdtemp(root)) {
		perror(root);
		return 1;
	}
	rc = test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
	nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Names of disks and volumes, and which of the copied ones they mean. */
#include "guest/guest-internal.h"

#include "../test.h"

TEST(volumes)
{
	static struct guest_vol vols[] = {
		{ .disk = 0, .part = 1, .fs = { .dev = "/dev/vda1", .uuid = "ABCD-0001",
			.label = "boot" } },
		{ .disk = -1, .alias = "/dev/vg/root",
			.fs = { .dev = "/dev/mapper/vg-root", .uuid = "u-2" } },
		{ .disk = -1, .fs = { .dev = "/dev/mapper/crypt", .uuid = "u-3" } },
	};
	static const struct { const char *spec; int vol; } names[] = {
		{ "/dev/sda1", 0 }, { "UUID=abcd-0001", 0 }, { "LABEL=boot", 0 },
		{ "LABEL=Boot", -1 }, { "/dev/vg/root", 1 }, { "/dev/mapper/vg-root", 1 },
		{ "/dev/disk/by-uuid/u-2", 1 }, { "/dev/disk/by-id/dm-name-vg-root", 1 },
		{ "/dev/disk/by-id/dm-name-vda1", -1 }, { "/dev/mapper/crypt", 2 },
		{ "/dev/disk/by-id/dm-name-crypt", 2 }, { "vg-root", -1 },
		{ "/dev/mapper/", -1 }, { "UUID=", -1 }, { "", -1 },
	};
	static const struct guest_options opt = { .in_target = true };
	static struct guest g = { .opt = &opt, .n_disks = 1, .n_vols = 3 };

	memcpy(g.vols, vols, sizeof(vols));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char want[96], got[96];

		snprintf(want, sizeof(want), "%s: %d", names[i].spec, names[i].vol);
		snprintf(got, sizeof(got), "%s: %d", names[i].spec,
			guest_find_vol(&g, names[i].spec));
		CHECK_STR(got, want);
	}
}

TEST(multipath)
{
	static const struct { const char *spec; int vol; } names[] = {
		{ "/dev/mapper/mpatha1", 0 }, { "/dev/mapper/mpathap1", 0 },
		{ "/dev/mapper/mpatha-part1", 0 }, { "/dev/mapper/mpathab_part1", 0 },
		{ "/dev/mapper/mpathp1", 0 }, { "/dev/mapper/mpatha", -1 },
		{ "/dev/mapper/mpatha2", -1 }, { "/dev/mapper/mpathdata1", -1 },
		{ "/dev/mapper/mpath1", -1 }, { "/dev/mapper/mpathb-lv", -1 },
		{ "/dev/mapper/mpathc1", 1 },
		{ "/dev/mapper/360000000000000000e00000000010001-part1", 0 },
		{ "/dev/mapper/360000000000000000e00000000010001p1", 0 },
		{ "/dev/mapper/20000000000000001-part1", 0 },
		{ "/dev/mapper/60000000000000001-part1", -1 },
		{ "/dev/disk/by-id/dm-name-mpatha-part1", 0 },
	};
	static const struct guest_options opt = { .in_target = true };
	static struct guest g = { .opt = &opt, .n_disks = 1, .n_vols = 2, .vols = {
		{ .disk = 0, .part = 1, .fs = { .dev = "/dev/vda1", .uuid = "u-1" } },
		{ .disk = -1, .fs = { .dev = "/dev/mapper/mpathc1", .uuid = "u-2" } } } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char want[96], got[96];

		snprintf(want, sizeof(want), "%s: %d", names[i].spec, names[i].vol);
		snprintf(got, sizeof(got), "%s: %d", names[i].spec,
			guest_find_vol(&g, names[i].spec));
		CHECK_STR(got, want);
	}
	/* which of two disks it is cannot be told */
	g.n_disks = 2;
	CHECK(guest_find_vol(&g, "/dev/mapper/mpatha1") == -1);
	CHECK(guest_is_elsewhere(&g, "/dev/mapper/mpatha1"));
}

/* sda and sdc of a source were copied, sdb was not:
 * the guest's sdb is no disk of ours. */
TEST(source_names)
{
	static const char *const sources[] = { "sda", "sdc", "backup" };
	const struct guest_options named = { .sources = sources },
		unnamed = { .sources = sources + 2 };
	static struct guest g = { .n_disks = 2, .n_vols = 2, .vols = {
		{ .disk = 0, .part = 1, .fs = { .dev = "/dev/vdb1", .uuid = "u-a" } },
		{ .disk = 1, .part = 1, .fs = { .dev = "/dev/vdc1", .uuid = "u-c" } } } };
	char name[64] = "";

	g.opt = &named;
	CHECK(guest_stable_name(&g, "/dev/sda1", name, sizeof(name)));
	CHECK_STR(name, "UUID=u-a");
	CHECK(guest_stable_name(&g, "/dev/sdc1", name, sizeof(name)));
	CHECK_STR(name, "UUID=u-c");
	CHECK(!guest_stable_name(&g, "/dev/sdb1", name, sizeof(name)));
	CHECK(guest_is_elsewhere(&g, "/dev/sdb1") &&
		!guest_is_elsewhere(&g, "/dev/sdc1"));
	CHECK(guest_is_elsewhere(&g, "UUID=u-b") && !guest_is_elsewhere(&g, "UUID=u-c"));
	CHECK(!guest_is_elsewhere(&g, "/dev/cdrom") && !guest_is_elsewhere(&g, "tmpfs"));
	g.opt = &unnamed;
	g.n_disks = 1;
	CHECK(guest_stable_name(&g, "/dev/sda1", name, sizeof(name)));
	CHECK_STR(name, "UUID=u-a");
}

TEST(first_of_bus)
{
	static const struct { const char *node, *first; } names[] = {
		{ "/dev/vdb", "/dev/vda" }, { "/dev/vda", "/dev/vda" },
		{ "/dev/sdc", "/dev/sda" }, { "/dev/xvdb", "/dev/xvda" },
		{ "/dev/hdb", "/dev/hda" }, { "/dev/nvme1n1", "/dev/nvme0n1" },
		{ "/dev/vdb1", NULL }, { "/dev/loop0", NULL }, { "/tmp/disk", NULL },
		{ "", NULL },
	};
	char got[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(guest_first_of_bus(names[i].node, got,
			sizeof(got)) == !!names[i].first);
		if (names[i].first)
			CHECK_STR(got, names[i].first);
	}
}

static int meant(const char *const *sources, int n_disks, unsigned buses,
	const char *spec)
{
	const struct guest_options opt = { .sources = sources };
	static struct guest g;

	memset(&g, 0, sizeof(g));
	g.opt = &opt;
	g.n_disks = g.n_vols = n_disks;
	g.seen.buses = buses & 0xff;
	g.seen.root_buses = buses >> 8;
	for (int i = 0; i < n_disks; i++) {
		g.vols[i].disk = i;
		g.vols[i].part = 1;
		/* this machine's own names, which say nothing of the guest's */
		snprintf(g.vols[i].fs.dev, sizeof(g.vols[i].fs.dev), "/dev/sd%c1",
			'c' - i);
	}
	return guest_find_vol(&g, spec);
}

TEST(buses)
{
	static const char *const both[] = { "nvme0n1", "sda" }, *const nvme[] = { "nvme0n1" };
	static const char *const scsi[] = { "sda", "sdb", "cciss!c0d1" };
	static const char *const other[] = { "root", "data" }, *const twice[] = { "sda", "sda" };
	static const char *const mixed[] = { "vda", "xvda" }, *const apart[] = { "sda", "vdb" };
	const unsigned sd = 1u << GUEST_SD, hd = 1u << GUEST_HD, nv = 1u << GUEST_NVME;

	/* Bus and number together are the name. */
	CHECK_U64(meant(both, 2, sd | nv, "/dev/nvme0n1p1"), 0);
	CHECK_U64(meant(both, 2, sd | nv, "/dev/sda1"), 1);
	CHECK(meant(both, 2, sd | nv, "/dev/sdb1") == -1);
	CHECK(meant(both, 2, sd | nv, "/dev/nvme0n2p1") == -1);
	CHECK_U64(meant(scsi, 3, sd, "/dev/cciss/c0d1p1"), 2);
	CHECK(meant(scsi, 3, sd, "/dev/cciss/c1d1p1") == -1);
	/* Of two disks sda was not copied. */
	CHECK(meant(nvme, 1, sd | nv, "/dev/sda1") == -1);
	CHECK(meant(nvme, 1, sd, "/dev/sda1") == -1);
	CHECK(meant(apart, 2, sd, "/dev/sdb1") == -1);
	/* Files from before a kernel that calls the disk sda; or there was an hda. */
	CHECK_U64(meant(scsi, 2, hd, "/dev/hdb1"), 1);
	CHECK(meant(scsi, 2, hd | sd, "/dev/hdb1") == -1);
	CHECK(meant(mixed, 2, hd, "/dev/hda1") == GUEST_SEVERAL);
	CHECK(meant(twice, 2, sd, "/dev/sda1") == GUEST_SEVERAL);
	/* Without names their order counts, but only on one bus. */
	CHECK_U64(meant(other, 2, sd, "/dev/sdb1"), 1);
	CHECK_U64(meant(NULL, 2, nv, "/dev/nvme1n1p1"), 1);
	CHECK(meant(NULL, 2, nv, "/dev/nvme0n2p1") == -1);
	CHECK(meant(other, 2, sd | nv, "/dev/sda1") == GUEST_SEVERAL);
	CHECK(meant(NULL, 2, sd | hd, "/dev/hda1") == GUEST_SEVERAL);
	CHECK(meant(NULL, 2, sd, "/dev/sdc1") == -1);
	CHECK(meant(NULL, 2, nv, "/dev/sda1") == GUEST_SEVERAL); /* of a unit, say */
	/* Both are names of the root, and so of one disk. */
	CHECK_U64(meant(NULL, 2, (sd | hd) << 8 | sd | hd, "/dev/sdb1"), 1);
	CHECK_U64(meant(scsi, 2, (sd | hd) << 8 | sd | hd, "/dev/hdb1"), 1);
	CHECK(meant(NULL, 2, (sd | hd) << 8 | sd | hd | nv, "/dev/sdb1") ==
		GUEST_SEVERAL);
	/* Without any name seen the given one counts. */
	CHECK_U64(meant(NULL, 2, 0, "/dev/sdb1"), 1);
}

static struct guest twins = { .n_disks = 3, .n_vols = 3, .vols = {
	{ .disk = 0, .part = 1, .fs = { .dev = "/dev/vda1", .type = "ext4", .uuid = "u-1",
		.label = "one", .partuuid = "p-1" } },
	{ .disk = 1, .part = 1, .fs = { .dev = "/dev/vdb1", .type = "ext4", .uuid = "u-2",
		.label = "two", .partuuid = "p-2" } },
	{ .disk = 2, .part = 1, .fs = { .dev = "/dev/vdc1", .type = "ext4", .uuid = "u-3",
		.label = "three", .partuuid = "p-3" } } } };

TEST(duplicates)
{
	static const struct guest_options opt = { .in_target = true };
	struct guest_vol *a = &twins.vols[1], *b = &twins.vols[2];
	char name[64] = "";

	twins.opt = &opt;
	strcpy(b->fs.label, "two");
	CHECK(guest_find_vol(&twins, "LABEL=two") == GUEST_SEVERAL);
	CHECK(guest_find_vol(&twins, "/dev/disk/by-label/two") == GUEST_SEVERAL);
	CHECK_U64(guest_find_vol(&twins, "UUID=u-3"), 2);
	CHECK(!guest_is_elsewhere(&twins, "LABEL=two"));
	strcpy(b->fs.uuid, "U-2");
	CHECK(guest_find_vol(&twins, "UUID=u-2") == GUEST_SEVERAL);
	/* One of two file systems with one UUID has a name yet, and at last none. */
	CHECK(guest_stable_name(&twins, "/dev/sdb1", name, sizeof(name)));
	CHECK_STR(name, "PARTUUID=p-2");
	CHECK(!guest_has_twin(&twins, "/dev/sdb1"));
	strcpy(b->fs.partuuid, "p-2");
	CHECK(!guest_stable_name(&twins, "/dev/sdb1", name, sizeof(name)));
	CHECK(guest_has_twin(&twins, "/dev/sdb1"));
	CHECK(!guest_has_twin(&twins, "/dev/sda1"));
	CHECK(guest_find_vol(&twins, "PARTUUID=P-2") == GUEST_SEVERAL);
	/* Members of one btrfs, and a copy of a member. */
	strcpy(a->fs.type, "btrfs");
	strcpy(b->fs.type, "btrfs");
	strcpy(b->fs.uuid, "u-2");
	strcpy(a->fs.uuid_sub, "s-1");
	strcpy(b->fs.uuid_sub, "s-2");
	CHECK_U64(guest_find_vol(&twins, "UUID=u-2"), 1);
	strcpy(b->fs.uuid_sub, "s-1");
	CHECK(guest_find_vol(&twins, "UUID=u-2") == GUEST_SEVERAL);
	/* A snapshot has the names of its origin, wherever it stands in the list. */
	a->snapshot = true;
	CHECK_U64(guest_find_vol(&twins, "UUID=u-2"), 2);
	a->snapshot = false;
	b->snapshot = true;
	CHECK_U64(guest_find_vol(&twins, "UUID=u-2"), 1);
}

TEST(links)
{
	static const struct guest_options opt = { .in_target = true };
	static struct guest g = { .opt = &opt, .n_disks = 1, .n_vols = 1, .vols = {
		{ .disk = 0, .part = 1, .fs = { .dev = "/dev/vda1", .uuid = "u-1" } } } };

	CHECK_U64(guest_find_vol(&g, "/dev/disk/by-id/ata-A-part1"), 0);
	CHECK_U64(guest_find_vol(&g, "/dev/disk/by-path/pci-1-part1"), 0);
	/* The guest knows two disks by ID: one of them was not copied. */
	g.seen.links_differ = 1u << GUEST_BY_ID;
	CHECK(guest_find_vol(&g, "/dev/disk/by-id/ata-A-part1") == GUEST_SEVERAL);
	CHECK(guest_is_elsewhere(&g, "/dev/disk/by-id/ata-A-part1"));
	CHECK_U64(guest_find_vol(&g, "/dev/disk/by-path/pci-1-part1"), 0);
	CHECK_U64(guest_find_vol(&g, "/dev/mapper/mpatha1"), 0);
	g.seen.links_differ = 1u << GUEST_MULTIPATH;
	CHECK(guest_find_vol(&g, "/dev/mapper/mpatha1") == GUEST_SEVERAL);
	CHECK(guest_is_elsewhere(&g, "/dev/mapper/mpatha1"));
}

/* What the operator gives may be as this machine calls it; the guest's files are not. */
TEST(given)
{
	static const struct guest_options opt = { .in_target = true };
	static const char *const sources[] = { "sda" };
	static struct guest g = { .n_disks = 1, .n_vols = 1, .vols = {
		{ .disk = 0, .part = 1, .fs = { .dev = "/dev/vdb1", .uuid = "u-1" } } } };
	const struct guest_options named = { .sources = sources };

	g.opt = &opt;
	CHECK(guest_find_vol(&g, "/dev/vdb1") == -1);
	CHECK_U64(guest_find_given(&g, "/dev/vdb1"), 0);
	g.opt = &named;
	CHECK(guest_find_vol(&g, "/dev/sdb1") == -1);
	CHECK_U64(guest_find_given(&g, "/dev/sda1"), 0);
}

TEST(devices)
{
	static const struct {
		const char *spec;
		int disk, part; /* disk -1: not a name by order */
	} cases[] = {
		{ "/dev/sda", 0, 0 }, { "/dev/sda1", 0, 1 }, { "/dev/sdb12", 1, 12 },
		{ "/dev/sdz1", 25, 1 }, { "/dev/sdaa1", 26, 1 }, { "/dev/hdc3", 2, 3 },
		{ "/dev/vda1", 0, 1 }, { "/dev/xvdb2", 1, 2 }, { "/dev/nvme0n1", 0, 0 },
		{ "/dev/nvme1n1p3", 1, 3 }, { "/dev/cciss/c0d0p2", 0, 2 },
		{ "/dev/sd", -1, 0 }, { "/dev/sda1x", -1, 0 }, { "/dev/sda0", -1, 0 },
		{ "/dev/sda-1", -1, 0 }, { "/dev/sr0", -1, 0 },
		{ "/dev/mapper/vg-root", -1, 0 }, { "/dev/nvme0n1p", -1, 0 },
		{ "/dev/sda99999999999999999999", -1, 0 },
		{ "/dev/nvme0n1p256", -1, 0 }, { "/dev/nvme99999999999n1", -1, 0 },
		{ "/dev/mmcblk1p2", 1, 2 }, { "/dev/cciss/c0d", -1, 0 }, { "/dev/nvme-1n1", -1, 0 },
		{ "sda1", -1, 0 }, { "", -1, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest_device d;
		bool found = guest_parse_device(cases[i].spec, &d);

		if (found != (cases[i].disk >= 0) ||
			(found && (d.order != cases[i].disk ||
				d.part != cases[i].part))) {
			test_failures++;
			printf("%s: %d %d %d\n", cases[i].spec, found, d.order, d.part);
		}
	}
}

static const struct test tests[] = {
	TEST_ENTRY(volumes, "what a name of a device means"),
	TEST_ENTRY(multipath, "names of multipath's maps, with one disk"),
	TEST_ENTRY(source_names, "disks by the names that the source gave them"),
	TEST_ENTRY(buses, "disks of several buses, with and without their names"),
	TEST_ENTRY(duplicates, "two volumes with one name are never chosen from"),
	TEST_ENTRY(links, "names by ID and path, with one disk copied of several"),
	TEST_ENTRY(given, "names that the operator gives"),
	TEST_ENTRY(first_of_bus, "the boot disk without the volume"),
	TEST_ENTRY(devices, "names that depend on the order of disks"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* fstab, crypttab and device names, before and after, to the byte. */
#include "guest/guest-internal.h"

#include "../test.h"

static bool map(void *ctx, const char *spec, char *ret, size_t size)
{
	struct guest_device d;

	(void)ctx;
	return guest_parse_device(spec, &d) && d.id == 0 &&
		snprintf(ret, size, "UUID=u-%d-%d", d.id, d.part) > 0;
}
static const struct boot_map m = { .device = map };

static void golden(int (*fn)(const char *, size_t, const struct boot_map *,
	struct strbuf *), const char *before, size_t len, const char *after,
	size_t after_len, int changes)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	CHECK_U64(fn(before, len, &m, &out), changes);
	CHECK(out.s && out.len == after_len && !memcmp(out.s, after, after_len));
	strbuf_reset(&out);
	CHECK_U64(fn(after, after_len, &m, &out), 0);
}
#define GOLDEN(fn, before, after, changes) \
	golden(fn, before, sizeof(before) - 1, after, sizeof(after) - 1, changes)

TEST(fstab)
{
	GOLDEN(guest_fstab_rewrite,
		"# /dev/sda1 was here\n\n"
		"/dev/sda1\t/\text4\terrors=remount-ro\t0 1\n"
		"  /dev/sda2   none   swap sw 0 0   \n"
		"/dev/sdb1 /data xfs defaults 0 0\n"
		"UUID=1 /boot ext4 defaults 0 2\r\n"
		"LABEL=\"my data\" /srv ext4\n"
		"/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n"
		".host:/ /mnt/hgfs fuse.vmhgfs-fuse allow_other 0 0\n"
		"share /mnt/v vboxsf defaults\n"
		"tmpfs /tmp tmpfs\n"
		"garbage\n"
		"/dev/hda3 /x\\040y ext3",
		"# /dev/sda1 was here\n\n"
		"UUID=u-0-1\t/\text4\terrors=remount-ro\t0 1\n"
		"  UUID=u-0-2   none   swap sw 0 0   \n"
		"/dev/sdb1 /data xfs defaults 0 0\n"
		"UUID=1 /boot ext4 defaults 0 2\r\n"
		"LABEL=\"my data\" /srv ext4\n"
		"/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n"
		"# target-worker: .host:/ /mnt/hgfs fuse.vmhgfs-fuse allow_other 0 0\n"
		"# target-worker: share /mnt/v vboxsf defaults\n"
		"tmpfs /tmp tmpfs\n"
		"garbage\n"
		"UUID=u-0-3 /x\\040y ext3", 5);
}

TEST(units)
{
	char what[64], type[64];
	static const char folder[] =
		"[Unit]\nWhat=no\n[Mount]\nWhat = .host:/ \nWhere=/h\n"
		"Type=fuse.vmhgfs-fuse\n";

	GOLDEN(guest_unit_rewrite,
		"# What=/dev/sda1\n"
		"[Unit]\n"
		"Requires=dev-sda2.device network.target dev-sdb1.device\n"
		"What=/dev/sda1\n"
		"After = dev-sda2.device\r\n"
		"[Mount]\n"
		"What= /dev/sda3 \n"
		"Where=/srv/x\\x2dy\n"
		"Options=defaults",
		"# What=/dev/sda1\n"
		"[Unit]\n"
		"Requires=dev-disk-by\\x2duuid-u\\x2d0\\x2d2.device network.target dev-sdb1.device\n"
		"What=/dev/sda1\n"
		"After = dev-disk-by\\x2duuid-u\\x2d0\\x2d2.device\r\n"
		"[Mount]\n"
		"What= /dev/disk/by-uuid/u-0-3 \n"
		"Where=/srv/x\\x2dy\n"
		"Options=defaults", 3);
	GOLDEN(guest_unit_rewrite,
		"[Swap]\nWhat=\n=\nWhat=/dev/sda\n[Install]\nWhat=/dev/sda1",
		"[Swap]\nWhat=\n=\nWhat=/dev/disk/by-uuid/u-0-0\n[Install]\nWhat=/dev/sda1", 1);
	GOLDEN(guest_unit_rewrite,
		"[Unit]\nAfter=dev-sda\\x.device \\.swap .device dev\\x00-sda1.device",
		"[Unit]\nAfter=dev-sda\\x.device \\.swap .device dev\\x00-sda1.device",
		0);
	CHECK(guest_unit_mount(folder, strlen(folder), what, type, sizeof(what)));
	CHECK_STR(what, ".host:/");
	CHECK_STR(type, "fuse.vmhgfs-fuse");
	CHECK(!guest_unit_mount("[Mount]\nType=ext4", 17, what, type, sizeof(what)));
}

TEST(dracut_conf)
{
	GOLDEN(guest_dracut_rewrite,
		"# add_device+=\" /dev/sda2 \"\n"
		"add_device+=\" /dev/sda2 /dev/sdb1 \"\n"
		"  add_device=/dev/sda3 # swap\n"
		"add_devices=/dev/sda3\n"
		"kernel_cmdline+=\"resume=/dev/sda2 quiet\"\n"
		"fstab_lines+=\" /dev/sda4 /data ext4 defaults \"\n"
		"install_items+=\" /dev/sda4 \"\n"
		"add_device+",
		"# add_device+=\" /dev/sda2 \"\n"
		"add_device+=\" /dev/disk/by-uuid/u-0-2 /dev/sdb1 \"\n"
		"  add_device=/dev/disk/by-uuid/u-0-3 # swap\n"
		"add_devices=/dev/sda3\n"
		"kernel_cmdline+=\"resume=UUID=u-0-2 quiet\"\n"
		"fstab_lines+=\" /dev/disk/by-uuid/u-0-4 /data ext4 defaults \"\n"
		"install_items+=\" /dev/sda4 \"\n"
		"add_device+", 4);
}

TEST(autofs)
{
	GOLDEN(guest_autofs_rewrite,
		"# hgfs -fstype=vmhgfs :.host:/\n"
		"hgfs -fstype=fuse.vmhgfs-fuse,allow_other \\\n\t:.host:/share\n"
		"box\t-ro,fstype=vboxsf :data\n"
		"win .host:/x\n"
		"home -rw,fstype=nfs4 server:/home/&\n"
		"multi -rw /a server:/a /b -fstype=vboxsf :b\n"
		"+auto.misc\n"
		"notype -nofstype=vboxsf :data\n"
		"usb -fstype=auto :/dev/sdb1\n"
		"last -fstype=prl_fs :none",
		"# hgfs -fstype=vmhgfs :.host:/\n"
		"# target-worker: hgfs -fstype=fuse.vmhgfs-fuse,allow_other \\\n# target-worker: \t:.host:/share\n"
		"# target-worker: box\t-ro,fstype=vboxsf :data\n"
		"# target-worker: win .host:/x\n"
		"home -rw,fstype=nfs4 server:/home/&\n"
		"multi -rw /a server:/a /b -fstype=vboxsf :b\n"
		"+auto.misc\n"
		"notype -nofstype=vboxsf :data\n"
		"usb -fstype=auto :/dev/sdb1\n"
		"# target-worker: last -fstype=prl_fs :none", 4);
}

TEST(mdadm_conf)
{
	GOLDEN(guest_mdadm_rewrite,
		"# DEVICE /dev/sda1\n"
		"DEVICE /dev/sda1 /dev/sdb1 /dev/disk/by-id/x\n"
		"DEV containers /dev/hd[ab]1\n"
		"DEVICE partitions\n"
		"ARRAY /dev/md0 level=raid1 num-devices=2 UUID=1:2:3:4 devices=/dev/sda1,/dev/sdb1\n"
		"ARRAY /dev/md1\n   UUID=5:6:7:8\n   devices=/dev/sda2,/dev/sdb2\n"
		"ARRAY /dev/md2 devices=/dev/sda3,/dev/sdb3\n"
		"MAILADDR root\n",
		"# DEVICE /dev/sda1\n"
		"DEVICE partitions  \n"
		"DEV containers partitions\n"
		"DEVICE partitions\n"
		"ARRAY /dev/md0 level=raid1 num-devices=2 UUID=1:2:3:4 \n"
		"ARRAY /dev/md1\n   UUID=5:6:7:8\n   \n"
		"ARRAY /dev/md2 devices=/dev/sda3,/dev/sdb3\n"
		"MAILADDR root\n", 6);
}

TEST(lvm_conf)
{
	GOLDEN(guest_lvm_rewrite,
		"devices {\n"
		"\t# filter = [ \"r|.*|\" ]\n"
		"\tfilter = [ \"a|^/dev/sd.*|\", \"r|.*|\" ]\n"
		"\tglobal_filter = [\n"
		"\t\t\"a|/dev/disk/by-id/scsi-36.*|\", # data ]\n"
		"\t\t\"r|.*|\"\n"
		"\t]\n"
		"\tpreferred_names = [ ]\n"
		"}\n",
		"devices {\n"
		"\t# filter = [ \"r|.*|\" ]\n"
		"# target-worker: \tfilter = [ \"a|^/dev/sd.*|\", \"r|.*|\" ]\n"
		"# target-worker: \tglobal_filter = [\n"
		"# target-worker: \t\t\"a|/dev/disk/by-id/scsi-36.*|\", # data ]\n"
		"# target-worker: \t\t\"r|.*|\"\n"
		"# target-worker: \t]\n"
		"\tpreferred_names = [ ]\n"
		"}\n", 2);
	GOLDEN(guest_lvm_rewrite,
		"devices/filter=[\"r|/dev/drbd.*|\", \"r/^\\/dev\\/sr0$/\", \"a|.*|\"]\n"
		"filter = \"a|/dev/|\"\n"
		"filter = [ \"a|^/dev/sda", "devices/filter=[\"r|/dev/drbd.*|\", \"r/^\\/dev\\/sr0$/\", \"a|.*|\"]\n"
		"filter = \"a|/dev/|\"\n"
		"filter = [ \"a|^/dev/sda", 0);
}

TEST(fstab_hostile)
{
	/* a line with a NUL is left to whoever wrote it; the others are still read */
	GOLDEN(guest_fstab_rewrite, "/dev/sda1 /\0 ext4\n/dev/sda2 none swap\n",
		"/dev/sda1 /\0 ext4\nUUID=u-0-2 none swap\n", 1);
	GOLDEN(guest_fstab_rewrite, "\\0 \\04 \\400 x\n\\\n \\",
		"\\0 \\04 \\400 x\n\\\n \\", 0);
}

static int collect(void *ctx, const struct fstab_entry *e)
{
	char *s = ctx;

	sprintf(s + strlen(s), "%s|%s|%s|%s;", e->spec, e->point, e->type, e->options);
	return 0;
}

TEST(fstab_fields)
{
	static const char text[] =
		"LABEL=\"a\" /x\\040y ext4 rw,noatime 0 1\n#c\nUUID='u' /z\n"
		"/dev/sda1\n";
	char s[256] = "";

	CHECK(!guest_fstab_entries(text, strlen(text), collect, s));
	CHECK_STR(s, "LABEL=a|/x y|ext4|rw,noatime;UUID=u|/z||;");
}

TEST(crypttab)
{
	GOLDEN(guest_crypttab_rewrite,
		"root /dev/sda5 none luks\n# x\nswap\t/dev/sda6 /dev/urandom swap\n"
		"d UUID=1 none\n",
		"root UUID=u-0-5 none luks\n# x\nswap\tUUID=u-0-6 /dev/urandom swap\nd UUID=1 none\n",
		2);
}

TEST(kdump_conf)
{
	GOLDEN(guest_kdump_rewrite,
		"# ext4 /dev/sda2\nxfs \t/dev/sda3\r\next4 LABEL=/crash\nraw /dev/sda4\nnfs host:/export\n"
		"path /dev/sda1\next4 /dev/sdb1\next4\next3 /dev/sda5 x",
		"# ext4 /dev/sda2\nxfs \tUUID=u-0-3\r\next4 LABEL=/crash\nraw /dev/sda4\nnfs host:/export\n"
		"path /dev/sda1\next4 /dev/sdb1\next4\next3 UUID=u-0-5 x", 2);
}

static const struct test tests[] = {
	TEST_ENTRY(fstab,
		"device names become UUIDs, shared folders comments, the rest stays"),
	TEST_ENTRY(fstab_hostile, "NULs and broken escapes"),
	TEST_ENTRY(fstab_fields, "fields with escapes and quotes"),
	TEST_ENTRY(crypttab, "crypttab's devices"),
	TEST_ENTRY(units, "devices of mount and swap units become paths by UUID"),
	TEST_ENTRY(dracut_conf, "devices in dracut's own configuration"),
	TEST_ENTRY(mdadm_conf, "arrays by UUID, on any disk"),
	TEST_ENTRY(autofs, "maps of autofs that mount shared folders"),
	TEST_ENTRY(lvm_conf, "filters that hide the target's disks become comments"),
	TEST_ENTRY(kdump_conf, "the disk that kdump writes to"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest is and needs, as its own files tell: adapters, firmware, drivers,
 * CPU, packages. */
#include "guest/guest-internal.h"

#include "../test.h"

static void add_name(void *ctx, const char *name)
{
	char *s = ctx;

	sprintf(s + strlen(s), "%s ", name);
}

TEST(interfaces)
{
	static const char text[] = "auto lo eth0\n# iface no inet\nallow-hotplug ens192\n"
		"iface ens192 inet static\n  address 1.2.3.4\niface ens192.10 inet dhcp\niface eth0:1 inet\n"
		"iface\nauto";
	char s[256] = "";

	guest_ifupdown_names(text, strlen(text), add_name, s);
	CHECK_STR(s, "lo eth0 ens192 ens192 ens192 eth0 ");
}

TEST(shell_values)
{
	static const char text[] =
		"ID=debian\nNAME=\"Debian GNU/Linux\"\nX='a b' # c\nY=1 # d\nID2=x\n"
		"UNENDED=\"abc\nLAST=z";
	char s[32];

	CHECK(guest_shell_value(text, "ID", s, sizeof(s)));
	CHECK_STR(s, "debian");
	CHECK(guest_shell_value(text, "NAME", s, sizeof(s)));
	CHECK_STR(s, "Debian GNU/Linux");
	CHECK(guest_shell_value(text, "X", s, sizeof(s)));
	CHECK_STR(s, "a b");
	CHECK(guest_shell_value(text, "Y", s, sizeof(s)));
	CHECK_STR(s, "1");
	CHECK(guest_shell_value(text, "UNENDED", s, sizeof(s)));
	CHECK_STR(s, "abc");
	CHECK(guest_shell_value(text, "LAST", s, sizeof(s)));
	CHECK_STR(s, "z");
	CHECK(!guest_shell_value(text, "D", s, sizeof(s)));
	CHECK(guest_shell_value(text, "NAME", s, 4));
	CHECK_STR(s, "Deb");
}

static enum err_code fits(const char *made_for, const char *esp, const char *vm,
	bool stays)
{
	struct guest_options opt = { .firmware = vm, .firmware_stays = stays };
	struct guest *g = calloc(1, sizeof(*g));
	struct err err = ERR_INIT;

	if (!g)
		return ERR_NOMEM;
	g->opt = &opt;
	snprintf(g->facts.firmware, sizeof(g->facts.firmware), "%s", made_for);
	snprintf(g->facts.boot.esp, sizeof(g->facts.boot.esp), "%s", esp);
	CHECK((guest_check_firmware(g, &err) < 0) == (err.code != 0));
	free(g);
	return err.code;
}

TEST(firmware)
{
	CHECK_U64(fits("uefi", "/boot/efi", "bios", true), ERR_FW_MISMATCH);
	CHECK_U64(fits("bios", "", "uefi", true), ERR_FW_MISMATCH);
	/* an ESP without a loader, or the facts would say so */
	CHECK_U64(fits("bios", "/boot/efi", "uefi", true), ERR_FW_MISMATCH);
	CHECK_U64(fits("uefi", "/boot/efi", "uefi", true), 0);
	CHECK_U64(fits("bios", "", "bios", true), 0);
	CHECK_U64(fits("uefi", "/boot/efi", "bios", false), 0);
	CHECK_U64(fits("uefi", "/boot/efi", NULL, true), 0);
}

static void layer_needs(enum fs_layer_kind kind, const char *detail, const char *names)
{
	struct guest *g = calloc(1, sizeof(*g));
	char list[256];

	if (!g) {
		CHECK(g);
		return;
	}
	g->stack.layers[0].kind = FS_LAYER_LVM;
	g->stack.layers[1].kind = kind;
	snprintf(g->stack.layers[1].detail, sizeof(g->stack.layers[1].detail), "%s",
		detail);
	g->stack.n = 2;
	guest_driver_list(guest_stack_drivers(g), " ", list, sizeof(list));
	CHECK_STR(list, names);
	free(g);
}

TEST(stack_drivers)
{
	layer_needs(FS_LAYER_LUKS, "LUKS, aes-xts-plain64",
		"xts ecb aes_generic dm_crypt ");
	layer_needs(FS_LAYER_LUKS, "LUKS, serpent-cbc-essiv:sha256",
		"cbc essiv sha256_generic serpent_generic dm_crypt ");
	layer_needs(FS_LAYER_LUKS, "LUKS", "dm_crypt ");
	layer_needs(FS_LAYER_LUKS, "LUKS, xtsx-aes_generic", "dm_crypt ");
	layer_needs(FS_LAYER_MD, "xts", "");
	layer_needs(FS_LAYER_MD, "raid1, 2 members", "raid1 ");
	layer_needs(FS_LAYER_MD, "raid10, 4 members", "raid10 ");
	layer_needs(FS_LAYER_MD, "raid6, 5 members", "raid456 ");
	layer_needs(FS_LAYER_LVM, "raid1, 2 members", "");
}

/* Of drivers/md what the image holds and the stack needs,
 * nothing else and nothing built in. */
TEST(kept_drivers)
{
	static const char *const packed[] = {
		"kernel/drivers/md/dm-thin-pool.ko.xz",
		"kernel/drivers/md/bcache/bcache.ko",
		"dm-service-time.ko.zst", "kernel/drivers/net/virtio_net.ko",
		"kernel/drivers/md/raid10.ko", "kernel/crypto/xts.ko",
	};
	struct guest *g = calloc(1, sizeof(*g));
	struct guest_kernel k =
		{ .builtin = guest_driver_bit("kernel/drivers/md/raid10.ko") };
	char list[GUEST_DRIVER_LIST_MAX];

	if (!g) {
		CHECK(g);
		return;
	}
	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++)
		k.packed |= guest_driver_bit(packed[i]);
	g->stack.layers[0].kind = FS_LAYER_MD;
	snprintf(g->stack.layers[0].detail, sizeof(g->stack.layers[0].detail),
		"raid1, 2 members");
	g->stack.n = 1;
	guest_driver_list(guest_kept_drivers(g, &k), " ", list, sizeof(list));
	CHECK_STR(list, "raid1 dm_thin_pool dm_service_time bcache ");
	/* Every name has a place of its own, and room in the list. */
	for (int i = 0; i < N_DRIVERS; i++) {
		char file[64];

		snprintf(file, sizeof(file), "%s.ko", guest_driver_names[i]);
		CHECK_U64(guest_driver_bit(file), DRIVER_BIT(i));
	}
	guest_driver_list(DRIVER_BIT(N_DRIVERS) - 1, " ", list, sizeof(list));
	CHECK_U64(strlen(list) < sizeof(list) - 100, 1);
	free(g);
}

TEST(early_crypttab)
{
	static const char text[] = "# name source key options\n"
		"root_crypt UUID=1 none luks,discard\n"
		"two\tUUID=2\n"
		"three UUID=3 /etc/keys/3.key\r\n"
		"there UUID=4 none luks,initramfs # yes\n"
		"root UUID=5 none luks\n";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	CHECK_U64(guest_crypttab_early(text, sizeof(text) - 1,
		"root_crypt,two,three,there,gone", &out), 3);
	CHECK_STR(out.s, "# name source key options\n"
		"root_crypt UUID=1 none luks,discard,initramfs\n"
		"two\tUUID=2 none luks,initramfs\n"
		"three UUID=3 /etc/keys/3.key luks,initramfs\r\n"
		"there UUID=4 none luks,initramfs # yes\n"
		"root UUID=5 none luks\n");
}

TEST(xorg)
{
	static const char before[] =
		"Section \"Device\"\n\tIdentifier \"card\"\n\tdriver  \"VMware\" # 3D\n"
		"\tBusID \"PCI:0:15:0\"\n\tOption \"HWcursor\" \"off\"\nEndSection\n"
		"Section \"InputDevice\"\n\tDriver \"vmmouse\"\n\tOption \"Device\" \"/dev/input/mice\"\nEndSection\n"
		"Section \"Device\"\n\tDriver \"nv\"\n\tBusID \"PCI:1:0:0\"\nEndSection\n"
		"#\tDriver \"vmware\"\nSection \"Device";
	static const char after[] = "Section \"Device\"\n\tIdentifier \"card\"\n\tdriver  \"modesetting\" # 3D\n"
		"# target-worker: \tBusID \"PCI:0:15:0\"\n# target-worker: \tOption \"HWcursor\" \"off\"\nEndSection\n"
		"Section \"InputDevice\"\n\tDriver \"vmmouse\"\n\tOption \"Device\" \"/dev/input/mice\"\nEndSection\n"
		"Section \"Device\"\n\tDriver \"nv\"\n\tBusID \"PCI:1:0:0\"\nEndSection\n"
		"#\tDriver \"vmware\"\nSection \"Device";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, again = STRBUF_INIT;

	CHECK_U64(guest_xorg_rewrite(before, sizeof(before) - 1, "modesetting", &out), 3);
	CHECK_STR(out.s, after);
	CHECK_U64(guest_xorg_rewrite(after, sizeof(after) - 1, "modesetting", &again), 0);
}

TEST(cpu_level)
{
	static const char v1[] = "processor\t: 0\nflags\t\t: fpu cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_20\n";
	static const char v2[] = "processor\t: 0\nflags\t\t: cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2 avx avx2\n"
		"\nprocessor\t: 1\nflags\t\t: fpu\n";
	static const char v3[] = "flags: cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2 avx avx2 bmi1 bmi2 f16c fma "
		"abm movbe", arm[] = "processor\t: 0\nFeatures\t: fp asimd\n";
	static struct guest g = { .facts = { .cpu_level = 2, .os_name = "Some 9" } };
	struct err err = ERR_INIT;

	CHECK_U64(guest_cpu_level(v1, sizeof(v1) - 1), 1);
	CHECK_U64(guest_cpu_level(v2, sizeof(v2) - 1), 2);
	CHECK_U64(guest_cpu_level(v3, sizeof(v3) - 1), 3);
	CHECK_U64(guest_cpu_level(arm, sizeof(arm) - 1), 0);
	CHECK_U64(guest_cpu_needed("rocky", "9.4"), 2);
	CHECK_U64(guest_cpu_needed("rhel", "10.0"), 3);
	CHECK_U64(guest_cpu_needed("rhel", "8.10"), 1);
	CHECK_U64(guest_cpu_needed("el", "9"), 1);
	CHECK_U64(guest_cpu_needed("", ""), 1);
	REQUIRE(!guest_report_begin(&g, &err));
	guest_check_cpu(&g, v2, sizeof(v2) - 1);
	guest_check_cpu(&g, arm, sizeof(arm) - 1);
	CHECK_U64(yyjson_mut_arr_size(g.warnings), 0);
	guest_check_cpu(&g, v1, sizeof(v1) - 1);
	CHECK_STR(yyjson_mut_get_str(yyjson_mut_arr_get_first(g.warnings)),
		"Some 9 runs on a CPU of x86-64-v2, "
		"and this VM's is one of x86-64-v1: give the VM another model of CPU before the guest starts, "
		"such as the host's");
	yyjson_mut_doc_free(g.doc);
}

TEST(kernel_config)
{
	static const char text[] =
		"# CONFIG_VIRTIO_NET=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=m\n"
		"CONFIG_VIRTIO_PCI=yes\nCONFIG_SATA_AHCI=y";

	CHECK_U64(guest_config_drivers(text, sizeof(text) - 1),
		1u << DRIVER_VIRTIO_BLK | 1u << DRIVER_AHCI);
	CHECK_U64(guest_config_drivers("", 0), 0);
}

TEST(debconf)
{
	static const char text[] = "Name: grub-pc/hidden_timeout\nValue: true\n\n"
		"Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\n"
		"Value: /dev/disk/by-id/scsi-36000c29f, /dev/sdb\nOwners: grub-pc\n\n"
		"Name: grub-pc/install_devices_empty\nValue: false\n";
	static const char after[] = "Name: grub-pc/hidden_timeout\nValue: true\n\n"
		"Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\n"
		"Value: /dev/sda\nOwners: grub-pc\n\n"
		"Name: grub-pc/install_devices_empty\nValue: false\n";
	static const char *const same[] = { "",
		"Name: grub-pc/install_devices\nOwners: grub-pc\n\nName: other\nValue: /dev/sda\n",
		"Name: grub-pc/install_devices\nValue: \n",
		"Name: grub-pc/install_devices\nValue:",
		"Name: grub-pc/install_devices\nValue: /dev/vda", "Value: /dev/sda\n" };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	CHECK_U64(guest_debconf_rewrite(text, sizeof(text) - 1, "/dev/sda", &out), 1);
	CHECK_STR(out.s, after);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		CHECK_U64(guest_debconf_rewrite(same[i], strlen(same[i]), "/dev/sda",
			&out), 0);
}

TEST(repositories)
{
	static const char text[] =
		"Types: deb\nURIs: http://example.test/debian\nEnabled: yes\n\n"
		"# tools\nTypes: deb\nEnabled: yes\nURIs: http://packages.vmware.com/tools/esx\n"
		"Suites: a\n\nTypes: deb\nURIs: http://packages.vmware.com/photon\n";
	static const char off[] =
		"Types: deb\nURIs: http://example.test/debian\nEnabled: yes\n\n"
		"Enabled: no\n# tools\nTypes: deb\nURIs: http://packages.vmware.com/tools/esx\n"
		"Suites: a\n\nTypes: deb\nURIs: http://packages.vmware.com/photon\n";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, again = STRBUF_INIT;

	CHECK_U64(guest_repo_paragraphs(text, sizeof(text) - 1, NULL, &out), 1);
	CHECK_STR(out.s, off);
	CHECK_U64(guest_repo_paragraphs(out.s, out.len, NULL, &again), 0);
	CHECK_STR(again.s, off);
}

static const struct test tests[] = {
	TEST_ENTRY(interfaces, "adapters of interfaces(5)"),
	TEST_ENTRY(firmware, "a guest made for BIOS on UEFI and the other way round"),
	TEST_ENTRY(stack_drivers, "drivers of ciphers and arrays that are open"),
	TEST_ENTRY(kept_drivers, "what an image holds for volumes stays in it"),
	TEST_ENTRY(early_crypttab, "what the initramfs opened is marked for its tool"),
	TEST_ENTRY(xorg, "X's driver of another hypervisor's card"),
	TEST_ENTRY(cpu_level, "the CPU that a system needs, and the one that is there"),
	TEST_ENTRY(kernel_config,
		"drivers that an old kernel's configuration says are built in"),
	TEST_ENTRY(debconf, "the disks of grub-pc's answer"),
	TEST_ENTRY(repositories, "tools' paragraphs of .sources are switched off"),
	TEST_ENTRY(shell_values, "KEY=value files"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio that a kernel drives, and the one that a machine has. */
#include "guest/guest-internal.h"

#include "../test.h"

#define MODULE "/lib/modules/%s/kernel/drivers/virtio/virtio_pci.ko"

static char top[64];
static struct guest g;

static void begin(void)
{
	struct err err = ERR_INIT;

	snprintf(top, sizeof(top), "/tmp/tw-virtio-XXXXXX");
	memset(&g, 0, sizeof(g));
	REQUIRE(mkdtemp(top));
	REQUIRE(!fs_root_open(&g.root, top, &err));
}

static void end(void)
{
	char cmd[96];

	fs_root_close(&g.root);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	CHECK(!system(cmd));
}

/* format: of the path, with the kernel's version. */
static void file(const char *format, const char *version, const void *text, size_t len)
{
	struct err err = ERR_INIT;
	char path[256], dir[256];

	snprintf(path, sizeof(path), format, version);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	CHECK(!fs_mkdirs(&g.root, dir, 0755, &err));
	CHECK(!fs_replace(&g.root, path, text, len, 0644, &err));
}

static enum guest_virtio virtio(const char *version, uint64_t modules, uint64_t builtin)
{
	struct guest_kernel k = { .modules = modules, .builtin = builtin };

	snprintf(k.version, sizeof(k.version), "%s", version);
	return guest_kernel_virtio(&g, &k);
}

TEST(kernels)
{
	static const char old[] = "\177ELF\0virtio_pci_probe\0vp_reset\0";
	static const char backport[] =
		"\177ELF\0virtio_pci_probe\0virtio_pci_modern_probe\0";
	/* `echo virtio_pci_modern_probe | gzip -n`, and half of it */
	static const uint8_t packed[] = {
		0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x2b, 0xcb,
		0x2c, 0x2a, 0xc9, 0xcc, 0x8f, 0x2f, 0x48, 0xce, 0x8c, 0xcf, 0xcd, 0x4f,
		0x49, 0x2d, 0xca, 0x8b, 0x2f, 0x28, 0xca, 0x4f, 0x4a, 0xe5, 0x02, 0x00,
		0x53, 0xc3, 0x24, 0x29, 0x18, 0x00, 0x00, 0x00,
	};
	const uint64_t pci = DRIVER_BIT(DRIVER_VIRTIO_PCI);

	begin();
	file(MODULE, "2.6.32-754", old, sizeof(old));
	file(MODULE, "3.10.0-1160", backport, sizeof(backport));
	file(MODULE ".gz", "3.10.0-2", packed, sizeof(packed));
	file(MODULE ".gz", "3.10.0-3", packed, sizeof(packed) / 2);
	file("/boot/System.map-%s", "3.16.0", "ffffffff81 t virtio_pci_probe\n", 30);
	CHECK_U64(virtio("2.6.32-754", pci, 0), GUEST_VIRTIO_LEGACY);
	CHECK_U64(virtio("3.10.0-1160", pci, 0), GUEST_VIRTIO_1);
	CHECK_U64(virtio("3.10.0-2", pci, 0), GUEST_VIRTIO_1);
	CHECK_U64(virtio("3.10.0-3", pci, 0), GUEST_VIRTIO_UNKNOWN);
	CHECK_U64(virtio("3.16.0", 0, pci), GUEST_VIRTIO_LEGACY);
	file("/boot/System.map-%s", "3.18.0", "the real one is in another package\n", 35);
	CHECK_U64(virtio("3.17.0", 0, pci), GUEST_VIRTIO_UNKNOWN);
	CHECK_U64(virtio("3.18.0", 0, pci), GUEST_VIRTIO_UNKNOWN);
	CHECK_U64(virtio("4.0.0", pci, 0), GUEST_VIRTIO_1);
	CHECK_U64(virtio("10.1", pci, 0), GUEST_VIRTIO_1);
	CHECK_U64(virtio("6.1.0", 0, 0), GUEST_VIRTIO_UNKNOWN);
	end();
}

static const char *first_warning(void)
{
	const char *s = yyjson_mut_get_str(yyjson_mut_arr_get_first(g.warnings));

	return s ? s : "";
}

TEST(machines)
{
	static const struct guest_kernel two[] = {
		{ .version = "4.4.0", .bootable = true, .virtio = GUEST_VIRTIO_1 },
		{ .version = "2.6.32", .bootable = true, .virtio = GUEST_VIRTIO_LEGACY },
	};
	struct err err = ERR_INIT;
	char pci[96];

	begin();
	REQUIRE(!guest_report_begin(&g, &err));
	memcpy(g.facts.kernels, two, sizeof(two));
	g.facts.n_kernels = 2;
	CHECK_STR(guest_machine_type(&g), "");
	snprintf(g.facts.arch, sizeof(g.facts.arch), "x86_64");
	CHECK_STR(guest_machine_type(&g), "pc");

	/* a transitional disk, another vendor's device, a disk of virtio 1 */
	snprintf(pci, sizeof(pci), "%s/pci", top);
	file("/pci/%s/vendor", "0000:00:03.0", "0x1af4\n", 7);
	file("/pci/%s/device", "0000:00:03.0", "0x1001\n", 7);
	file("/pci/%s/vendor", "0000:00:04.0", "0x8086\n", 7);
	file("/pci/%s/device", "0000:00:04.0", "0x1042\n", 7);
	guest_check_virtio(&g, pci);
	CHECK_STR(first_warning(), "");
	file("/pci/%s/vendor", "0000:01:00.0", "0x1af4\n", 7);
	file("/pci/%s/device", "0000:01:00.0", "0x1042\n", 7);
	guest_check_virtio(&g, pci);
	CHECK_STR(first_warning(), "the kernel 2.6.32 drives legacy and transitional virtio devices only, and "
		"this VM has ones of virtio 1: give the VM the machine type pc, or virtio-transitional "
		"devices, before the guest starts");

	/* one that no loader starts */
	g.facts.kernels[1].bootable = false;
	CHECK_STR(guest_machine_type(&g), "q35");
	yyjson_mut_doc_free(g.doc);
	end();
}

static const struct test tests[] = {
	TEST_ENTRY(kernels, "which virtio a kernel drives, by its version or its module"),
	TEST_ENTRY(machines,
		"the machine type that a guest needs, and one that it does not run on"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* The fallback path on an ESP, for what vendors put there. */
#include "boot/boot.h"

#include <unistd.h>

#include "../test.h"

static char top[64];
static struct fs_root root;

/* A fresh tree with these files (content: their own path). */
static void tree(const char *const *files)
{
	struct err err = ERR_INIT;

	snprintf(top, sizeof(top), "/tmp/tw-efi-XXXXXX");
	REQUIRE(mkdtemp(top));
	REQUIRE(!fs_root_open(&root, top, &err));
	for (; *files; files++) {
		char dir[128];

		snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(*files, '/') - *files),
			*files);
		CHECK(!fs_mkdirs(&root, dir, 0755, &err));
		CHECK(!fs_replace(&root, *files, *files, strlen(*files), 0644, &err));
	}
}

static void drop(void)
{
	char cmd[96];

	fs_root_close(&root);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	CHECK(!system(cmd));
}

/* The copies as text, loader behind them. */
static void fallback(const char *const *files, const char *want)
{
	struct boot_copy copies[8];
	struct err err = ERR_INIT;
	char loader[256], text[1024] = "";
	int n;

	tree(files);
	n = boot_efi_fallback(&root, "/boot/efi", copies, 8, loader, sizeof(loader),
		&err);
	if (n < 0)
		sprintf(text, "%s", err_name(err.code));
	for (int i = 0; i < n; i++)
		sprintf(text + strlen(text), "%s>%s ", copies[i].from + 14,
			copies[i].to + 14);
	if (n >= 0)
		strcat(text, loader);
	CHECK_STR(text, want);
	drop();
}

TEST(chains)
{
	fallback((const char *[]){ "/boot/efi/EFI/debian/shimx64.efi",
		"/boot/efi/EFI/debian/grubx64.efi", "/boot/efi/EFI/debian/mmx64.efi",
		"/boot/efi/EFI/debian/fbx64.efi", "/boot/efi/EFI/debian/grub.cfg", NULL },
		"debian/grubx64.efi>BOOT/grubx64.efi debian/mmx64.efi>BOOT/mmx64.efi "
		"debian/grub.cfg>BOOT/grub.cfg debian/shimx64.efi>BOOT/BOOTX64.EFI "
		"\\EFI\\debian\\shimx64.efi");
	fallback((const char *[]){ "/boot/efi/EFI/centos/grubx64.efi", NULL },
		"centos/grubx64.efi>BOOT/BOOTX64.EFI \\EFI\\centos\\grubx64.efi");
	fallback((const char *[]){ "/boot/efi/EFI/opensuse/shim.efi",
		"/boot/efi/EFI/opensuse/grub.efi",
		"/boot/efi/EFI/opensuse/MokManager.efi", NULL },
		"opensuse/grub.efi>BOOT/grub.efi opensuse/MokManager.efi>BOOT/MokManager.efi "
		"opensuse/shim.efi>BOOT/BOOTX64.EFI \\EFI\\opensuse\\shim.efi");
	fallback((const char *[]){ "/boot/efi/EFI/systemd/systemd-bootx64.efi", NULL },
		"systemd/systemd-bootx64.efi>BOOT/BOOTX64.EFI "
		"\\EFI\\systemd\\systemd-bootx64.efi");
	fallback((const char *[]){ "/boot/efi/EFI/debian/shimaa64.efi",
		"/boot/efi/EFI/debian/grubaa64.efi", NULL },
		"debian/grubaa64.efi>BOOT/grubaa64.efi debian/shimaa64.efi>BOOT/BOOTAA64.EFI "
		"\\EFI\\debian\\shimaa64.efi");
	fallback((const char *[]){ "/boot/efi/EFI/debian/grubia32.efi", NULL },
		"debian/grubia32.efi>BOOT/BOOTIA32.EFI \\EFI\\debian\\grubia32.efi");
	/* Distributions ship shim for 32-bit firmware beside the other one. */
	fallback((const char *[]){ "/boot/efi/EFI/fedora/shimia32.efi",
		"/boot/efi/EFI/fedora/grubia32.efi", "/boot/efi/EFI/fedora/shimx64.efi",
		"/boot/efi/EFI/fedora/grubx64.efi", NULL },
		"fedora/grubx64.efi>BOOT/grubx64.efi fedora/shimx64.efi>BOOT/BOOTX64.EFI "
		"\\EFI\\fedora\\shimx64.efi");
}

TEST(nothing_to_do)
{
	/* present in any case of letters; the entry still names the vendor's loader */
	fallback((const char *[]){ "/boot/efi/EFI/Boot/bootx64.efi",
		"/boot/efi/EFI/debian/grubx64.efi", NULL }, "\\EFI\\debian\\grubx64.efi");
	fallback((const char *[]){ "/boot/efi/EFI/BOOT/BOOTX64.EFI", NULL },
		"\\EFI\\BOOT\\BOOTX64.EFI");
	/* Windows' own loader is not ours to copy */
	fallback((const char *[]){ "/boot/efi/EFI/Microsoft/grubx64.efi", NULL },
		"PREP_LOADER");
	fallback((const char *[]){ "/boot/efi/EFI/debian/readme", NULL }, "PREP_LOADER");
}

static const struct test tests[] = {
	TEST_ENTRY(chains,
		"what is copied for shim, GRUB and systemd-boot, last link last"),
	TEST_ENTRY(nothing_to_do,
		"a fallback that is there, and an ESP without a loader"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* Loader files before and after, to the byte. */
#include "boot/boot.h"

#include "base/cleanup.h"

#include "../test.h"

static bool map(void *ctx, const char *spec, char *ret, size_t size)
{
	(void)ctx;
	if (!strcmp(spec, "/dev/sda1"))
		return snprintf(ret, size, "UUID=aaaa") > 0;
	if (!strcmp(spec, "/dev/sda2"))
		return snprintf(ret, size, "UUID=bbbb") > 0;
	return false;
}
static const struct boot_map m = { .device = map };

typedef int (*rewrite_fn)(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);

static void golden(rewrite_fn fn, const char *before, const char *after, int changes)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	CHECK_U64(fn(before, strlen(before), &m, &out), changes);
	CHECK_STR(out.s, after);
	CHECK_U64(out.len, strlen(after));
	/* a second run finds nothing to do */
	strbuf_reset(&out);
	CHECK_U64(fn(after, strlen(after), &m, &out), 0);
	CHECK_STR(out.s, after);
}

TEST(grub2)
{
	golden(boot_grub_rewrite,
		"# root=/dev/sda1 in a comment stays\r\n"
		"menuentry 'A root=/dev/sda1' {\n"
		"\tset root='hd0,msdos1'\n"
		"\tlinux\t/boot/vmlinuz-6.1 root=/dev/sda1 ro  quiet resume=/dev/sda2\n"
		"\tinitrd\t/boot/initrd.img-6.1\n"
		"    linuxefi /vmlinuz root=/dev/mapper/vg-root\n"
		"}\n"
		"set kernelopts=\"root=/dev/sda1 ro \"\n"
		"last line root=/dev/sda1",
		"# root=/dev/sda1 in a comment stays\r\n"
		"menuentry 'A root=/dev/sda1' {\n"
		"\tset root='hd0,msdos1'\n"
		"\tlinux\t/boot/vmlinuz-6.1 root=UUID=aaaa ro  quiet resume=UUID=bbbb\n"
		"\tinitrd\t/boot/initrd.img-6.1\n"
		"    linuxefi /vmlinuz root=/dev/mapper/vg-root\n"
		"}\n"
		"set kernelopts=\"root=UUID=aaaa ro \"\n"
		"last line root=/dev/sda1", 3);
}

TEST(grub1)
{
	golden(boot_grub_rewrite,
		"default=0\ntitle CentOS\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6 ro root=/dev/sda1 rhgb\n",
		"default=0\ntitle CentOS\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6 ro root=UUID=aaaa rhgb\n",
		1);
}

TEST(defaults)
{
	golden(boot_grub_default_rewrite,
		"GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
		"GRUB_CMDLINE_LINUX='resume=/dev/sda2 x=1'\n#GRUB_DISABLE_LINUX_UUID=true\n"
		"GRUB_DISABLE_LINUX_UUID=true\n",
		"GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
		"GRUB_CMDLINE_LINUX='resume=UUID=bbbb x=1'\n#GRUB_DISABLE_LINUX_UUID=true\n"
		"GRUB_DISABLE_LINUX_UUID=false\n", 2);
}

TEST(bls)
{
	static const char entry[] =
		"title Fedora (6.5)\nversion 6.5\nlinux /vmlinuz-6.5\n"
		"initrd /initramfs-6.5.img $tuned_initrd\noptions root=/dev/sda1 ro\ngrub_users $u\n";
	struct boot_entry e;

	golden(boot_bls_rewrite, entry,
		"title Fedora (6.5)\nversion 6.5\nlinux /vmlinuz-6.5\n"
		"initrd /initramfs-6.5.img $tuned_initrd\noptions root=UUID=aaaa ro\n"
		"grub_users $u\n", 1);
	REQUIRE(boot_bls_entry(entry, strlen(entry), &e));
	CHECK_STR(e.title, "Fedora (6.5)");
	CHECK_STR(e.kernel, "/vmlinuz-6.5");
	CHECK_STR(e.initrd, "/initramfs-6.5.img");
	CHECK_STR(e.root, "/dev/sda1");
	CHECK(!boot_bls_entry("title only\n", 11, &e));
}

TEST(extlinux)
{
	golden(boot_extlinux_rewrite,
		"DEFAULT l\nLABEL l\n  LINUX ../vmlinuz\n  APPEND root=/dev/sda1 rw\n  INITRD ../i.img\n",
		"DEFAULT l\nLABEL l\n  LINUX ../vmlinuz\n  APPEND root=UUID=aaaa rw\n  INITRD ../i.img\n",
		1);
}

static int collect(void *ctx, const struct boot_entry *e)
{
	char *s = ctx;

	sprintf(s + strlen(s), "%s|%s|%s|%s\n", e->title, e->kernel, e->initrd, e->root);
	return 0;
}

TEST(entries)
{
	static const char cfg[] = "insmod part_msdos\nmenuentry 'Debian' --class x {\n"
		"  linux /vmlinuz-1 root=UUID=1 ro\n  initrd /initrd-1\n}\n"
		"submenu 'More' {\n menuentry \"Old one\" {\n linux ($root)/vmlinuz-0\n}\n}\n";
	static const char ext[] =
		"label a\n kernel /vmlinuz\n append initrd=/i root=/dev/sda1\n"
		"label b\n kernel /other\n";
	char text[512] = "";

	CHECK(!boot_grub_entries(cfg, strlen(cfg), collect, text));
	CHECK_STR(text, "Debian|/vmlinuz-1|/initrd-1|UUID=1\nOld one|/vmlinuz-0||\n");
	text[0] = '\0';
	CHECK(!boot_extlinux_entries(ext, strlen(ext), collect, text));
	CHECK_STR(text, "a|/vmlinuz|/i|/dev/sda1\nb|/other||\n");
	CHECK(!boot_grub_uses_bls(cfg, strlen(cfg)));
	CHECK(boot_grub_uses_bls("x\n  blscfg\n", 11));
}

/* Titles of the entries that a default means. */
struct wanted {
	const char *want;
	char text[128];
};

static int see_wanted(void *ctx, const struct boot_entry *e)
{
	struct wanted *w = ctx;

	if (boot_grub_is(e, w->want))
		snprintf(w->text + strlen(w->text), sizeof(w->text) - strlen(w->text),
			"%s;", e->title);
	return 0;
}

static void check_wanted(const char *want, const char *titles)
{
	static const char cfg[] = "function gfx {\n\tset mode=${1}\n}\n"
		"menuentry 'Debian' --class os $menuentry_id_option 'simple-1' {\n\tlinux /k root=/dev/a\n}\n"
		"submenu 'Advanced options' $menuentry_id_option 'advanced-1' {\n"
		"\tmenuentry 'Debian, 6.1' --id=six {\n\t\tlinux /k root=/dev/a\n\t}\n"
		"\tmenuentry 'Debian, 6.1 (recovery)' {\n\t\tlinux /k root=/dev/a\n\t}\n}\n"
		"menuentry 'Memory test' {\n\tchainloader /m\n}\n"
		"menuentry 'Other' $menuentry_id_option 'osprober-1' {\n\tlinux /k root=/dev/b\n}\n";
	struct wanted w = { .want = want };

	CHECK(!boot_grub_entries(cfg, strlen(cfg), see_wanted, &w));
	CHECK_STR(w.text, titles);
}

TEST(wanted)
{
	check_wanted("0", "Debian;");
	check_wanted("1", "Debian, 6.1;"); /* what a submenu starts by itself */
	check_wanted("1>1", "Debian, 6.1 (recovery);");
	check_wanted("2", ""); /* not of Linux */
	check_wanted("3", "Other;");
	check_wanted("4", "");
	check_wanted("Other", "Other;");
	check_wanted("osprober-1", "Other;");
	check_wanted("advanced-1>six", "Debian, 6.1;");
	check_wanted("Advanced options>Debian, 6.1 (recovery)",
		"Debian, 6.1 (recovery);");
	check_wanted("Debian, 6.1", ""); /* GRUB looks for it in the outer menu only */
	check_wanted("", "");
}

/* A command line with a NUL, without an end, of quotes only. */
TEST(odd_texts)
{
	static const char nul[] = "linux /k root=/dev/sda1\0 root=/dev/sda2\n";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	char value[16];

	boot_grub_rewrite(nul, sizeof(nul) - 1, &m, &out);
	CHECK(out.len == sizeof(nul) - 1); /* UUID=aaaa is as long as /dev/sda1 */
	CHECK(memchr(out.s, '\0', out.len));
	golden(boot_grub_rewrite, "linux \"\"''", "linux \"\"''", 0);
	CHECK(!boot_cmdline_get("quiet root=", 11, "root=", value, sizeof(value)) ||
		!*value);
	CHECK(boot_cmdline_get("root=a root=b", 13, "root=", value, sizeof(value)));
	CHECK_STR(value, "b");
	CHECK(!boot_cmdline_get("root=a-value-that-is-too-long", 29, "root=", value,
		sizeof(value)));
}

static bool map_longer(void *ctx, const char *spec, char *ret, size_t size)
{
	(void)ctx;
	return !strcmp(spec, "/dev/sda1") && snprintf(ret, size, "UUID=aaaaa") > 0;
}

/* The block keeps its size; one without room for the longer name stays as it is. */
TEST(grubenv)
{
	static const char before[] =
		"# GRUB Environment Block\nkernelopts=root=/dev/sda1 ro\n";
	static const char after[] =
		"# GRUB Environment Block\nkernelopts=root=UUID=aaaa ro\n##";
	static const struct boot_map longer = { .device = map_longer };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	char env[1024];

	memset(env, '#', sizeof(env));
	memcpy(env, before, strlen(before));
	CHECK(boot_grubenv_rewrite(env, sizeof(env), &m, &out) == 1);
	REQUIRE(out.len == sizeof(env));
	CHECK(!memcmp(out.s, after, strlen(after)) && out.s[1023] == '#');
	CHECK(!boot_grubenv_rewrite(env, 1000, &m, &out));

	memset(env, 'x', sizeof(env));
	memcpy(env, "kernelopts=root=/dev/sda1 ", 26);
	env[1023] = '\n';
	CHECK(!boot_grubenv_rewrite(env, sizeof(env), &longer, &out));
}

static const struct test tests[] = {
	TEST_ENTRY(grub2, "grub.cfg: only kernel command lines change"),
	TEST_ENTRY(grub1, "menu.lst: GRUB's own root stays"),
	TEST_ENTRY(defaults, "/etc/default/grub: command lines and the switch for UUIDs"),
	TEST_ENTRY(bls, "Boot Loader Specification entries"),
	TEST_ENTRY(extlinux, "extlinux.conf"),
	TEST_ENTRY(entries, "what the menus start"),
	TEST_ENTRY(wanted, "the entry that GRUB's default means"),
	TEST_ENTRY(grubenv, "grubenv: kernelopts, 1024 bytes"),
	TEST_ENTRY(odd_texts, "texts that no tool wrote"),
};
TEST_MAIN(tests)

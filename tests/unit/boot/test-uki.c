/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of a unified kernel image, made here byte by byte. */
#include "boot/boot.h"

#include <string.h>

#include "../test.h"

#define PE 128
#define TABLE (PE + 24 + 240)
#define FILE_SIZE 100000u

static uint8_t image[1024];

static void put16(size_t at, unsigned v)
{
	image[at] = (uint8_t)v;
	image[at + 1] = (uint8_t)(v >> 8);
}

static void put32(size_t at, uint32_t v)
{
	put16(at, v & 0xffff);
	put16(at + 2, v >> 16);
}

static void section(int i, const char *name, uint32_t used, uint32_t raw, uint32_t off)
{
	size_t at = TABLE + 40 * (size_t)i;

	memset(image + at, 0, 40);
	memcpy(image + at, name, strlen(name));
	put32(at + 8, used);
	put32(at + 16, raw);
	put32(at + 20, off);
}

static void header(int sections)
{
	memset(image, 0, sizeof(image));
	memcpy(image, "MZ", 2);
	put32(0x3c, PE);
	memcpy(image + PE, "PE\0\0", 4);
	put16(PE + 6, (unsigned)sections);
	put16(PE + 20, 240);
	section(0, ".linux", 700, 1024, 2048);
	section(1, ".initrd", 5000, 5120, 4096);
}

static bool parse(struct boot_uki *u)
{
	return boot_uki_parse(image, sizeof(image), FILE_SIZE, u);
}

TEST(sections)
{
	struct boot_uki u;

	header(4);
	section(2, ".cmdline", 0, 512, 9728);
	section(3, ".initrd", 9, 512, 10240);
	REQUIRE(parse(&u));
	CHECK_U64(u.part[BOOT_UKI_LINUX].off, 2048);
	CHECK_U64(u.part[BOOT_UKI_LINUX].len, 700);
	CHECK_U64(u.part[BOOT_UKI_INITRD].off, 4096); /* the first of two */
	CHECK_U64(u.part[BOOT_UKI_INITRD].len, 5000);
	CHECK_U64(u.part[BOOT_UKI_CMDLINE].len, 512); /* no virtual size: the raw one */
	CHECK_U64(u.part[BOOT_UKI_UNAME].len, 0);
}

TEST(other_programs)
{
	struct boot_uki u;

	header(2);
	section(0, ".text", 700, 1024, 2048);
	CHECK(!parse(&u));
	header(2);
	image[0] = 'Z';
	CHECK(!parse(&u));
	header(2);
	image[PE] = 'N';
	CHECK(!parse(&u));
	CHECK(!boot_uki_parse(image, 0, 0, &u));
}

TEST(outside_the_file)
{
	struct boot_uki u;

	header(2);
	section(1, ".initrd", 5000, 5120, FILE_SIZE - 4999);
	REQUIRE(parse(&u));
	CHECK_U64(u.part[BOOT_UKI_INITRD].len, 0);
	section(1, ".initrd", 5000, 5120, FILE_SIZE - 5000);
	REQUIRE(parse(&u));
	CHECK_U64(u.part[BOOT_UKI_INITRD].len, 5000);
	section(1, ".initrd", 0xffffffff, 0xffffffff, 0xffffffff);
	REQUIRE(parse(&u));
	CHECK_U64(u.part[BOOT_UKI_INITRD].len, 0);
}

TEST(headers_that_lie)
{
	struct boot_uki u;

	header(2);
	put32(0x3c, 0xfffffff0);
	CHECK(!parse(&u));
	header(2);
	put32(0x3c, sizeof(image) - 10);
	CHECK(!parse(&u));
	header(97);
	CHECK(!parse(&u));
	header(2);
	put16(PE + 20, 0xffff);
	CHECK(!parse(&u));
	/* one more than there is room for */
	header((int)(sizeof(image) - TABLE) / 40 + 1);
	CHECK(!parse(&u));
}

static const struct test tests[] = {
	TEST_ENTRY(sections, "the first of each name, as long as what was put in"),
	TEST_ENTRY(other_programs, "no kernel in it, or no such program at all"),
	TEST_ENTRY(outside_the_file, "a section that does not lie in the file is none"),
	TEST_ENTRY(headers_that_lie, "offsets and counts that lead out of what was read"),
};
TEST_MAIN(tests)

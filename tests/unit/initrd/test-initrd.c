/* SPDX-License-Identifier: Apache-2.0 */
#include "initrd/initrd.h"

#include <errno.h>
#include <lz4.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/strbuf.h"

#include "../test.h"

/* One archive with lib/modules/6.1/virtio_blk.ko ("hello virtio"), packed by gzip 9, zstd
 * -19, xz --check=crc32 and lzma (alone). */
static const uint8_t gzip_image[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x33, 0x30,
	0x37, 0x30, 0x37, 0x30, 0x34, 0x80, 0x00, 0x30, 0x6d, 0x61, 0xe8, 0x68,
	0x62, 0x80, 0x1d, 0x18, 0xa2, 0xf1, 0x9d, 0x0d, 0x88, 0x02, 0x86, 0xae,
	0x30, 0x56, 0x4e, 0x66, 0x92, 0x7e, 0x6e, 0x7e, 0x4a, 0x69, 0x4e, 0x6a,
	0xb1, 0xbe, 0x99, 0x9e, 0xa1, 0x7e, 0x59, 0x66, 0x51, 0x49, 0x66, 0x7e,
	0x7c, 0x52, 0x4e, 0xb6, 0x5e, 0x76, 0x3e, 0x43, 0x46, 0x6a, 0x4e, 0x4e,
	0xbe, 0x02, 0x44, 0xcc, 0x00, 0xd9, 0x5d, 0x04, 0x2d, 0x30, 0x20, 0x0f,
	0x38, 0xc1, 0x18, 0x21, 0x41, 0x8e, 0x9e, 0x3e, 0xae, 0x41, 0x8a, 0x8a,
	0x8a, 0x0c, 0x23, 0x0c, 0x00, 0x00, 0x7e, 0x1f, 0x07, 0x77, 0x00, 0x02,
	0x00, 0x00,
};
static const uint8_t xz_image[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36,
	0x02, 0x00, 0x21, 0x01, 0x1c, 0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc,
	0xe0, 0x01, 0xff, 0x00, 0x57, 0x5d, 0x00, 0x18, 0x0d, 0xdd, 0x04, 0x63,
	0x9c, 0x72, 0x1b, 0x76, 0xa1, 0xba, 0xc0, 0x1d, 0x75, 0x2e, 0xab, 0xee,
	0xc8, 0xde, 0x5e, 0x46, 0x56, 0xbc, 0x86, 0x9b, 0x3d, 0x6b, 0xf7, 0x1c,
	0xb8, 0x36, 0x77, 0x75, 0xdb, 0x42, 0xc9, 0x76, 0x03, 0x27, 0x6b, 0xce,
	0xf8, 0xd2, 0xcb, 0x7a, 0x5a, 0x05, 0x75, 0xef, 0xb6, 0x01, 0x12, 0x64,
	0x81, 0x09, 0x25, 0xd6, 0xbb, 0xaf, 0x5e, 0x2f, 0xce, 0x9b, 0x31, 0x91,
	0xb6, 0xde, 0x80, 0xd1, 0xd2, 0xe0, 0x93, 0x3b, 0xcb, 0x91, 0xff, 0xea,
	0x01, 0xd6, 0x80, 0x1b, 0x83, 0xef, 0xe4, 0x48, 0xe9, 0x00, 0x00, 0x00,
	0x7e, 0x1f, 0x07, 0x77, 0x00, 0x01, 0x6f, 0x80, 0x04, 0x00, 0x00, 0x00,
	0x97, 0x4e, 0x73, 0x04, 0x3e, 0x30, 0x0d, 0x8b, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x59, 0x5a,
};
static const uint8_t lzma_image[] = {
	0x5d, 0x00, 0x00, 0x80, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0x00, 0x18, 0x0d, 0xdd, 0x04, 0x63, 0x9c, 0x72, 0x1b, 0x76, 0xa1,
	0xba, 0xc0, 0x1d, 0x75, 0x2e, 0xab, 0xee, 0xc8, 0xde, 0x5e, 0x46, 0x56,
	0xbc, 0x86, 0x9b, 0x3d, 0x6b, 0xf7, 0x1c, 0xb8, 0x36, 0x77, 0x75, 0xdb,
	0x42, 0xc9, 0x76, 0x03, 0x27, 0x6b, 0xce, 0xf8, 0xd2, 0xcb, 0x7a, 0x5a,
	0x05, 0x75, 0xef, 0xb6, 0x01, 0x12, 0x64, 0x81, 0x09, 0x25, 0xd6, 0xbb,
	0xaf, 0x5e, 0x2f, 0xce, 0x9b, 0x31, 0x91, 0xb6, 0xde, 0x80, 0xd1, 0xd2,
	0xe0, 0x93, 0x3b, 0xcb, 0x91, 0xff, 0xea, 0x01, 0xd6, 0x80, 0x1b, 0x83,
	0xef, 0xe5, 0x76, 0x69, 0xb7, 0xff, 0xff, 0x62, 0x39, 0x60, 0x00,
};
static const uint8_t zstd_image[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0x0d, 0x03, 0x00, 0x62, 0x84, 0x10,
	0x17, 0x70, 0xad, 0x0e, 0x40, 0xae, 0x13, 0x78, 0x50, 0xf4, 0x80, 0x92,
	0x4b, 0xcb, 0xd8, 0xf5, 0x74, 0x42, 0xd2, 0x2a, 0x70, 0xfa, 0x7f, 0xee,
	0x49, 0x55, 0x9f, 0x3b, 0x8c, 0xf6, 0x90, 0x13, 0x5f, 0xa0, 0x99, 0xe3,
	0x92, 0x7a, 0xaa, 0xc9, 0x30, 0x69, 0xf9, 0x34, 0x32, 0x5a, 0xab, 0x84,
	0xe5, 0x44, 0x86, 0x94, 0x66, 0x16, 0x94, 0x7c, 0xb7, 0x2f, 0xbe, 0x0f,
	0xda, 0x0e, 0xdf, 0xb3, 0xb3, 0x07, 0x0c, 0x20, 0x30, 0x33, 0xb1, 0x0e,
	0x6c, 0xea, 0x65, 0x78, 0x9c, 0x58, 0xbd, 0xd8, 0x24, 0x03, 0x9e, 0xf1,
	0x66, 0xc3, 0x07, 0x27, 0x63, 0x2b, 0x35, 0xe1, 0xea, 0x46, 0xa0, 0xc0,
	0x6c, 0xef,
};

struct memory {
	const uint8_t *data;
	size_t len, at, step;
	char names[512], content[512];
	int stop_at, seen;
};

static ssize_t read_memory(void *ctx, void *buf, size_t len)
{
	struct memory *m = ctx;
	size_t n = m->len - m->at;

	if (n > len)
		n = len;
	if (m->step && n > m->step)
		n = m->step;
	memcpy(buf, m->data + m->at, n);
	m->at += n;
	return (ssize_t)n;
}

static struct initrd_reader *reader;

static int see(void *ctx, const struct initrd_entry *e)
{
	struct memory *m = ctx;

	snprintf(m->names + strlen(m->names), sizeof(m->names) - strlen(m->names), "%s;",
		e->name);
	reader->want_data = S_ISREG(e->mode);
	return ++m->seen == m->stop_at;
}

static int take(void *ctx, const struct initrd_entry *e, const void *buf, size_t len)
{
	struct memory *m = ctx;
	size_t used = strlen(m->content);

	(void)e;
	if (len < sizeof(m->content) - used)
		memcpy(m->content + used, buf, len);
	return 0;
}

static enum initrd_status walk(struct memory *m, struct initrd_info *info)
{
	struct initrd_reader r = { .read = read_memory, .entry = see, .data = take,
		.ctx = m };

	reader = &r;
	m->at = 0;
	m->seen = 0;
	m->names[0] = '\0';
	memset(m->content, 0, sizeof(m->content));
	return initrd_walk(&r, info);
}

TEST(formats)
{
	static const struct {
		const char *name;
		const uint8_t *data;
		size_t len;
	} images[] = {
		{ "gzip", gzip_image, sizeof(gzip_image) },
		{ "zstd", zstd_image, sizeof(zstd_image) },
		{ "xz", xz_image, sizeof(xz_image) },
		{ "lzma", lzma_image, sizeof(lzma_image) },
	};
	struct initrd_info info;

	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		for (size_t step = 0; step < 3; step++) {
			struct memory m = { .data = images[i].data, .len = images[i].len,
				.step = step };

			CHECK_U64(walk(&m, &info), INITRD_OK);
			CHECK_STR(info.format, images[i].name);
			CHECK_STR(m.names, "lib/modules/6.1/virtio_blk.ko;");
			CHECK_STR(m.content, "hello virtio");
			CHECK_U64(info.packed, images[i].len);
			CHECK_U64(info.entries, 1);
		}
}

/* Every proper prefix and every flipped byte ends in a verdict,
 * and a cut one never in "ok". */
TEST(damage)
{
	uint8_t copy[sizeof(xz_image)];
	struct initrd_info info;

	for (size_t len = 1; len < sizeof(xz_image); len++) {
		struct memory m = { .data = xz_image, .len = len };

		CHECK(walk(&m, &info) != INITRD_OK);
	}
	for (size_t i = 0; i < sizeof(xz_image); i++) {
		struct memory m = { .data = copy, .len = sizeof(copy) };

		memcpy(copy, xz_image, sizeof(copy));
		copy[i] ^= 0x55;
		CHECK(walk(&m, &info) != INITRD_OK);
	}
}

TEST(early_cpio)
{
	CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
	struct initrd_info info;
	struct memory m = { .step = 0 };

	initrd_add(&b, "kernel", S_IFDIR | 0755, "", 0);
	initrd_add(&b, "kernel/x86/microcode/GenuineIntel.bin", S_IFREG | 0644,
		"abcde", 5);
	initrd_end(&b);
	for (int i = 0; i < 300; i++)
		strbuf_add(&b, "\0\0\0\0", 4);
	strbuf_add(&b, zstd_image, sizeof(zstd_image));
	REQUIRE(!b.failed);
	m.data = (const uint8_t *)b.s;
	m.len = b.len;
	CHECK_U64(walk(&m, &info), INITRD_OK);
	CHECK_STR(info.format, "early cpio + zstd");
	CHECK_STR(m.names, "kernel;kernel/x86/microcode/GenuineIntel.bin;"
		"lib/modules/6.1/virtio_blk.ko;");
	CHECK_STR(m.content, "abcdehello virtio");
	m.stop_at = 2;
	CHECK_U64(walk(&m, &info), INITRD_STOPPED);
	CHECK_U64(m.seen, 2);
}

TEST(lz4_legacy)
{
	CLEANUP_STRBUF struct strbuf plain = STRBUF_INIT, packed = STRBUF_INIT;
	char buf[2048];
	uint8_t word[4];
	struct initrd_info info;
	struct memory m = { .step = 7 };
	int n;

	initrd_add(&plain, "etc/modules", S_IFREG | 0644, "virtio", 6);
	initrd_end(&plain);
	n = LZ4_compress_default(plain.s, buf, (int)plain.len, sizeof(buf));
	REQUIRE(n > 0);
	bytes_put_le32(word, 0x184c2102);
	strbuf_add(&packed, word, 4);
	bytes_put_le32(word, (uint32_t)n);
	strbuf_add(&packed, word, 4);
	strbuf_add(&packed, buf, (size_t)n);
	m.data = (const uint8_t *)packed.s;
	m.len = packed.len;
	CHECK_U64(walk(&m, &info), INITRD_OK);
	CHECK_STR(info.format, "lz4");
	CHECK_STR(m.content, "virtio");
}

TEST(refused)
{
	static const uint8_t bz[] = "BZh91AY&SY", junk[] = "no image at all", zero[4096];
	struct initrd_info info;
	struct memory m = { .data = bz, .len = sizeof(bz) };
	CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;

	CHECK_U64(walk(&m, &info), INITRD_UNSUPPORTED);
	CHECK_STR(info.format, "bzip2");
	m.data = junk;
	m.len = sizeof(junk);
	CHECK_U64(walk(&m, &info), INITRD_CORRUPT);
	m.data = zero;
	m.len = 0;
	CHECK_U64(walk(&m, &info), INITRD_CORRUPT);
	/* a name of 4 GiB is refused before memory is taken */
	initrd_add(&b, "x", S_IFREG | 0644, "", 0);
	memcpy(b.s + 6 + 8 * 11, "FFFFFFFF", 8);
	m.data = (const uint8_t *)b.s;
	m.len = b.len;
	CHECK_U64(walk(&m, &info), INITRD_TOO_LARGE);
}

TEST(module_names)
{
	char name[32];

	CHECK(initrd_module_name("usr/lib/modules/6.1/kernel/block/virtio-blk.ko.xz",
		name, 32));
	CHECK_STR(name, "virtio_blk");
	CHECK(initrd_module_name("nvme.ko.zst", name, 32));
	CHECK_STR(name, "nvme");
	CHECK(initrd_module_name("ahci.ko.gz", name, 32));
	CHECK(!initrd_module_name("modules.dep", name, 32));
	CHECK(!initrd_module_name(".ko", name, 32));
	CHECK(!initrd_module_name("a-name-that-does-not-fit-in-there.ko", name, 8));
}

TEST(expand)
{
	static const uint8_t bzip2[] = "BZh91AY";
	struct memory plain = { .data = (const uint8_t *)"hello", .len = 5 };
	struct memory packed = { .data = xz_image, .len = sizeof(xz_image), .step = 1 };
	struct memory cut = { .data = xz_image, .len = sizeof(xz_image) - 1 };
	struct memory other = { .data = bzip2, .len = sizeof(bzip2) },
		empty = { .data = bzip2 };
	struct memory *const all[] = { &plain, &packed, &cut, &other, &empty };
	static const enum initrd_status want[] = { INITRD_OK, INITRD_OK, INITRD_CORRUPT,
		INITRD_UNSUPPORTED,
		INITRD_OK };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
		struct initrd_reader r = { .read = read_memory, .ctx = all[i] };

		CHECK_U64(initrd_expand(&r, 4096, &out), want[i]);
		if (all[i] == &plain)
			CHECK_STR(out.s, "hello");
		if (all[i] == &packed) {
			CHECK(memmem(out.s, out.len, "hello virtio", 12));
			all[i]->at = 0;
			CHECK_U64(initrd_expand(&r, out.len, &out), INITRD_TOO_LARGE);
		}
	}
}

static const struct test tests[] = {
	TEST_ENTRY(formats, "gzip, zstd, xz and lzma images, in reads of any size"),
	TEST_ENTRY(damage, "a cut or changed image is never taken for a good one"),
	TEST_ENTRY(early_cpio,
		"a plain archive, zeroes and a compressed one are one image"),
	TEST_ENTRY(lz4_legacy, "lz4 in the kernel's form"),
	TEST_ENTRY(refused, "what cannot be read is named, without taking memory for it"),
	TEST_ENTRY(expand, "single files, compressed or not"),
	TEST_ENTRY(module_names, "module files in all spellings"),
};
TEST_MAIN(tests)

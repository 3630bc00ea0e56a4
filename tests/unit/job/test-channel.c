/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for a boot medium and a config volume; the kernel command line;
 * old results. */
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <unistd.h>

#include "job/job-internal.h"

#define SIZE (256u << 10)
#define CONFIG_OFF (64u << 10)
#define CONFIG_LEN (128u << 10)

static unsigned char image[SIZE];

static void put32(size_t off, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		image[off + (size_t)i] = (unsigned char)(v >> 8 * i);
}

/* The parts of a worker image that it is recognised by. */
static void make_image(void)
{
	memset(image, 0, sizeof(image));
	image[510] = 0x55;
	image[511] = 0xaa;
	image[446 + 32 + 4] = 0x0c;
	put32(446 + 32 + 8, CONFIG_OFF / 512);
	put32(446 + 32 + 12, CONFIG_LEN / 512);
	memcpy(image + 32769, "CD001", 5);
	memset(image + 32808, ' ', 32);
	memcpy(image + 32808, "TARGET_WORKER", 13);
	memcpy(image + CONFIG_OFF + 43, "TWCONFIG   ", 11);
	image[CONFIG_OFF + 510] = 0x55;
	image[CONFIG_OFF + 511] = 0xaa;
}

static int probe(size_t size, struct job_medium *m)
{
	int fd = memfd_create("disk", MFD_CLOEXEC), rc;

	CHECK(fd >= 0 && write(fd, image, size) == (ssize_t)size);
	rc = job_medium_probe(fd, size, m);
	if (close(fd) < 0)
		perror("close");
	return rc;
}

static int probe_volume(const void *head, size_t off, uint64_t size)
{
	static unsigned char volume[40 << 10];
	int fd = memfd_create("volume", MFD_CLOEXEC), rc;

	memset(volume, 0, sizeof(volume));
	if (head)
		memcpy(volume + off, head, 32);
	volume[510] = 0x55;
	volume[511] = 0xaa;
	CHECK(fd >= 0 && write(fd, volume, sizeof(volume)) == (ssize_t)sizeof(volume));
	rc = job_volume_probe(fd, size);
	close(fd);
	return rc;
}

TEST(boot_medium)
{
	struct job_medium m;

	make_image();
	REQUIRE(probe(SIZE, &m) == 1);
	CHECK_U64(m.offset, CONFIG_OFF);
	CHECK_U64(m.length, CONFIG_LEN);
	image[32808] = 'X';
	CHECK(probe(SIZE, &m) == 0);
	make_image();
	image[32769] = 'X';
	CHECK(probe(SIZE, &m) == 0);
	make_image();
	CHECK(probe(32768, &m) == 0);
}

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(claims)
{
	struct job_medium m;

	make_image();
	REQUIRE(probe(SIZE, &m) == 1);
	CHECK(!*m.image && !*m.key);
	memset(image + 32768 + 190, ' ', 128);
	memcpy(image + 32768 + 190, HEX, 64);
	memcpy(image + CONFIG_OFF + 512, "TARGET_WORKER_ID" HEX, 80);
	REQUIRE(probe(SIZE, &m) == 1);
	CHECK_STR(m.image, HEX);
	CHECK_STR(m.key, HEX);
	image[32768 + 190 + 63] = 'g';
	image[CONFIG_OFF + 512] = 't';
	REQUIRE(probe(SIZE, &m) == 1);
	CHECK(!*m.image && !*m.key);
	image[CONFIG_OFF + 512] = 'T';
	image[CONFIG_OFF + 512 + 16 + 63] = '\n';
	REQUIRE(probe(SIZE, &m) == 1);
	CHECK(!*m.key);
}

TEST(damaged_medium)
{
	struct job_medium m;

	make_image();
	image[511] = 0;
	CHECK(probe(SIZE, &m) == -1);
	make_image();
	image[CONFIG_OFF + 43] = 'X';
	CHECK(probe(SIZE, &m) == -1);
	make_image();
	put32(446 + 32 + 12, SIZE / 512); /* reaches past the end */
	CHECK(probe(SIZE, &m) == -1);
	make_image();
	put32(446 + 32 + 8, 0xffffffff);
	put32(446 + 32 + 12, 0xffffffff);
	CHECK(probe(SIZE, &m) == -1);
	make_image();
	put32(446 + 32 + 12, 0);
	CHECK(probe(SIZE, &m) == -1);
}

TEST(config_volume)
{
	char iso[33];

	snprintf(iso, sizeof(iso), "%-32s", "TWCONFIG");
	CHECK(probe_volume(iso, 43, 40 << 10));
	CHECK(probe_volume(iso, 71, 40 << 10));
	CHECK(!probe_volume(NULL, 0, 40 << 10));
	CHECK(!probe_volume(iso, 43, (64 << 20) + 512));
	CHECK(!probe_volume(iso, 44, 40 << 10));
}

#define PIN "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

TEST(cmdline)
{
	struct job_cmdline c;
	struct err err = ERR_INIT;
	char many[600];

	REQUIRE(job_cmdline_parse("quiet tw.debug=1 tw.job=https://h:8443/j?x tw.pin=" PIN, &c,
			&err) == -1);
	err_clear(&err);
	REQUIRE(job_cmdline_parse("quiet tw.on_error=hold  tw.job=https://h:8443/j/m-1 tw.pin="
			PIN " tw.announce=volume\n", &c, &err) == 0);
	CHECK_STR(c.url, "https://h:8443/j/m-1");
	CHECK(c.n_pins == 1 && c.announce_volume);
	CHECK_STR(c.pins[0], PIN + 8);
	CHECK(job_cmdline_parse("", &c, &err) == 0 && !*c.url && !c.announce_volume);
	CHECK(job_cmdline_parse("tw.job=https://h/j", &c, &err) == -1);
	CHECK(job_cmdline_parse("tw.job=http://h/j tw.pin=" PIN, &c, &err) == -1);
	CHECK(job_cmdline_parse("tw.pin=sha256//x", &c, &err) == -1);
	CHECK(job_cmdline_parse("tw.job=https://a/ tw.job=https://b/ tw.pin=" PIN, &c,
		&err) == -1);
	CHECK(err.code == ERR_CFG_AMBIGUOUS);
	REQUIRE(job_cmdline_parse("tw.announce=volume:SN-1 tw.volume=" HEX, &c, &err) == 0);
	CHECK(c.announce_volume);
	CHECK_STR(c.announced, "SN-1");
	CHECK_STR(c.volume, HEX);
	CHECK(job_cmdline_parse("tw.announce=volumes", &c, &err) == 0 &&
		!c.announce_volume && !*c.volume);
	CHECK(job_cmdline_parse("tw.volume=" HEX "0", &c, &err) == -1);
	CHECK(job_cmdline_parse("tw.volume=0123", &c, &err) == -1);
	CHECK(err.code == ERR_CFG_INVALID);
	err_clear(&err);
	memset(many, 'a', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	memcpy(many, "tw.job=https://", 15);
	CHECK(job_cmdline_parse(many, &c, &err) == -1);
	CHECK(job_cmdline_parse("tw.pin=" PIN " tw.pin=" PIN " tw.pin=" PIN " tw.pin=" PIN
				" tw.pin=" PIN, &c, &err) == -1);
}

static int resumes(const char *text)
{
	return job_result_resumes(text, strlen(text), "m-1");
}

TEST(earlier_result)
{
	CHECK(resumes("{\"migration\":\"m-1\",\"verdict\":\"running\",\"touched\":true}"));
	CHECK(resumes("{\"migration\":\"m-1\",\"verdict\":\"failed\",\"touched\":true}"));
	CHECK(!resumes("{\"migration\":\"m-1\",\"verdict\":\"failed\",\"touched\":false}"));
	CHECK(resumes("{\"migration\":\"m-1\",\"verdict\":\"success\",\"touched\":true}"));
	CHECK(!resumes("{\"migration\":\"m-2\",\"verdict\":\"running\",\"touched\":true}"));
	/* A reset in the middle of writing it: anything may have happened before. */
	CHECK(resumes("{\"migration\":7,\"verdict\":[],\"touched\":\"yes\"}"));
	CHECK(resumes("{\"migration\":\"m-2\"}"));
	CHECK(resumes("{\"migration\":\"m-2\",\"touched\":tr"));
	CHECK(resumes("[]"));
	CHECK(resumes(""));
}

#define DONE(migration, mode, verdict) \
	"{\"migration\":\"" migration "\",\"mode\":\"" mode "\",\"verdict\":\"" verdict "\"," \
	"\"touched\":true,\"times\":{\"written\":\"2026-01-02T03:04:05Z\"}}"

static int done(const char *text, const char *when)
{
	char got[32] = "";
	bool is = job_result_done(text, strlen(text), "m-1", got);

	if (when)
		CHECK_STR(got, when);
	return is;
}

/* Only a full copy of this migration that was a success is not done again. */
TEST(done_before)
{
	static const char acked[] = "{\"acknowledged\":true}",
		not[] = "{\"acknowledged\":false}";

	CHECK(done(DONE("m-1", "full", "success"), "2026-01-02T03:04:05Z"));
	CHECK(!done(DONE("m-2", "full", "success"), NULL));
	CHECK(!done(DONE("m-1", "delta", "success"), NULL));
	CHECK(!done(DONE("m-1", "prepare", "success"), NULL));
	CHECK(!done(DONE("m-1", "full", "failed"), NULL));
	CHECK(!done(DONE("m-1", "full", "cancelled"), NULL));
	CHECK(!done(DONE("m-1", "full", "running"), NULL));
	CHECK(done("{\"migration\":\"m-1\",\"mode\":\"full\",\"verdict\":\"success\"}",
		"an unknown time"));
	CHECK(!done("{\"migration\":\"m-1\",\"mode\":\"full\",\"verdict\":\"succ", NULL));
	CHECK(!done("", NULL) && !done("[]", NULL));
	CHECK(job_result_acknowledged(acked, strlen(acked)));
	CHECK(!job_result_acknowledged(not, strlen(not)) &&
		!job_result_acknowledged("{}", 2));
}

static const struct test tests[] = {
	TEST_ENTRY(boot_medium, "the boot medium is known by its own layout"),
	TEST_ENTRY(claims, "a volume says which image and which volume it is, or nothing"),
	TEST_ENTRY(damaged_medium,
		"a worker volume without a usable TWCONFIG is told apart"),
	TEST_ENTRY(config_volume, "small labelled volumes only"),
	TEST_ENTRY(cmdline, "the kernel command line points, with a pin"),
	TEST_ENTRY(earlier_result,
		"an unfinished result of this migration means to resume"),
	TEST_ENTRY(done_before, "a full copy that was a success is not done again"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* Which targets of a device-mapper table are followed down to the disk. */
#include <sys/sysmacros.h>

#include "capture/capture.h"

#include "../test.h"

TEST(linear)
{
	uint64_t sector = 0;
	dev_t dev = 0;

	REQUIRE(capture_dm_target("linear", "8:2 2048", &dev, &sector));
	CHECK_U64(dev, makedev(8, 2));
	CHECK_U64(sector, 2048);
	REQUIRE(capture_dm_target("linear", "259:1048575 18014398509481983", &dev,
		&sector));
	CHECK_U64(minor(dev), 1048575);
	CHECK_U64(sector, INT64_MAX / 512);
}

TEST(refused)
{
	uint64_t sector;
	dev_t dev;

	CHECK(!capture_dm_target("linear", "8:2", &dev, &sector));
	CHECK(!capture_dm_target("linear", "", &dev, &sector));
	CHECK(!capture_dm_target("linear", "8:2 2048 1", &dev, &sector));
	CHECK(!capture_dm_target("linear", "sda2 2048", &dev, &sector));
	CHECK(!capture_dm_target("linear", "8:2 18014398509481984", &dev, &sector));
	CHECK(!capture_dm_target("striped", "2 128 8:2 2048 8:3 2048", &dev, &sector));
	CHECK(!capture_dm_target("crypt", "aes-xts-plain64 :64:logon:x 0 8:3 32768", &dev,
		&sector));
	/* A snapshot still reads what its origin's file system gave up. */
	CHECK(!capture_dm_target("snapshot-origin", "253:3", &dev, &sector));
}

static const struct test tests[] = {
	TEST_ENTRY(linear, "device and sector of a linear target"),
	TEST_ENTRY(refused, "all others, and what does not look right, are left out"),
};
TEST_MAIN(tests)

/* SPDX-License-Identifier: Apache-2.0 */
/* A served drive: a block device or an image file, opened read-only once at the start. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "serve/serve-internal.h"

/* One attribute of sysfs as text without blanks at the end; "" when there is none. */
static void attribute(dev_t dev, const char *name, char *ret, size_t size)
{
	char path[128];
	FILE *f;
	size_t n = 0;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev),
		name);
	f = fopen(path, "re");
	if (f) {
		n = fread(ret, 1, size - 1, f);
		fclose(f);
	}
	while (n && (unsigned char)ret[n - 1] <= ' ')
		n--;
	ret[n] = '\0';
}

/* A partition counts only what is written through itself. */
static dev_t whole_disk(dev_t dev)
{
	char text[32];
	unsigned ma, mi;

	attribute(dev, "partition", text, sizeof(text));
	if (!text[0])
		return dev;
	attribute(dev, "../dev", text, sizeof(text));
	return sscanf(text, "%u:%u", &ma, &mi) == 2 ? makedev(ma, mi) : dev;
}

static void read_counters(dev_t dev, unsigned long long v[17])
{
	char text[256];

	memset(v, 0, 17 * sizeof(*v));
	attribute(dev, "stat", text, sizeof(text));
	sscanf(text, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu "
		"%llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7],
		&v[8], &v[9], &v[10], &v[11], &v[12], &v[13]);
}

/* Counters can be switched off (queue/iostats), and some devices never had any (heads of
 * NVMe multipath on older kernels): only one that moves when something is read is
 * believed to move when something is written. */
static bool counter_moves(const struct serve_drive *d)
{
	dev_t dev = whole_disk(d->device);
	unsigned long long before[17], after[17];
	_Alignas(SERVE_READ_ALIGN) char buf[SERVE_READ_ALIGN];

	if (!d->dev.direct)
		return false;
	read_counters(dev, before);
	if (pread(d->dev.fd, buf, sizeof(buf), 0) <= 0)
		return false;
	read_counters(dev, after);
	return after[0] > before[0] && after[2] > before[2];
}

/* Looked at again each time, as it can be switched. The disk is not read then: one that
 * stands still must not hold up the client that asks. */
static bool is_counting(const struct serve_drive *d)
{
	char text[8];

	attribute(whole_disk(d->device), "queue/iostats", text, sizeof(text));
	return d->counts && text[0] != '0';
}

int serve_drive_open(const struct serve_drive_spec *spec, struct serve_drive *ret,
	struct err *err)
{
	struct serve_drive d = { .device = 0 };
	struct stat st;
	char text[8];

	if (!spec->name[0] || strlen(spec->name) >= sizeof(d.name))
		return err_set(err, ERR_USAGE,
			"drive name \"%s\": 1 to 63 characters expected", spec->name);
	strcpy(d.name, spec->name);
	if (block_open(spec->path, BLOCK_DIRECT, &d.dev, err) < 0)
		return err_wrap(err, "drive %s", d.name);
	if (!d.dev.size || d.dev.size > INT64_MAX || fstat(d.dev.fd, &st) < 0) {
		block_close(&d.dev);
		return err_set(err, ERR_SRC_SIZE, "drive %s: %s has %" PRIu64 " bytes",
			d.name, spec->path, d.dev.size);
	}
	d.no_direct = !d.dev.direct;
	d.device = d.dev.device ? st.st_rdev : st.st_dev;
	if (d.dev.device) {
		attribute(d.device, "queue/rotational", text, sizeof(text));
		d.rotational = text[0] == '1';
		attribute(d.device, "device/serial", d.serial, sizeof(d.serial));
		if (!d.serial[0])
			attribute(d.device, "serial", d.serial, sizeof(d.serial));
		attribute(d.device, "device/model", d.model, sizeof(d.model));
		d.counts = counter_moves(&d);
	}
	*ret = d;
	return 0;
}

void serve_drive_close(struct serve_drive *d)
{
	free((void *)d->unused);
	d->unused = NULL;
	block_close(&d->dev);
}

/* At least want of at most len bytes; -1 with errno. */
static int read_at(int fd, uint8_t *buf, size_t len, size_t want, uint64_t off)
{
	size_t got = 0;

	while (got < want) {
		ssize_t n = pread(fd, buf + got, len - got, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n) { /* the file became shorter */
			errno = ENODATA;
			return -1;
		}
		size_t before = got;

		got += (size_t)n;
		/* The rest of a cut direct read would not be aligned: begin anew. */
		if (got < want && got % SERVE_READ_ALIGN)
			got -= got % SERVE_READ_ALIGN;
		if (got == before) { /* its last block, again and again */
			errno = ENODATA;
			return -1;
		}
	}
	return 0;
}

int serve_drive_read(struct serve_drive *d, void *buf, uint64_t off, uint32_t len,
	uint8_t **ret_data)
{
	uint32_t align = d->dev.align, lead = (uint32_t)(off % align);
	size_t whole = ((size_t)lead + len + align - 1) / align * align;

	*ret_data = (uint8_t *)buf + lead;
	if (!d->no_direct) {
		if (whole <= SERVE_BUFFER &&
			!read_at(d->dev.fd, buf, whole, lead + len, off - lead))
			return 0;
		/* Some file systems grant O_DIRECT and refuse the read. */
		if (errno != EINVAL || d->dev.device)
			return -1;
		if (fcntl(d->dev.fd, F_SETFL, fcntl(d->dev.fd, F_GETFL) & ~O_DIRECT) < 0)
			return -1;
		d->no_direct = true;
		log_info("drive %s: no direct reads here, the page cache is used",
			d->name);
	}
	return read_at(d->dev.fd, buf, lead + len, lead + len, off - lead);
}

/* A hole up to the end and an end that came nearer look alike to lseek(2). */
static bool shorter(const struct serve_drive *d)
{
	struct stat st;

	return fstat(d->dev.fd, &st) < 0 || (uint64_t)st.st_size < d->dev.size;
}

int serve_drive_extents(struct serve_drive *d, uint64_t off, uint64_t len,
	struct proto_extent *ret, size_t max, size_t *ret_n)
{
	uint64_t end = off + len;
	size_t n = 0;

	if (d->dev.device) {
		errno = EOPNOTSUPP;
		return -1;
	}
	while (off < end && n < max) {
		off_t data = lseek(d->dev.fd, (off_t)off, SEEK_DATA), stop;

		if (data < 0 && errno != ENXIO)
			return -1;
		if (data < 0 && shorter(d)) {
			errno = ENODATA;
			return -1;
		}
		if (data < 0 || (uint64_t)data >= end)
			data = (off_t)end;
		if ((uint64_t)data > off) {
			ret[n++] = (struct proto_extent){ .len = (uint64_t)data - off,
				.kind = 1 };
			off = (uint64_t)data;
			continue;
		}
		stop = lseek(d->dev.fd, (off_t)off, SEEK_HOLE);
		if (stop < 0)
			return -1;
		if ((uint64_t)stop > end)
			stop = (off_t)end;
		ret[n++] = (struct proto_extent){ .len = (uint64_t)stop - off,
			.kind = 0 };
		off = (uint64_t)stop;
	}
	*ret_n = n;
	return 0;
}

static uint64_t mix(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u; /* FNV-1a */
	return h;
}

/* What a device is: its number and its counters may be those of another one before. */
static size_t identity(dev_t dev, char *ret, size_t size)
{
	/* Of disks and of partitions; a snapshot that is made anew
	 * has another dm/uuid. */
	static const char *const names[] = { "diskseq", "../diskseq", "dm/uuid",
		"loop/backing_file", "../loop/backing_file" };
	char text[160], boot[64] = "";
	size_t n;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f) {
		if (!fgets(boot, sizeof(boot), f))
			boot[0] = '\0';
		fclose(f);
	}
	n = (size_t)snprintf(ret, size, "%.40s %u:%u", boot, major(dev), minor(dev));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && n < size; i++) {
		attribute(dev, names[i], text, sizeof(text));
		n += (size_t)snprintf(ret + n, size - n, " %s", text);
	}
	return n < size ? n : size - 1;
}

/* If a device cannot tell, nothing counts as unchanged. */
static size_t mark_untold(struct serve_drive *d, char *ret, size_t size)
{
	static _Atomic uint64_t count;
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = clock_now_ns();
	if (!atomic_exchange(&d->untold, true))
		log_warn("drive %s: the kernel does not count what is written to it "
			"(queue/iostats?): nobody can tell whether it has changed",
			d->name);
	return (size_t)snprintf(ret, size, " untold %" PRIx64 " %" PRIu64, random,
		atomic_fetch_add(&count, 1));
}

/* A file changes its times. A device counts the sectors written to it since the machine
 * started, which is where boot_id comes in. */
void serve_drive_generation(struct serve_drive *d, char ret[40])
{
	char text[1024] = "";
	struct stat st;

	if (d->dev.device) {
		unsigned long long v[17];
		size_t n = identity(d->device, text, sizeof(text));

		/* A snapshot is another device each time, and never changes. */
		if (!d->caught && !is_counting(d))
			n += mark_untold(d, text + n, sizeof(text) - n);
		read_counters(whole_disk(d->device), v);
		/* Fields 5 and 7 of stat: writes and sectors written;
		 * 12 and 14: discards. */
		n = n < sizeof(text) ? n : sizeof(text) - 1;
		snprintf(text + n, sizeof(text) - n, " %llu %llu %llu %llu", v[4], v[6],
			v[11], v[13]);
	} else if (!fstat(d->dev.fd, &st)) {
		snprintf(text, sizeof(text), "%ju %ju %ju %jd.%09ld %jd.%09ld",
			(uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (uintmax_t)st.st_size,
			(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	}
	snprintf(ret, 40, "%016" PRIx64 "%016" PRIx64, mix(0xcbf29ce484222325u, text),
		mix(0x84222325cbf29ce4u, text));
}

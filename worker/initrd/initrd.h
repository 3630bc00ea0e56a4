/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an initramfs image holds. An image is a row of cpio archives
 * (Documentation/driver-api/early-userspace/buffer-format.rst of Linux), each plain or
 * compressed, with zeroes between. Everything is read as a stream: memory use does not
 * grow with the image. Opens no file.
 */
#ifndef INITRD_INITRD_H
#define INITRD_INITRD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"

#define INITRD_NAME_MAX 4096
#define INITRD_MAX_BYTES (4ull << 30) /* unpacked */

enum initrd_status {
	INITRD_OK,
	INITRD_STOPPED,     /* a visitor returned non-zero */
	INITRD_UNSUPPORTED, /* a compression that is not built in: see
			     * initrd_info.format */
	INITRD_CORRUPT,     /* the archive or the compressed data */
	INITRD_TOO_LARGE,   /* over INITRD_MAX_BYTES, or a name over INITRD_NAME_MAX */
	INITRD_NO_MEMORY,
	INITRD_READ,        /* the input function failed */
};
const char *initrd_status_text(enum initrd_status s);

struct initrd_entry {
	const char *name; /* as stored, NUL-terminated:
			   * "usr/lib/modules/..." or "./bin" */
	uint32_t mode;
	uint64_t size;
};

struct initrd_reader {
	/* At most len bytes; 0 at the end, -1 on error. */
	ssize_t (*read)(void *ctx, void *buf, size_t len);
	/* Each entry before its data. Non-zero stops. */
	int (*entry)(void *ctx, const struct initrd_entry *e);
	/* May be NULL. Called when entry set *want: parts of the data, in order. */
	int (*data)(void *ctx, const struct initrd_entry *e, const void *buf, size_t len);
	bool want_data; /* set by entry(), per entry; cleared before each call */
	void *ctx;
};

struct initrd_info {
	char format[40];    /* "zstd", "gzip", "early cpio + xz", ...: of
			     * the whole image */
	uint64_t entries;
	uint64_t packed, unpacked; /* bytes */
};

/* info may be NULL; it is filled as far as the image was understood. */
enum initrd_status initrd_walk(struct initrd_reader *r, struct initrd_info *info);

/* expand.c: a file that may be compressed in one of these ways, such as a module; only
 * read and ctx of the reader are used. Its content is added to out; over max bytes of it
 * is INITRD_TOO_LARGE. */
enum initrd_status initrd_expand(struct initrd_reader *r, size_t max, struct strbuf *out);

/* cpio.c: makes an archive in newc form, uncompressed: the kernel takes it behind (or
 * before) any image when it starts at a multiple of four bytes. */
void initrd_add(struct strbuf *out, const char *name, uint32_t mode, const void *data,
	size_t len);
void initrd_end(struct strbuf *out);

/* modules.c: "virtio_blk" for "kernel/drivers/block/virtio-blk.ko.xz"; false when the
 * name is not a module's. */
bool initrd_module_name(const char *path, char *ret, size_t size);

#endif

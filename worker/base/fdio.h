/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes on descriptors: EINTR and short transfers
 * are dealt with here. */
#ifndef BASE_FDIO_H
#define BASE_FDIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Exactly len bytes or -1 with errno; end of file before len is errno ENODATA. */
int fdio_pread(int fd, void *buf, size_t len, uint64_t off);
int fdio_pwrite(int fd, const void *buf, size_t len, uint64_t off);
int fdio_write(int fd, const void *buf, size_t len);

/* A whole file of at most max bytes into *ret_buf (malloc, NUL added behind *ret_len
 * bytes). A larger file is an error. The code is ERR_CFG_MISSING when it does not
 * exist. */
int fdio_read_file(const char *path, size_t max, char **ret_buf, size_t *ret_len,
	struct err *err);
/* Replaces path atomically: temporary file beside it, fsync, rename,
 * fsync of the folder. */
int fdio_replace_file(const char *path, const void *buf, size_t len, unsigned mode,
	struct err *err);

#endif

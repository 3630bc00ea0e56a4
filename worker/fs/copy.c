/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a guest's files, and their hashes. */
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "fs/fs-internal.h"

#define CHUNK 65536

static void to_hex(const uint8_t hash[32], char ret[65])
{
	for (int i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

struct pump {
	int from, to; /* to -1 = only the hash */
	char *buf;
	mbedtls_sha256_context sha;
};

/* A hole stays one; its zeroes count in the hash. */
static int skip_hole(struct pump *p, off_t from, off_t end)
{
	memset(p->buf, 0, CHUNK);
	for (off_t left = end - from; left > 0; left -= CHUNK)
		mbedtls_sha256_update(&p->sha, (const uint8_t *)p->buf,
			left < CHUNK ? (size_t)left : CHUNK);
	return p->to >= 0 && lseek(p->to, end, SEEK_SET) < 0 ? -1 : 0;
}

/* Returns where it ended: at `end`, or where the file was cut off meanwhile. */
static off_t copy_range(struct pump *p, off_t at, off_t end)
{
	while (at < end) {
		ssize_t n = pread(p->from, p->buf,
			end - at < CHUNK ? (size_t)(end - at) : CHUNK, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		mbedtls_sha256_update(&p->sha, (const uint8_t *)p->buf, (size_t)n);
		if (p->to >= 0 && fdio_write(p->to, p->buf, (size_t)n) < 0)
			return -1;
		at += n;
	}
	return at;
}

static int copy_parts(struct pump *p)
{
	struct stat st;
	off_t at = 0;

	if (fstat(p->from, &st) < 0)
		return -1;
	while (at < st.st_size) {
		off_t data = lseek(p->from, at, SEEK_DATA), end = st.st_size;

		if (data < 0 && errno == ENXIO)
			data = st.st_size; /* no data behind it */
		else if (data < 0)
			data = at; /* a file system that knows no holes */
		else
			end = lseek(p->from, data, SEEK_HOLE);
		if (end < 0 || skip_hole(p, at, data) < 0)
			return -1;
		at = copy_range(p, data, end);
		if (at < 0)
			return -1;
		if (at < end)
			break;
	}
	return p->to >= 0 && ftruncate(p->to, at) < 0 ? -1 : 0;
}

/* Reads `from` to its end, into the empty file `to`, at whose end that is then. -1 with
 * errno. */
static int pump(int from, int to, char *ret_sha256)
{
	struct pump p = { .from = from, .to = to, .buf = malloc(CHUNK) };
	uint8_t hash[32];
	int result;

	mbedtls_sha256_init(&p.sha);
	mbedtls_sha256_starts(&p.sha, 0);
	result = p.buf ? copy_parts(&p) : -1;
	mbedtls_sha256_finish(&p.sha, hash);
	mbedtls_sha256_free(&p.sha);
	free(p.buf);
	if (!result && ret_sha256)
		to_hex(hash, ret_sha256);
	return result;
}

static int open_file(const struct fs_root *r, const char *path, struct stat *st,
	struct err *err)
{
	int fd = fs_open(r, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	if (fd < 0 || fstat(fd, st) < 0) {
		err_sys(err, fs_write_code(errno), "open %s", path);
	} else if (!S_ISREG(st->st_mode)) {
		err_set(err, ERR_FS_UNSAFE, "%s: not a regular file", path);
		close(fd);
		fd = -1;
	}
	return fd;
}

int fs_sha256(const struct fs_root *r, const char *path, char ret[65], struct err *err)
{
	struct stat st;
	CLEANUP_CLOSE int fd = open_file(r, path, &st, err);

	if (fd < 0)
		return -1;
	return pump(fd, -1, ret) < 0 ? err_sys(err, ERR_DISK_IO, "read %s", path) : 0;
}

static int copy_attributes(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	return fs_fd_owner(to, st) < 0 || fs_copy_xattrs(from, to) < 0 ||
		futimens(to, times) < 0 ? -1 : 0;
}

int fs_copy(const struct fs_root *r, const char *from, const char *to, bool replace,
	char *ret_sha256, struct err *err)
{
	struct fs_new n = FS_NEW_INIT;
	struct stat st, other;
	CLEANUP_CLOSE int in = open_file(r, from, &st, err);
	int result;

	if (in < 0)
		return -1;
	if (!replace && !fs_lstat(r, to, &other))
		return err_set(err, ERR_FS_UNSAFE, "%s: exists already", to);
	result = fs_new_open(r, to, replace, &n, err);
	if (!result && (pump(in, n.fd, ret_sha256) < 0 ||
		copy_attributes(in, n.fd, &st) < 0 || fs_new_finish(&n) < 0))
		result = err_sys(err, fs_write_code(errno), "copy %s to %s", from, to);
	fs_new_close(&n);
	return result;
}

int fs_copy_as(const struct fs_root *r, const char *from, const char *to,
	const struct fs_meta *m, struct err *err)
{
	struct fs_new n = FS_NEW_INIT;
	struct stat st;
	CLEANUP_CLOSE int in = open_file(r, from, &st, err);
	int result;

	if (in < 0)
		return -1;
	result = fs_new_open(r, to, false, &n, err);
	if (!result && (fs_new_flags(&n, m->flags) < 0 || pump(in, n.fd, NULL) < 0 ||
		fs_fd_set_meta(n.fd, m) < 0 || fs_new_finish(&n) < 0))
		result = err_sys(err, fs_write_code(errno), "copy %s to %s", from, to);
	fs_new_close(&n);
	return result;
}

int fs_append(const struct fs_root *r, const char *path, const void *buf, size_t len,
	struct err *err)
{
	struct fs_new n = FS_NEW_INIT;
	struct stat st;
	CLEANUP_CLOSE int in = open_file(r, path, &st, err);
	int result;

	if (in < 0)
		return -1;
	result = fs_new_open(r, path, true, &n, err);
	if (!result && (pump(in, n.fd, NULL) < 0 ||
		fdio_write(n.fd, "\0\0\0", (size_t)(-st.st_size & 3)) < 0 ||
		fdio_write(n.fd, buf, len) < 0 || fs_fd_owner(n.fd, &st) < 0 ||
		fs_copy_xattrs(in, n.fd) < 0 || fs_new_finish(&n) < 0))
		result = err_sys(err, fs_write_code(errno), "write %s", path);
	fs_new_close(&n);
	return result;
}

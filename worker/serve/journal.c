/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker said is durable on its target, kept for the worker that comes after it: a line
 * of text that names job, drive and content, its checksum, then the bitmap.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "serve/serve-internal.h"

#define HEAD_MAX 512

/* The first line: all that must be the same for the bitmap to mean anything. */
static size_t make_head(char *head, const char *job, const struct proto_disk *d,
	const uint8_t *units, size_t len)
{
	int n = snprintf(head, HEAD_MAX, "target-worker journal 1 %s %s %llu %s %s %016llx\n", job,
		d->name, (unsigned long long)d->size, d->serial[0] ? d->serial : "-",
		d->generation[0] ? d->generation : "-", (unsigned long long)XXH3_64bits(units, len));

	return n > 0 && n < HEAD_MAX ? (size_t)n : 0;
}

/* Job names come from the network: the file is named by their hash. */
static int make_path(char *path, size_t size, const char *dir, const char *job,
	const struct proto_disk *d)
{
	int n = snprintf(path, size, "%s/%s-%016llx.journal", dir, d->name,
		(unsigned long long)XXH3_64bits(job, strlen(job)));

	return n > 0 && (size_t)n < size ? 0 : -1;
}

int serve_journal_write(const char *dir, const char *job, const struct proto_disk *d,
	const uint8_t *units, size_t len, struct err *err)
{
	char path[512], head[HEAD_MAX];
	size_t n = make_head(head, job, d, units, len);
	CLEANUP_FREE char *all = malloc(n + len);

	if (!all || !n || make_path(path, sizeof(path), dir, job, d) < 0)
		return err_set(err, ERR_NOMEM, "%s: journal of %zu bytes", dir, len);
	memcpy(all, head, n);
	memcpy(all + n, units, len);
	return fdio_replace_file(path, all, n + len, 0600, err);
}

int serve_journal_read(const char *dir, const char *job, const struct proto_disk *d,
	uint8_t *units, size_t size, size_t *ret_len, struct err *err)
{
	char path[512], head[HEAD_MAX];
	CLEANUP_FREE char *all = NULL;
	const char *nl;
	size_t len, n;

	*ret_len = 0;
	if (make_path(path, sizeof(path), dir, job, d) < 0)
		return err_set(err, ERR_INTERNAL, "%s: path too long", dir);
	if (access(path, F_OK) < 0)
		return 0;
	if (fdio_read_file(path, size + HEAD_MAX, &all, &len, err) < 0)
		return -1;
	nl = memchr(all, '\n', len);
	if (!nl)
		return 0;
	n = (size_t)(nl + 1 - all);
	len -= n;
	if (len > size || make_head(head, job, d, (const uint8_t *)nl + 1, len) != n ||
		memcmp(head, all, n))
		return 0; /* of another content, or damaged: the hashes will tell */
	memcpy(units, nl + 1, len);
	*ret_len = len;
	return 0;
}

void serve_journal_remove(const char *dir, const char *job, const struct proto_disk *d)
{
	char path[512];

	if (!make_path(path, sizeof(path), dir, job, d))
		unlink(path);
}

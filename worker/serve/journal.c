/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals of copies: for each job, drive and state of it the units that the worker said
 * are durable. In memory, and with a folder also in one file each: "TWJ1", u32 length of
 * the key, u32 length of the bitmap, key, bitmap, XXH3-64 of all before.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define SLOTS 64
#define KEY_MAX 448
#define OWNER_MAX 260 /* of a key's beginning: whose, and of which job */
#define DROPS 128 /* while nothing may be written */
#define HEAD 12
#define MAGIC 0x314a5754u /* "TWJ1" */

struct slot {
	char key[KEY_MAX];
	uint8_t *bitmap;
	size_t len;
	uint64_t used;  /* order of use, 0 = free */
	bool dirty;     /* its file is not up to date */
	bool stored;    /* it has a file */
};

struct serve_journal {
	pthread_mutex_t lock;
	char *dir; /* NULL = in memory */
	uint64_t clock;
	struct slot slots[SLOTS];
	char dropped[DROPS][OWNER_MAX]; /* of jobs whose files are still there */
	unsigned n_dropped;
};

int serve_journal_open(const char *dir, struct serve_journal **ret, struct err *err)
{
	struct serve_journal *j = calloc(1, sizeof(*j));
	struct stat st;

	if (!j || (dir && !(j->dir = strdup(dir)))) {
		free(j);
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	}
	if (dir && (stat(dir, &st) < 0 || (!S_ISDIR(st.st_mode) && (errno = ENOTDIR)))) {
		err_sys(err, ERR_USAGE, "folder %s", dir);
		free(j->dir);
		free(j);
		return -1;
	}
	pthread_mutex_init(&j->lock, NULL);
	if (dir)
		serve_journal_trim(dir);
	*ret = j;
	return 0;
}

void serve_journal_close(struct serve_journal *j)
{
	if (!j)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		free(j->slots[i].bitmap);
	free(j->dir);
	free(j);
}

/* The keys of all journals of a job begin with this text. */
static void owner_text(const char *owner, const char *job, char ret[OWNER_MAX])
{
	snprintf(ret, OWNER_MAX, "%s\n%s\n", owner, job);
}

static void key_text(const struct serve_journal_key *k, char ret[KEY_MAX])
{
	snprintf(ret, KEY_MAX, "%s\n%s\n%s\n%s\n%" PRIu64, k->owner, k->job, k->drive,
		k->state, k->size);
}

static void file_name(const struct serve_journal *j, const char *key, char *ret,
	size_t size)
{
	snprintf(ret, size, "%s/%016llx.journal", j->dir,
		(unsigned long long)XXH3_64bits(key, strlen(key)));
}

static struct slot *find(struct serve_journal *j, const char *key)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (j->slots[i].used && !strcmp(j->slots[i].key, key))
			return &j->slots[i];
	return NULL;
}

/* A free slot, or the one not used for longest. */
static struct slot *take(struct serve_journal *j, const char *key)
{
	struct slot *s = &j->slots[0];

	for (unsigned i = 1; i < SLOTS; i++)
		if (j->slots[i].used < s->used)
			s = &j->slots[i];
	free(s->bitmap);
	*s = (struct slot){ .used = ++j->clock };
	strcpy(s->key, key);
	return s;
}

static int write_file(struct serve_journal *j, struct slot *s, struct err *err)
{
	size_t key_len = strlen(s->key), len = HEAD + key_len + s->len;
	CLEANUP_FREE uint8_t *file = malloc(len + 8);
	char path[4096];

	if (!file)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	file_name(j, s->key, path, sizeof(path));
	if (!s->len) {
		if (unlink(path) < 0 && errno != ENOENT)
			return err_sys(err, ERR_INTERNAL, "remove %s", path);
		s->dirty = s->stored = false;
		return 0;
	}
	bytes_put_le32(file, MAGIC);
	bytes_put_le32(file + 4, (uint32_t)key_len);
	bytes_put_le32(file + 8, (uint32_t)s->len);
	memcpy(file + HEAD, s->key, key_len);
	memcpy(file + HEAD + key_len, s->bitmap, s->len);
	bytes_put_le64(file + len, XXH3_64bits(file, len));
	if (fdio_replace_file(path, file, len + 8, 0600, err) < 0)
		return -1;
	s->dirty = false;
	if (!s->stored)
		serve_journal_trim(j->dir);
	s->stored = true;
	return 0;
}

/* A damaged file counts as none: the worker then compares hashes. */
static struct slot *load(struct serve_journal *j, const char *key)
{
	CLEANUP_FREE char *file = NULL;
	size_t len, key_len = strlen(key), n;
	struct err err = ERR_INIT;
	char path[4096];
	struct slot *s;

	if (!j->dir)
		return NULL;
	file_name(j, key, path, sizeof(path));
	if (fdio_read_file(path, PROTO_MAX_PAYLOAD + KEY_MAX + HEAD + 8, &file, &len,
		&err) < 0) {
		if (err.sys != ENOENT)
			log_warn("journal: %s", err.text);
		return NULL;
	}
	if (len < HEAD + 8 || bytes_le32(file) != MAGIC ||
		bytes_le32(file + 4) != key_len || len - HEAD - 8 < key_len ||
		memcmp(file + HEAD, key, key_len))
		return NULL;
	n = len - HEAD - 8 - key_len;
	if (n != bytes_le32(file + 8) ||
		XXH3_64bits(file, len - 8) != bytes_le64(file + len - 8)) {
		log_warn("journal: %s is damaged, not used", path);
		return NULL;
	}
	s = take(j, key);
	s->bitmap = malloc(n ? n : 1);
	if (!s->bitmap) {
		s->used = 0;
		return NULL;
	}
	memcpy(s->bitmap, file + HEAD + key_len, n);
	s->len = n;
	s->stored = true;
	return s;
}

/* Whether the file is a journal of the job. */
static bool is_of(const char *path, const char *owner)
{
	char start[HEAD + OWNER_MAX] = "";
	size_t n = strlen(owner), got;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	got = fread(start, 1, sizeof(start), f);
	fclose(f);
	return got > HEAD + n && bytes_le32(start) == MAGIC &&
		!memcmp(start + HEAD, owner, n);
}

/* Removes the job's files, whichever process wrote them. */
static void remove_files(struct serve_journal *j, const char *owner)
{
	DIR *dir = opendir(j->dir);
	struct dirent *e;
	char path[4096];

	if (!dir) {
		log_warn("journal: open %s: %s", j->dir, err_text(errno));
		return;
	}
	while ((e = readdir(dir))) {
		size_t n = strlen(e->d_name);

		if (n < 8 || strcmp(e->d_name + n - 8, ".journal"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", j->dir, e->d_name);
		if (is_of(path, owner) && unlink(path) < 0 && errno != ENOENT)
			log_warn("journal: remove %s: %s", path, err_text(errno));
	}
	closedir(dir);
}

static void remove_dropped(struct serve_journal *j)
{
	for (unsigned i = 0; i < j->n_dropped; i++)
		remove_files(j, j->dropped[i]);
	j->n_dropped = 0;
}

static bool is_dropped(const struct serve_journal *j, const char *owner)
{
	for (unsigned i = 0; i < j->n_dropped; i++)
		if (!strcmp(j->dropped[i], owner))
			return true;
	return false;
}

int serve_journal_put(struct serve_journal *j, const struct serve_journal_key *k,
	const void *bitmap, size_t len, bool may_write, struct err *err)
{
	uint8_t *copy = malloc(len ? len : 1);
	char key[KEY_MAX];
	struct slot *s;
	int status = 0;

	if (!copy)
		return err_set(err, ERR_NOMEM, "journal: out of memory");
	if (len)
		memcpy(copy, bitmap, len);
	key_text(k, key);
	pthread_mutex_lock(&j->lock);
	s = find(j, key);
	if (!s)
		s = take(j, key);
	free(s->bitmap);
	s->bitmap = copy;
	s->len = len;
	s->used = ++j->clock;
	s->dirty = true;
	if (j->dir && may_write) {
		remove_dropped(j);
		status = write_file(j, s, err);
	}
	pthread_mutex_unlock(&j->lock);
	return status;
}

size_t serve_journal_get(struct serve_journal *j, const struct serve_journal_key *k,
	void *ret, size_t max)
{
	char key[KEY_MAX], owner[OWNER_MAX];
	struct slot *s;
	size_t len = 0;

	key_text(k, key);
	owner_text(k->owner, k->job, owner);
	pthread_mutex_lock(&j->lock);
	s = find(j, key);
	if (!s && !is_dropped(j, owner))
		s = load(j, key);
	if (s && s->len <= max) {
		len = s->len;
		memcpy(ret, s->bitmap, len);
	}
	pthread_mutex_unlock(&j->lock);
	return len;
}

void serve_journal_drop(struct serve_journal *j, const char *owner, const char *job,
	bool may_write)
{
	char start[OWNER_MAX];
	size_t n;

	owner_text(owner, job, start);
	n = strlen(start);
	pthread_mutex_lock(&j->lock);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &j->slots[i];

		if (s->used && !strncmp(s->key, start, n)) {
			free(s->bitmap);
			*s = (struct slot){ .used = 0 };
		}
	}
	if (j->dir && !is_dropped(j, start)) {
		if (j->n_dropped == DROPS)
			log_warn("journal: files of job \"%s\" stay in %s", job, j->dir);
		else
			snprintf(j->dropped[j->n_dropped++], sizeof(j->dropped[0]),
				"%s", start);
	}
	if (j->dir && may_write)
		remove_dropped(j);
	pthread_mutex_unlock(&j->lock);
}

void serve_journal_flush(struct serve_journal *j)
{
	struct err err = ERR_INIT;

	pthread_mutex_lock(&j->lock);
	if (j->dir)
		remove_dropped(j);
	for (unsigned i = 0; j->dir && i < SLOTS; i++)
		if (j->slots[i].used && j->slots[i].dirty &&
		    write_file(j, &j->slots[i], &err) < 0)
			log_warn("%s", err.text);
	pthread_mutex_unlock(&j->lock);
}

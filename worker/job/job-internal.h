/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of job/ share. */
#ifndef JOB_JOB_INTERNAL_H
#define JOB_JOB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/err.h"
#include "job/job.h"

/*
 * read.c: JSON objects read by a table of their keys. Whatever the table does not name is an
 * error, and every error carries the full path of the key: "drives[1].target.serial: ...".
 */
struct job_reader {
	char path[256];
	size_t path_len;
	struct err *err;
};

struct job_key {
	const char *name;
	/* Stores v at field. -1 with r->err filled through job_read_fail. */
	int (*read)(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
	size_t offset;  /* of the field in the object that job_read_object fills */
	size_t size;    /* strings: bytes of the field, including the NUL */
	uint64_t min, max;  /* numbers: range; strings: min 1 refuses "" */
	const char *const *names; /* job_read_enum: NULL-terminated, the index is stored */
	bool required;
};

/* v must be an object with only the keys of the table (ended by a NULL name), each once. */
int job_read_object(struct job_reader *r, yyjson_val *v, const struct job_key *keys, void *dst);
/* Calls each for every element of an array of at most max elements, with "[i]" on the path. */
int job_read_array(struct job_reader *r, yyjson_val *v, size_t max,
	int (*each)(struct job_reader *r, yyjson_val *v, size_t i, void *ctx), void *ctx);

int job_read_string(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_bool(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_unsigned(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
/* One of k->names; field is an int or enum. */
int job_read_enum(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
/* malloc'd text of at most k->max bytes; line breaks and tabs are allowed. */
int job_read_text(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);

/* CFG_INVALID "path: message"; -1. */
int job_read_fail(struct job_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As job_read_fail, for a key below the current path. */
int job_read_fail_key(struct job_reader *r, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds ".key" or "[i]"; the return value is what job_read_pop takes to go back. */
size_t job_read_push_key(struct job_reader *r, const char *key);
size_t job_read_push_index(struct job_reader *r, size_t i);
void job_read_pop(struct job_reader *r, size_t mark);

/* An allocator that wipes what it frees: documents hold secrets. */
extern const yyjson_alc job_read_wiping_alc;

/* fields.c: values with a form of their own; all as job_key.read */
int job_read_name(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_mac(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_net4(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_net6(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_addr4(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_addr6(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_addr(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_rate(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_read_psk(struct job_reader *r, yyjson_val *v, const struct job_key *k, void *field);
int job_mac_parse(const char *s, char ret[18]);   /* to lower case with colons; -1: is none */
int job_pin_parse(const char *s, char ret[64]);   /* "sha256//BASE64"; -1: is none */
int job_rate_parse(const char *s, uint64_t *ret); /* "200M", powers of 1024; -1: is none */

/* uri.c */
#define JOB_URI_MAX 1024
/* scheme://host[:port][/path], nothing else in it; -1: is none. */
int job_url_check(const char *url, const char *scheme);
bool job_source_url_known(const char *url);
/* The URI of one drive for source_open: source.url with the drive's name put in its place. */
int job_drive_uri(const struct job *j, const struct job_drive *d, char ret[JOB_URI_MAX]);

/* smbios.c: what the raw SMBIOS structure table (/sys/firmware/dmi/tables/DMI) carries for us in
 * its OEM strings (type 11). All strings of a kind are joined in the order of the table. */
struct job_smbios {
	char *job;            /* the document, decoded; NULL = none */
	size_t job_len;
	bool announce_volume; /* "target-worker:announce=volume": a config volume will come */
};
/* 0 also when the table says nothing for us. CFG_INVALID for a job that cannot be decoded. */
int job_smbios_parse(const void *table, size_t len, struct job_smbios *ret, struct err *err);
void job_smbios_free(struct job_smbios *s);

/* base64.c: RFC 4648 section 4; white space is skipped, padding may be left out. ret holds
 * len / 4 * 3 + 3 bytes. -1: not base64. */
int job_base64_decode(const char *text, size_t len, void *ret, size_t *ret_len);

#endif

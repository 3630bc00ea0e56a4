/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error records. A function that can fail returns 0 or -1 and takes `struct err *err`
 * last: on -1 the record is filled, on 0 it is untouched. Records are plain values
 * without allocation, so that running out of memory can be reported too.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err_code {
	ERR_NONE,
#define X(name, status, retryable, hint) ERR_##name,
#include "base/err-codes.h"
#undef X
	ERR_COUNT
};

struct err {
	enum err_code code;
	int sys;          /* errno of the first report, 0 if none */
	const char *file; /* where it was first reported */
	int line;
	char text[480]; /* object and cause: "read /dev/sda at 4096:
			 * Input/output error" */
};

#define ERR_INIT { .code = ERR_NONE }

/* Each returns -1, so that a failure site is one line: return err_set(err, ERR_X,
 * "...", ...). */
#define err_set(err, code, ...) err_set_at(err, code, 0, __FILE__, __LINE__, __VA_ARGS__)
/* As err_set, with ": " and the text of errno added. */
#define err_sys(err, code, ...) err_sys_at(err, code, __FILE__, __LINE__, __VA_ARGS__)

int err_set_at(struct err *err, enum err_code code, int sys, const char *file, int line,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int err_sys_at(struct err *err, enum err_code code, const char *file, int line,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Puts "context: " before the text of a filled record; code and site stay. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *err);

/* The text of an errno: strerror(3), with the same words whichever C library is used. */
const char *err_text(int sys);

/* The code for a failed target-disk system call: ENOSPC is DISK_FULL,
 * EROFS DISK_RO, ... */
enum err_code err_disk_code(int sys);

const char *err_name(enum err_code code); /* "DISK_SMALL" */
const char *err_hint(enum err_code code); /* what the operator can try */
bool err_retryable(enum err_code code);
int err_exit_status(enum err_code code); /* process exit status, 0 for ERR_NONE */
/* ERR_NONE when the name is not known. */
enum err_code err_from_name(const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int status;
	bool retryable;
	const char *hint;
} codes[ERR_COUNT] = {
	[ERR_NONE] = { "NONE", 0, false, "" },
#define X(n, s, r, h) [ERR_##n] = { #n, s, r, h },
#include "base/err-codes.h"
#undef X
};

static int fill(struct err *err, enum err_code code, int sys, const char *file, int line,
	const char *fmt, va_list ap)
{
	int n;

	err->code = code;
	err->sys = sys;
	err->file = file;
	err->line = line;
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	if (sys && n >= 0 && (size_t)n < sizeof(err->text)) {
		snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s",
			strerror(sys));
	}
	return -1;
}

int err_set_at(struct err *err, enum err_code code, int sys, const char *file, int line,
	const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, code, sys, file, line, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys_at(struct err *err, enum err_code code, const char *file, int line,
	const char *fmt, ...)
{
	int sys = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(err, code, sys, file, line, fmt, ap);
	va_end(ap);
	return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t head, tail;

	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text) - 3, fmt, ap);
	va_end(ap);
	head = strlen(err->text);
	memcpy(err->text + head, ": ", 2);
	head += 2;
	tail = strnlen(old, sizeof(err->text) - head - 1);
	memcpy(err->text + head, old, tail);
	err->text[head + tail] = '\0';
	return -1;
}

void err_clear(struct err *err)
{
	*err = (struct err)ERR_INIT;
}

enum err_code err_disk_code(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return ERR_DISK_FULL;
	case EROFS:
	case EPERM:
	case EACCES:
		return ERR_DISK_RO;
	case EBUSY:
		return ERR_DISK_BUSY;
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return ERR_DISK_NOT_FOUND;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_DISK_IO;
	}
}

static bool known(enum err_code code)
{
	return (unsigned)code < ERR_COUNT;
}

const char *err_name(enum err_code code)
{
	return known(code) ? codes[code].name : "INTERNAL";
}

const char *err_hint(enum err_code code)
{
	return known(code) ? codes[code].hint : codes[ERR_INTERNAL].hint;
}

bool err_retryable(enum err_code code)
{
	return known(code) && codes[code].retryable;
}

int err_exit_status(enum err_code code)
{
	return known(code) ? codes[code].status : codes[ERR_INTERNAL].status;
}

enum err_code err_from_name(const char *name)
{
	for (unsigned i = 1; i < ERR_COUNT; i++)
		if (!strcmp(codes[i].name, name))
			return (enum err_code)i;
	return ERR_NONE;
}

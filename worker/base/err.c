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

/*
 * musl, which the released programs use, has no text for many errors of Linux, that of a
 * damaged file system among them, and other texts than the C library of most machines
 * for errors of disks and networks. An operator reads the same words everywhere.
 */
static const struct {
	int sys;
	const char *text;
} texts[] = {
	{ EADDRINUSE, "Address already in use" },
	{ EADDRNOTAVAIL, "Cannot assign requested address" },
	{ EBADE, "Invalid exchange" },
	{ EBADR, "Invalid request descriptor" },
	{ EBADRQC, "Invalid request code" },
	{ EBADSLT, "Invalid slot" },
	{ EBUSY, "Device or resource busy" },
	{ ECHRNG, "Channel number out of range" },
	{ ECOMM, "Communication error on send" },
	{ EDQUOT, "Disk quota exceeded" },
	{ EHOSTUNREACH, "No route to host" },
	{ EHWPOISON, "Memory page has hardware error" },
	{ EIO, "Input/output error" },
	{ EISNAM, "Is a named type file" },
	{ EL2HLT, "Level 2 halted" },
	{ EL2NSYNC, "Level 2 not synchronized" },
	{ EL3HLT, "Level 3 halted" },
	{ EL3RST, "Level 3 reset" },
	{ ELIBACC, "Can not access a needed shared library" },
	{ ELIBBAD, "Accessing a corrupted shared library" },
	{ ELIBEXEC, "Cannot exec a shared library directly" },
	{ ELNRNG, "Link number out of range" },
	{ ELOOP, "Too many levels of symbolic links" },
	{ EMFILE, "Too many open files" },
	{ ENAMETOOLONG, "File name too long" },
	{ ENETUNREACH, "Network is unreachable" },
	{ ENOANO, "No anode" },
	{ ENOCSI, "No CSI structure available" },
	{ ENOMEM, "Cannot allocate memory" },
	{ ENONET, "Machine is not on the network" },
	{ ENOPKG, "Package not installed" },
	{ ENOTSUP, "Operation not supported" },
	{ ENOTTY, "Inappropriate ioctl for device" },
	{ ENOTUNIQ, "Name not unique on network" },
	{ EREMCHG, "Remote address changed" },
	{ EREMOTE, "Object is remote" },
	{ ERESTART, "Interrupted system call should be restarted" },
	{ ERFKILL, "Operation not possible due to RF-kill" },
	{ ESTRPIPE, "Streams pipe error" },
	{ ETIMEDOUT, "Connection timed out" },
	{ ETOOMANYREFS, "Too many references: cannot splice" },
	{ EUCLEAN, "Structure needs cleaning" },
	{ EUNATCH, "Protocol driver not attached" },
	{ EUSERS, "Too many users" },
	{ EXFULL, "Exchange full" },
};

const char *err_text(int sys)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].sys == sys)
			return texts[i].text;
	return strerror(sys);
}

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
			err_text(sys));
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
